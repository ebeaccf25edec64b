//! The firmware's boot progress: the code in one object, its meaning beside the host's state.

use std::time::{SystemTime, UNIX_EPOCH};

use openbmc_dbus::state::boot::{progress, raw};

use super::{DbusPlatform, Target};
use crate::platform::{BootProgress, BootStage, PlatformResult};

const CODE: Target = Target::Having(raw::NAME);
const STAGE: Target = Target::Having(progress::NAME);

impl BootProgress for DbusPlatform {
    async fn boot_progress_code(&self) -> PlatformResult<Vec<u8>> {
        let (code, _) = self.get(CODE, raw::VALUE).await?;
        Ok(code)
    }

    async fn set_boot_progress(&self, code: Vec<u8>, stage: BootStage) -> PlatformResult<()> {
        self.set(CODE, raw::VALUE, (code, Vec::new())).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = u64::try_from(now.unwrap_or_default().as_micros()).unwrap_or(u64::MAX);
        self.set(STAGE, progress::BOOT_PROGRESS_LAST_UPDATE, now).await?;
        self.set(STAGE, progress::BOOT_PROGRESS, stage).await
    }
}
