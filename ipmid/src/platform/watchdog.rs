//! The host watchdog: `State.Watchdog`.

use std::future::Future;

pub use openbmc_dbus::state::watchdog::{Action as WatchdogAction, TimerUse as WatchdogUse};

use super::PlatformResult;

/// How the timer is to be set up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WatchdogSettings {
    /// Whether it runs after this.
    pub running: bool,
    /// Who uses it.
    pub timer_use: WatchdogUse,
    /// What happens when the time is up.
    pub action: WatchdogAction,
    /// Whether an expiry is logged.
    pub log: bool,
    /// What it starts from, in milliseconds.
    pub interval: u64,
}

/// How the timer stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WatchdogState {
    /// Whether it was set up since the start.
    pub initialized: bool,
    /// What it is set up to.
    pub settings: WatchdogSettings,
    /// What is left, in milliseconds.
    pub remaining: u64,
    /// Who used it when it expired last; `Reserved` for never.
    pub expired_use: WatchdogUse,
}

/// The timer that the host must keep from running out.
pub trait Watchdog: Send + Sync + 'static {
    /// How it stands.
    fn watchdog(&self) -> impl Future<Output = PlatformResult<WatchdogState>> + Send;

    /// Sets it up anew; what is left is the interval then.
    fn set_watchdog(
        &self,
        settings: WatchdogSettings,
    ) -> impl Future<Output = PlatformResult<()>> + Send;

    /// Starts it from its interval again (`ResetTimeRemaining(true)`).
    fn reset_watchdog(&self) -> impl Future<Output = PlatformResult<()>> + Send;
}
