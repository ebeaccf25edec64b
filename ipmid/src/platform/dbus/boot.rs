//! The boot override: two objects, one for the next boot and one for all.

use openbmc_dbus::control::boot::{ONE_TIME_PATH, PERSISTENT_PATH, boot_type, mode, source};
use openbmc_dbus::object::enable;

use super::{DbusPlatform, Target};
use crate::platform::{BootOverride, BootSettings, PlatformResult};

const ONE_TIME: Target = Target::At(ONE_TIME_PATH, enable::NAME);
const PERSISTENT: Target = Target::At(PERSISTENT_PATH, enable::NAME);

impl BootOverride for DbusPlatform {
    async fn boot_override(&self) -> PlatformResult<BootSettings> {
        let one_time = match self.get(ONE_TIME, enable::ENABLED).await {
            Err(error) if error.is_absent() => false,
            other => other?,
        };
        let path = if one_time { ONE_TIME_PATH } else { PERSISTENT_PATH };
        let enabled = one_time || self.get(PERSISTENT, enable::ENABLED).await?;
        let device = self.get(Target::At(path, source::NAME), source::BOOT_SOURCE).await?;
        let mode = self.get(Target::At(path, mode::NAME), mode::BOOT_MODE).await?;
        let kind = match self.get(Target::At(path, boot_type::NAME), boot_type::BOOT_TYPE).await {
            Err(error) if error.is_absent() => boot_type::BootType::EFI, // a host without a choice
            other => other?,
        };
        Ok(BootSettings { enabled, one_time, device, mode, kind })
    }

    async fn set_boot_override(&self, settings: BootSettings) -> PlatformResult<()> {
        let path = if settings.one_time { ONE_TIME_PATH } else { PERSISTENT_PATH };
        let source = Target::At(path, source::NAME);
        self.set(source, source::BOOT_SOURCE, settings.device).await?;
        self.set(Target::At(path, mode::NAME), mode::BOOT_MODE, settings.mode).await?;
        let kind = Target::At(path, boot_type::NAME);
        match self.set(kind, boot_type::BOOT_TYPE, settings.kind).await {
            Err(error) if error.is_absent() => {}
            other => other?,
        }
        // Enabled last, so that firmware that reads the override meanwhile never uses half of it.
        self.set(ONE_TIME, enable::ENABLED, settings.enabled && settings.one_time).await?;
        if !settings.enabled || !settings.one_time {
            self.set(PERSISTENT, enable::ENABLED, settings.enabled).await?;
        }
        Ok(())
    }
}
