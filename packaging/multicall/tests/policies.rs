//! The bus policies, tried on a bus: who may own what, and who may call whom.
//!
//! Needs root, to be each of the daemons' users in turn, and dbus-daemon; without them it only tells
//! that it was skipped. The users need not exist: the copy of the policies that is tried has others in
//! their place.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The daemons' users, and the users of a plain system that stand for them.
const USERS: [(&str, &str); 9] = [
    ("ipmid", "daemon"),
    ("netipmid", "bin"),
    ("kcsbridged", "sys"),
    ("btbridged", "man"),
    ("ssifbridged", "lp"),
    ("ipmbbridged", "mail"),
    ("mctp-demuxd", "news"),
    ("platformd", "games"),
    ("nobody", "nobody"),
];

/// The defaults of the system bus, as dbus-daemon's `system.conf` has them.
const DEFAULTS: &str = r#"
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Monitoring"/>
  </policy>
"#;

const HOST: &str = "xyz.openbmc_project.Ipmi.Host";
const SERVER: &str = "xyz.openbmc_project.Ipmi.Server";
const DIRECT: &str = "org.causeway.Ipmi.Direct";
const CONTROL: &str = "xyz.openbmc_project.Control.Host";
const BT: &str = "org.openbmc.HostIpmi";
const LAN: &str = "xyz.openbmc_project.Ipmi.Channel.eth0";
const MCTP: &str = "xyz.openbmc_project.MCTP.Demux";
const MAPPER: &str = "xyz.openbmc_project.ObjectMapper";
const SETTINGS: &str = "xyz.openbmc_project.Settings";
const NMI: &str = "xyz.openbmc_project.Control.Host.NMI";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// A private bus with our policies; ends when dropped.
struct Bus {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Bus {
    fn start() -> Option<Self> {
        let root = rustix::process::getuid().is_root();
        if !root || Command::new("dbus-daemon").arg("--version").output().is_err() {
            eprintln!("skipped: needs root and dbus-daemon");
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let policies = folder.path().join("policies");
        copy_policies(&policies);
        let socket = folder.path().join("bus");
        let address = format!("unix:path={}", socket.display());
        let config = format!(
            "<busconfig><type>system</type><listen>{address}</listen><auth>EXTERNAL</auth>\
             {DEFAULTS}<includedir>{}</includedir></busconfig>",
            policies.display()
        );
        let file = folder.path().join("bus.conf");
        fs::write(&file, config).expect("a configuration");
        open_to_all(folder.path());
        let process = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", file.display()))
            .args(["--nofork", "--nopidfile", "--nosyslog"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon");
        for _ in 0..200 {
            if socket.exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { process, address, _folder: folder })
    }

    /// Makes a call as `user`; returns the error it ends with.
    fn call(&self, user: &str, words: &[&str]) -> String {
        let user = format!("--reuid={}", stand_in(user));
        let output = Command::new("setpriv")
            .args([&user, "--regid=nogroup", "--clear-groups"])
            .args(["busctl", "--timeout=5", &format!("--address={}", self.address), "call"])
            .args(words)
            .output()
            .expect("setpriv and busctl");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn may_own(&self, user: &str, name: &str) -> bool {
        let bus = "org.freedesktop.DBus";
        let error = self.call(user, &[bus, "/", bus, "RequestName", "su", name, "0"]);
        allowed(&error)
    }

    fn may_call(&self, user: &str, name: &str, interface: &str, member: &str) -> bool {
        allowed(&self.call(user, &[name, "/", interface, member]))
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

/// Whether a call got past the policies: it succeeded, or its receiver refused it.
fn allowed(error: &str) -> bool {
    let denied = error.contains("Access denied")
        || error.contains("rejected")
        || error.contains("not allowed");
    let answers = ["Unknown", "No such", "mismatch"];
    let past = error.is_empty() || answers.iter().any(|answer| error.contains(answer));
    assert!(denied != past, "neither allowed nor denied: {error}");
    past
}

/// The user that is taken for one of the daemons' users.
fn stand_in(user: &str) -> &str {
    USERS.iter().find(|(name, _)| *name == user).map_or(user, |(_, other)| *other)
}

fn copy_policies(to: &Path) {
    fs::create_dir(to).expect("a folder");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dbus");
    for entry in fs::read_dir(from).expect("the policies") {
        let path = entry.expect("a policy").path();
        let mut text = fs::read_to_string(&path).expect("a text file");
        for (name, other) in USERS {
            text = text.replace(&format!("user=\"{name}\""), &format!("user=\"{other}\""));
        }
        fs::write(to.join(path.file_name().expect("a name")), text).expect("a copy");
    }
}

fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("our own folder");
}

/// Owns these names as root, with nothing behind them, until the test ends.
fn own(bus: &Bus, names: &'static [&str]) -> zbus::Result<()> {
    let address = bus.address.clone();
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
    result.recv().expect("an answer")
}

/// The policy files as XML that dbus-daemon takes, on a bus where root may own all that is called.
#[test]
fn policies_allow_what_is_needed_and_nothing_else() {
    let Some(bus) = Bus::start() else { return };
    owning(&bus);
    own(&bus, &[HOST, LAN]).expect("names that root may own");
    calling_execute(&bus);
    listening_in(&bus);
    assert!(own(&bus, &[MAPPER]).is_err(), "root is no platformd");
}

/// Who is there to try: root and the users of the table.
fn users() -> impl Iterator<Item = &'static str> {
    std::iter::once("root").chain(USERS.iter().map(|(user, _)| *user))
}

const BRIDGES: [&str; 5] = ["netipmid", "kcsbridged", "btbridged", "ssifbridged", "ipmbbridged"];

fn owning(bus: &Bus) {
    let is_ipmid = |user: &str| ["root", "ipmid"].contains(&user);
    for user in users() {
        assert_eq!(bus.may_own(user, HOST), is_ipmid(user), "{user}");
        assert_eq!(bus.may_own(user, CONTROL), is_ipmid(user), "{user}");
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
    // Bridges call nothing else of ipmid, and nobody a bridge but ipmid and root.
    assert!(!bus.may_call("kcsbridged", HOST, SERVER, "other"));
    assert!(!bus.may_call("kcsbridged", LAN, PROPERTIES, "Set"));
    let sms = "xyz.openbmc_project.Ipmi.Channel.SMS";
    assert!(bus.may_call("ipmid", LAN, sms, "setAttention"));
    assert!(bus.may_call("root", LAN, sms, "setAttention"));
    assert!(!bus.may_call("nobody", LAN, sms, "setAttention"));
    // Sessions of another netipmid are closed through their properties.
    assert!(bus.may_call("netipmid", LAN, PROPERTIES, "Set"));
}

fn listening_in(bus: &Bus) {
    let dbus = "org.freedesktop.DBus";
    let monitoring = "org.freedesktop.DBus.Monitoring";
    for user in ["nobody", "netipmid", "kcsbridged", "platformd"] {
        let words = [dbus, "/org/freedesktop/DBus", monitoring, "BecomeMonitor", "asu", "0", "0"];
        assert!(!allowed(&bus.call(user, &words)), "{user} monitors");
        let rule = "eavesdrop=true,type=method_call";
        let words = [dbus, "/", dbus, "AddMatch", "s", rule];
        // The match may be added; the bus delivers nothing for it.
        let _ = bus.call(user, &words);
    }
}
