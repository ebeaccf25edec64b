//! Reloads of the configuration while sessions, the console and the host are busy, and what they change.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::{fs, thread};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::bus::CHASSIS_STATE;
use tests::client::Output;
use tests::host_device::{HostDevice, Kind};
use tests::process::Process;
use tests::satellite::Satellites;
use tests::shell::Shell;
use tests::suite::Suite;
use tests::terminal::Terminal;
use tests::{ctl, wait};

const APP: u8 = 0x06;
const GET_DEVICE_ID: u8 = 0x01;
const RELOADED: &str = "configuration reloaded";

/// The configuration of the suite, to which a test adds lines.
const CONFIGURATION: &str = include_str!("../data/causeway.toml");

/// Replaces a file at once, as an editor does: no daemon reads half of it.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).expect("a file");
    fs::rename(&new, path).expect("a file");
}

/// Replaces the suite's `causeway.toml` by its usual one with `lines` at its end.
fn configure(suite: &Suite, lines: &str) {
    let dir = suite.dir().display().to_string();
    let text = format!("{CONFIGURATION}\n{lines}").replace("{dir}", &dir);
    replace(&suite.dir().join("causeway.toml"), &text);
}

/// Sends SIGHUP, and waits until the daemon has reloaded once more.
#[track_caller]
fn hang_up(process: &mut Process) {
    let count = |process: &Process| process.log().matches(RELOADED).count();
    let before = count(process);
    process.signal(Signal::SIGHUP);
    wait::until_true("it has reloaded", || count(process) > before);
}

/// `config reload`'s answer for one daemon.
fn reloaded(suite: &Suite, daemon: &str) -> Value {
    let output = ctl::on(&suite.bus, &format!("--json config reload {daemon}"));
    ctl::json_of(&output, "config")[0].clone()
}

/// All that is in force.
fn in_force(suite: &Suite) -> Value {
    ctl::json_on(&suite.bus, "config show")
}

/// Clients that work until they are stopped.
struct Load<'a> {
    stop: &'a AtomicBool,
    done: &'a AtomicUsize,
}

impl Load<'_> {
    /// Does `work` again and again.
    fn run(&self, mut work: impl FnMut()) {
        while !self.stop.load(Ordering::Relaxed) {
            work();
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until `count` more pieces of work are done.
    fn until(&self, count: usize) {
        let wanted = self.done.load(Ordering::Relaxed) + count;
        wait::until_true("the clients go on", || self.done.load(Ordering::Relaxed) >= wanted);
    }
}

/// Sends `signals` reloads to the suite's daemons and `bridge`, one after the other.
fn reload_all(suite: &mut Suite, bridge: &mut Process, load: &Load<'_>) {
    for round in 0..24 {
        let wrong = if round % 3 == 2 { "[lan]\nsessions = 0\n" } else { "" };
        let lines = format!(
            "[lan]\nidle-timeout = {}\nsessions = {}\npackets-per-second = {}\n[sel]\nlog-clears = {}\n\
             [host]\nrunning = {}\n{wrong}",
            60 + round,
            if round % 2 == 0 { 9 } else { 62 },
            4000 + round,
            round % 2 == 0,
            8 + round % 8,
        );
        // Two tables of one name are an error too, so the wrong one stands alone.
        let lines = if wrong.is_empty() { lines.as_str() } else { wrong };
        configure(suite, lines);
        for process in [&mut suite.netipmid, &mut suite.ipmid, &mut suite.platformd, &mut *bridge] {
            process.signal(Signal::SIGHUP);
        }
        load.until(10);
    }
}

/// Eight sessions over LAN, the console and the host: not one answer is missing or an error.
#[test]
fn reloads_under_load_end_nothing() {
    let mut suite = Suite::start();
    let login = suite.administrator();
    let device_path = suite.dir().join("device");
    let device_argument = device_path.display().to_string();
    let mut bridge = suite.bridge("kcsbridged", "kcs0", ["--device", &device_argument]);
    let mut device = HostDevice::plug(Kind::Kcs, &device_path);
    let id = device.request(APP, GET_DEVICE_ID);
    let mut terminal = Terminal::sol(&login);
    let mut shells: Vec<_> = (0..8).map(|_| Shell::open(&login)).collect();
    let ended = |log: &str| log.matches("session ended").count();
    let before = ended(&suite.netipmid.log());
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let load = &Load { stop: &stop, done: &done };
    thread::scope(|scope| {
        for shell in &mut shells {
            scope.spawn(move || {
                load.run(|| {
                    let reply = shell.run("raw 6 1");
                    assert!(reply.trim_start().starts_with("20 "), "{reply}");
                });
            });
        }
        let (device, id, terminal) = (&mut device, &id, &mut terminal);
        scope.spawn(move || load.run(|| assert_eq!(device.request(APP, GET_DEVICE_ID), *id)));
        scope.spawn(move || {
            let mut number = 0;
            load.run(|| {
                number += 1;
                terminal.enter(&format!("n{number}\r"));
                terminal.until_shows(&format!("n{number}: not found"));
            });
        });
        reload_all(&mut suite, &mut bridge, load);
        stop.store(true, Ordering::Relaxed);
    });
    for shell in &mut shells {
        assert!(shell.run("raw 6 1").trim_start().starts_with("20 "));
    }
    let log = suite.netipmid.log();
    assert_eq!(ended(&log), before, "no session has ended: {log}");
    for process in [&suite.netipmid, &suite.ipmid] {
        let log = process.log();
        assert!(log.contains(RELOADED) && log.contains("configuration refused"), "{log}");
    }
    // It does not read the section that was wrong.
    assert!(bridge.log().contains(RELOADED), "{}", bridge.log());
}

#[test]
fn a_storm_of_hangups_ends_nothing_and_the_last_configuration_is_in_force() {
    let mut suite = Suite::start();
    let mut shell = Shell::open(&suite.administrator());
    for number in 0..400 {
        if number % 40 == 0 {
            configure(&suite, &format!("[lan]\nidle-timeout = {}\n", 100 + number));
        }
        for process in [&mut suite.netipmid, &mut suite.ipmid, &mut suite.platformd] {
            process.signal(Signal::SIGHUP);
        }
        if number % 40 == 0 {
            assert!(shell.run("raw 6 1").trim_start().starts_with("20 "));
        }
    }
    wait::until_true("the last one is in force", || {
        let settings = in_force(&suite);
        let settings = settings.as_array().expect("a list");
        let timeout = settings.iter().find(|it| it["key"] == "lan.idle-timeout");
        timeout.is_some_and(|it| it["value"] == "460")
    });
    assert!(shell.run("raw 6 1").trim_start().starts_with("20 "));
}

/// Configurations that are wrong, by the line after the suite's own where the mistake is. Each is one that `ipmid`, or
/// else `netipmid`, reads.
const WRONG: [(&str, &str, usize); 20] = [
    ("ipmid", "[lna]", 1),
    ("ipmid", "[lan]\nsessions = 0", 2),
    ("ipmid", "[lan]\n\nsessions = 63", 3),
    ("ipmid", "[lan]\ncipher-suites = [17, 0]", 2),
    ("ipmid", "[lan]\ncipher-suites = []", 2),
    ("ipmid", "[lan]\ncipher-suites = [\n17,\n17]", 4),
    ("ipmid", "[lan]\nipmi-15 = [\"md4\"]", 2),
    ("ipmid", "[lan]\nidle-timeout = \"long\"", 2),
    ("ipmid", "[lan]\nbound-to-address = 1", 2),
    ("ipmid", "[lan]\nsession = 1", 2),
    ("ipmid", "[lan", 1),
    ("ipmid", "[log]\nlevel = \"loud\"", 2),
    ("ipmid", "[sel]\n\ncapacity = 65534", 3),
    ("ipmid", "[pef]\ntrap-port = 0", 2),
    ("ipmid", "[ipmid]\ncallers = [\"nobody-has-this-name\"]", 2),
    ("ipmid", "[[i2c.allow]]\nbus = 3\naddress = 0x50\nwrite = [0]\nmask = [1, 2]", 5),
    (
        "ipmid",
        "[[channel]]\nnumber = 12\nname = \"x\"\nmedium = \"lan\"\nprotocol = \"ipmb-1.0\"",
        2,
    ),
    ("netipmid", "[sol]\nviewers = 4", 2),
    ("netipmid", "[sol]\nscrollback = 65537", 2),
    (
        "netipmid",
        "[[channel]]\nnumber = 2\nname = \"other\"\nmedium = \"lan\"\nprotocol = \"ipmb-1.0\"\n\
         sessions = \"multi-session\"",
        1,
    ),
];

#[test]
fn wrong_configurations_are_refused_with_their_line_and_the_old_one_stays() {
    let suite = Suite::configured("[sol]\nconsole = \"unix:{dir}/console\"\n", "");
    let before = in_force(&suite);
    let file = suite.dir().join("causeway.toml");
    let mut shell = Shell::open(&suite.administrator());
    for (daemon, text, line) in WRONG {
        replace(&file, &format!("\n{text}\n"));
        let answer = reloaded(&suite, daemon);
        let refused = &answer["refused"];
        assert_eq!(refused["line"], json!(line + 1), "{text}: {answer}");
        assert_eq!(refused["file"], json!(file.display().to_string()), "{text}: {answer}");
        let place = format!("{}:{}: ", file.display(), line + 1);
        let process = if daemon == "ipmid" { &suite.ipmid } else { &suite.netipmid };
        let log = process.log();
        assert!(log.contains(&place), "{text}: {log}");
        let property = ["get-property", &name_of(daemon), PATH, INTERFACE, "ConfigurationError"];
        assert!(suite.bus.busctl(&property).ok().contains(&place), "{text}");
        assert_eq!(in_force(&suite), before, "{text}");
    }
    assert!(shell.run("raw 6 1").trim_start().starts_with("20 "));
    configure(&suite, "");
    assert_eq!(reloaded(&suite, "ipmid")["refused"], Value::Null);
    let property = ["get-property", &name_of("ipmid"), PATH, INTERFACE, "ConfigurationError"];
    assert_eq!(suite.bus.busctl(&property).ok().trim(), r#"{"type":"s","data":""}"#);
}

const PATH: &str = "/org/causeway/Daemon";
const INTERFACE: &str = "org.causeway.Daemon";

fn name_of(daemon: &str) -> String {
    let channel = if daemon == "netipmid" { ".lan0" } else { "" };
    format!("org.causeway.Daemon.{daemon}{channel}")
}

/// The ids in Get Channel Cipher Suites' records.
fn cipher_suites(suite: &Suite) -> Vec<u8> {
    let (code, data) = suite.bus.execute(APP, 0x54, &[1, 0, 0x80]);
    assert_eq!(code, 0);
    let records = data.windows(2).filter(|pair| pair[0] == 0xc0);
    records.map(|pair| pair[1]).collect()
}

#[test]
fn cipher_suites_are_those_of_new_sessions() {
    let mut suite = Suite::start();
    let login = suite.administrator();
    let mut old = Shell::open(&login.suite(3));
    assert_eq!(cipher_suites(&suite), [3, 17]);
    configure(&suite, "[lan]\ncipher-suites = [17]\n");
    hang_up(&mut suite.netipmid);
    login.suite(3).ipmitool("mc info").failed();
    login.suite(17).ipmitool("mc info").ok();
    assert!(old.run("raw 6 1").trim_start().starts_with("20 "), "its session lives on");
    hang_up(&mut suite.ipmid);
    assert_eq!(cipher_suites(&suite), [17]);
}

#[test]
fn the_log_level_is_that_of_the_file() {
    let suite = Suite::start();
    let login = suite.administrator();
    let logins = || suite.netipmid.log().matches("info: login").count();
    for (level, count) in [("error", 0), ("info", 1), ("warn", 1)] {
        configure(&suite, &format!("[log]\nlevel = \"{level}\"\n"));
        reloaded(&suite, "netipmid");
        login.ipmitool("mc info").ok();
        assert_eq!(logins(), count, "{level}");
    }
}

fn host_bridge_applies_its_limits(kind: Kind) {
    let mut suite = Suite::start();
    let path = suite.dir().join("device");
    let path_text = path.display().to_string();
    let mut bridge = suite.bridge(kind.bridge(), kind.channel(), ["--device", &path_text]);
    let mut device = HostDevice::plug(kind, &path);
    device.request(APP, GET_DEVICE_ID);
    configure(&suite, "[host]\nrunning = 1\n");
    hang_up(&mut bridge);
    suite.ipmid.pause();
    // The host gives the first one up, and it still runs.
    device.send(APP, GET_DEVICE_ID);
    wait::until_true("the second one is refused", || {
        device.send(APP, 0x04);
        device.receive(APP, 0x04)[0] == 0xc0
    });
    suite.ipmid.resume();
    wait::until_true("the first one has ended", || device.request(APP, GET_DEVICE_ID)[0] == 0);
}

#[test]
fn kcsbridged_applies_its_limits() {
    host_bridge_applies_its_limits(Kind::Kcs);
}

#[test]
fn btbridged_applies_its_limits() {
    host_bridge_applies_its_limits(Kind::Bt);
}

#[test]
fn ssifbridged_applies_its_limits() {
    host_bridge_applies_its_limits(Kind::Ssif);
}

#[test]
fn ipmbbridged_applies_its_number_of_tries_and_its_satellites() {
    let suite = Suite::start();
    let satellites = Satellites::start(suite.dir());
    let device = satellites.device().display().to_string();
    let mut bridge = suite.bridge("ipmbbridged", "Ipmb", ["--device", &device]);
    let login = suite.administrator();
    let target = "[[ipmb.target]]\nchannel = 9\naddress = 0x24\n";
    configure(&suite, &format!("[ipmb]\ntries = 2\n{target}"));
    hang_up(&mut bridge);
    login.ipmitool("-t 0x30 -b 0 raw 6 1").failed();
    assert_eq!(satellites.requests_for(0x30), 2);
    let object = [
        "call",
        "xyz.openbmc_project.Ipmi.Channel.Ipmb",
        "/xyz/openbmc_project/Ipmi/Channel/Ipmb",
        "org.openbmc.Ipmb",
        "sendRequest",
        "yyyyay",
    ];
    let reply = suite.bus.busctl(&[&object[..], &["9", "6", "0", "1", "0"]].concat());
    assert!(reply.ok().contains(r#""data":[[0,7,"#), "{reply}");
}

#[test]
fn platformd_applies_how_the_host_behaves() {
    let mut suite = Suite::start();
    let login = suite.administrator();
    let file = suite.dir().join("platform.toml");
    let platform = fs::read_to_string(&file).expect("the platform");
    let status = || login.ipmitool("chassis power status").ok().to_owned();
    login.ipmitool("chassis power off").ok();
    wait::until_true("off", || status().contains("is off"));
    replace(&file, &platform.replace("[chassis]", "[chassis]\nfault = \"never-on\""));
    let answer = reloaded(&suite, "platformd");
    assert_eq!(answer["refused"], Value::Null, "{answer}");
    assert!(answer["applied"].to_string().contains("chassis.fault"), "{answer}");
    login.ipmitool("chassis power on").ok();
    // Power has come up in vain.
    suite.bus.until_property(&CHASSIS_STATE, "Off");
    replace(&file, &platform);
    hang_up(&mut suite.platformd);
    wait::until_true("on", || {
        login.ipmitool("chassis power on").ok();
        status().contains("is on")
    });
    replace(&file, "[host]\n\nboots = 1\n");
    let answer = reloaded(&suite, "platformd");
    let refused = (&answer["refused"]["file"], &answer["refused"]["line"]);
    assert_eq!(refused, (&json!(file.display().to_string()), &json!(3)), "{answer}");
}

/// What needs a restart is named at each reload until there was one.
#[test]
fn what_needs_a_restart_is_named_until_then() {
    let mut suite = Suite::start();
    configure(&suite, "[sel]\ncapacity = 100\nlog-clears = true\n");
    let answer = reloaded(&suite, "ipmid");
    assert_eq!(answer["applied"], json!(["sel.log-clears"]), "{answer}");
    assert_eq!(answer["restart-needed"], json!(["sel.capacity"]), "{answer}");
    assert!(suite.ipmid.log().contains("take effect when the daemon is restarted"));
    let answer = reloaded(&suite, "ipmid");
    assert_eq!(answer["applied"], json!([]), "{answer}");
    assert_eq!(answer["restart-needed"], json!(["sel.capacity"]), "{answer}");
    suite.ipmid.terminate();
    suite.restart_ipmid();
    let on_bus = || ctl::on(&suite.bus, "config reload ipmid").code == Some(0);
    wait::until_true("it is on the bus", on_bus);
    assert_eq!(reloaded(&suite, "ipmid")["restart-needed"], json!([]));
    let Output { stdout, .. } = ctl::on(&suite.bus, "config diff ipmid");
    assert_eq!(stdout, "nothing differs from what is in force\n");
}
