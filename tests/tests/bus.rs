//! What the daemons say to each other on the bus.

use tests::bus::Bus;
use tests::monitor::Monitor;
use tests::shell::Shell;
use tests::suite::Suite;

/// How often a command is sent while the bus is watched.
const REQUESTS: usize = 20;

/// Watches the bus while a session sends the request `line`, and expects `execute()` alone.
#[track_caller]
fn assert_one_call(suite: &Suite, shell: &mut Shell, line: &str) {
    // Once before: what is read at first use is known from then on.
    let answer = shell.run(line);
    assert!(!answer.contains("rsp="), "{line}: {answer}");
    let dir = tempfile::tempdir().expect("a folder");
    let monitor = Monitor::start(&suite.bus, dir.path());
    for _ in 0..REQUESTS {
        assert!(!shell.run(line).contains("rsp="), "{line}");
    }
    let mut calls = monitor.finish(&suite.bus);
    // The mapper looks at every service that appears, in its own time.
    calls.retain(|call| call.member != "Introspect");
    let others: Vec<_> = calls
        .iter()
        .filter(|call| call.member != "execute")
        .collect();
    assert!(others.is_empty(), "{line}: {others:?}");
    assert_eq!(calls.len(), REQUESTS, "{line}");
}

#[test]
fn a_request_is_one_call() {
    let suite = Suite::start();
    let mut shell = Shell::open(&suite.administrator());
    shell.run("raw 0x0a 0x44 0 0 2 0 0 0 0 0x20 0 4 1 0x30 1 0x59 0x66 0x64");
    for (name, line) in [
        ("Get Device ID", "raw 0x06 0x01"),
        ("Get Sensor Reading", "raw 0x04 0x2d 0x01"),
        ("Get SDR", "raw 0x0a 0x23 0 0 0x00 0x01 0 0xff"),
        ("Get SEL Entry", "raw 0x0a 0x43 0 0 0 0 0 0xff"),
    ] {
        eprintln!("{name}");
        assert_one_call(&suite, &mut shell, line);
    }
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
