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

const USES: [WatchdogUse; 6] = [
    WatchdogUse::Reserved,
    WatchdogUse::BIOSFRB2,
    WatchdogUse::BIOSPOST,
    WatchdogUse::OSLoad,
    WatchdogUse::SMSOS,
    WatchdogUse::OEM,
];

/// The timer use with `number`, 0 to 5 (IPMI v2.0 §27.6).
#[must_use]
pub fn timer_use_from(number: u8) -> Option<WatchdogUse> {
    USES.get(usize::from(number)).copied()
}

/// The number of `timer_use`, 0 to 5.
#[must_use]
pub fn timer_use_number(timer_use: WatchdogUse) -> u8 {
    (0..).zip(USES).find(|(_, known)| *known == timer_use).map_or(0, |(number, _)| number)
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

    /// Switches the logging of the next expiry on again.
    fn log_watchdog(&self) -> impl Future<Output = PlatformResult<()>> + Send;

    /// Starts it from its interval again (`ResetTimeRemaining(true)`).
    fn reset_watchdog(&self) -> impl Future<Output = PlatformResult<()>> + Send;
}
