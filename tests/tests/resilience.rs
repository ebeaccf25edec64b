//! Daemons and services that die or hang: sessions and data outlive them, and no client waits for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use tests::bus::HOST_STATE;
use tests::clients::Login;
use tests::shell::Shell;
use tests::suite::Suite;
use tests::terminal::Terminal;
use tests::wait;

/// Get Device ID, in ipmitool's shell.
const GET_DEVICE_ID: &str = "raw 6 1";

/// What ipmitool's `raw` prints of a completion code.
const FAILED: &str = "rsp=0x";

/// Sessions that send Get Device ID one after the other until stopped.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(login: &Login, sessions: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let session = || {
            let (stop, login) = (Arc::clone(&stop), login.clone());
            let mut shell = Shell::open(&login);
            thread::spawn(move || {
                let mut answers = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    answers.push(shell.run(GET_DEVICE_ID));
                }
                answers
            })
        };
        let threads = (0..sessions).map(|_| session()).collect();
        Self { stop, threads }
    }

    /// All replies, each either the device id or a completion code.
    fn finish(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().flat_map(|thread| thread.join().expect("a session")).collect()
    }
}

/// Whether the session answers Get Device ID as `before`.
fn answers(shell: &mut Shell, before: &str) -> bool {
    shell.run(GET_DEVICE_ID) == before
}

/// The first bytes of each device id: the later ones come from the platform, which may be absent.
const DEVICE_ID: &str = "\n 20 81 ";

#[track_caller]
fn assert_all_answered(answers: &[String]) {
    let sound = |answer: &&String| answer.starts_with(DEVICE_ID) || answer.contains(FAILED);
    let odd = answers.iter().find(|answer| !sound(answer));
    assert_eq!(odd, None, "neither the id nor a completion code");
    assert!(answers.iter().any(|answer| answer.starts_with(DEVICE_ID)), "no request succeeded");
}

#[test]
fn sessions_and_users_survive_a_killed_ipmid() {
    let mut suite = Suite::start();
    let bob = suite.add_user(3, "bob", "s3cret", 4);
    let mut shell = Shell::open(&bob);
    let id = shell.run(GET_DEVICE_ID);
    let load = Load::start(&suite.administrator(), 4);
    for _ in 0..3 {
        suite.ipmid.kill();
        let meanwhile = shell.run(GET_DEVICE_ID);
        assert!(meanwhile.contains(FAILED), "{meanwhile}");
        suite.restart_ipmid();
        wait::until_true("the session works again", || answers(&mut shell, &id));
    }
    assert_all_answered(&load.finish());
    let users = bob.ipmitool("user list 1");
    assert!(users.ok().contains("bob"), "{users}");
}

#[test]
fn sessions_survive_a_killed_bus() {
    let mut suite = Suite::start();
    let bob = suite.add_user(3, "bob", "s3cret", 4);
    let mut shell = Shell::open(&bob);
    let id = shell.run(GET_DEVICE_ID);
    let load = Load::start(&suite.administrator(), 4);
    suite.bus.kill();
    let meanwhile = shell.run(GET_DEVICE_ID);
    assert!(meanwhile.contains(FAILED), "{meanwhile}");
    suite.bus.restart();
    wait::until_true("the session works again", || answers(&mut shell, &id));
    assert_all_answered(&load.finish());
    let users = bob.ipmitool("user list 1");
    assert!(users.ok().contains("bob"), "{users}");
    wait::until_true("the platform is back", || {
        suite.administrator().ipmitool("chassis power on").code == Some(0)
    });
    suite.bus.until_property(&HOST_STATE, "Running");
}

/// The mapper introspects the bridge's objects again while sessions come and go.
#[test]
fn sessions_are_found_while_others_come_and_go() {
    let mut suite = Suite::start();
    let administrator = suite.administrator();
    let stop = Arc::new(AtomicBool::new(false));
    let visitors: Vec<_> = (0..3)
        .map(|_| {
            let (stop, login) = (Arc::clone(&stop), administrator.clone());
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    login.ipmitool(GET_DEVICE_ID).ok();
                }
            })
        })
        .collect();
    for _ in 0..3 {
        suite.platformd.kill();
        suite.restart_platformd();
        wait::until_true("the bridge is known to the mapper", || {
            administrator.ipmitool("session info active").code == Some(0)
        });
        for _ in 0..8 {
            administrator.ipmitool("session info active").ok();
        }
    }
    stop.store(true, Ordering::Relaxed);
    for visitor in visitors {
        visitor.join().expect("a visitor");
    }
}

#[test]
fn a_console_goes_on_without_the_bus_and_ipmid() {
    let mut suite = Suite::start();
    let mut console = Terminal::sol(&suite.administrator());
    let mut talks = move || {
        console.enter("hello\r");
        console.until_shows("hello from the host");
    };
    talks();
    suite.bus.kill();
    suite.ipmid.kill();
    talks();
    suite.bus.restart();
    talks();
    suite.restart_ipmid();
    wait::until_true("the session is on the bus again", || {
        let name = "xyz.openbmc_project.Ipmi.Channel.lan0";
        let objects = suite.bus.busctl(&["tree", "--list", name]);
        let sessions = "/xyz/openbmc_project/ipmi/session/lan0/";
        let active = |path: &str| path.strip_prefix(sessions).is_some_and(|id| id != "0");
        objects.stdout.lines().any(active)
    });
    talks();
}

#[test]
fn the_daemons_start_in_any_order() {
    let mut suite = Suite::start();
    suite.administrator().ipmitool("mc info").ok();
    for daemon in [&mut suite.platformd, &mut suite.ipmid, &mut suite.netipmid] {
        assert!(daemon.terminate().success(), "{}", daemon.log());
    }
    suite.restart_netipmid();
    let login = suite.administrator();
    suite.restart_ipmid();
    wait::until_true("ipmid serves", || login.ipmitool("mc info").code == Some(0));
    suite.restart_platformd();
    wait::until_true("the platform serves", || {
        login.ipmitool("chassis power status").code == Some(0)
    });
}

/// The line of ipmid's log about failures of `command`, which must be one.
#[track_caller]
fn failure_of(log: &str, command: &str) -> String {
    let is_failure = |line: &&str| line.contains(&format!(" command=\"{command}\" "));
    let lines: Vec<&str> = log.lines().filter(is_failure).collect();
    assert_eq!(lines.len(), 1, "{log}");
    lines.concat()
}

#[test]
fn a_command_without_its_service_is_logged_once_with_the_object() {
    let mut suite = Suite::start();
    let login = suite.administrator();
    login.ipmitool("chassis power status").ok();
    assert!(!suite.ipmid.log().contains(" command="), "{}", suite.ipmid.log());
    assert!(suite.platformd.terminate().success());
    for _ in 0..3 {
        let failed = login.ipmitool("raw 0 1");
        assert!(failed.stderr.contains("rsp=0xd5"), "{failed}");
    }
    let line = failure_of(&suite.ipmid.log(), "Get Chassis Status");
    for part in [
        "ipmid: warning: ",
        " netfn=00h code=01h channel=1 completion=D5h ",
        " object=\"/xyz/openbmc_project/state/chassis0\" ",
        " member=\"Get xyz.openbmc_project.State.Chassis.CurrentPowerState\" ",
        " cause=\"org.freedesktop.DBus.Error.",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[test]
fn a_service_that_hangs_delays_only_what_needs_it() {
    let mut suite = Suite::start();
    let login = suite.administrator();
    login.ipmitool("chassis power status").ok();
    let mut asking = Shell::open(&login);
    let mut other = Shell::open(&login);
    let id = other.run(GET_DEVICE_ID);
    suite.platformd.pause();
    asking.send("raw 0 2 1");
    for _ in 0..20 {
        assert_eq!(other.run(GET_DEVICE_ID), id, "while Chassis Control waits");
    }
    let answer = asking.answer("raw 0 2 1");
    assert!(answer.contains("rsp=0xc3"), "{answer}");
    let line = failure_of(&suite.ipmid.log(), "Chassis Control");
    for part in [
        " completion=C3h ",
        " object=\"/xyz/openbmc_project/state/host0\" ",
        " member=\"Set xyz.openbmc_project.State.Host.RequestedHostTransition\" ",
        " cause=\"no reply within 2s\"",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    suite.platformd.resume();
    wait::until_true("Chassis Control works again", || !asking.run("raw 0 2 1").contains(FAILED));
    suite.bus.until_property(&HOST_STATE, "Running");
}
