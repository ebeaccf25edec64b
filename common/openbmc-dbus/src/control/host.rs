//! `xyz.openbmc_project.Control.Host` and `xyz.openbmc_project.Condition.HostFirmware`: what services have
//! `ipmid` tell the host, and whether the host still takes it.

use crate::interface::{enumeration, interface};

/// The well-known name of `ipmid` as the one that tells the host.
pub const SERVICE: &str = "xyz.openbmc_project.Control.Host";
/// The first host's object.
pub const PATH: &str = "/xyz/openbmc_project/control/host0";

enumeration! {
    /// What the host is told.
    Command = "xyz.openbmc_project.Control.Host.Command" {
        SoftOff, Heartbeat,
    }
}

enumeration! {
    /// Whether the host has fetched it.
    Outcome = "xyz.openbmc_project.Control.Host.Result" {
        Success, Failure,
    }
}

enumeration! {
    /// Whether the host's firmware fetches what it is told.
    FirmwareCondition = "xyz.openbmc_project.Condition.HostFirmware.FirmwareCondition" {
        Unknown, Off, Running,
    }
}

interface! {
    "xyz.openbmc_project.Control.Host";
    methods {
        /// Tells the host; [`COMMAND_COMPLETE`] says what became of it.
        EXECUTE = "Execute" ("s") -> ("");
    };
    signals {
        /// A command, and its result.
        COMMAND_COMPLETE = "CommandComplete" ("ss");
    }
}
