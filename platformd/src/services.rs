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
