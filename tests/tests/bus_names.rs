//! Bus names: no daemon takes a name from a running one, and the running one is left alone.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use nix::unistd::Uid;
use serde_json::Value;
use tests::bus::{Bus, HOST_STATE};
use tests::client::{self, Output};
use tests::process::Process;
use tests::suite::Suite;
use tests::{programs, wait};

const IPMID: &str = "xyz.openbmc_project.Ipmi.Host";
const CHANNEL: &str = "xyz.openbmc_project.Ipmi.Channel.";
const CLOCK: &str = "org.freedesktop.timedate1";
const HOST: &str = "xyz.openbmc_project.State.Host";
const MCTP: &str = "xyz.openbmc_project.MCTP.Demux";
const DBUS: [&str; 3] = ["org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus"];

/// Who owns a name: the unique name of its connection.
fn owner(bus: &Bus, name: &str) -> String {
    let call = [&["call"][..], &DBUS, &["GetNameOwner", "s", name]].concat();
    let reply: Value = serde_json::from_str(bus.busctl(&call).ok()).expect("JSON of busctl");
    reply["data"][0].as_str().expect("a unique name").to_owned()
}

/// All names of daemons on the bus, and who owns them.
fn owners(bus: &Bus) -> Vec<(String, String)> {
    let reply = bus.busctl(&[&["call"][..], &DBUS, &["ListNames"]].concat());
    let reply: Value = serde_json::from_str(reply.ok()).expect("JSON of busctl");
    let names = reply["data"][0].as_array().expect("a list").iter();
    let names = names.map(|name| name.as_str().expect("a name"));
    let ours = |name: &&str| !name.starts_with(':') && *name != DBUS[0];
    let mut owners: Vec<_> =
        names.filter(ours).map(|name| (name.to_owned(), owner(bus, name))).collect();
    owners.sort();
    owners
}

/// Starts another `daemon` on the suite's bus, with a state folder of its own.
fn another(suite: &Suite, daemon: &str, own: &[&str]) -> Process {
    let dir = suite.dir();
    let mut arguments =
        vec!["--config".to_owned(), dir.join("causeway.toml").display().to_string()];
    arguments.extend(["--state-dir".to_owned(), dir.join("other").display().to_string()]);
    arguments.extend(own.iter().map(|&word| word.to_owned()));
    let environment = [("DBUS_SYSTEM_BUS_ADDRESS", suite.bus.address())];
    let program = programs::program(daemon);
    Process::start(&format!("another-{daemon}"), dir, &program, &arguments, &environment)
}

/// Waits until a daemon has refused to start, which it says in one line.
#[track_caller]
fn assert_refused(mut daemon: Process, name: &str) {
    let status = wait::until("the other daemon ends", || daemon.exited());
    let log = daemon.log();
    assert_eq!(status.code(), Some(1), "{log}");
    let errors: Vec<_> = log.lines().filter(|line| line.contains(": error: ")).collect();
    let [line] = errors[..] else { panic!("one clear line: {log}") };
    assert!(line.contains("cannot own") && line.contains(name), "{log}");
}

#[test]
fn another_ipmid_refuses_to_start_and_opens_no_state() {
    let suite = Suite::start();
    let before = owners(&suite.bus);
    assert_refused(another(&suite, "ipmid", &[]), IPMID);
    assert_eq!(owners(&suite.bus), before);
    suite.administrator().ipmitool("mc info").ok();
    assert!(!suite.dir().join("other").exists(), "state was opened");
}

#[test]
fn another_netipmid_of_the_channel_refuses_to_start_and_controls_nothing() {
    let suite = Suite::start();
    let before = owners(&suite.bus);
    let address = suite.address;
    let other = format!("{}:{}", address.ip(), address.port() + 1000);
    let daemon = another(&suite, "netipmid", &["--listen", &other]);
    assert_refused(daemon, &format!("{CHANNEL}lan0"));
    assert_eq!(owners(&suite.bus), before);
    suite.administrator().ipmitool("chassis power status").ok();
}

#[test]
fn another_host_bridge_refuses_to_start_and_leaves_the_host_alone() {
    let suite = Suite::start();
    for (daemon, channel) in
        [("kcsbridged", "kcs0"), ("btbridged", "bt0"), ("ssifbridged", "ssif0")]
    {
        let socket = suite.dir().join(format!("{channel}.socket"));
        let address = format!("unix:{}", socket.display());
        let _bridge = suite.bridge(daemon, channel, ["--qemu", &address]);
        let mut host = UnixStream::connect(&socket).expect("the bridge's socket");
        let before = owners(&suite.bus);
        let arguments = ["--channel", channel, "--qemu", &address];
        assert_refused(another(&suite, daemon, &arguments), &format!("{CHANNEL}{channel}"));
        assert_eq!(owners(&suite.bus), before);
        assert!(is_open(&mut host), "{daemon}: the host's link was cut");
    }
}

/// Whether the peer has not closed the stream.
fn is_open(stream: &mut UnixStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let mut buffer = [0; 64];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn another_ipmb_bridge_refuses_to_start() {
    let suite = Suite::start();
    let device = ["--device", "/nonexistent/device"];
    let _bridge = suite.bridge("ipmbbridged", "Ipmb", device);
    let before = owners(&suite.bus);
    let arguments = [&["--channel", "Ipmb"][..], &device].concat();
    assert_refused(another(&suite, "ipmbbridged", &arguments), &format!("{CHANNEL}Ipmb"));
    assert_eq!(owners(&suite.bus), before);
}

#[test]
fn another_platformd_refuses_to_start() {
    let suite = Suite::start();
    let before = owners(&suite.bus);
    let platform = suite.dir().join("platform.toml").display().to_string();
    assert_refused(another(&suite, "platformd", &["--platform", &platform]), "any bus name");
    assert_eq!(owners(&suite.bus), before);
    suite.administrator().ipmitool("chassis power on").ok();
    suite.bus.until_property(&HOST_STATE, "Running");
    let kept = suite.dir().join("other/platform.json");
    assert!(!kept.exists(), "state was written");
}

#[test]
fn another_demultiplexer_serves_without_the_name() {
    let suite = Suite::start();
    let socket = |number| format!("causeway-{}-{number}", suite.address);
    let start = |number| {
        let arguments = ["--eid", "8", "--socket", &socket(number), "serial:/nonexistent/tty"];
        another(&suite, "mctp-demuxd", &arguments)
    };
    let _first = start(1);
    wait::until_true("the demultiplexer is on the bus", || suite.bus.has_name(MCTP));
    let before = owners(&suite.bus);
    let mut second = start(2);
    wait::until_true("the other says that the name is taken", || {
        second.log().contains("cannot own the bus name")
    });
    assert_eq!(owners(&suite.bus), before);
    assert_eq!(second.exited(), None, "{}", second.log());
}

/// `DBUS_NAME_FLAG_REPLACE_EXISTING`, which replaces an owner only if that allows it.
#[test]
fn no_daemon_lets_itself_be_replaced() {
    let suite = Suite::start();
    let _kcs = suite.bridge("kcsbridged", "kcs0", ["--device", "/nonexistent/device"]);
    let before = owners(&suite.bus);
    assert!(before.len() > 20, "{before:?}");
    for (name, _) in &before {
        let call = [&["call"][..], &DBUS, &["RequestName", "su", name, "6"]].concat();
        let reply: Value = serde_json::from_str(suite.bus.busctl(&call).ok()).expect("JSON");
        assert_eq!(reply["data"][0], 3, "{name}: the name exists, and is its owner's");
    }
    assert_eq!(owners(&suite.bus), before);
    suite.administrator().ipmitool("mc info").ok();
}

#[test]
fn a_name_that_others_open_has_a_connection_and_objects_of_its_own() {
    let suite = Suite::start();
    let connection = owner(&suite.bus, CLOCK);
    let shared: Vec<_> =
        owners(&suite.bus).into_iter().filter(|(_, owner)| *owner == connection).collect();
    assert_eq!(shared, [(CLOCK.to_owned(), connection.clone())]);
    for destination in [CLOCK, &connection] {
        let clock = ["get-property", destination, "/org/freedesktop/timedate1", CLOCK, "NTP"];
        suite.bus.busctl(&clock).ok();
        let host = ["get-property", destination, HOST_STATE.path, HOST, HOST_STATE.name];
        suite.bus.busctl(&host).failed();
        let call = ["call", destination, "/xyz/openbmc_project/object_mapper"];
        let mapper = "xyz.openbmc_project.ObjectMapper";
        let object = [mapper, "GetObject", "sas", HOST_STATE.path, "0"];
        suite.bus.busctl(&[&call[..], &object].concat()).failed();
    }
}

/// Runs busctl as a user of whom no configuration speaks.
fn as_nobody(bus: &Bus, words: &[&str]) -> Output {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "busctl"]);
    command.arg(format!("--address={}", bus.address())).args(words);
    client::run(&mut command)
}

/// On a bus whose policy lets everybody call everything.
#[test]
fn a_user_who_is_not_accepted_reads_and_changes_nothing() {
    if !Uid::effective().is_root() || programs::installed("setpriv").is_none() {
        eprintln!("skipped: needs root and setpriv, to be another user");
        return;
    }
    let suite = Suite::start();
    open_to_all(suite.dir());
    let users = "/xyz/openbmc_project/user";
    let manager = "xyz.openbmc_project.User.Manager";
    let on = "xyz.openbmc_project.State.Host.Transition.On";
    let reboot = "xyz.openbmc_project.State.BMC.Transition.Reboot";
    let bmc = ["xyz.openbmc_project.State.BMC", "/xyz/openbmc_project/state/bmc0"];
    let clock = [CLOCK, "/org/freedesktop/timedate1", CLOCK];
    let unique = owner(&suite.bus, HOST);
    let calls: [&[&str]; 6] = [
        &["set-property", HOST, HOST_STATE.path, HOST, "RequestedHostTransition", "s", on],
        &["set-property", &unique, HOST_STATE.path, HOST, "RequestedHostTransition", "s", on],
        &["set-property", CLOCK, HOST_STATE.path, HOST, "RequestedHostTransition", "s", on],
        &["set-property", bmc[0], bmc[1], bmc[0], "RequestedBMCTransition", "s", reboot],
        &[
            "call",
            manager,
            users,
            manager,
            "CreateUser",
            "sassb",
            "eve",
            "1",
            "ipmi",
            "priv-admin",
            "true",
        ],
        &["call", clock[0], clock[1], clock[2], "SetNTP", "bb", "true", "false"],
    ];
    for call in calls {
        let output = as_nobody(&suite.bus, call).failed();
        assert!(output.contains("Access denied"), "{call:?}: {output}");
    }
    as_nobody(&suite.bus, &["get-property", HOST, HOST_STATE.path, HOST, HOST_STATE.name]).ok();
    let eve = format!("{users}/eve");
    assert_eq!(suite.bus.service(&eve, "xyz.openbmc_project.User.Attributes"), None);
    suite.bus.until_property(&HOST_STATE, "Off");
    assert!(suite.platformd.log().contains("user not accepted"), "{}", suite.platformd.log());
    // The very same calls do what they say for a user who is accepted.
    for call in [calls[0], calls[4], calls[5]] {
        suite.bus.busctl(call).ok();
    }
    suite.bus.until_property(&HOST_STATE, "Running");
}

fn open_to_all(folder: &Path) {
    fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("our own folder");
}
