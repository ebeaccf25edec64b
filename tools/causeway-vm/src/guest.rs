//! QEMU's command line: the user's, with the devices that connect the machine to its BMC.

mod boot;
mod words;

use std::path::Path;

use report::error::Error;

use self::boot::Boot;
pub(crate) use self::boot::BootDevices;
use self::words::Words;
use crate::definition::Definition;
use crate::places::Place;

/// A command line, and what platformd needs to know of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Guest {
    /// The program, its arguments, and those of the BMC's devices.
    pub(crate) command: Vec<String>,
    /// The ids of the devices from which the machine can boot.
    pub(crate) boot: BootDevices,
    /// Whether the machine has a KCS interface that is to be served.
    pub(crate) has_kcs: bool,
}

impl Guest {
    /// The machine of `definition`, whose sockets are in `place`.
    ///
    /// # Errors
    ///
    /// When the user's arguments contradict what is added.
    pub(crate) fn new(definition: &Definition, place: &Place) -> Result<Self, Error> {
        let mut words = Words::new(&definition.command);
        refuse(&words)?;
        let is_x86 = words.is_x86();
        let mut boot = Boot::default();
        boot.name_devices(&mut words);
        let has_kcs = is_x86 && !words.has_part("ipmi-bmc-");
        words.add_unless_given(&["-name"], &["-name", definition.name.as_str()]);
        words.add_unless_given(&["-uuid"], &["-uuid", &definition.uuid]);
        let pid = place.guest_pid().display().to_string();
        words.add_unless_given(&["-pidfile"], &["-pidfile", &pid]);
        if !words.has_option(&["-display", "-nographic", "-vnc", "-spice", "-curses", "-sdl"]) {
            // Firmware has no screen to print on, and prints on the serial port.
            words.add(&["-nographic"]);
            words.add_unless_given(
                &["-monitor", "-mon", "-qmp", "-nodefaults"],
                &["-monitor", "none"],
            );
        }
        let console = value(&place.socket("console"));
        // QEMU dials, before the machine runs, so that no character is lost.
        let console = format!("socket,id=causeway-console,path={console},reconnect=1");
        words.add(&["-chardev", &console, "-serial", "chardev:causeway-console"]);
        if has_kcs {
            let link =
                format!("socket,id=causeway-kcs,path={},reconnect=1", value(&place.socket("kcs0")));
            words.add(&["-chardev", &link]);
            words.add(&["-device", "ipmi-bmc-extern,id=causeway-bmc,chardev=causeway-kcs"]);
            words.add(&["-device", "isa-ipmi-kcs,bmc=causeway-bmc"]);
        }
        if is_x86 && !words.has_part("pvpanic") {
            words.add(&["-device", "pvpanic"]);
        }
        Ok(Self { command: words.into_command(), boot: boot.devices, has_kcs })
    }
}

/// Refuses options that take from the BMC what it needs.
fn refuse(words: &Words) -> Result<(), Error> {
    if words.has_option(&["-serial"]) {
        let text = "QEMU's -serial: the first serial port is the console that the BMC serves";
        return Err(Error::usage(text)
            .remedy("the command without -serial; causeway-vm console NAME shows it"));
    }
    if words.has_option(&["-daemonize"]) {
        let text = "QEMU's -daemonize: the BMC starts and ends QEMU";
        return Err(Error::usage(text).remedy("the command without -daemonize"));
    }
    Ok(())
}

/// A path as a value of QEMU's options, where a comma ends a value.
fn value(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::tests::definition;

    fn guest(command: &str) -> Result<Guest, Error> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let place = Place { state: "/s".into(), runtime: "/r".into() };
        Guest::new(&definition(&words), &place)
    }

    fn line(command: &str) -> String {
        guest(command).unwrap().command.join(" ")
    }

    #[test]
    fn console_kcs_and_identity_are_added() {
        assert_eq!(
            line("qemu-system-x86_64 -m 64 -nodefaults"),
            "qemu-system-x86_64 -m 64 -nodefaults -name vm1 \
             -uuid 11111111-2222-4333-8444-555555555555 -pidfile /r/qemu.pid -nographic \
             -chardev socket,id=causeway-console,path=/r/console,reconnect=1 \
             -serial chardev:causeway-console -chardev socket,id=causeway-kcs,path=/r/kcs0,reconnect=1 \
             -device ipmi-bmc-extern,id=causeway-bmc,chardev=causeway-kcs \
             -device isa-ipmi-kcs,bmc=causeway-bmc -device pvpanic"
        );
    }

    #[test]
    fn what_the_user_gives_is_left_as_it_is() {
        let given = "kvm -name other -uuid 1 -pidfile /p -vnc :1 -device ipmi-bmc-sim,id=b -device pvpanic -nodefaults";
        let guest = guest(given).unwrap();
        assert!(!guest.has_kcs);
        let line = guest.command.join(" ");
        assert!(line.starts_with(given), "{line}");
        for option in ["-name", "-uuid", "-pidfile", "pvpanic"] {
            assert_eq!(line.matches(option).count(), 1, "{line}");
        }
        assert!(!line.contains("-nographic") && !line.contains("causeway-kcs"), "{line}");
    }

    #[test]
    fn a_machine_without_an_isa_bus_has_no_kcs() {
        let guest = guest("/usr/bin/qemu-system-aarch64 -machine virt").unwrap();
        assert!(!guest.has_kcs);
        let line = guest.command.join(" ");
        assert!(!line.contains("kcs") && !line.contains("pvpanic"), "{line}");
        assert!(line.contains("-serial chardev:causeway-console"), "{line}");
    }

    #[test]
    fn options_that_contradict_are_refused_with_a_remedy() {
        for option in ["-serial stdio", "--serial stdio", "-daemonize"] {
            let error = guest(&format!("qemu-system-x86_64 {option}")).unwrap_err();
            assert_eq!(error.exit_code(), report::error::USAGE);
            assert!(error.text("x", false).contains("try: "), "{error}");
        }
    }
}
