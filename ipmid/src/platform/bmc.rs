//! The BMC itself: `State.BMC`, `Software.Version`, `Common.UUID`, host name.

use std::future::Future;

pub use openbmc_dbus::state::bmc::Transition as BmcTransition;

use super::PlatformResult;

/// Identity, state and restart of the BMC.
pub trait Bmc: Send + Sync + 'static {
    /// Whether all services are up (`CurrentBMCState` is `Ready`).
    fn is_ready(&self) -> impl Future<Output = PlatformResult<bool>> + Send;

    /// Asks the BMC state manager for `transition`.
    fn request_bmc(
        &self,
        transition: BmcTransition,
    ) -> impl Future<Output = PlatformResult<()>> + Send;

    /// Version text of the running firmware: the active `Software.Version` of purpose `BMC`.
    /// Cached once read.
    fn firmware_version(&self) -> impl Future<Output = PlatformResult<String>> + Send;

    /// Version text of the host's firmware: `Software.Version` of purpose `Host`.
    fn host_firmware_version(&self) -> impl Future<Output = PlatformResult<String>> + Send;

    /// Waits until firmware may have changed since the last wait: the service that has the versions started, or the
    /// host did.
    fn firmware_may_have_changed(&self) -> impl Future<Output = ()> + Send;

    /// The system's UUID in its textual byte order (`Common.UUID` under the inventory).
    /// Cached once read.
    fn system_uuid(&self) -> impl Future<Output = PlatformResult<[u8; 16]>> + Send;
}
