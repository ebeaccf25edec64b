//! The host watchdog.

use openbmc_dbus::state::watchdog;

use super::{DbusPlatform, Target};
use crate::platform::{PlatformResult, Watchdog, WatchdogSettings, WatchdogState};

const WATCHDOG: Target = Target::At(watchdog::PATH, watchdog::NAME);

impl Watchdog for DbusPlatform {
    async fn watchdog(&self) -> PlatformResult<WatchdogState> {
        self.read(WATCHDOG, |properties| {
            Ok(WatchdogState {
                initialized: properties.get(watchdog::INITIALIZED)?,
                settings: WatchdogSettings {
                    running: properties.get(watchdog::ENABLED)?,
                    timer_use: properties.get(watchdog::CURRENT_TIMER_USE)?,
                    action: properties.get(watchdog::EXPIRE_ACTION)?,
                    log: properties.get(watchdog::LOG_TIMEOUT)?,
                    interval: properties.get(watchdog::INTERVAL)?,
                },
                remaining: properties.get(watchdog::TIME_REMAINING)?,
                expired_use: properties.get(watchdog::EXPIRED_TIMER_USE)?,
            })
        })
        .await
    }

    async fn set_watchdog(&self, settings: WatchdogSettings) -> PlatformResult<()> {
        if !settings.running {
            // Stopped first, so that a timer about to expire does not do so while its settings are changed.
            self.set(WATCHDOG, watchdog::ENABLED, false).await?;
        }
        self.set(WATCHDOG, watchdog::LOG_TIMEOUT, settings.log).await?;
        self.set(WATCHDOG, watchdog::CURRENT_TIMER_USE, settings.timer_use).await?;
        self.set(WATCHDOG, watchdog::EXPIRE_ACTION, settings.action).await?;
        self.set(WATCHDOG, watchdog::INTERVAL, settings.interval).await?;
        self.set(WATCHDOG, watchdog::TIME_REMAINING, settings.interval).await?;
        self.set(WATCHDOG, watchdog::INITIALIZED, true).await
    }

    async fn log_watchdog(&self) -> PlatformResult<()> {
        self.set(WATCHDOG, watchdog::LOG_TIMEOUT, true).await
    }

    async fn reset_watchdog(&self) -> PlatformResult<()> {
        let connected = self.connected()?;
        let reset = |object| {
            let client = &connected.client;
            async move { client.call(&object, watchdog::RESET_TIME_REMAINING, &(true,)).await }
        };
        connected.at(WATCHDOG, watchdog::RESET_TIME_REMAINING.into(), reset).await
    }
}
