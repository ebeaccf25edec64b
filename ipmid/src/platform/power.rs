//! Power of chassis and host: `State.Chassis`, `State.Host`, `Control.Host.NMI`,
//! `State.PowerOnHours`.

use std::future::Future;

pub use openbmc_dbus::state::chassis::{PowerState, Transition as ChassisTransition};
pub use openbmc_dbus::state::host::{RestartCause, Transition as HostTransition};

use super::PlatformResult;

/// Power state and transitions of chassis and host.
pub trait Power: Send + Sync + 'static {
    /// Whether main power is on (`CurrentPowerState`).
    fn power_state(&self) -> impl Future<Output = PlatformResult<PowerState>> + Send;

    /// Asks the chassis state manager for `transition`.
    fn request_chassis(
        &self,
        transition: ChassisTransition,
    ) -> impl Future<Output = PlatformResult<()>> + Send;

    /// Asks the host state manager for `transition`.
    fn request_host(
        &self,
        transition: HostTransition,
    ) -> impl Future<Output = PlatformResult<()>> + Send;

    /// Sends the host a non-maskable interrupt.
    fn pulse_nmi(&self) -> impl Future<Output = PlatformResult<()>> + Send;

    /// Why the host started last (`RestartCause`).
    fn restart_cause(&self) -> impl Future<Output = PlatformResult<RestartCause>> + Send;

    /// Total time that main power has been on, in hours (`POHCounter`).
    fn power_on_hours(&self) -> impl Future<Output = PlatformResult<u32>> + Send;
}
