//! A LAN user never gets more than the privilege that is configured for it, even if ipmid knows nothing of the bridge.

use std::fs;

use tests::bus::Bus;
use tests::client::Output;
use tests::clients::{CIPHER_SUITES, Login};
use tests::process::Process;
use tests::suite::Suite;
use tests::wait;

/// The administrator's password after what a user of USER level must not do.
const STOLEN: &str = "hacked123";

/// The bus name of the suite's own LAN channel.
const LAN: &str = "xyz.openbmc_project.Ipmi.Channel.lan0";

/// A user of USER level, through the suite's own netipmid.
const BOB: (&str, &str) = ("bob", "bobs-password");

/// The channel table of a netipmid whose LAN channel has another name than ipmid's.
const RENAMED: &str = "[[channel]]\nnumber = 1\nname = \"eth0\"\nmedium = \"lan\"\n\
    protocol = \"ipmb-1.0\"\nsessions = \"multi-session\"\n";

/// A user who may not change passwords tries to, and the administrator's still holds.
#[track_caller]
fn cannot_change_the_administrators_password(suite: &Suite, bob: &Login) {
    for suite_id in CIPHER_SUITES {
        let bob = bob.suite(suite_id).level("USER");
        let output = bob.ipmitool(&format!("user set password 2 {STOLEN} 20"));
        assert_ne!(output.code, Some(0), "{output}");
        // Chassis Control needs Operator: refused as well, so that nothing runs with more.
        assert_ne!(bob.ipmitool("chassis power off").code, Some(0));
    }
    suite.administrator().ipmitool("user list 1").ok();
    let stolen = suite.administrator().user("root", STOLEN);
    assert_ne!(stolen.ipmitool("mc info").code, Some(0));
}

/// Waits until a bridge ends, because another has its name, or has sent a request of `login`'s to ipmid.
fn wait_for_bridge(bridge: &mut Process, login: &Login) {
    wait::until_true("the bridge ends or serves", || {
        let output = login.level("USER").ipmitool("raw 6 1");
        bridge.exited().is_some() || output.code == Some(0) || output.stderr.contains("rsp=0x")
    });
}

#[test]
fn channel_that_ipmid_does_not_know_gives_no_privilege() {
    let suite = Suite::start();
    let bob = suite.add_user(3, BOB.0, BOB.1, 2);
    let (renamed, address) = suite.second_netipmid("eth0", RENAMED);
    let name = "xyz.openbmc_project.Ipmi.Channel.eth0";
    wait::until_true("the renamed channel is on the bus", || suite.bus.has_name(name));
    cannot_change_the_administrators_password(&suite, &bob.at(address));
    wait::until_true("both logs say so", || {
        let in_bridge = renamed.log().contains("ipmid refuses this bridge");
        in_bridge && suite.ipmid.log().contains("channel that is not configured")
    });
    // Nor does an administrator get anything there: the channel does not exist for ipmid.
    assert_ne!(suite.administrator().at(address).ipmitool("mc info").code, Some(0));
    assert!(suite.ipmid.log().contains("no channel is configured for the bus name"));
    assert!(renamed.log().contains("ipmid refuses this bridge's requests"));
}

/// Without direct links a bridge learns of it from the answers, and the log is not flooded.
#[test]
fn channel_that_ipmid_does_not_know_is_logged_at_both_ends_without_direct_links_too() {
    let suite = Suite::with("[ipmid]\ndirect = false");
    let bob = suite.add_user(3, BOB.0, BOB.1, 2);
    let configuration = format!("{RENAMED}\n[ipmid]\ndirect = false\n");
    let (renamed, address) = suite.second_netipmid("eth0", &configuration);
    let name = "xyz.openbmc_project.Ipmi.Channel.eth0";
    wait::until_true("the renamed channel is on the bus", || suite.bus.has_name(name));
    let bob = bob.at(address).level("USER");
    for _ in 0..20 {
        let output = bob.ipmitool("raw 6 1");
        assert!(output.stderr.contains("rsp=0xd3"), "{output}");
    }
    let lines = |log: &str, text: &str| log.lines().filter(|line| line.contains(text)).count();
    for (log, text) in [
        (renamed.log(), "ipmid refuses this bridge's requests"),
        (suite.ipmid.log(), "request refused with D3h"),
    ] {
        let lines = lines(&log, text);
        assert!((1..=10).contains(&lines), "{lines} lines: {log}");
    }
}

#[test]
fn second_bridge_of_a_channel_that_came_and_went_gives_no_privilege() {
    let suite = Suite::start();
    let bob = suite.add_user(3, BOB.0, BOB.1, 2);
    let configuration = fs::read_to_string(suite.dir().join("causeway.toml")).unwrap();
    let (mut second, address) = suite.second_netipmid("lan0", &configuration);
    wait_for_bridge(&mut second, &bob.at(address));
    // Without the name it is not accepted as a bridge, with any options.
    if second.exited().is_none() {
        cannot_change_the_administrators_password(&suite, &bob.at(address));
        second.kill();
    }
    cannot_change_the_administrators_password(&suite, &bob);
    assert_eq!(bob.level("USER").ipmitool("mc info").code, Some(0), "{}", suite.ipmid.log());
}

/// ipmid restarts while a bridge runs, and does not know the names that it owned before.
#[test]
fn restart_of_ipmid_gives_no_privilege() {
    let mut suite = Suite::start();
    let bob = suite.add_user(3, BOB.0, BOB.1, 2);
    let (renamed, address) = suite.second_netipmid("eth0", RENAMED);
    let name = "xyz.openbmc_project.Ipmi.Channel.eth0";
    wait::until_true("the renamed channel is on the bus", || suite.bus.has_name(name));
    suite.ipmid.kill();
    suite.restart_ipmid();
    wait::until_true("the administrator is served again", || {
        suite.administrator().ipmitool("mc info").code == Some(0)
    });
    cannot_change_the_administrators_password(&suite, &bob.at(address));
    drop(renamed);
}

/// Another user's process is the bridge of the channel: neither its sessions nor those of a bridge that came too
/// late get anything.
#[test]
fn bridge_of_another_user_gives_no_privilege() {
    let mut suite = Suite::start();
    let bob = suite.add_user(3, BOB.0, BOB.1, 2);
    // While the suite's own netipmid has or had the name.
    let Some((mut foreign, address, _folder)) = suite.netipmid_of_user("nobody") else {
        return;
    };
    wait_for_bridge(&mut foreign, &bob.at(address));
    cannot_change_the_administrators_password(&suite, &bob);
    foreign.kill();
    suite.netipmid.kill();
    wait::until_true("the name is free", || !suite.bus.has_name(LAN));
    let Some((foreign, address, _folder)) = suite.netipmid_of_user("nobody") else {
        return;
    };
    wait::until_true("another user's process has the name", || suite.bus.has_name(LAN));
    let bob = bob.at(address);
    wait::until_true("it serves", || bob.level("USER").ipmitool("raw 6 1").stderr.contains("0xd3"));
    for suite_id in CIPHER_SUITES {
        let bob = bob.suite(suite_id).level("USER");
        for command in ["user set password 2 hacked123 20", "raw 6 1", "chassis power off"] {
            let output = bob.ipmitool(command);
            assert_ne!(output.code, Some(0), "{output}");
        }
    }
    assert!(suite.ipmid.log().contains("its user is not among the accepted callers"));
    drop(foreign);
    wait::until_true("the name is free again", || !suite.bus.has_name(LAN));
    suite.restart_netipmid();
    suite.administrator().ipmitool("mc info").ok();
}

/// What each set of options gives a local process that owns no name: nothing but the system's, without options.
#[test]
fn options_of_a_process_that_is_no_bridge_are_refused() {
    let suite = Suite::start();
    assert_eq!(code(&execute(&suite.bus, "0")), Some(0x00));
    for options in [
        "3 userId i 2 privilege i 4 currentSessionId u 1",
        "1 userId i 2",
        "1 userId s 2",
        "1 privilege i 4",
        "1 privilege y 4",
        "1 currentSessionId u 1",
        "1 sessionId u 1",
        "2 rqSA i 18 hostId i 0",
        "1 rqSA i 18",
        "1 hostId i 0",
        "1 other b true",
    ] {
        assert_eq!(code(&execute(&suite.bus, options)), Some(0xd3), "{options}");
    }
}

/// Get Device ID by a process of the test's user, with these options.
fn execute(bus: &Bus, options: &str) -> Output {
    let call = "call xyz.openbmc_project.Ipmi.Host /xyz/openbmc_project/Ipmi \
                xyz.openbmc_project.Ipmi.Server execute yyyaya{sv} 6 0 1 0";
    let line = format!("{call} {options}");
    bus.busctl(&line.split_whitespace().collect::<Vec<_>>())
}

/// The completion code of a reply.
fn code(output: &Output) -> Option<u64> {
    let reply: serde_json::Value = serde_json::from_str(output.ok()).ok()?;
    reply["data"][0][3].as_u64()
}
