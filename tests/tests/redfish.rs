//! What OpenBMC's web server asks of the D-Bus services before it answers a Redfish request: the look-ups of
//! docs/redfish.md, with the platform that this page describes.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tests::bus::Bus;
use tests::suite::Suite;

const PREFIX: &str = "xyz.openbmc_project.";
const ROOT: &str = "/xyz/openbmc_project/";

/// Interfaces that are looked for below a path, and properties that are read of each object that has them.
const FOUND: &[(&str, &[&str], &[&str])] = &[
    (
        "inventory",
        &["Inventory.Item.System"],
        &["Common.UUID UUID", "Inventory.Decorator.Asset Model"],
    ),
    ("inventory", &["Inventory.Item.System"], &["Inventory.Decorator.AssetTag AssetTag"]),
    ("inventory", &["Inventory.Item.Cpu"], &["Inventory.Decorator.Asset Manufacturer"]),
    ("inventory", &["Inventory.Item.Dimm"], &["Inventory.Item Present"]),
    (
        "inventory",
        &["Inventory.Item.Board", "Inventory.Item.Chassis"],
        &["Inventory.Item PrettyName"],
    ),
    ("inventory", &["Inventory.Item.Bmc"], &["Common.UUID UUID"]),
    (
        "state",
        &["State.Host"],
        &["State.Host CurrentHostState", "State.Host AllowedHostTransitions"],
    ),
    ("state", &["State.Host"], &["State.Boot.Progress BootProgress"]),
    ("state", &["State.Chassis"], &["State.Chassis CurrentPowerState"]),
    ("state", &["State.BMC"], &["State.BMC CurrentBMCState", "State.BMC LastRebootTime"]),
    ("control/host0", &["Control.Boot.Type"], &["Control.Boot.Type BootType"]),
    ("control/host0", &["Control.Boot.Source"], &["Control.Boot.Source BootSource"]),
    ("control/host0", &["Control.Boot.Mode"], &["Control.Boot.Mode BootMode"]),
    ("control/host0/boot/one_time", &["Object.Enable"], &["Object.Enable Enabled"]),
    (
        "control/host0",
        &["Control.Power.RestorePolicy"],
        &["Control.Power.RestorePolicy PowerRestorePolicy"],
    ),
    ("control/host0", &["Control.Power.Cap"], &["Control.Power.Cap PowerCap"]),
    ("control/host0", &["Control.Host.NMI"], &[]),
    ("watchdog", &["State.Watchdog"], &["State.Watchdog Enabled"]),
    ("sensors", &["Sensor.Value"], &["Sensor.Value Value", "Sensor.Value Unit"]),
    ("Chassis", &["Chassis.Intrusion"], &["Chassis.Intrusion Status"]),
    ("led/groups", &["Led.Group"], &["Led.Group Asserted"]),
    ("network", &["Network.EthernetInterface"], &["Network.MACAddress MACAddress"]),
    ("network", &["Network.IP"], &["Network.IP Address"]),
    ("network", &["Network.SystemConfiguration"], &["Network.SystemConfiguration HostName"]),
    ("user", &["User.Attributes"], &["User.Attributes UserPrivilege"]),
    ("user", &["User.Manager"], &["User.Manager AllGroups", "User.Manager AllPrivileges"]),
    (
        "software",
        &["Software.Version"],
        &["Software.Version Version", "Software.Activation Activation"],
    ),
    ("logging", &["Collection.DeleteAll"], &[]),
];

/// What no service has: the page says so.
const ABSENT: &[&str] = &[
    "Control.Boot.RebootAttempts",
    "Control.Boot.RebootPolicy",
    "Dump.Manager",
    "Network.StaticGateway",
    "State.Boot.PostCode",
    "Telemetry.ReportManager",
    "User.AccountPolicy",
    "VirtualMedia.Proxy",
];

/// A user and the parts that the page adds to a platform.
fn platform() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root");
    let read = |name| fs::read_to_string(root.join(name)).expect("a file of the project");
    let page = read("docs/redfish.md");
    let (_, rest) = page.split_once("```toml\n").expect("parts in the page");
    let (parts, _) = rest.split_once("```").expect("an end of the parts");
    let user = "[[user]]\nname = \"admin\"\nprivilege = \"priv-admin\"\n";
    format!("{}\n{parts}\n{user}", read("platformd/examples/demo.toml"))
}

/// The objects below `path` that have one of `interfaces`.
fn look_up(bus: &Bus, path: &str, interfaces: &[&str]) -> Vec<String> {
    let mapper = format!("{PREFIX}ObjectMapper");
    let object = format!("{ROOT}object_mapper");
    let path = format!("{ROOT}{path}");
    let count = interfaces.len().to_string();
    let interfaces: Vec<String> = interfaces.iter().map(|name| format!("{PREFIX}{name}")).collect();
    let mut call = vec!["call", &mapper, &object, &mapper, "GetSubTreePaths", "sias"];
    let path = path.trim_end_matches('/');
    call.extend([path, "0", &count]);
    call.extend(interfaces.iter().map(String::as_str));
    let reply: Value = serde_json::from_str(&bus.busctl(&call).stdout).unwrap_or_default();
    let paths = reply["data"][0].as_array().cloned().unwrap_or_default();
    // An object is not below itself: what is asked of one path is there if this service has it.
    let mut paths: Vec<String> =
        paths.iter().filter_map(|path| path.as_str().map(str::to_owned)).collect();
    if interfaces.iter().any(|interface| bus.service(path, interface).is_some()) {
        paths.push(path.to_owned());
    }
    paths
}

#[test]
fn what_is_looked_up_is_found_with_its_properties() {
    let suite = Suite::configured("", &platform());
    let mut missing = Vec::new();
    for (path, interfaces, properties) in FOUND {
        let objects = look_up(&suite.bus, path, interfaces);
        if objects.is_empty() {
            missing.push(format!("{interfaces:?} below {path}"));
        }
        // Of many sensors, some.
        for object in objects.into_iter().take(3) {
            for property in *properties {
                let (interface, name) = property.split_once(' ').expect("an interface and a name");
                let interface = format!("{PREFIX}{interface}");
                let read = tests::bus::Property { path: &object, interface: &interface, name };
                if suite.bus.property(&read).is_none() {
                    missing.push(format!("{property} of {object}"));
                }
            }
        }
    }
    assert_eq!(missing, [""; 0]);
    let absent = ABSENT.iter().filter(|name| !look_up(&suite.bus, "", &[**name]).is_empty());
    assert_eq!(absent.collect::<Vec<_>>(), [&""; 0], "docs/redfish.md says that it is missing");
}

#[test]
fn sensors_are_found_by_their_chassis() {
    let suite = Suite::configured("", &platform());
    let path = format!("{ROOT}inventory/system/chassis/all_sensors");
    let interface = format!("{PREFIX}Association");
    let read = tests::bus::Property { path: &path, interface: &interface, name: "endpoints" };
    let sensors = suite.bus.property(&read).expect("the association");
    assert_eq!(sensors, serde_json::json!([format!("{ROOT}sensors/temperature/Inlet")]));
}
