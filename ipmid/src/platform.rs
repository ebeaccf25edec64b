//! The machine as the handlers use it, as small traits: implemented over D-Bus services in the daemon
//! (`dbus`) and by a fake in tests.
//!
//! The values are those of the `xyz.openbmc_project` interfaces. Each call ends within the
//! platform's own deadline, which is shorter than a request's.

mod acpi;
mod bmc;
mod boot;
mod boot_progress;
mod chassis;
pub mod dbus;
mod dcmi;
mod error;
mod events;
#[cfg(test)]
pub(crate) mod fake;
mod fru;
mod i2c;
mod network;
mod power;
mod satellites;
mod sensors;
mod sessions;
mod sol;
mod time;
mod watchdog;

pub use acpi::{Acpi, AcpiState};
pub use bmc::{Bmc, BmcTransition};
pub use boot::{BootDevice, BootMode, BootOverride, BootSettings, BootType};
pub use boot_progress::{BootProgress, BootStage};
pub use chassis::{Button, Capabilities, Chassis, RestorePolicy};
pub use dcmi::{ExceptionAction, Naming, PowerLimit, PowerLimitSettings};
pub use error::PlatformError;
pub use events::{PlatformEvent, PlatformEvents};
pub use fru::Frus;
pub use i2c::{I2c, I2cDev, I2cError};
pub use network::{
    IpCounters, Ipv4Address, Ipv4Source, Ipv6Address, Ipv6Source, Link, LinkChange, Network,
};
pub use power::{ChassisTransition, HostTransition, Power, PowerState, RestartCause};
pub use satellites::{Attention, SatelliteAnswer, Satellites};
pub use sensors::Sensors;
pub use sessions::{RMCP_PORT, SessionInfo, SessionState, Sessions};
pub use sol::{Sol, SolChange, SolSettings};
pub use time::Time;
pub use watchdog::{
    Watchdog, WatchdogAction, WatchdogSettings, WatchdogState, WatchdogUse, timer_use_from,
    timer_use_number,
};

/// The result of a platform call.
pub type PlatformResult<T> = Result<T, PlatformError>;
