//! The BMC's clock: `Time.EpochTime`, and whether it follows the network.

use std::future::Future;

use super::PlatformResult;

/// The clock of the BMC's services.
pub trait Time: Send + Sync + 'static {
    /// Seconds since 1970 (`Elapsed`).
    fn bmc_time(&self) -> impl Future<Output = PlatformResult<u64>> + Send;

    /// Sets the clock.
    fn set_bmc_time(&self, seconds: u64) -> impl Future<Output = PlatformResult<()>> + Send;

    /// Whether the clock is set by NTP (`org.freedesktop.timedate1.NTP`), and so cannot be set.
    fn follows_network(&self) -> impl Future<Output = PlatformResult<bool>> + Send;
}
