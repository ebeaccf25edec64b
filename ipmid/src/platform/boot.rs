//! What the host boots from next: `Control.Boot.*` with `Object.Enable`.

use std::future::Future;

pub use openbmc_dbus::control::boot::boot_type::BootType;
pub use openbmc_dbus::control::boot::mode::Mode as BootMode;
pub use openbmc_dbus::control::boot::source::Source as BootDevice;

use super::PlatformResult;

/// One boot override.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BootSettings {
    /// Whether it is valid.
    pub enabled: bool,
    /// Whether it is for the next boot only.
    pub one_time: bool,
    /// Where to boot from.
    pub device: BootDevice,
    /// What the firmware does before it boots.
    pub mode: BootMode,
    /// Firmware interface: legacy BIOS or EFI.
    pub kind: BootType,
}

/// The settings that the host's firmware reads.
pub trait BootOverride: Send + Sync + 'static {
    /// The override in force: the one-time settings while they are enabled, else the persistent
    /// ones.
    fn boot_override(&self) -> impl Future<Output = PlatformResult<BootSettings>> + Send;

    /// Replaces the override: into the one-time object when `one_time`, else into the persistent
    /// one with the one-time object disabled; `enabled` false disables both.
    fn set_boot_override(
        &self,
        settings: BootSettings,
    ) -> impl Future<Output = PlatformResult<()>> + Send;
}
