//! `xyz.openbmc_project.Control.Boot`: the host's boot source and mode.
//!
//! OpenBMC has two objects with the same interfaces: [`PERSISTENT_PATH`] for every boot and
//! [`ONE_TIME_PATH`] for the next only. `Enabled` of the second activates it; `Enabled` of the
//! first activates any override.

/// The settings for every boot.
pub const PERSISTENT_PATH: &str = "/xyz/openbmc_project/control/host0/boot";
/// The settings for the next boot.
pub const ONE_TIME_PATH: &str = "/xyz/openbmc_project/control/host0/boot/one_time";

/// `xyz.openbmc_project.Control.Boot.Source`.
pub mod source {
    use crate::interface::{enumeration, interface};

    enumeration! {
        /// A device to boot from.
        Source = "xyz.openbmc_project.Control.Boot.Source.Sources" {
            Disk, ExternalMedia, Network, Default, RemovableMedia, HTTP,
        }
    }

    interface! {
        "xyz.openbmc_project.Control.Boot.Source";
        properties {
            /// The device to boot from.
            ReadWrite BOOT_SOURCE: Source = "BootSource";
        }
    }
}

/// `xyz.openbmc_project.Control.Boot.Mode`.
pub mod mode {
    use crate::interface::{enumeration, interface};

    enumeration! {
        /// What the firmware does before it boots.
        Mode = "xyz.openbmc_project.Control.Boot.Mode.Modes" { Regular, Safe, Setup }
    }

    interface! {
        "xyz.openbmc_project.Control.Boot.Mode";
        properties {
            /// What the firmware does before it boots.
            ReadWrite BOOT_MODE: Mode = "BootMode";
        }
    }
}

/// `xyz.openbmc_project.Control.Boot.Type`.
pub mod boot_type {
    use crate::interface::{enumeration, interface};

    enumeration! {
        /// The kind of firmware interface to boot with.
        BootType = "xyz.openbmc_project.Control.Boot.Type.Types" { Legacy, EFI }
    }

    interface! {
        "xyz.openbmc_project.Control.Boot.Type";
        properties {
            /// The kind of firmware interface to boot with.
            ReadWrite BOOT_TYPE: BootType = "BootType";
        }
    }
}
