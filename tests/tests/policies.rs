//! Each daemon as its own user on a bus with the packaged policies: it owns the names that it serves,
//! and the users that may call it can.

use std::collections::BTreeMap;
use std::fs;

use tests::client::Output;
use tests::daemons::{self, DAEMONS};
use tests::policies::{OPERATOR, PolicyBus, USERS, allowed, packaged, user};
use tests::process::Process;
use tests::wait;

/// Names that one daemon each owns while all run, by the daemon. `platformd` owns those of its platform.
const NAMES: [(&str, &[&str]); 8] = [
    (
        "ipmid",
        &[
            "xyz.openbmc_project.Ipmi.Host",
            "xyz.openbmc_project.Control.Host",
            "xyz.openbmc_project.Logging.IPMI",
            "org.causeway.Ipmi.Providers",
            "org.causeway.Ipmi.Diagnostics",
            "org.causeway.Daemon.ipmid",
        ],
    ),
    ("netipmid", &["xyz.openbmc_project.Ipmi.Channel.lan0", "org.causeway.Daemon.netipmid.lan0"]),
    (
        "kcsbridged",
        &["xyz.openbmc_project.Ipmi.Channel.kcs0", "org.causeway.Daemon.kcsbridged.kcs0"],
    ),
    (
        "btbridged",
        &[
            "xyz.openbmc_project.Ipmi.Channel.bt0",
            "org.openbmc.HostIpmi",
            "org.causeway.Daemon.btbridged.bt0",
        ],
    ),
    (
        "ssifbridged",
        &["xyz.openbmc_project.Ipmi.Channel.ssif0", "org.causeway.Daemon.ssifbridged.ssif0"],
    ),
    (
        "ipmbbridged",
        &["xyz.openbmc_project.Ipmi.Channel.Ipmb", "org.causeway.Daemon.ipmbbridged.Ipmb"],
    ),
    ("mctp-demuxd", &["xyz.openbmc_project.MCTP.Demux", "org.causeway.Daemon.mctp_demuxd"]),
    (
        "platformd",
        &[
            "xyz.openbmc_project.ObjectMapper",
            "org.freedesktop.timedate1",
            "org.causeway.Daemon.platformd",
        ],
    ),
];

/// A name that is owned only where the configuration asks for it (`mctpd-names`).
const OPTIONAL: &str = "au.com.codeconstruct.MCTP1";

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const PROVIDERS: &str = "org.causeway.Ipmi.Providers";
const LOGGING: &str = "xyz.openbmc_project.Logging.IPMI";
const LOGGING_PATH: &str = "/xyz/openbmc_project/Logging/IPMI";

/// Starts `daemon` as its user, with its state in a folder that it owns.
fn start(bus: &PolicyBus, daemon: &str) -> Process {
    // netipmid reads what ipmid writes.
    let home = if daemon == "netipmid" { "ipmid" } else { daemon };
    let mut arguments = daemons::arguments(daemon, &bus.dir().join(home));
    let channel = match daemon {
        "kcsbridged" => Some("kcs0"),
        "btbridged" => Some("bt0"),
        "ssifbridged" => Some("ssif0"),
        _ => None,
    };
    if let Some(channel) = channel {
        arguments.extend(["--channel", channel].map(str::to_owned));
    }
    if let Some(at) = arguments.iter().position(|word| word == "--platform") {
        let copy = bus.dir().join("platform.toml");
        fs::copy(&arguments[at + 1], &copy).expect("a copy");
        arguments[at + 1] = copy.display().to_string();
    }
    bus.daemon(daemon, &arguments)
}

/// Starts all daemons and waits until each owns its names.
fn start_all(bus: &PolicyBus) -> BTreeMap<&'static str, Process> {
    let processes: BTreeMap<_, _> = DAEMONS.map(|daemon| (daemon, start(bus, daemon))).into();
    for (daemon, names) in NAMES {
        for name in names {
            let uid = user(daemon).uid.as_raw();
            let missing = || {
                let log = processes[daemon].log();
                assert!(!log.contains("policy forbids"), "{daemon}: {log}");
                bus.owner(name) == Some(uid)
            };
            wait::until_true(&format!("{daemon} owns {name}"), missing);
        }
    }
    processes
}

/// A rule of a policy about owning names: the user, and the name, or the prefix with a dot.
fn owning_rules() -> Vec<(String, String)> {
    let mut rules = Vec::new();
    for (_, text) in packaged() {
        for policy in text.split("<policy user=\"").skip(1) {
            let (user, rest) = policy.split_once('"').expect("a user");
            let (body, _) = rest.split_once("</policy>").expect("a policy");
            for rule in body.split("<allow ").skip(1) {
                let value = |attribute: &str| {
                    let rest = rule.strip_prefix(attribute)?;
                    Some(rest.split('"').next().unwrap_or_default().to_owned())
                };
                let prefix = value("own_prefix=\"").map(|prefix| prefix + ".");
                if let Some(name) = prefix.or_else(|| value("own=\"")) {
                    rules.push((user.to_owned(), name));
                }
            }
        }
    }
    rules
}

/// Every rule is used by its daemon, every name on the bus belongs to a rule, and no daemon wants a name
/// that it may not own.
#[test]
fn every_daemon_owns_the_names_of_its_policy_and_no_others() {
    let Some(bus) = PolicyBus::start() else { return };
    let processes = start_all(&bus);
    let uids: BTreeMap<u32, &str> =
        USERS.iter().map(|(name, _)| (user(name).uid.as_raw(), *name)).collect();
    let owned = bus.names().into_iter().filter_map(|name| {
        let owner = uids.get(&bus.owner(&name)?).copied();
        Some((name, owner.unwrap_or("root")))
    });
    let owned: Vec<(String, &str)> = owned.collect();
    let rules = owning_rules();
    let fits =
        |rule: &str, name: &str| name == rule || rule.ends_with('.') && name.starts_with(rule);
    let needed = |rule: &&(String, String)| rule.0 != "root" && rule.1 != OPTIONAL;
    for (daemon, rule) in rules.iter().filter(needed) {
        let used = owned.iter().any(|(name, owner)| owner == daemon && fits(rule, name));
        assert!(used, "{daemon} owns nothing for its rule {rule}: {owned:?}");
    }
    for (name, owner) in &owned {
        let allowed = rules.iter().any(|(daemon, rule)| daemon == owner && fits(rule, name));
        assert!(allowed, "{owner} owns {name}, for which its policy has no rule");
    }
    for (daemon, process) in &processes {
        let log = process.log();
        for complaint in ["policy forbids", "cannot own", "another process owns", "Rejected send"] {
            assert!(!log.contains(complaint), "{daemon}: {log}");
        }
    }
}

/// An event as phosphor-sel-logger's callers and as its definition have it.
fn log_event(bus: &PolicyBus, user: &str, signature: &str) -> Output {
    let sensor = "/xyz/openbmc_project/sensors/temperature/MBTemp";
    let call = ["call", LOGGING, LOGGING_PATH, LOGGING, "IpmiSelAdd", signature];
    let arguments = ["SEL Entry", sensor, "3", "0x59", "0x66", "0xff", "yes", "0x20"];
    bus.busctl(user, &[&call[..], &arguments].concat())
}

#[test]
fn services_log_to_the_sel_and_others_may_not() {
    let Some(bus) = PolicyBus::start() else { return };
    let _processes = start_all(&bus);
    for (user, _) in USERS {
        let may = user == "ipmid";
        for signature in ["ssaybq", "soaybq"] {
            assert_eq!(allowed(&log_event(&bus, user, signature)), may, "{user} {signature}");
        }
        for member in ["Clear", "SELDelete", "IpmiSelAddOem", "AddExtended", "GetSELInfo"] {
            // platformd logs what happens to its host.
            let may = may || (user == "platformd" && member == "AddExtended");
            assert_eq!(bus.may_call(user, LOGGING, LOGGING, member), may, "{user} {member}");
        }
    }
    let count = |bus: &PolicyBus| {
        let (code, info) = bus.bus.execute(0x0a, 0x40, &[]);
        assert_eq!(code, 0);
        u16::from_le_bytes([info[1], info[2]])
    };
    let before = count(&bus);
    for signature in ["ssaybq", "soaybq"] {
        assert!(log_event(&bus, "root", signature).ok().starts_with("q "));
    }
    assert_eq!(count(&bus), before + 2);
    // The newest record: of the BMC, an assertion of a temperature sensor, with the data given.
    let (code, record) = bus.bus.execute(0x0a, 0x43, &[0, 0, 0xff, 0xff, 0, 0xff]);
    assert_eq!((code, &record[4..5], &record[9..13]), (0, &[0x02][..], &[0x20, 0, 4, 1][..]));
    assert_eq!(record[14..], [1, 0x59, 0x66, 0xff]);
    let oem = [
        "call",
        LOGGING,
        LOGGING_PATH,
        LOGGING,
        "IpmiSelAddOem",
        "sayy",
        "",
        "2",
        "1",
        "2",
        "0xe0",
    ];
    assert!(bus.busctl("root", &oem).ok().starts_with("q "));
    bus.busctl("root", &["call", LOGGING, LOGGING_PATH, LOGGING, "Clear"]).ok();
    assert_eq!(count(&bus), 0);
}

#[test]
fn root_registers_commands_and_others_may_not() {
    let Some(bus) = PolicyBus::start() else { return };
    let _processes = start_all(&bus);
    for (user, _) in USERS {
        assert!(!bus.may_call(user, PROVIDERS, PROVIDERS, "Register"), "{user}");
    }
    let path = "/org/causeway/Ipmi/Providers";
    let register = ["call", PROVIDERS, path, PROVIDERS, "Register", "a(yuyysqqay)y"];
    let command = ["1", "0", "0x30", "1", "2", "Test", "0", "8", "0", "20"];
    bus.busctl("root", &[&register[..], &command].concat()).ok();
}

/// The users of recorded requests: the interface, and a method of each.
const FOR_OPERATORS: [(&str, &str); 2] =
    [("org.causeway.Ipmi.Recorder", "Dump"), ("org.causeway.Metrics", "Read")];

#[test]
fn root_and_the_group_of_operators_read_recorded_requests_and_others_may_not() {
    let Some(bus) = PolicyBus::start() else { return };
    let _processes = start_all(&bus);
    let services = NAMES.iter().flat_map(|(_, names)| *names).copied();
    let services =
        services.filter(|name| name.contains(".Channel.") || name.contains("Diagnostics"));
    let services: Vec<_> = services.collect();
    assert_eq!(services.len(), 6, "{services:?}");
    for service in services {
        for (interface, member) in FOR_OPERATORS {
            for user in ["root", OPERATOR] {
                assert!(bus.may_call(user, service, interface, member), "{user} {service}");
            }
            for (user, _) in USERS {
                // ipmid calls whatever has a platform's name.
                let may = user == "ipmid" && service.starts_with("xyz.");
                assert_eq!(bus.may_call(user, service, interface, member), may, "{user} {service}");
            }
        }
        let others =
            ["xyz.openbmc_project.Ipmi.Channel.SMS", "org.causeway.Ipmi.Channel.Sol", PROPERTIES];
        for interface in others {
            for member in ["Set", "Release", "Attach"] {
                assert!(
                    !bus.may_call(OPERATOR, service, interface, member),
                    "{service} {interface}"
                );
            }
        }
        let may = service.starts_with("xyz.");
        assert_eq!(bus.may_call(OPERATOR, service, PROPERTIES, "Get"), may, "{service}");
    }
    let path = "/xyz/openbmc_project/Ipmi/Channel/lan0";
    let lan0 = "xyz.openbmc_project.Ipmi.Channel.lan0";
    let dump = ["call", lan0, path, "org.causeway.Ipmi.Recorder", "Dump", "s", ""];
    assert!(bus.busctl(OPERATOR, &dump).ok().starts_with("a("));
}

#[test]
fn operators_read_counters_and_change_nothing() {
    let Some(bus) = PolicyBus::start() else { return };
    let _processes = start_all(&bus);
    let mctp = "xyz.openbmc_project.MCTP.Demux";
    let demux = "org.causeway.MCTP.Demux";
    let manager = "org.freedesktop.DBus.ObjectManager";
    for (interface, member, may) in [
        (PROPERTIES, "Get", true),
        (PROPERTIES, "GetAll", true),
        (PROPERTIES, "Set", false),
        (manager, "GetManagedObjects", true),
        (demux, "Ping", false),
        (demux, "Trace", false),
        ("org.causeway.Metrics", "Read", true),
        ("au.com.codeconstruct.MCTP.Endpoint1", "Remove", false),
    ] {
        assert_eq!(bus.may_call(OPERATOR, mctp, interface, member), may, "{interface} {member}");
        assert!(!bus.may_call("nobody", mctp, interface, member), "{interface} {member}");
    }
    let metrics = bus.run(OPERATOR, "causewayctl", &["metrics"]);
    for name in [
        "causeway_ipmi_rejections_total",
        "causeway_mctp_refusals_total",
        "causeway_state_writes_total",
    ] {
        assert!(metrics.ok().contains(name), "{metrics}");
    }
    assert!(bus.run(OPERATOR, "causewayctl", &["record"]).code == Some(0));
    assert!(bus.run(OPERATOR, "causewayctl", &["sol", "status"]).ok().contains("lan0"));
    for command in
        [&["sol", "release"][..], &["user", "list"], &["raw", "6", "1"], &["mctp", "ping", "9"]]
    {
        assert_eq!(bus.run(OPERATOR, "causewayctl", command).code, Some(1), "{command:?}");
    }
    bus.run("nobody", "causewayctl", &["metrics"]).failed();
}

/// The packaged policies without ipmid's rule for the log.
fn without_logging() -> Vec<(String, String)> {
    let rule = format!("<allow own=\"{LOGGING}\"/>");
    packaged().into_iter().map(|(name, text)| (name, text.replace(&rule, ""))).collect()
}

#[test]
fn a_name_that_cannot_be_owned_is_logged_with_its_cause() {
    let Some(bus) = PolicyBus::with(&without_logging()) else { return };
    let ipmid = start(&bus, "ipmid");
    wait::until_true("ipmid says that it may not own the name", || {
        let log = ipmid.log();
        log.lines().any(|line| line.contains("policy forbids") && line.contains(LOGGING))
    });
    assert!(!ipmid.log().contains("another process"), "{}", ipmid.log());

    let Some(bus) = PolicyBus::start() else { return };
    let first = start(&bus, "ipmid");
    let uid = user("ipmid").uid.as_raw();
    wait::until_true("ipmid owns the name", || bus.owner(LOGGING) == Some(uid));
    let arguments = daemons::arguments("ipmid", &bus.dir().join("ipmid/second"));
    let second = bus.daemon("ipmid", &arguments);
    wait::until_true("a second ipmid says that another process owns the name", || {
        second.log().contains("another process owns")
    });
    assert!(!second.log().contains("policy forbids"), "{}", second.log());
    drop(first);
}
