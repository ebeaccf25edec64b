//! Set In Progress of all kinds of parameters: the owner of the update, and its end.

use tests::bus::HOST_STATE;
use tests::suite::Suite;
use tests::wait;

/// Parameters: NetFn, the commands that set and get, and how the requests begin.
const PARAMETERS: [(&str, u8, [u8; 2], &[u8]); 5] = [
    ("LAN", 0x0c, [0x01, 0x02], &[0x01]),
    ("SOL", 0x0c, [0x21, 0x22], &[0x01]),
    ("PEF", 0x04, [0x12, 0x13], &[]),
    ("boot", 0x00, [0x08, 0x09], &[]),
    ("system info", 0x06, [0x58, 0x59], &[]),
];

/// Set In Progress: its parameter number, and 81h, "set in progress by another client".
const PROGRESS: u8 = 0;
const BEGIN: u8 = 1;
const IN_PROGRESS: u8 = 0x81;

/// The host begins an update of each; returns the completion codes.
fn begin(suite: &Suite) -> Vec<u8> {
    let begun = PARAMETERS.map(|(_, netfn, [set, _], head)| {
        let request = [head, &[PROGRESS, BEGIN]].concat();
        suite.bus.execute(netfn, set, &request).0
    });
    begun.to_vec()
}

/// Those that are in progress.
fn in_progress(suite: &Suite) -> Vec<&'static str> {
    let mut found = Vec::new();
    for (name, netfn, [_, get], head) in PARAMETERS {
        // Get System Info Parameters alone has its flags in a byte of their own.
        let head = if name == "system info" { &[0] } else { head };
        let request = [head, &[PROGRESS, 0, 0]].concat();
        let (code, data) = suite.bus.execute(netfn, get, &request);
        assert_eq!(code, 0, "{name}");
        if data.last() == Some(&BEGIN) {
            found.push(name);
        }
    }
    found
}

#[test]
fn updates_end_when_the_host_goes_off_or_is_reset() {
    let suite = Suite::start();
    let login = suite.administrator();
    login.ipmitool("chassis power on").ok();
    suite.bus.until_property(&HOST_STATE, "Running");
    for command in ["chassis power reset", "chassis power off"] {
        // A late signal of the earlier start ends them too.
        wait::until_true("all are updated", || {
            begin(&suite);
            in_progress(&suite).len() == PARAMETERS.len()
        });
        login.ipmitool(command).ok();
        wait::until_true(command, || in_progress(&suite).is_empty());
        if command.ends_with("reset") {
            suite.bus.until_property(&HOST_STATE, "Running");
        }
    }
}

#[test]
fn there_is_one_update_at_a_time() {
    let suite = Suite::start();
    assert_eq!(in_progress(&suite), [""; 0]);
    assert_eq!(begin(&suite), [0; 5]);
    assert_eq!(begin(&suite), [IN_PROGRESS; 5]);
    assert_eq!(in_progress(&suite).len(), PARAMETERS.len());
}

#[test]
fn an_update_ends_with_its_session() {
    let suite = Suite::start();
    let login = suite.administrator();
    for (name, netfn, [set, _], head) in PARAMETERS {
        let bytes = [&[netfn, set], head, &[PROGRESS, BEGIN]].concat();
        let bytes: Vec<String> = bytes.iter().map(u8::to_string).collect();
        let raw = format!("raw {}", bytes.join(" "));
        // Each run of ipmitool is a session of its own.
        login.ipmitool(&raw).ok();
        wait::until_true(&format!("{name} can be updated again"), || {
            login.ipmitool(&raw).code == Some(0)
        });
    }
    wait::until_true("all are over", || in_progress(&suite).is_empty());
}
