//! `xyz.openbmc_project.State`: the BMC, the host, the chassis, and the watchdog.

pub mod bmc;
pub mod boot;
pub mod chassis;
pub mod decorator;
pub mod host;
pub mod power_on_hours;
pub mod watchdog;
