//! The host watchdog: `State.Watchdog`.

use std::future::Future;

pub use openbmc_dbus::state::watchdog::{Action as WatchdogAction, TimerUse as WatchdogUse};

use super::PlatformResult;

/// The settings of the timer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WatchdogSettings {
    /// Whether it is running.
    pub running: bool,
    /// Timer use.
    pub timer_use: WatchdogUse,
    /// Timeout action.
    pub action: WatchdogAction,
    /// Whether an expiry is logged.
    pub log: bool,
    /// Initial countdown, in milliseconds.
    pub interval: u64,
}

/// The state of the timer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WatchdogState {
    /// Whether it was set since the BMC started.
    pub initialized: bool,
    /// Its settings.
    pub settings: WatchdogSettings,
    /// Remaining time, in milliseconds.
    pub remaining: u64,
    /// The timer use of the last expiry; `Reserved` if it never expired.
    pub expired_use: WatchdogUse,
}

/// The timer that the host must reset before it expires.
pub trait Watchdog: Send + Sync + 'static {
    /// The state of the timer.
    fn watchdog(&self) -> impl Future<Output = PlatformResult<WatchdogState>> + Send;

    /// Changes the settings; the remaining time is then the interval.
    fn set_watchdog(
        &self,
        settings: WatchdogSettings,
    ) -> impl Future<Output = PlatformResult<()>> + Send;

    /// Starts it from its interval again (`ResetTimeRemaining(true)`).
    fn reset_watchdog(&self) -> impl Future<Output = PlatformResult<()>> + Send;
}
