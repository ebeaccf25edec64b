//! `xyz.openbmc_project.State.Chassis`: the chassis' main power.

use crate::interface::{enumeration, interface};

/// The well-known name of the chassis state manager.
pub const SERVICE: &str = "xyz.openbmc_project.State.Chassis";
/// The first chassis' object.
pub const PATH: &str = "/xyz/openbmc_project/state/chassis0";

enumeration! {
    /// What a client may ask of the chassis' power.
    Transition = "xyz.openbmc_project.State.Chassis.Transition" { Off, On, PowerCycle }
}

enumeration! {
    /// Whether main power is on.
    PowerState = "xyz.openbmc_project.State.Chassis.PowerState" {
        Off, TransitioningToOff, On, TransitioningToOn,
    }
}

enumeration! {
    /// The condition of the chassis' power supply.
    PowerStatus = "xyz.openbmc_project.State.Chassis.PowerStatus" {
        Undefined, BrownOut, UninterruptiblePowerSupply, Good,
    }
}

interface! {
    "xyz.openbmc_project.State.Chassis";
    properties {
        /// The last requested transition; writing it starts one.
        ReadWrite REQUESTED_POWER_TRANSITION: Transition = "RequestedPowerTransition";
        /// Whether main power is on.
        ReadWrite CURRENT_POWER_STATE: PowerState = "CurrentPowerState";
        /// The condition of the feed.
        ReadWrite CURRENT_POWER_STATUS: PowerStatus = "CurrentPowerStatus";
        /// When the power state changed last, in milliseconds since the epoch.
        ReadWrite LAST_STATE_CHANGE_TIME: u64 = "LastStateChangeTime";
    }
}
