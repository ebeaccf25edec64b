//! `xyz.openbmc_project.State.Host`: the host's state and requests to change it.

use crate::interface::{enumeration, interface};

/// The well-known name of the host state manager.
pub const SERVICE: &str = "xyz.openbmc_project.State.Host";
/// The first host's object.
pub const PATH: &str = "/xyz/openbmc_project/state/host0";

enumeration! {
    /// What a client may ask of the host.
    Transition = "xyz.openbmc_project.State.Host.Transition" {
        Off, On, Reboot, GracefulWarmReboot, ForceWarmReboot,
    }
}

enumeration! {
    /// What the host does now.
    HostState = "xyz.openbmc_project.State.Host.HostState" {
        Off, TransitioningToOff, Standby, Running, TransitioningToRunning, Quiesced, DiagnosticMode,
    }
}

enumeration! {
    /// Why the host started last.
    RestartCause = "xyz.openbmc_project.State.Host.RestartCause" {
        Unknown, RemoteCommand, ResetButton, PowerButton, WatchdogTimer, PowerPolicyAlwaysOn,
        PowerPolicyPreviousState, SoftReset, ScheduledPowerOn, HostCrash,
    }
}

interface! {
    "xyz.openbmc_project.State.Host";
    properties {
        /// The last requested transition; writing it starts one.
        ReadWrite REQUESTED_HOST_TRANSITION: Transition = "RequestedHostTransition";
        /// The transitions that this host supports.
        Read ALLOWED_HOST_TRANSITIONS: Vec<String> = "AllowedHostTransitions";
        /// The state the host is in.
        ReadWrite CURRENT_HOST_STATE: HostState = "CurrentHostState";
        /// Why the host started last.
        ReadWrite RESTART_CAUSE: RestartCause = "RestartCause";
    }
}
