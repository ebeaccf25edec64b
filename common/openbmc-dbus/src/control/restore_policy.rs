//! `xyz.openbmc_project.Control.Power.RestorePolicy`: the action when power is restored.

use crate::interface::{enumeration, interface};

enumeration! {
    /// What to do when power comes back.
    Policy = "xyz.openbmc_project.Control.Power.RestorePolicy.Policy" {
        None, AlwaysOn, AlwaysOff, Restore,
    }
}

interface! {
    "xyz.openbmc_project.Control.Power.RestorePolicy";
    properties {
        /// What to do when power comes back.
        ReadWrite POWER_RESTORE_POLICY: Policy = "PowerRestorePolicy";
        /// How long to wait before that, in microseconds.
        ReadWrite POWER_RESTORE_DELAY: u64 = "PowerRestoreDelay";
    }
}
