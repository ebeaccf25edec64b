//! The D-Bus calls between the daemons.

use tests::bus::Bus;
use tests::monitor::{Call, Monitor};
use tests::shell::Shell;
use tests::suite::Suite;
use tests::wait;

/// How often a command is sent while the bus is watched.
const REQUESTS: usize = 20;

/// Sends the request `line` some times while the bus is watched: how often `execute()` was called, and the
/// other calls.
fn calls_of(suite: &Suite, shell: &mut Shell, line: &str) -> (usize, Vec<Call>) {
    let dir = tempfile::tempdir().expect("a folder");
    let monitor = Monitor::start(&suite.bus, dir.path());
    for _ in 0..REQUESTS {
        let answer = shell.run(line);
        assert!(!answer.contains("rsp="), "{line}: {answer}");
    }
    let calls = monitor.finish(&suite.bus);
    let (execute, others): (Vec<_>, Vec<_>) =
        calls.into_iter().partition(|call| call.member == "execute");
    (execute.len(), others)
}

/// Requests for sensors, records and the device id, by the name of the command.
const QUESTIONS: [(&str, &str); 4] = [
    ("Get Device ID", "raw 0x06 0x01"),
    ("Get Sensor Reading", "raw 0x04 0x2d 0x01"),
    ("Get SDR", "raw 0x0a 0x23 0 0 0x00 0x01 0 0xff"),
    ("Get SEL Entry", "raw 0x0a 0x43 0 0 0 0 0 0xff"),
];

/// Each question is `count` calls of `execute()` and no other call.
fn assert_calls(suite: &Suite, count: usize) {
    let mut shell = Shell::open(&suite.administrator());
    shell.run("raw 0x0a 0x44 0 0 2 0 0 0 0 0x20 0 4 1 0x30 1 0x59 0x66 0x64");
    wait::until_true("the sensors have their numbers", || {
        QUESTIONS.iter().all(|(_, line)| !shell.run(line).contains("rsp="))
    });
    for (name, line) in QUESTIONS {
        // What services that have just come are asked once may be heard in the first turns; what a request
        // asks is heard in every turn.
        wait::until_true(&format!("{name} is no further call"), || {
            let (execute, others) = calls_of(suite, &mut shell, line);
            assert_eq!(execute, count, "{name}");
            others.iter().for_each(|call| eprintln!("{name}: {call:?}"));
            others.is_empty()
        });
    }
}

#[test]
fn a_request_is_one_call() {
    assert_calls(&Suite::with("[ipmid]\ndirect = false"), REQUESTS);
}

#[test]
fn a_request_over_a_direct_link_is_no_call() {
    assert_calls(&Suite::start(), 0);
}

#[test]
fn a_direct_link_is_given_where_the_configuration_allows_it() {
    let open = [
        "call",
        "xyz.openbmc_project.Ipmi.Host",
        "/xyz/openbmc_project/Ipmi",
        "org.causeway.Ipmi.Direct",
        "Open",
    ];
    let given = Suite::start().bus.busctl(&open);
    assert!(given.ok().contains("\"type\":\"h\""), "{given:?}");
    let refused = Suite::with("[ipmid]\ndirect = false").bus.busctl(&open);
    assert!(refused.stderr.contains("Access denied"), "{refused:?}");
}

#[test]
fn a_monitor_hears_calls() {
    let dir = tempfile::tempdir().expect("a folder");
    let bus = Bus::start(dir.path());
    let monitor = Monitor::start(&bus, dir.path());
    let peer = ["call", "org.freedesktop.DBus", "/", "org.freedesktop.DBus.Peer", "Ping"];
    bus.busctl(&peer).ok();
    let calls = monitor.finish(&bus);
    assert!(calls.iter().any(|call| call.member == "Ping"), "{calls:?}");
}
