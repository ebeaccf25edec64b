//! Users as ipmitool makes them.

use tests::clients::{CIPHER_SUITES, Login};
use tests::openbmc::USERS;
use tests::suite::Suite;
use tests::{client, wait};

/// Makes user 5, "erin", with the four commands, and logs in.
fn four_commands_suffice(administrator: &Login) {
    for command in
        ["user set name 5 erin", "user set password 5 s3cret", "user priv 5 4 1", "user enable 5"]
    {
        administrator.ipmitool(command).ok();
    }
    let erin = administrator.user("erin", "s3cret");
    wait::until_true("the new user logs in", || erin.ipmitool("mc info").code == Some(0));
}

#[test]
fn user_with_name_password_privilege_and_enabled_logs_in() {
    let suite = Suite::start();
    four_commands_suffice(&suite.administrator());
    for id in CIPHER_SUITES {
        let erin = suite.administrator().user("erin", "s3cret").suite(id);
        erin.ipmitool("mc info").ok();
    }
}

#[test]
fn user_of_openbmc_with_name_password_privilege_and_enabled_logs_in() {
    let suite = Suite::with_openbmc_accounts("");
    let (name, password, _) = USERS[0];
    four_commands_suffice(&suite.administrator().user(name, password));
}

#[test]
fn messaging_that_was_switched_off_stays_off() {
    let mut suite = Suite::start();
    four_commands_suffice(&suite.administrator());
    let administrator = suite.administrator();
    let erin = administrator.user("erin", "s3cret");
    // Set User Access without IPMI messaging: `channel setaccess` does not switch it off.
    administrator.ipmitool("raw 6 0x43 0x81 5 4 0").ok();
    wait::until_true("the login is refused", || erin.ipmitool("mc info").code != Some(0));
    suite.ipmid.kill();
    suite.restart_ipmid();
    wait::until_true("ipmid serves again", || {
        administrator.ipmitool("user priv 5 3 1").code == Some(0)
    });
    // The last byte of Get User Access: Operator, no flags.
    let access = administrator.ipmitool("raw 6 0x44 1 5");
    assert!(access.ok().trim_end().ends_with(" 03"), "{access}");
    erin.level("OPERATOR").ipmitool("mc info").failed();
}

#[test]
fn empty_password_opens_no_session() {
    let suite = Suite::with("[lan]\nipmi-15 = [\"md5\", \"password\"]\n");
    let administrator = suite.administrator();
    four_commands_suffice(&administrator);
    // Set User Password: sixteen zero bytes.
    let zeros = " 0".repeat(16);
    administrator.ipmitool(&format!("raw 6 0x47 5 2{zeros}")).ok();
    let log = || suite.netipmid.log();
    wait::until_true("the login with an empty password is refused for it", || {
        let erin = administrator.user("erin", "");
        assert_ne!(erin.ipmitool("mc info").code, Some(0), "before or after");
        log().contains("reason=\"no-password\"")
    });
    for id in CIPHER_SUITES {
        administrator.user("erin", "").suite(id).ipmitool("mc info").failed();
    }
    for auth in ["MD5", "PASSWORD", "NONE"] {
        let mut lan = administrator.program("ipmitool");
        let (host, port) = (suite.address.ip().to_string(), suite.address.port().to_string());
        lan.args(["-I", "lan", "-H", &host, "-p", &port, "-U", "erin", "-P", "", "-A", auth]);
        client::run(lan.args(["-R", "1", "mc", "info"])).failed();
    }
    // The old password is gone too.
    administrator.user("erin", "s3cret").ipmitool("mc info").failed();
}

#[test]
fn last_administrators_way_in_is_logged_when_it_is_closed() {
    let suite = Suite::start();
    let administrator = suite.administrator();
    administrator.ipmitool("lan set 1 access off").ok();
    wait::until_true("ipmid warns", || suite.ipmid.log().contains("administrator"));
    wait::until_true("netipmid's audit log has the command", || {
        suite.netipmid.log().contains("command=06/40 result=00")
    });
    administrator.ipmitool("mc info").failed();
}
