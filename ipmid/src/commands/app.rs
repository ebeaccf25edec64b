//! Application commands, NetFn 06h (IPMI v2.0 §20-24, §27).

mod accounts;
mod acpi;
mod channels;
mod device;
pub mod firewall;
mod global_enables;
mod interfaces;
mod payloads;
mod reset;
mod session;
mod system_info;
mod users;
mod watchdog;

use std::sync::Arc;

use ::accounts::UserAdmin;

pub use self::device::DeviceConfig;
pub use self::system_info::SystemInfo;
pub use self::watchdog::{PreTimeout, WatchdogExtras};
use crate::model::events::GlobalEnables;
use crate::model::health::Health;
use crate::model::lan::LanSessions;
use crate::model::live::Live;
use crate::model::parameter_updates::ParameterUpdates;
use crate::model::persistent::Persistent;
use crate::model::watchdog::WatchdogExpiries;
use crate::platform::{Acpi, Bmc, Power, Sessions, Watchdog};
use crate::request::command::Registrar;

/// What the application commands need of the machine.
pub trait Platform: Acpi + Bmc + Power + Sessions + Watchdog {}
impl<P: Acpi + Bmc + Power + Sessions + Watchdog> Platform for P {}

/// State and services that the application commands share with the rest of the daemon.
pub struct AppDeps {
    /// Users and channels.
    pub accounts: Arc<dyn UserAdmin>,
    /// How sessions over LAN may be opened.
    pub sessions: Live<LanSessions>,
    /// Configured fields of Get Device ID.
    pub device: DeviceConfig,
    /// Source of Get Self Test Results.
    pub health: Arc<Health>,
    /// BMC global enables: interrupts, event message buffer and logging.
    pub global_enables: Arc<GlobalEnables>,
    /// Notified at a watchdog's pre-timeout.
    pub pre_timeout: PreTimeout,
    /// Notified when this daemon must restart.
    pub restart: Arc<tokio::sync::Notify>,
    /// System info parameters.
    pub system_info: Persistent<SystemInfo>,
    /// Parameter updates in progress.
    pub updates: Arc<ParameterUpdates>,
    /// Expiries of the watchdog timer.
    pub expiries: Arc<WatchdogExpiries>,
}

/// The application commands and their state between requests.
pub struct AppProvider<P> {
    platform: Arc<P>,
    deps: AppDeps,
    watchdog: std::sync::Mutex<WatchdogExtras>,
    system_info: system_info::Volatile,
}

impl<P: Platform> AppProvider<P> {
    /// Over `platform`.
    #[must_use]
    pub fn new(platform: Arc<P>, deps: AppDeps) -> Arc<Self> {
        let watchdog = std::sync::Mutex::default();
        let system_info = system_info::Volatile::default();
        Arc::new(Self { platform, deps, watchdog, system_info })
    }

    /// Adds its commands.
    pub fn register(self: &Arc<Self>, table: &mut Registrar<'_>) {
        self.register_channels(table);
        self.register_device(table);
        self.register_payloads(table);
        self.register_reset(table);
        self.register_acpi(table);
        self.register_global_enables(table);
        self.register_interfaces(table);
        self.register_session(table);
        self.register_system_info(table);
        self.register_users(table);
        self.register_watchdog(table);
    }
}

#[cfg(test)]
mod tests {
    use ipmi_proto::NetFn;

    use super::*;
    pub(super) use crate::commands::test_support::{TestCommands, answer};
    use crate::request::command::Family;

    /// The application commands over a fake platform.
    pub(super) fn commands() -> (TestCommands, Arc<Health>, Arc<tokio::sync::Notify>) {
        let (health, restart) = (Arc::new(Health::default()), Arc::default());
        let folder = tempfile::tempdir().unwrap();
        let config = ::accounts::AccessConfig::default();
        let accounts =
            ::accounts::Writer::open(folder.path(), &config, Default::default()).unwrap();
        let deps = AppDeps {
            accounts: Arc::new(accounts),
            sessions: LanSessions { cipher_suites: vec![3, 17], auth_types: 0x14 }.into(),
            device: DeviceConfig::default(),
            health: Arc::clone(&health),
            global_enables: Arc::default(),
            pre_timeout: PreTimeout::default(),
            restart: Arc::clone(&restart),
            system_info: Persistent::volatile(),
            updates: Arc::default(),
            expiries: Arc::new(WatchdogExpiries::volatile()),
        };
        let mut commands = TestCommands::with(Family::NetFn(NetFn::APP), |platform, table| {
            AppProvider::new(Arc::clone(platform), deps).register(table);
        });
        commands.folder = Some(folder);
        (commands, health, restart)
    }
}
