//! The clock that log records are stamped by (IPMI v2.0 §37): the system's, plus an offset that
//! follows from the time that a client or the BMC's time service sets.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::model::StoreError;
use crate::model::persistent::Persistent;

/// The saved settings of the clock.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct ClockSettings {
    /// Seconds that the clock is ahead of the system's.
    ahead: i64,
    /// Minutes that local time is ahead of UTC; what clients show beside the log.
    pub utc_offset: i16,
}

/// The log's clock.
#[derive(Debug)]
pub struct Clock {
    settings: Persistent<ClockSettings>,
}

impl Clock {
    /// With its settings in `settings`.
    #[must_use]
    pub const fn new(settings: Persistent<ClockSettings>) -> Self {
        Self { settings }
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn now(&self) -> u32 {
        let now = system_seconds().saturating_add(self.settings.get().ahead);
        u32::try_from(now.max(0)).unwrap_or(u32::MAX)
    }

    /// Sets the clock to `now`.
    ///
    /// # Errors
    ///
    /// Those of [`Persistent::update`].
    pub async fn set(&self, now: u32) -> Result<(), StoreError> {
        let ahead = i64::from(now) - system_seconds();
        // Both clocks are read in whole seconds, so a difference of one second is rounding and is not saved.
        if (ahead - self.settings.get().ahead).abs() <= 1 {
            return Ok(());
        }
        self.settings.update(|settings| settings.ahead = ahead).await
    }

    /// Minutes that local time is ahead of UTC.
    #[must_use]
    pub fn utc_offset(&self) -> i16 {
        self.settings.get().utc_offset
    }

    /// Sets by how many minutes local time is ahead of UTC.
    ///
    /// # Errors
    ///
    /// Those of [`Persistent::update`].
    pub async fn set_utc_offset(&self, minutes: i16) -> Result<(), StoreError> {
        self.settings.update(|settings| settings.utc_offset = minutes).await
    }
}

fn system_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn clock_goes_on_from_what_it_was_set_to() {
        let clock = Clock::new(Persistent::volatile());
        clock.set(1_000_000_000).await.unwrap();
        assert!((1_000_000_000..1_000_000_005).contains(&clock.now()));
        clock.set_utc_offset(-60).await.unwrap();
        assert_eq!(clock.utc_offset(), -60);
    }
}
