//! Boot progress that the host's firmware reports: `State.Boot.Raw` and
//! `State.Boot.Progress`.

use std::future::Future;

pub use openbmc_dbus::state::boot::progress::Stage as BootStage;

use super::PlatformResult;

/// What the host's firmware reports of its boot.
pub trait BootProgress: Send + Sync + 'static {
    /// The last code as the firmware sent it; empty before the first.
    fn boot_progress_code(&self) -> impl Future<Output = PlatformResult<Vec<u8>>> + Send;

    /// Stores `code` and its stage, with the current time.
    fn set_boot_progress(
        &self,
        code: Vec<u8>,
        stage: BootStage,
    ) -> impl Future<Output = PlatformResult<()>> + Send;
}
