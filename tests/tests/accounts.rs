//! OpenBMC's accounts as the store of both daemons: logins, changes seen in the files and at
//! User.Manager, and changes by other services.

use serde_json::json;
use tests::bus::Property;
use tests::client::Output;
use tests::clients::Login;
use tests::openbmc::USERS;
use tests::suite::Suite;
use tests::wait;

const MANAGER: &str = "xyz.openbmc_project.User.Manager";
const ROOT: &str = "/xyz/openbmc_project/user";
const ATTRIBUTES: &str = "xyz.openbmc_project.User.Attributes";

/// A login as one of the users of the files.
fn login(suite: &Suite, at: usize) -> Login {
    let (name, password, _) = USERS[at];
    suite.administrator().user(name, password)
}

/// Runs an ipmitool command whose last word may have blanks.
fn run(login: &Login, words: &[&str]) -> Output {
    tests::client::run(login.ipmitool_command().args(words))
}

fn attribute(suite: &Suite, user: &str, name: &str) -> Option<serde_json::Value> {
    let path = format!("{ROOT}/{user}");
    suite.bus.property(&Property { path: &path, interface: ATTRIBUTES, name })
}

#[test]
fn users_of_the_files_log_in() {
    let suite = Suite::with_openbmc_accounts("");
    let list = login(&suite, 0).ipmitool("user list 1");
    for line in ["alice", "bob"] {
        assert!(list.ok().contains(line), "{list}");
    }
    let bob = login(&suite, 1);
    let asked = run(&bob.level("OPERATOR"), &["chassis", "power", "status"]);
    assert!(asked.ok().contains("Chassis Power is"), "{asked}");
    // An operator cannot log in as administrator, nor with a wrong password.
    bob.level("ADMIN").ipmitool("mc info").failed();
    let wrong = suite.administrator().user("bob", "another");
    wrong.level("OPERATOR").ipmitool("mc info").failed();
    // The file of cipher suites has suite 17 only.
    login(&suite, 0).suite(3).ipmitool("mc info").failed();
}

#[test]
fn user_is_made_changed_and_deleted_over_the_lan() {
    let suite = Suite::with_openbmc_accounts("");
    let (alice, files) = (login(&suite, 0), suite.openbmc_files());
    alice.ipmitool("user set name 5 carol").ok();
    assert_eq!(attribute(&suite, "carol", "UserEnabled"), Some(json!(false)));
    assert_eq!(files.user(5)["user_name"], "carol");
    let set = alice.ipmitool("user set password 5 first");
    assert_eq!(set.code, Some(0), "{}", suite.ipmid.log());
    let has = |name: &str, password: &str| {
        let entry = (name.to_owned(), password.to_owned());
        files.passwords().contains(&entry)
    };
    assert!(has("carol", "first"));
    alice.ipmitool("channel setaccess 1 5 link=on ipmi=on privilege=4").ok();
    assert_eq!(attribute(&suite, "carol", "UserPrivilege"), Some(json!("priv-admin")));
    alice.ipmitool("user enable 5").ok();
    assert_eq!(attribute(&suite, "carol", "UserEnabled"), Some(json!(true)));
    assert_eq!(files.user(5)["user_enabled"], true);
    let carol = suite.administrator().user("carol", "first");
    carol.ipmitool("mc info").ok();
    // The check of the password's quality refuses it, and the old password stays.
    alice.ipmitool("user set password 5 password").failed();
    assert!(has("carol", "first"));
    alice.ipmitool("user set name 5 caroline").ok();
    assert!(has("caroline", "first"));
    suite.administrator().user("caroline", "first").ipmitool("mc info").ok();
    alice.ipmitool("user disable 5").ok();
    suite.administrator().user("caroline", "first").ipmitool("mc info").failed();
    run(&alice, &["user", "set", "name", "5", ""]).ok();
    assert_eq!(attribute(&suite, "caroline", "UserEnabled"), None);
    assert_eq!(files.user(5)["user_in_system"], false);
    assert!(!has("caroline", "first"));
}

#[test]
fn changes_by_other_services_are_written_to_the_files() {
    let suite = Suite::with_openbmc_accounts("");
    let files = suite.openbmc_files();
    let call = |words: &[&str]| {
        let output = suite.bus.busctl(&[&["call", MANAGER], words].concat());
        output.ok();
    };
    let dave = ["dave", "2", "ipmi", "web", "priv-admin", "true"];
    call(&[&[ROOT, MANAGER, "CreateUser", "sassb"][..], &dave].concat());
    wait::until_true("the new account has an id", || files.user(1)["user_name"] == "dave");
    // Its password is set through PAM, as with `passwd`.
    files.save_password("dave", "web");
    let login = suite.administrator().user("dave", "web");
    wait::until_true("dave is let in", || login.ipmitool("mc info").code == Some(0));
    call(&[ROOT, MANAGER, "RenameUser", "ss", "dave", "david"]);
    wait::until_true("the new name is in the files", || files.user(1)["user_name"] == "david");
    let password = |name: &str| {
        let entries = files.passwords().into_iter();
        entries.rev().find(|(known, _)| known == name).map(|(_, text)| text)
    };
    wait::until_true("the password has gone with it", || {
        password("david").as_deref() == Some("web")
    });
    let path = format!("{ROOT}/david");
    let set = ["set-property", MANAGER, &path, ATTRIBUTES, "UserPrivilege", "s", "priv-user"];
    suite.bus.busctl(&set).ok();
    wait::until_true("the privilege is in the files", || {
        files.user(1)["privilege"][1] == "priv-user"
    });
    call(&[&path, "xyz.openbmc_project.Object.Delete", "Delete"]);
    wait::until_true("the account has gone from the files", || files.user(1)["user_name"] == "");
    wait::until_true("its password has gone", || password("david").is_none());
}

#[test]
fn channel_access_is_in_the_files() {
    let suite = Suite::with_openbmc_accounts("");
    let alice = login(&suite, 0);
    // Set Channel Access: always available, non-volatile; limit operator, non-volatile.
    alice.ipmitool("raw 6 0x40 1 0x42 0x43").ok();
    assert_eq!(suite.openbmc_files().access()["priv_limit"], "priv-operator");
    // The volatile settings do not change.
    alice.ipmitool("raw 6 0x40 1 0x42 0x44").ok();
    assert_eq!(suite.openbmc_files().access()["priv_limit"], "priv-admin");
}
