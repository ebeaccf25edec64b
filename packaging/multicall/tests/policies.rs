//! The bus policies, tried on a bus: who may own what, and who may call whom.
//!
//! Needs root and dbus-daemon; without them one line says that it was skipped. `tests/tests/policies.rs`
//! runs the daemons themselves on such a bus.

use tests::policies::{PolicyBus as Bus, USERS, allowed};

const HOST: &str = "xyz.openbmc_project.Ipmi.Host";
const SERVER: &str = "xyz.openbmc_project.Ipmi.Server";
const DIRECT: &str = "org.causeway.Ipmi.Direct";
const CONTROL: &str = "xyz.openbmc_project.Control.Host";
const LOGGING: &str = "xyz.openbmc_project.Logging.IPMI";
const BT: &str = "org.openbmc.HostIpmi";
const LAN: &str = "xyz.openbmc_project.Ipmi.Channel.eth0";
const MCTP: &str = "xyz.openbmc_project.MCTP.Demux";
const DAEMON: &str = "org.causeway.Daemon.netipmid.eth0";
const MAPPER: &str = "xyz.openbmc_project.ObjectMapper";
const SETTINGS: &str = "xyz.openbmc_project.Settings";
const NMI: &str = "xyz.openbmc_project.Control.Host.NMI";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Owns these names as root, with nothing behind them, until the test ends.
fn own(bus: &Bus, names: &'static [&str]) -> zbus::Result<()> {
    let address = bus.bus.address();
    let (done, result) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mut builder = zbus::connection::Builder::address(address.as_str());
            for name in names {
                builder = builder.name(*name);
            }
            let connection = builder.build().await;
            // Answers all calls with an error.
            let _server = connection.as_ref().map(zbus::Connection::object_server);
            done.send(connection.as_ref().map(drop).map_err(Clone::clone)).expect("a test");
            std::future::pending::<()>().await;
        });
    });
    result.recv().expect("a result")
}

/// The policy files as XML that dbus-daemon takes, on a bus where root may own all that is called.
#[test]
fn policies_allow_what_is_needed_and_nothing_else() {
    let Some(bus) = Bus::start() else { return };
    owning(&bus);
    own(&bus, &[HOST, LAN]).expect("names that root may own");
    own(&bus, &[DAEMON]).expect("a name that root may own");
    calling_execute(&bus);
    reloading(&bus);
    listening_in(&bus);
    assert!(own(&bus, &[MAPPER]).is_err(), "root is no platformd");
}

/// The users to test with: root and those of the table.
fn users() -> impl Iterator<Item = &'static str> {
    std::iter::once("root").chain(USERS.iter().map(|(user, _)| *user))
}

const BRIDGES: [&str; 5] = ["netipmid", "kcsbridged", "btbridged", "ssifbridged", "ipmbbridged"];

fn owning(bus: &Bus) {
    let is_ipmid = |user: &str| ["root", "ipmid"].contains(&user);
    for user in users() {
        assert_eq!(bus.may_own(user, HOST), is_ipmid(user), "{user}");
        assert_eq!(bus.may_own(user, CONTROL), is_ipmid(user), "{user}");
        assert_eq!(bus.may_own(user, LOGGING), is_ipmid(user), "{user}");
        let bridge = user == "root" || BRIDGES.contains(&user);
        assert_eq!(bus.may_own(user, LAN), bridge, "{user}");
        assert_eq!(bus.may_own(user, BT), user == "btbridged", "{user}");
        let mctp = ["root", "mctp-demuxd"].contains(&user);
        assert_eq!(bus.may_own(user, MCTP), mctp, "{user}");
        assert_eq!(bus.may_own(user, MAPPER), user == "platformd", "{user}");
        assert_eq!(bus.may_own(user, SETTINGS), user == "platformd", "{user}");
        assert_eq!(bus.may_own(user, NMI), user == "platformd", "{user}");
    }
}

fn calling_execute(bus: &Bus) {
    for user in users() {
        let may = BRIDGES.contains(&user) || ["root", "ipmid"].contains(&user);
        assert_eq!(bus.may_call(user, HOST, SERVER, "execute"), may, "{user}");
        assert_eq!(bus.may_call(user, HOST, DIRECT, "Open"), may, "{user}");
    }
    // Bridges may call nothing else of ipmid, and only ipmid and root may call a bridge.
    assert!(!bus.may_call("kcsbridged", HOST, SERVER, "other"));
    assert!(!bus.may_call("kcsbridged", LAN, PROPERTIES, "Set"));
    let sms = "xyz.openbmc_project.Ipmi.Channel.SMS";
    assert!(bus.may_call("ipmid", LAN, sms, "setAttention"));
    assert!(bus.may_call("root", LAN, sms, "setAttention"));
    assert!(!bus.may_call("nobody", LAN, sms, "setAttention"));
    // Sessions of another netipmid are closed through their properties.
    assert!(bus.may_call("netipmid", LAN, PROPERTIES, "Set"));
}

/// A daemon's configuration is read and reloaded by root alone.
fn reloading(bus: &Bus) {
    for user in users() {
        for member in ["Reload", "Changes", "Settings"] {
            let may = bus.may_call(user, DAEMON, "org.causeway.Daemon", member);
            assert_eq!(may, user == "root", "{user} {member}");
        }
        assert_eq!(bus.may_call(user, DAEMON, PROPERTIES, "GetAll"), user == "root", "{user}");
        let owns = ["root", "netipmid"].contains(&user);
        assert_eq!(bus.may_own(user, "org.causeway.Daemon.netipmid.eth1"), owns, "{user}");
    }
}

fn listening_in(bus: &Bus) {
    let dbus = "org.freedesktop.DBus";
    let monitoring = "org.freedesktop.DBus.Monitoring";
    let monitor =
        ["call", dbus, "/org/freedesktop/DBus", monitoring, "BecomeMonitor", "asu", "0", "0"];
    for user in USERS.map(|(user, _)| user) {
        assert!(!allowed(&bus.busctl(user, &monitor)), "{user} monitors");
        for kind in ["method_call", "method_return", "error"] {
            let rule = format!("eavesdrop=true,type={kind}");
            let add_match = ["call", dbus, "/", dbus, "AddMatch", "s", &rule];
            assert!(!allowed(&bus.busctl(user, &add_match)), "{user} listens in on {kind}");
        }
    }
}
