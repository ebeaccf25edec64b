//! The boot order of QEMU's devices.
//!
//! Firmware reads the order at each reset from the devices' property `bootindex` (QEMU docs/bootindex.txt), so that
//! a change takes effect at the next start, whoever causes it.

use openbmc_dbus::control::boot::source::Source;

use crate::config::{Boot, BootDevice};

/// The device that an override names; `None` for none.
const fn device_of(source: Source) -> Option<BootDevice> {
    match source {
        Source::Default => None,
        Source::Disk => Some(BootDevice::Disk),
        Source::ExternalMedia => Some(BootDevice::Cdrom),
        Source::Network | Source::HTTP => Some(BootDevice::Pxe),
        Source::RemovableMedia => Some(BootDevice::Removable),
    }
}

/// The QOM paths of the devices, in the order in which the firmware tries them.
///
/// # Errors
///
/// Text for a log line, when `source` is a device that the host does not have.
pub(super) fn order(boot: &Boot, source: Source) -> Result<Vec<String>, String> {
    let first = device_of(source);
    if let Some(device) = first
        && boot.device(device).is_none()
    {
        let name = device.name();
        return Err(format!("[host.boot] has no device `{name}`; the boot order stays as it is"));
    }
    let usual = boot.order.iter().copied().filter(|device| Some(*device) != first);
    // Devices without a rank come last.
    let others = BootDevice::ALL
        .into_iter()
        .filter(|device| Some(*device) != first && !boot.order.contains(device));
    let devices = first.into_iter().chain(usual).chain(others);
    Ok(devices.filter_map(|device| boot.device(device)).map(path).collect())
}

/// A device's QOM path: an id is one of QEMU's peripherals.
fn path(device: &str) -> String {
    if device.starts_with('/') {
        device.to_owned()
    } else {
        format!("/machine/peripheral/{device}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Platform;

    fn boot(text: &str) -> Boot {
        let text = format!(
            "[host]\nbackend = \"qemu\"\nqmp = \"q\"\ncommand = [\"qemu\"]\n[host.boot]\n{text}"
        );
        Platform::parse("test.toml", &text).unwrap().host.boot
    }

    #[test]
    fn an_override_comes_first_and_the_rest_stays_in_order() {
        let boot = boot("disk = \"disk0\"\npxe = \"net0\"\ncdrom = \"/machine/x/cd\"");
        let order = |source| order(&boot, source).unwrap();
        let (disk, net) = ("/machine/peripheral/disk0", "/machine/peripheral/net0");
        assert_eq!(order(Source::Default), [disk, "/machine/x/cd", net]);
        assert_eq!(order(Source::Network), [net, disk, "/machine/x/cd"]);
        assert_eq!(order(Source::HTTP), [net, disk, "/machine/x/cd"]);
        assert_eq!(order(Source::ExternalMedia), ["/machine/x/cd", disk, net]);
        assert_eq!(order(Source::Disk), [disk, "/machine/x/cd", net]);
    }

    #[test]
    fn the_usual_order_is_configured() {
        let boot = boot("disk = \"d\"\npxe = \"n\"\nremovable = \"r\"\norder = [\"pxe\"]");
        let order = order(&boot, Source::Default).unwrap();
        let last = |path: &String| path.rsplit('/').next().unwrap_or_default().to_owned();
        assert_eq!(order.iter().map(last).collect::<Vec<_>>(), ["n", "d", "r"]);
    }

    #[test]
    fn a_device_that_the_host_lacks_is_an_error() {
        let boot = boot("disk = \"d\"");
        assert!(order(&boot, Source::Network).unwrap_err().contains("`pxe`"));
        assert!(order(&Boot::default(), Source::Default).unwrap().is_empty());
    }
}
