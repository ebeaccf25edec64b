//! The simulated services, a file each.

mod bmc;
mod boot;
mod buttons;
mod clock;
mod console;
mod fill_log;
pub(crate) mod fru;
pub(crate) mod identity;
mod intrusion;
mod inventory;
mod leds;
mod log;
pub(crate) mod network;
mod power;
mod power_on_hours;
mod restore;
mod sensors;
mod settings;
pub(crate) mod users;
mod watchdog;

use crate::config::Platform;
use crate::host::Backend;
use crate::part::Part;

/// All services of a platform, in the order in which they start.
///
/// `backend` executes power operations; `power_lost` says that mains power was away, so that the host is off and the restore policy
/// decides.
pub(crate) fn all(
    config: &Platform,
    backend: Box<dyn Backend>,
    power_lost: bool,
) -> Vec<Box<dyn Part>> {
    vec![
        Box::new(settings::Settings::new(config)),
        Box::new(identity::Identity::new(config)),
        Box::new(boot::Boot),
        Box::new(bmc::Bmc::new(&config.bmc)),
        Box::new(restore::Restore::new(power_lost)),
        Box::new(power_on_hours::PowerOnHours::new(&config.chassis)),
        Box::new(power::Power::new(backend, config.host.backend)),
        Box::new(console::Console::new(&config.host)),
        Box::new(inventory::Inventory::new(&config.inventory)),
        Box::new(fru::Frus::new(&config.fru)),
        Box::new(log::Log::default()),
        Box::new(fill_log::FillLog::default()),
        Box::new(users::Users::new(&config.user)),
        Box::new(network::Network::new(config)),
        Box::new(sensors::Sensors::new(config)),
        Box::new(intrusion::Intrusion::new(&config.chassis)),
        Box::new(watchdog::Watchdog::default()),
        Box::new(buttons::Buttons),
        Box::new(leds::IdentifyLeds),
        Box::new(clock::Clock::default()),
    ]
}
