//! The devices from which a machine can boot, by name.
//!
//! The BMC's boot settings need a device's id. A device of the user's without an id gets one. A drive or a network
//! card in QEMU's short form has no device with an id, so that it is written in the long form: the same device.

use super::words::{Words, part, parts};

/// The ids of the first device of each kind.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct BootDevices {
    pub(crate) disk: Option<String>,
    pub(crate) cdrom: Option<String>,
    pub(crate) pxe: Option<String>,
}

/// The kinds of devices.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Disk,
    Cdrom,
    Pxe,
}

/// The devices that were found, and how many got an id.
#[derive(Debug, Default)]
pub(super) struct Boot {
    pub(super) devices: BootDevices,
    named: u32,
}

impl Boot {
    /// Finds the devices, and names those without an id.
    pub(super) fn name_devices(&mut self, words: &mut Words) {
        if words.is_x86() && !words.has_part("microvm") {
            self.write_drives_out(words);
            self.write_cards_out(words);
        }
        for (at, option, value) in words.values(&["-device"]) {
            // A device in JSON.
            if value.starts_with('{') {
                continue;
            }
            let parts = parts(&value);
            let driver = parts.first().map_or("", String::as_str);
            let Some(kind) = kind(driver, &parts) else { continue };
            let place = match kind {
                Kind::Disk => &mut self.devices.disk,
                Kind::Cdrom => &mut self.devices.cdrom,
                Kind::Pxe => &mut self.devices.pxe,
            };
            if place.is_some() {
                continue;
            }
            if let Some(id) = part(&parts, "id") {
                *place = Some(id.to_owned());
                continue;
            }
            let id = format!("causeway-boot{}", self.named);
            self.named += 1;
            *place = Some(id.clone());
            words.replace(at, &[&option, &format!("{value},id={id}")]);
        }
    }

    /// Writes `-drive` without a device of its own, `-hda` and `-cdrom` in the long form.
    fn write_drives_out(&mut self, words: &mut Words) {
        // From the last on, so that places before it stay.
        for (at, option, value) in words.values(&["-drive", "-hda", "-cdrom"]).into_iter().rev() {
            let value = match option.as_str() {
                "-hda" => format!("file={},media=disk", value.replace(',', ",,")),
                "-cdrom" => format!("file={},media=cdrom", value.replace(',', ",,")),
                _ => value,
            };
            let parts = parts(&value);
            let is_cdrom = part(&parts, "media") == Some("cdrom");
            let driver = match part(&parts, "if") {
                Some("virtio") => "virtio-blk-pci",
                Some("ide") | None if is_cdrom => "ide-cd",
                Some("ide") | None => "ide-hd",
                // Firmware, floppies, and drives that have a device.
                Some(_) => continue,
            };
            let own = format!("causeway-drive{at}");
            let id = part(&parts, "id").unwrap_or(&own);
            let drops = ["if=", "id=", "index=", "bus=", "unit="];
            let kept = parts.iter().filter(|part| !drops.iter().any(|drop| part.starts_with(drop)));
            let kept = kept.cloned().collect::<Vec<_>>().join(",");
            let drive = format!("if=none,id={id},{kept}");
            let device = format!("{driver},drive={id}");
            words.replace(at, &["-drive", &drive, "-device", &device]);
        }
    }

    /// Writes the network card that QEMU has without any option, and that of `-nic`, in the long form.
    fn write_cards_out(&mut self, words: &mut Words) {
        let is_q35 =
            words.values(&["-machine", "-M"]).iter().any(|(_, _, value)| value.contains("q35"));
        let usual = if is_q35 { "e1000e" } else { "e1000" };
        if !words.has_option(&["-nic", "-net", "-netdev", "-nodefaults"]) {
            words.add(&["-netdev", "user,id=causeway-net", "-device"]);
            words.add(&[&format!("{usual},netdev=causeway-net")]);
        }
        for (at, _, value) in words.values(&["-nic"]).into_iter().rev() {
            let parts = parts(&value);
            // A card without a peer, no card at all, and a peer that has a name.
            if parts.first().is_some_and(|kind| kind == "none") || part(&parts, "id").is_some() {
                continue;
            }
            let peer = format!("causeway-net{at}");
            let is_cards = |part: &&String| {
                ["model=", "mac=", "addr="].iter().any(|own| part.starts_with(own))
            };
            let model = part(&parts, "model").unwrap_or(usual);
            // The card's name in the long form.
            let model = if model == "virtio" { "virtio-net-pci" } else { model };
            let mut device = format!("{model},netdev={peer}");
            for own in parts.iter().filter(is_cards).filter(|part| !part.starts_with("model=")) {
                device.push_str(&format!(",{own}"));
            }
            let others = parts.iter().filter(|part| !is_cards(part));
            let mut others: Vec<String> = others.cloned().collect();
            others.insert(1.min(others.len()), format!("id={peer}"));
            words.replace(at, &["-netdev", &others.join(","), "-device", &device]);
        }
    }
}

/// What a device is to the firmware; `None` if it boots from no such device.
fn kind(driver: &str, parts: &[String]) -> Option<Kind> {
    if matches!(driver, "ide-cd" | "scsi-cd") {
        return Some(Kind::Cdrom);
    }
    let disks = ["virtio-blk", "scsi-hd", "ide-hd", "nvme", "usb-storage"];
    if disks.iter().any(|disk| driver.starts_with(disk)) && part(parts, "drive").is_some() {
        return Some(Kind::Disk);
    }
    part(parts, "netdev").map(|_| Kind::Pxe)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(line: &str) -> (String, BootDevices) {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mut words = Words::new(&words);
        let mut boot = Boot::default();
        boot.name_devices(&mut words);
        (words.into_command().join(" "), boot.devices)
    }

    fn devices(disk: &str, cdrom: &str, pxe: &str) -> BootDevices {
        let id = |id: &str| (!id.is_empty()).then(|| id.to_owned());
        BootDevices { disk: id(disk), cdrom: id(cdrom), pxe: id(pxe) }
    }

    #[test]
    fn devices_with_ids_are_left_as_they_are() {
        let line = "qemu-system-x86_64 -drive if=none,id=d,file=x -device virtio-blk-pci,id=disk0,drive=d \
                    -netdev user,id=n -device virtio-net-pci,netdev=n,id=net0 -device scsi-cd,drive=c,id=cd0 \
                    -device nvme,drive=other,serial=1";
        assert_eq!(named(line), (line.to_owned(), devices("disk0", "cd0", "net0")));
    }

    #[test]
    fn devices_without_ids_get_one() {
        let line = "qemu-system-aarch64 -drive if=none,id=d,file=x -device virtio-blk-pci,drive=d -netdev user,id=n \
                    -device virtio-net-pci,netdev=n";
        let (line, found) = named(line);
        assert!(line.contains("virtio-blk-pci,drive=d,id=causeway-boot0"), "{line}");
        assert!(line.ends_with("virtio-net-pci,netdev=n,id=causeway-boot1"), "{line}");
        assert_eq!(found, devices("causeway-boot0", "", "causeway-boot1"));
    }

    #[test]
    fn short_forms_of_drives_become_the_same_devices_with_ids() {
        for (short, long) in [
            (
                "-hda a.img",
                "-drive if=none,id=causeway-drive3,file=a.img,media=disk -device ide-hd,drive=causeway-drive3,id=causeway-boot0",
            ),
            (
                "-drive file=a,if=virtio,index=1",
                "-drive if=none,id=causeway-drive3,file=a -device virtio-blk-pci,drive=causeway-drive3,id=causeway-boot0",
            ),
            (
                "-drive id=x,file=a",
                "-drive if=none,id=x,file=a -device ide-hd,drive=x,id=causeway-boot0",
            ),
            (
                "-drive file=a,media=cdrom",
                "-drive if=none,id=causeway-drive3,file=a,media=cdrom -device ide-cd,drive=causeway-drive3,id=causeway-boot0",
            ),
            ("-drive if=pflash,file=a", "-drive if=pflash,file=a"),
        ] {
            let (line, _) = named(&format!("qemu-system-x86_64 -nic none {short}"));
            assert_eq!(line, format!("qemu-system-x86_64 -nic none {long}"));
        }
        let (_, found) = named("qemu-system-x86_64 -cdrom c -hda d");
        assert!(found.disk.is_some() && found.cdrom.is_some() && found.disk != found.cdrom);
    }

    #[test]
    fn network_cards_become_devices_with_ids() {
        for (short, long) in [
            (
                "",
                " -netdev user,id=causeway-net -device e1000,netdev=causeway-net,id=causeway-boot0",
            ),
            (
                " -M q35",
                " -M q35 -netdev user,id=causeway-net -device e1000e,netdev=causeway-net,id=causeway-boot0",
            ),
            (
                " -nic user,model=virtio,mac=02::1,restrict=on",
                " -netdev user,id=causeway-net1,restrict=on -device virtio-net-pci,netdev=causeway-net1,mac=02::1,id=causeway-boot0",
            ),
            (
                " -nic tap",
                " -netdev tap,id=causeway-net1 -device e1000,netdev=causeway-net1,id=causeway-boot0",
            ),
            (" -nic none", " -nic none"),
            (" -nodefaults", " -nodefaults"),
        ] {
            assert_eq!(
                named(&format!("qemu-system-x86_64{short}")).0,
                format!("qemu-system-x86_64{long}")
            );
        }
    }
}
