//! `xyz.openbmc_project.State.BMC`: the BMC's own state and requests to restart it.

use crate::interface::{enumeration, interface};

/// The well-known name of the BMC state manager.
pub const SERVICE: &str = "xyz.openbmc_project.State.BMC";
/// The BMC's object.
pub const PATH: &str = "/xyz/openbmc_project/state/bmc0";

enumeration! {
    /// What a client may ask of the BMC.
    Transition = "xyz.openbmc_project.State.BMC.Transition" { Reboot, HardReboot, None }
}

enumeration! {
    /// The state of the BMC.
    BmcState = "xyz.openbmc_project.State.BMC.BMCState" {
        Ready, NotReady, UpdateInProgress, Quiesced,
    }
}

enumeration! {
    /// Why the BMC started last.
    RebootCause = "xyz.openbmc_project.State.BMC.RebootCause" {
        POR, PinholeReset, Watchdog, Software, Unknown,
    }
}

interface! {
    "xyz.openbmc_project.State.BMC";
    properties {
        /// The last requested transition; writing it starts one.
        ReadWrite REQUESTED_BMC_TRANSITION: Transition = "RequestedBMCTransition";
        /// The state of the BMC.
        ReadWrite CURRENT_BMC_STATE: BmcState = "CurrentBMCState";
        /// When the BMC started last, in milliseconds since the epoch.
        Read LAST_REBOOT_TIME: u64 = "LastRebootTime";
        /// Why the BMC started last.
        ReadWrite LAST_REBOOT_CAUSE: RebootCause = "LastRebootCause";
    }
}
