//! A LAN user never gets more than the privilege that is configured for it, whatever ipmid knows of the bridge.

use tests::suite::Suite;
use tests::wait;

/// The administrator's password after what a user of USER level must not do.
const STOLEN: &str = "hacked123";

/// A user of USER level, through the suite's own netipmid.
const BOB: (&str, &str) = ("bob", "bobs-password");

/// The channel table of a netipmid whose LAN channel has another name than ipmid's.
const RENAMED: &str = "[[channel]]\nnumber = 1\nname = \"eth0\"\nmedium = \"lan\"\n\
    protocol = \"ipmb-1.0\"\nsessions = \"multi-session\"\n";

/// A user who may not change passwords tries to, and the administrator's still holds.
#[track_caller]
fn cannot_change_the_administrators_password(suite: &Suite, bob: &tests::clients::Login) {
    for suite_id in tests::clients::CIPHER_SUITES {
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

#[test]
fn channel_that_ipmid_does_not_know_gives_no_privilege() {
    let suite = Suite::start();
    let bob = suite.add_user(3, BOB.0, BOB.1, 2);
    let (renamed, address) = suite.second_netipmid("eth0", RENAMED);
    let name = "xyz.openbmc_project.Ipmi.Channel.eth0";
    wait::until_true("the renamed channel is on the bus", || suite.bus.has_name(name));
    wait::until_true("both logs say so", || {
        let in_bridge = renamed.log().contains("ipmid refuses this bridge");
        in_bridge && suite.ipmid.log().contains("channel that is not configured")
    });
    cannot_change_the_administrators_password(&suite, &bob.at(address));
    // Nor does an administrator get anything there: the channel does not exist for ipmid.
    assert_ne!(suite.administrator().at(address).ipmitool("mc info").code, Some(0));
    assert!(suite.ipmid.log().contains("no channel is configured for the bus name"));
}

#[test]
fn second_bridge_of_a_channel_that_came_and_went_gives_no_privilege() {
    let suite = Suite::start();
    let bob = suite.add_user(3, BOB.0, BOB.1, 2);
    let configuration = std::fs::read_to_string(suite.dir().join("causeway.toml")).unwrap();
    let (mut second, address) = suite.second_netipmid("lan0", &configuration);
    wait::until_true("the second has tried to own the name", || {
        second.exited().is_some() || second.log().contains("bus name")
    });
    // Without the name it is no bridge, whatever it sends.
    if second.exited().is_none() {
        cannot_change_the_administrators_password(&suite, &bob.at(address));
        second.kill();
    }
    cannot_change_the_administrators_password(&suite, &bob);
    assert_eq!(bob.level("USER").ipmitool("mc info").code, Some(0), "{}", suite.ipmid.log());
}

/// ipmid starts anew while a bridge runs, and knows nothing of its past.
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
