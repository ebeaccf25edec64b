//! Where the services have their object managers.

/// The last names of the services whose object manager is not at `/`, by where it is.
const MANAGERS: &[(&str, &[&str])] = &[
    ("Chassis/Buttons", &["Chassis.Buttons"]),
    ("inventory", &["Inventory.Manager"]),
    ("led", &["LED.GroupManager"]),
    ("logging", &["Logging"]),
    ("network", &["Network"]),
    ("sensors", &["ADCSensor", "ExternalSensor", "FanSensor", "HwmonTempSensor", "PSUSensor"]),
    ("software", &["Software.BMC.Updater"]),
    ("state", &["State.BMC", "State.Chassis", "State.Host"]),
    ("time", &["Time.Manager"]),
    ("user", &["User.Manager"]),
    ("watchdog", &["Watchdog"]),
];

/// All services that this daemon can have.
pub(crate) const NAMES: &[&str] = &[
    "org.freedesktop.timedate1",
    "xyz.openbmc_project.ADCSensor",
    "xyz.openbmc_project.Chassis.Buttons",
    "xyz.openbmc_project.Console.default",
    "xyz.openbmc_project.Control.Host.NMI",
    "xyz.openbmc_project.Control.Service.Manager",
    "xyz.openbmc_project.ExternalSensor",
    "xyz.openbmc_project.FanSensor",
    "xyz.openbmc_project.FruDevice",
    "xyz.openbmc_project.HwmonTempSensor",
    "xyz.openbmc_project.IntrusionSensor",
    "xyz.openbmc_project.Inventory.Manager",
    "xyz.openbmc_project.LED.GroupManager",
    "xyz.openbmc_project.Logging",
    "xyz.openbmc_project.Network",
    "xyz.openbmc_project.ObjectMapper",
    "xyz.openbmc_project.PSUSensor",
    "xyz.openbmc_project.Settings",
    "xyz.openbmc_project.Software.BMC.Updater",
    "xyz.openbmc_project.State.BMC",
    "xyz.openbmc_project.State.Boot.Raw",
    "xyz.openbmc_project.State.Chassis",
    "xyz.openbmc_project.State.Host",
    "xyz.openbmc_project.State.PowerOnHours",
    "xyz.openbmc_project.Time.Manager",
    "xyz.openbmc_project.User.Manager",
    "xyz.openbmc_project.Watchdog",
];

/// Where `service` has its object manager.
pub(crate) fn manager(service: &str) -> String {
    let short = service.strip_prefix("xyz.openbmc_project.");
    MANAGERS
        .iter()
        .find(|(_, names)| short.is_some_and(|short| names.contains(&short)))
        .map_or_else(|| "/".to_owned(), |(place, _)| path(place))
}

/// Whether any service has its object manager at `path`.
pub(crate) fn is_manager(at: &str) -> bool {
    at == "/" || MANAGERS.iter().any(|(place, _)| path(place) == at)
}

fn path(place: &str) -> String {
    format!("/xyz/openbmc_project/{place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managers_are_where_openbmc_has_them() {
        let sensors = "/xyz/openbmc_project/sensors";
        assert_eq!(manager("xyz.openbmc_project.FanSensor"), sensors);
        assert_eq!(manager("xyz.openbmc_project.Settings"), "/");
        assert_eq!(manager("org.freedesktop.timedate1"), "/");
        assert!(is_manager(sensors) && is_manager("/") && !is_manager("/xyz"));
    }
}
