//! `xyz.openbmc_project.Control.Host` and `xyz.openbmc_project.Condition.HostFirmware`: messages from a service
//! to the host, which `ipmid` forwards, and whether the host fetches them.

use crate::interface::{enumeration, interface};

/// The well-known name under which `ipmid` serves this interface.
pub const SERVICE: &str = "xyz.openbmc_project.Control.Host";
/// The first host's object.
pub const PATH: &str = "/xyz/openbmc_project/control/host0";

enumeration! {
    /// A message to the host.
    Command = "xyz.openbmc_project.Control.Host.Command" {
        SoftOff, Heartbeat,
    }
}

enumeration! {
    /// Whether the host has fetched the message.
    Outcome = "xyz.openbmc_project.Control.Host.Result" {
        Success, Failure,
    }
}

enumeration! {
    /// Whether the host's firmware is running, and fetches messages.
    FirmwareCondition = "xyz.openbmc_project.Condition.HostFirmware.FirmwareCondition" {
        Unknown, Off, Running,
    }
}

interface! {
    "xyz.openbmc_project.Control.Host";
    methods {
        /// Sends the host a message; [`COMMAND_COMPLETE`] has the result.
        EXECUTE = "Execute" ("s") -> ("");
    };
    signals {
        /// A command, and its result.
        COMMAND_COMPLETE = "CommandComplete" ("ss");
    }
}
