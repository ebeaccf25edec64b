//! What the daemons say to each other on the bus.

use tests::bus::Bus;
use tests::monitor::Monitor;
use tests::shell::Shell;
use tests::suite::Suite;

/// How often a command is sent while the bus is watched.
const REQUESTS: usize = 20;

#[test]
fn get_device_id_is_one_call() {
    let suite = Suite::start();
    let mut shell = Shell::open(&suite.administrator());
    shell.run("raw 6 1");
    let monitor = Monitor::start(&suite.bus, suite.dir());
    for _ in 0..REQUESTS {
        shell.run("raw 6 1");
    }
    let mut calls = monitor.finish(&suite.bus);
    // The mapper looks at every service that appears, in its own time.
    calls.retain(|call| call.member != "Introspect");
    let others: Vec<_> = calls
        .iter()
        .filter(|call| call.member != "execute")
        .collect();
    assert!(others.is_empty(), "{others:?}");
    assert_eq!(calls.len(), REQUESTS);
}

#[test]
fn a_monitor_hears_calls() {
    let dir = tempfile::tempdir().expect("a folder");
    let bus = Bus::start(dir.path());
    let monitor = Monitor::start(&bus, dir.path());
    let peer = [
        "call",
        "org.freedesktop.DBus",
        "/",
        "org.freedesktop.DBus.Peer",
        "Ping",
    ];
    bus.busctl(&peer).ok();
    let calls = monitor.finish(&bus);
    assert!(calls.iter().any(|call| call.member == "Ping"), "{calls:?}");
}
