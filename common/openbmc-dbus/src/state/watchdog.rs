//! `xyz.openbmc_project.State.Watchdog`: the host watchdog.

use crate::interface::{enumeration, interface};

/// The well-known name of the watchdog service.
pub const SERVICE: &str = "xyz.openbmc_project.Watchdog";
/// The first host's watchdog.
pub const PATH: &str = "/xyz/openbmc_project/watchdog/host0";

enumeration! {
    /// What happens when the time is up.
    Action = "xyz.openbmc_project.State.Watchdog.Action" { None, HardReset, PowerOff, PowerCycle }
}

enumeration! {
    /// Who uses the timer.
    TimerUse = "xyz.openbmc_project.State.Watchdog.TimerUse" {
        Reserved, BIOSFRB2, BIOSPOST, OSLoad, SMSOS, OEM,
    }
}

interface! {
    "xyz.openbmc_project.State.Watchdog";
    properties {
        /// Whether a client has set the timer up since the start.
        ReadWrite INITIALIZED: bool = "Initialized";
        /// Whether the timer runs.
        ReadWrite ENABLED: bool = "Enabled";
        /// Whether an expiry is logged.
        ReadWrite LOG_TIMEOUT: bool = "LogTimeout";
        /// What happens when the time is up.
        ReadWrite EXPIRE_ACTION: Action = "ExpireAction";
        /// What the timer starts from, in milliseconds.
        ReadWrite INTERVAL: u64 = "Interval";
        /// What is left, in milliseconds.
        ReadWrite TIME_REMAINING: u64 = "TimeRemaining";
        /// Who uses the timer now.
        ReadWrite CURRENT_TIMER_USE: TimerUse = "CurrentTimerUse";
        /// The timer use when it expired last.
        ReadWrite EXPIRED_TIMER_USE: TimerUse = "ExpiredTimerUse";
    };
    methods {
        /// Starts the countdown from the interval, and the timer too if the argument is true.
        RESET_TIME_REMAINING = "ResetTimeRemaining" ("b") -> ("");
    };
    signals {
        /// The time was up; the argument is the action taken.
        TIMEOUT = "Timeout" ("s");
    }
}
