//! The well-known names, and where each has its object manager.

/// Where the services have their object managers; those not listed have theirs at `/`.
const MANAGERS: [(&str, &str); 13] = [
    (
        "xyz.openbmc_project.Chassis.Buttons",
        "/xyz/openbmc_project/Chassis/Buttons",
    ),
    (
        "xyz.openbmc_project.Inventory.Manager",
        "/xyz/openbmc_project/inventory",
    ),
    (
        "xyz.openbmc_project.LED.GroupManager",
        "/xyz/openbmc_project/led",
    ),
    (
        "xyz.openbmc_project.Logging",
        "/xyz/openbmc_project/logging",
    ),
    (
        "xyz.openbmc_project.Network",
        "/xyz/openbmc_project/network",
    ),
    (
        "xyz.openbmc_project.Sensors",
        "/xyz/openbmc_project/sensors",
    ),
    (
        "xyz.openbmc_project.Software.BMC.Updater",
        "/xyz/openbmc_project/software",
    ),
    (
        "xyz.openbmc_project.State.BMC",
        "/xyz/openbmc_project/state",
    ),
    (
        "xyz.openbmc_project.State.Chassis",
        "/xyz/openbmc_project/state",
    ),
    (
        "xyz.openbmc_project.State.Host",
        "/xyz/openbmc_project/state",
    ),
    (
        "xyz.openbmc_project.Time.Manager",
        "/xyz/openbmc_project/time",
    ),
    (
        "xyz.openbmc_project.User.Manager",
        "/xyz/openbmc_project/user",
    ),
    (
        "xyz.openbmc_project.Watchdog",
        "/xyz/openbmc_project/watchdog",
    ),
];

/// Where `service` has its object manager.
pub(crate) fn manager(service: &str) -> &'static str {
    MANAGERS
        .iter()
        .find(|(name, _)| *name == service)
        .map_or("/", |(_, path)| path)
}

/// Whether any service has its object manager at `path`.
pub(crate) fn is_manager(path: &str) -> bool {
    path == "/" || MANAGERS.iter().any(|(_, manager)| *manager == path)
}
