//! What data centre management needs beside sensors: `Control.Power.Cap`, asset tag, host name.

use std::future::Future;

pub use openbmc_dbus::control::power_cap::ExceptionAction;

use super::PlatformResult;

/// How much power the machine may draw.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PowerLimitSettings {
    /// Whether the limit holds.
    pub active: bool,
    /// The limit, in watts.
    pub limit: u32,
    /// The least and the most that can be set, in watts; 0 for no such bound.
    pub range: (u32, u32),
    /// What happens when it cannot be kept.
    pub action: ExceptionAction,
    /// How long the machine has to keep it, in milliseconds.
    pub correction_time: u32,
    /// Over which time power is averaged, in seconds.
    pub sampling_period: u16,
}

/// The power limit.
pub trait PowerLimit: Send + Sync + 'static {
    /// The limit as it is.
    fn power_limit(&self) -> impl Future<Output = PlatformResult<PowerLimitSettings>> + Send;

    /// Changes limit, action and times; whether it holds stays as it is.
    fn set_power_limit(
        &self,
        settings: PowerLimitSettings,
    ) -> impl Future<Output = PlatformResult<()>> + Send;

    /// Makes the limit hold, or no longer.
    fn activate_power_limit(&self, active: bool)
    -> impl Future<Output = PlatformResult<()>> + Send;

    /// Waits until the limit may be another than when it was waited for last: somebody has set it, or
    /// its service has come.
    fn power_limit_changed(&self) -> impl Future<Output = ()> + Send;
}

/// The names that people give a machine.
pub trait Naming: Send + Sync + 'static {
    /// The asset tag.
    fn asset_tag(&self) -> impl Future<Output = PlatformResult<String>> + Send;

    /// Changes the asset tag.
    fn set_asset_tag(&self, tag: String) -> impl Future<Output = PlatformResult<()>> + Send;

    /// The BMC's host name, which is its DCMI identifier too.
    fn host_name(&self) -> impl Future<Output = PlatformResult<String>> + Send;

    /// Changes the host name.
    fn set_host_name(&self, name: String) -> impl Future<Output = PlatformResult<()>> + Send;

    /// Has all interfaces that use DHCP ask for their configuration anew.
    fn renew_dhcp(&self) -> impl Future<Output = PlatformResult<()>> + Send;
}
