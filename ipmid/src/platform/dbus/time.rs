//! The BMC's clock.

use openbmc_dbus::time::{epoch_time, timedate};

use super::{DbusPlatform, Target};
use crate::platform::{PlatformResult, Time};

/// Microseconds in the unit of the trait.
const SECOND: u64 = 1_000_000;

const CLOCK: Target = Target::At(epoch_time::BMC_PATH, epoch_time::NAME);

impl Time for DbusPlatform {
    async fn bmc_time(&self) -> PlatformResult<u64> {
        Ok(self.get(CLOCK, epoch_time::ELAPSED).await? / SECOND)
    }

    async fn set_bmc_time(&self, seconds: u64) -> PlatformResult<()> {
        let micros = seconds.saturating_mul(SECOND);
        self.set(CLOCK, epoch_time::ELAPSED, micros).await
    }

    async fn follows_network(&self) -> PlatformResult<bool> {
        // Not a service of OpenBMC's, so the mapper may not list it: called by its bus name.
        let connected = self.connected()?;
        let object = openbmc_dbus::client::ObjectAt::new(timedate::SERVICE, timedate::PATH);
        match connected.client.get(&object, timedate::NTP).await {
            Err(error) if error.is_absent() => Ok(false),
            result => Ok(result?),
        }
    }
}
