//! The platform's description: one TOML file, read once.
//!
//! Each table has defaults, so that an empty file is a complete, if dull, BMC. Names that are not
//! known are errors. Times are in milliseconds unless their name says otherwise.

mod host;
mod identity;
mod inventory;
mod network;
mod sensor;
mod user;

use std::path::Path;

use daemon::Failure;
use daemon::reload::Keys;
use openbmc_dbus::callers::Callers;
use serde::Deserialize;

pub(crate) use self::host::{
    BackendKind, Boot, BootDevice, Chassis, ChassisFault, Commands, Console, Host, HostFault,
    Program, SoftOff,
};
pub(crate) use self::identity::{Identity, Software, SoftwarePurpose};
pub(crate) use self::inventory::{Fru, FruBoard, FruChassis, FruProduct, Part, PartKind};
pub(crate) use self::network::{Address, Interface, Network, Origin};
pub(crate) use self::sensor::{Kind, Limits, Sensor, Sensors, SignalReadings, Wave};
pub(crate) use self::user::User;

/// The keys of the platform's file.
pub const KEYS: Keys = Keys {
    live: &[
        "bmc.reset",
        "bmc.reset-command",
        "bmc.reset-delay-ms",
        "chassis.cycle-ms",
        "chassis.fault",
        "chassis.power-off-ms",
        "chassis.power-on-ms",
        "host.diagnostic-ms",
        "host.fault",
        "host.soft-off",
        "host.soft-off-limit-ms",
        "host.soft-off-ms",
        "host.start-ms",
        "sensors.signal-readings",
        "sensors.update-ms",
        "services.callers",
    ],
    restart: &[
        "chassis.hour-ms",
        "chassis.intrusion",
        "chassis.on-at-first-start",
        "chassis.power-on-hours",
        "fru",
        "host.argument-file",
        "host.backend",
        "host.boot.cdrom",
        "host.boot.disk",
        "host.boot.order",
        "host.boot.pxe",
        "host.boot.removable",
        "host.command",
        "host.commands.cycle.limit-ms",
        "host.commands.cycle.run",
        "host.commands.diag.limit-ms",
        "host.commands.diag.run",
        "host.commands.off.limit-ms",
        "host.commands.off.run",
        "host.commands.on.limit-ms",
        "host.commands.on.run",
        "host.commands.reset.limit-ms",
        "host.commands.reset.run",
        "host.commands.soft-off.limit-ms",
        "host.commands.soft-off.run",
        "host.commands.status-interval-ms",
        "host.commands.status.limit-ms",
        "host.commands.status.run",
        "host.console.path",
        "host.console.script",
        "host.off-limit-ms",
        "host.qmp",
        "host.start-limit-ms",
        "identity.asset-tag",
        "identity.bmc-uuid",
        "identity.build-date",
        "identity.manufacturer",
        "identity.model",
        "identity.name",
        "identity.part-number",
        "identity.serial-number",
        "identity.uuid",
        "inventory",
        "network.host-name",
        "network.interface",
        "sensor",
        "services.only",
        "services.without",
        "software",
        "sol.channels",
        "user",
    ],
    others: &[],
};

/// All tables of the file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Platform {
    pub(crate) bmc: Bmc,
    pub(crate) chassis: Chassis,
    pub(crate) fru: Vec<Fru>,
    pub(crate) host: Host,
    pub(crate) identity: Identity,
    pub(crate) inventory: Vec<Part>,
    pub(crate) network: Network,
    pub(crate) sensor: Vec<Sensor>,
    pub(crate) sensors: Sensors,
    pub(crate) services: Services,
    pub(crate) software: Vec<Software>,
    pub(crate) sol: Sol,
    pub(crate) user: Vec<User>,
}

impl Platform {
    /// Reads a platform file.
    ///
    /// # Errors
    ///
    /// [`Failure::Config`], with the file's name and the line.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| Failure::Config(format!("{name}: {error}")))?;
        Self::parse(&name, &text)
    }

    /// Reads the text of a platform file that is called `name` in errors.
    ///
    /// # Errors
    ///
    /// [`Failure::Config`], with the line.
    pub fn parse(name: &str, text: &str) -> Result<Self, Failure> {
        daemon::parse_toml(name, text)
    }
}

/// The most sensors, and the most parts, of a platform; a large server has a tenth.
pub(crate) const MOST: i64 = 10_000;
/// A day, the longest that anything here takes.
const DAY_MS: i64 = 86_400_000;
/// The same, where no range checks it.
pub(crate) const LONGEST_MS: u64 = DAY_MS.unsigned_abs();
/// Beyond all that is measured.
const FAR: i64 = 1_000_000_000_000;

/// `[bmc]`: what a restart of the BMC is here.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Bmc {
    /// The program and its arguments that restart the suite.
    pub(crate) reset_command: Vec<String>,
    /// What this daemon does without a command.
    pub(crate) reset: Reset,
    /// How long after it was asked for, so that the answer gets out first.
    #[serde(deserialize_with = "daemon::range::number::<0, DAY_MS, _, _>")]
    pub(crate) reset_delay_ms: u64,
}

impl Default for Bmc {
    fn default() -> Self {
        Self { reset_command: Vec::new(), reset: Reset::Auto, reset_delay_ms: 500 }
    }
}

/// What a restart of the BMC does to this daemon where no command restarts the suite.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reset {
    /// It ends if a service manager started it (`NOTIFY_SOCKET`), else it starts its services anew.
    Auto,
    /// It ends with success, and what started it restarts the suite.
    End,
    /// It starts its services anew, in the same process.
    Restart,
}

/// `[services]`: which of the simulated services other processes provide, and which users may change something.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Services {
    /// The well-known names that this daemon does not take, with their objects.
    pub(crate) without: Vec<String>,
    /// The only names that it takes; if empty, all of them.
    pub(crate) only: Vec<String>,
    /// The users whose processes may call methods and set properties, besides root and this daemon's.
    pub(crate) callers: Callers,
}

impl Default for Services {
    fn default() -> Self {
        Self { without: Vec::new(), only: Vec::new(), callers: Callers::of_users(&["ipmid"]) }
    }
}

impl Services {
    /// Whether another process provides the service.
    pub(crate) fn leaves(&self, service: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|name| name == service);
        named(&self.without) || !(self.only.is_empty() || named(&self.only))
    }
}

/// `[sol]`: the channels that have SOL settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Sol {
    pub(crate) channels: Vec<String>,
}

impl Default for Sol {
    fn default() -> Self {
        Self { channels: vec!["eth0".to_owned(), "lan0".to_owned()] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_a_complete_platform() {
        let platform = Platform::parse("empty.toml", "").unwrap();
        assert_eq!(platform.bmc.reset_delay_ms, 500);
        assert_eq!(platform.host.soft_off, SoftOff::Obeyed);
    }

    #[test]
    fn the_examples_are_right() {
        let demo = include_str!("../examples/demo.toml");
        let demo = Platform::parse("demo.toml", demo).unwrap();
        assert!(demo.sensor.len() > 10);
        let big = include_str!("../examples/500-sensors.toml");
        let big = Platform::parse("500-sensors.toml", big).unwrap();
        assert_eq!(big.sensor.iter().map(|sensor| sensor.count).sum::<u32>(), 500);
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        for text in ["[host]\n\nboots = 1\n", "[bmc]\n\nreset-delay-ms = \"soon\"\n"] {
            let error = Platform::parse("x.toml", text).unwrap_err().to_string();
            assert!(error.starts_with("x.toml:3: "), "{error}");
        }
    }
}
