//! `xyz.openbmc_project.State.Boot`: the boot progress of the host's firmware.

/// `xyz.openbmc_project.State.Boot.Progress`: the stage, in the words of IPMI.
pub mod progress {
    use crate::interface::{enumeration, interface};

    enumeration! {
        /// The boot stage of the host's firmware.
        Stage = "xyz.openbmc_project.State.Boot.Progress.ProgressStages" {
            Unspecified, PrimaryProcInit, BusInit, MemoryInit, SecondaryProcInit, PCIInit,
            SystemInitComplete, OSStart, OSRunning, SystemSetup, MotherboardInit, OEM,
        }
    }

    interface! {
        "xyz.openbmc_project.State.Boot.Progress";
        properties {
            /// The boot stage of the host's firmware.
            ReadWrite BOOT_PROGRESS: Stage = "BootProgress";
            /// When the stage was reached, in microseconds since the epoch; 0 when never.
            ReadWrite BOOT_PROGRESS_LAST_UPDATE: u64 = "BootProgressLastUpdate";
        }
    }
}

/// `xyz.openbmc_project.State.Boot.Raw`: the last progress code as the firmware sent it.
pub mod raw {
    use crate::interface::interface;

    /// The first host's object.
    pub const PATH: &str = "/xyz/openbmc_project/state/boot/raw0";
    /// The service that has it.
    pub const SERVICE: &str = "xyz.openbmc_project.State.Boot.Raw";

    interface! {
        "xyz.openbmc_project.State.Boot.Raw";
        properties {
            /// The code, and what the firmware added to it.
            ReadWrite VALUE: (Vec<u8>, Vec<u8>) = "Value";
        }
    }
}
