//! `xyz.openbmc_project.State.Host`: whether the host runs, and the wish to change that.

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
        /// The last transition asked for; writing it starts one.
        ReadWrite REQUESTED_HOST_TRANSITION: Transition = "RequestedHostTransition";
        /// The transitions that this host can do.
        Read ALLOWED_HOST_TRANSITIONS: Vec<String> = "AllowedHostTransitions";
        /// The state the host is in.
        ReadWrite CURRENT_HOST_STATE: HostState = "CurrentHostState";
        /// Why the host started last.
        ReadWrite RESTART_CAUSE: RestartCause = "RestartCause";
    }
}
