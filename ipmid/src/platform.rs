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
pub use events::{PlatformEvent, PlatformEvents};
pub use fru::Frus;
pub use i2c::{I2c, I2cDev, I2cError};
use ipmi_proto::CompletionCode;
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

/// Why a platform call failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PlatformError {
    /// No service on this machine has the object or the method.
    #[error("no service does that")]
    Absent,
    /// The service did not reply in time.
    #[error("the service did not answer in time")]
    Timeout,
    /// The service refused, or its reply was invalid.
    #[error("the service refused")]
    Refused,
}

impl From<PlatformError> for CompletionCode {
    fn from(error: PlatformError) -> Self {
        match error {
            PlatformError::Absent => Self::NOT_IN_PRESENT_STATE,
            PlatformError::Timeout => Self::TIMEOUT,
            PlatformError::Refused => Self::UNSPECIFIED,
        }
    }
}

/// The result of a platform call.
pub type PlatformResult<T> = Result<T, PlatformError>;
