//! Changes of users and channels take effect on open sessions, in each store of accounts.

use tests::clients::Login;
use tests::openbmc::USERS;
use tests::shell::Shell;
use tests::suite::Suite;
use tests::{client, wait};

/// Chassis Identify, which needs Operator.
const OPERATORS: &str = "raw 0 4 1";
/// ipmitool's text for D4h.
const REFUSED: &str = "Insufficient privilege";
/// What netipmid logs when it ends a session because its user was changed.
const ENDED: &str = "its account changed";

/// A session of `user`, who is an operator.
fn open(user: &Login) -> Shell {
    let mut shell = Shell::open(&user.level("OPERATOR"));
    let reply = shell.run(OPERATORS);
    assert!(!reply.contains(REFUSED), "{reply}");
    shell
}

/// Waits until the session's privilege is below Operator; the session stays open.
fn until_lowered(shell: &mut Shell) {
    wait::until_true("the session is lowered", || shell.run(OPERATORS).contains(REFUSED));
    assert!(shell.run("chassis power status").contains("Chassis Power"));
}

/// Changes privilege, channel limit, password and enabling of user 3, the operator bob, during sessions of bob.
fn change_all(suite: &Suite, administrator: &Login, bob: &Login) {
    let ended = || suite.netipmid.log().matches(ENDED).count();
    let limit = |level: u8| {
        let (code, _) = suite.bus.execute(0x06, 0x40, &[1, 0x00, 0x80 | level]);
        assert_eq!(code, 0);
    };

    let mut shell = open(bob);
    administrator.ipmitool("channel setaccess 1 3 link=on ipmi=on privilege=2").ok();
    until_lowered(&mut shell);
    administrator.ipmitool("channel setaccess 1 3 link=on ipmi=on privilege=3").ok();
    drop(shell);

    let mut shell = open(bob);
    limit(2);
    until_lowered(&mut shell);
    limit(4);
    drop(shell);

    let before = ended();
    let shell = open(bob);
    administrator.ipmitool("user set password 3 another").ok();
    wait::until_true("the session of the old password ends", || ended() > before);
    drop(shell);

    let bob = bob.user(&bob.user, "another");
    let before = ended();
    let shell = open(&bob);
    administrator.ipmitool("user disable 3").ok();
    wait::until_true("the disabled user's session ends", || ended() > before);
    drop(shell);
}

#[test]
fn changes_take_effect_on_live_sessions() {
    let suite = Suite::start();
    let bob = suite.add_user(3, "bob", "first", 3);
    change_all(&suite, &suite.administrator(), &bob);
}

#[test]
fn changes_of_openbmcs_accounts_take_effect_on_live_sessions() {
    let suite = Suite::with_openbmc_accounts("");
    let login =
        |(name, password, _): (&str, &str, &str)| suite.administrator().user(name, password);
    change_all(&suite, &login(USERS[0]), &login(USERS[1]));
}

#[test]
fn a_client_that_changes_its_own_account_gets_the_response() {
    let suite = Suite::start();
    let login = suite.administrator();
    let id = 2; // the administrator's own
    login.ipmitool(&format!("user set password {id} another")).ok();
    let login = login.user(&login.user, "another");
    login.ipmitool(&format!("user set name {id} renamed")).ok();
    let login = login.user("renamed", "another");
    login.ipmitool(&format!("user disable {id}")).ok();
    login.ipmitool("mc info").failed();
}

#[test]
fn only_an_administrator_enables_a_user_locked_for_good() {
    let mut suite = Suite::with("[lan]\nipmi-15 = [\"md5\"]\n");
    let administrator = suite.administrator();
    let bob = suite.add_user(3, "bob", "first", 3).level("OPERATOR");
    // Two wrong passwords lock; neither the count nor the lock ends with time.
    administrator.ipmitool("raw 0x0c 1 1 26 0 2 0 0 0 0").ok();
    // netipmid does not lock a user for sources that the user has logged in from, and all clients here
    // have one source. A restarted netipmid has no such sources.
    suite.netipmid.terminate();
    suite.restart_netipmid();
    // IPMI 1.5, because over RMCP+ ipmitool detects a wrong password itself, and sends no RAKP 3.
    for _ in 0..2 {
        let mut wrong = bob.program("ipmitool");
        wrong
            .args(["-I", "lan", "-A", "MD5", "-R", "1", "-N", "2", "-L", "OPERATOR"])
            .args(["-H", &bob.address.ip().to_string()])
            .args(["-p", &bob.address.port().to_string()])
            .args(["-U", "bob", "-P", "wrong", "mc", "info"]);
        client::run(&mut wrong).failed();
    }
    bob.ipmitool("mc info").failed();
    assert!(suite.netipmid.log().contains("user-locked"));
    administrator.ipmitool("user set name 5 unrelated").ok();
    bob.ipmitool("mc info").failed();
    administrator.ipmitool("user enable 3").ok();
    wait::until_true("bob is let in again", || bob.ipmitool("mc info").code == Some(0));
}

#[test]
fn lan_parameters_are_held_until_they_are_committed() {
    const ADDRESS: &str = "raw 0x0c 2 1 3 0 0";
    const BEGIN: &str = "raw 0x0c 1 1 0 1";
    const COMMIT: &str = "raw 0x0c 1 1 0 2";
    const COMPLETE: &str = "raw 0x0c 1 1 0 0";
    const CLAIMED: &str = "rsp=0x81";
    let suite = Suite::start();
    let administrator = suite.administrator();
    // ipmitool itself begins, verifies, commits and completes.
    administrator.ipmitool("lan set 1 ipaddr 192.0.2.10").ok();
    let mut one = Shell::open(&administrator);
    let mut two = Shell::open(&administrator);
    let done = |shell: &mut Shell, line: &str| {
        let reply = shell.run(line);
        assert_eq!(reply.trim(), "", "{line}");
    };
    let reads = |shell: &mut Shell, octet: &str| {
        let reply = shell.run(ADDRESS);
        assert!(reply.contains(&format!("11 c0 00 02 {octet}")), "{reply}");
    };

    // Not `done`: if ipmitool repeats the request after a late response, the repeated one gets 81h.
    one.run(BEGIN);
    done(&mut one, "raw 0x0c 1 1 3 192 0 2 99");
    reads(&mut one, "63");
    reads(&mut two, "0a");
    for state in [BEGIN, COMMIT, COMPLETE] {
        let reply = two.run(state);
        assert!(reply.contains(CLAIMED), "{reply}");
    }
    done(&mut one, COMMIT);
    reads(&mut two, "63");

    done(&mut one, "raw 0x0c 1 1 3 192 0 2 98");
    reads(&mut one, "62");
    done(&mut one, COMPLETE);
    reads(&mut one, "63");
    reads(&mut two, "63");

    // An update ends with its session.
    one.run(BEGIN);
    assert!(two.run(COMMIT).contains(CLAIMED));
    one.send("exit");
    wait::until_true("the update of the ended session ends", || two.run(COMMIT).trim().is_empty());
}
