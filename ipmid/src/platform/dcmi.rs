//! DCMI functions other than sensors: `Control.Power.Cap`, asset tag, host name.

use std::future::Future;

pub use openbmc_dbus::control::power_cap::ExceptionAction;

use super::PlatformResult;

/// The power limit and its exception action.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PowerLimitSettings {
    /// Whether the limit is active.
    pub active: bool,
    /// The limit, in watts.
    pub limit: u32,
    /// The least and the most that can be set, in watts; 0 for no such bound.
    pub range: (u32, u32),
    /// Exception action: what happens when the limit is exceeded.
    pub action: ExceptionAction,
    /// Correction time: how long the limit may be exceeded before the action, in milliseconds.
    pub correction_time: u32,
    /// Sampling period: the time over which power is averaged, in seconds.
    pub sampling_period: u16,
}

/// The power limit.
pub trait PowerLimit: Send + Sync + 'static {
    /// The present limit.
    fn power_limit(&self) -> impl Future<Output = PlatformResult<PowerLimitSettings>> + Send;

    /// Changes limit, action and times; whether it is active stays unchanged.
    fn set_power_limit(
        &self,
        settings: PowerLimitSettings,
    ) -> impl Future<Output = PlatformResult<()>> + Send;

    /// Activates or deactivates the limit.
    fn activate_power_limit(&self, active: bool)
    -> impl Future<Output = PlatformResult<()>> + Send;

    /// Waits until the limit may have changed since the last wait: it was set, or its service started.
    fn power_limit_changed(&self) -> impl Future<Output = ()> + Send;
}

/// Asset tag and host name.
pub trait Naming: Send + Sync + 'static {
    /// The asset tag.
    fn asset_tag(&self) -> impl Future<Output = PlatformResult<String>> + Send;

    /// Changes the asset tag.
    fn set_asset_tag(&self, tag: String) -> impl Future<Output = PlatformResult<()>> + Send;

    /// The BMC's host name, which is its DCMI identifier too.
    fn host_name(&self) -> impl Future<Output = PlatformResult<String>> + Send;

    /// Changes the host name.
    fn set_host_name(&self, name: String) -> impl Future<Output = PlatformResult<()>> + Send;

    /// Renews the DHCP leases of all interfaces that use DHCP.
    fn renew_dhcp(&self) -> impl Future<Output = PlatformResult<()>> + Send;
}
