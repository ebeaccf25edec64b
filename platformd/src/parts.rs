//! The simulated services, a file each.

mod bmc;
mod boot;
mod buttons;
mod clock;
pub(crate) mod fru;
mod hours;
mod identity;
mod inventory;
mod lamps;
mod lid;
mod log;
pub(crate) mod network;
mod nmi;
mod power;
mod restore;
mod sensors;
mod settings;
pub(crate) mod users;
mod watchdog;

use crate::config::Platform;
use crate::part::Part;

/// All services of a platform, in the order in which they start.
///
/// `power_lost` says that mains power was away, so that the host is off and the restore policy
/// decides.
pub(crate) fn all(config: &Platform, power_lost: bool) -> Vec<Box<dyn Part>> {
    vec![
        Box::new(settings::Settings::new(config)),
        Box::new(identity::Identity::new(config)),
        Box::new(boot::Boot),
        Box::new(bmc::Bmc::new(&config.bmc)),
        Box::new(restore::Restore::new(power_lost)),
        Box::new(hours::Hours::new(&config.chassis)),
        Box::new(power::Power::new(&config.chassis, &config.host, power_lost)),
        Box::new(inventory::Inventory::new(&config.inventory)),
        Box::new(fru::Frus::new(&config.fru)),
        Box::new(log::Log::default()),
        Box::new(users::Users::new(&config.user)),
        Box::new(network::Network::new(&config.network)),
        Box::new(sensors::Sensors::new(config)),
        Box::new(lid::Lid::new(&config.chassis)),
        Box::new(watchdog::Watchdog::default()),
        Box::new(buttons::Buttons),
        Box::new(lamps::Lamps),
        Box::new(nmi::Nmi),
        Box::new(clock::Clock::default()),
    ]
}
