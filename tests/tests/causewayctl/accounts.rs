//! `user`, `channel` and `cipher`, with logins that prove what they did.

use std::fs;

use serde_json::{Value, json};
use tests::client::Output;
use tests::clients::Login;
use tests::suite::Suite;
use tests::terminal::Terminal;
use tests::{ctl, wait};

const PASSWORD: &str = "correct horse";

/// Runs `causewayctl user ...` with a password on standard input.
fn with_password(suite: &Suite, line: &str, password: &str) -> Output {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    words.extend(["--password-file", "-"]);
    ctl::with_input(Some(&suite.bus), &words, format!("{password}\n").as_bytes())
}

/// Waits until a login with this password works, or does not.
#[track_caller]
fn until_login(login: &Login, works: bool) {
    wait::until_true(&format!("login as {} works: {works}", login.user), || {
        (login.ipmitool("mc guid").code == Some(0)) == works
    });
}

#[test]
fn user_is_added_changed_and_removed() {
    let suite = Suite::start();
    super::check("user-list", &ctl::on(&suite.bus, "user list"));
    super::check("user-add", &with_password(&suite, "user add alice", PASSWORD));
    let alice = suite.administrator().user("alice", PASSWORD);
    until_login(&alice, true);
    super::check("user-access", &ctl::on(&suite.bus, "user access alice --privilege user"));
    assert_ne!(alice.ipmitool("mc info").code, Some(0), "the client asks for administrator");
    until_login(&alice.level("USER"), true);
    with_password(&suite, "user passwd alice", "horse correct").ok();
    until_login(&alice.level("USER"), false);
    let alice = suite.administrator().user("alice", "horse correct");
    until_login(&alice.level("USER"), true);
    ctl::on(&suite.bus, "user access alice --enabled off").ok();
    until_login(&alice.level("USER"), false);
    ctl::on(&suite.bus, "user access alice --enabled on --messaging off").ok();
    super::check("user-list-no-messaging", &ctl::on(&suite.bus, "user list"));
    super::check("user-remove", &ctl::on(&suite.bus, "user remove alice"));
    super::check("user-removed", &ctl::on(&suite.bus, "user remove alice"));
    assert_eq!(ctl::on(&suite.bus, "user list").ok(), snapshot_of_one_user());
}

fn snapshot_of_one_user() -> &'static str {
    "ID  NAME  ENABLED  ACCESS BY CHANNEL\n2   root  yes      1: administrator\n"
}

#[test]
fn user_json_fits_the_schema_and_has_no_password() {
    let suite = Suite::start();
    let output = with_password(&suite, "--json user add bob --id 5 --privilege operator", PASSWORD);
    let bob = ctl::json_of(&output, "user");
    assert_eq!((&bob[0]["id"], &bob[0]["enabled"]), (&json!(5), &json!(true)));
    assert_eq!(bob[0]["access"][0]["privilege"], "operator");
    assert!(!output.stdout.contains(PASSWORD));
    let all = ctl::json_on(&suite.bus, "user list --all");
    assert!(all.as_array().expect("a list").len() > 2, "{all}");
    // What ipmitool lists.
    let listed = suite.administrator().ipmitool("user list 1");
    let names = all.as_array().expect("a list").iter().filter_map(|user| user["name"].as_str());
    for name in names.filter(|name| !name.is_empty()) {
        assert!(listed.ok().contains(name), "{name}: {listed}");
    }
}

#[test]
fn weak_and_wrong_passwords_change_nothing() {
    let suite = Suite::start();
    super::check("user-weak", &with_password(&suite, "user add alice", "alice-2026"));
    super::check("user-long", &with_password(&suite, "user add alice", "more than twenty bytes"));
    super::check("user-empty", &with_password(&suite, "user add alice", ""));
    super::check("user-no-terminal", &ctl::on(&suite.bus, "user add alice"));
    super::check("user-exists", &with_password(&suite, "user add root", PASSWORD));
    super::check("user-name", &with_password(&suite, "user add seventeen-letters", PASSWORD));
    assert_eq!(ctl::on(&suite.bus, "user list").ok(), snapshot_of_one_user());
    with_password(&suite, "user add alice --allow-weak", "alice").ok();
    until_login(&suite.administrator().user("alice", "alice"), true);
    // No password is an argument.
    let output = ctl::on(&suite.bus, "user passwd alice secret");
    assert_eq!(output.code, Some(2), "{output}");
}

#[test]
fn password_comes_from_a_file_or_a_descriptor() {
    let suite = Suite::start();
    let file = suite.dir().join("password");
    fs::write(&file, format!("{PASSWORD}\n")).expect("a file");
    let line = format!("user add alice --password-file {}", file.display());
    ctl::on(&suite.bus, &line).ok();
    until_login(&suite.administrator().user("alice", PASSWORD), true);
    let words = ["user", "add", "carol", "--password-fd", "0"];
    ctl::with_input(Some(&suite.bus), &words, b"a long battery staple").failed();
    ctl::with_input(Some(&suite.bus), &words, b"twenty bytes of text\n").ok();
    until_login(&suite.administrator().user("carol", "twenty bytes of text"), true);
    let missing = ctl::on(&suite.bus, "user passwd alice --password-file /nonexistent/file");
    assert!(missing.failed().contains("/nonexistent/file"), "{missing}");
}

#[test]
fn user_that_cannot_be_finished_is_removed_again() {
    let suite = Suite::start();
    // Set User Access is refused on the BMC's own channel.
    let administrator = suite.administrator();
    administrator.ipmitool("firewall disable channel 8 lun 0 netfn 6 command 0x43 force").ok();
    let output = with_password(&suite, "user add alice", PASSWORD);
    super::check("user-unfinished", &output);
    assert_eq!(ctl::on(&suite.bus, "user list").ok(), snapshot_of_one_user());
}

#[test]
fn channels_are_listed_and_their_access_is_set() {
    let suite = Suite::start();
    super::check("channel-list", &ctl::on(&suite.bus, "channel list"));
    super::check(
        "channel-set",
        &ctl::on(&suite.bus, "channel set 1 --privilege operator --volatile"),
    );
    assert_ne!(suite.administrator().ipmitool("mc info").code, Some(0));
    until_login(&suite.administrator().level("OPERATOR"), true);
    ctl::on(&suite.bus, "channel set 1 --privilege administrator").ok();
    until_login(&suite.administrator(), true);
    ctl::on(&suite.bus, "channel set 1 --mode disabled --alerting off").ok();
    until_login(&suite.administrator(), false);
    let channels = ctl::json_on(&suite.bus, "channel list");
    let lan = channels.as_array().expect("a list").iter().find(|channel| channel["number"] == 1);
    let access = json!({"mode": "disabled", "privilege": "administrator", "alerting": false,
        "user-authentication": true, "message-authentication": true});
    assert_eq!(lan.map(|lan| &lan["access"]), Some(&access), "{channels}");
    super::check("channel-without-sessions", &ctl::on(&suite.bus, "channel set 15 --mode always"));
    super::check("channel-mode", &ctl::on(&suite.bus, "channel set 1 --mode shared"));
}

#[test]
fn cipher_suites_are_those_that_clients_see() {
    let suite = Suite::start();
    super::check("cipher-list", &ctl::on(&suite.bus, "cipher list"));
    let administrator = suite.administrator();
    administrator.ipmitool("lan set 1 cipher_privs XXXuXXXXXXXXXXX").ok();
    let suites = ctl::json_on(&suite.bus, "cipher list --channel 1");
    let ids: Vec<&Value> =
        suites.as_array().expect("a list").iter().map(|suite| &suite["id"]).collect();
    assert_eq!(ids, [&json!(3), &json!(17)]);
    assert_eq!((&suites[0]["privilege"], &suites[1]["privilege"]), (&json!("user"), &Value::Null));
}

/// On a terminal the password is asked for twice, and not shown.
#[test]
fn password_is_asked_for_on_a_terminal() {
    let suite = Suite::start();
    let mut command = ctl::command();
    command.arg("--bus").arg(suite.bus.address()).args(["user", "add", "alice"]);
    let mut terminal = Terminal::start(&command);
    terminal.until_shows("Password for alice: ");
    terminal.enter(&format!("{PASSWORD}\r"));
    let mut shown = terminal.until_shows("Again: ");
    terminal.enter(&format!("{PASSWORD}\r"));
    shown += &terminal.until_shows("1: administrator");
    assert!(!shown.contains(PASSWORD), "{shown}");
    assert_eq!(terminal.until_ended(), Some(0));
    until_login(&suite.administrator().user("alice", PASSWORD), true);
}

/// The first user on a BMC that has none: by options, and then it logs in.
#[test]
fn setup_makes_the_first_user_who_logs_in() {
    let suite = Suite::start();
    ctl::on(&suite.bus, "user remove root").ok();
    ctl::on(&suite.bus, "channel set 1 --mode disabled").ok();
    super::check("setup-weak", &with_password(&suite, "setup", "admin"));
    let output = with_password(&suite, "setup", PASSWORD);
    let port = format!("-p {}", suite.address.port());
    let stdout = output.stdout.replace(&port, "-p PORT");
    super::check("setup", &Output { stdout, ..output.clone() });
    let admin = suite.administrator().user("admin", PASSWORD);
    until_login(&admin, true);
    // The line that it shows, but for the address of the test and the password.
    let line = output.ok().lines().last().expect("a line").trim();
    assert!(line.starts_with("ipmitool -I lanplus -H ") && line.contains(&port), "{line}");
    super::check("setup-again", &with_password(&suite, "setup", PASSWORD));
    let line = "--json setup --user oscar --privilege operator --channel 1";
    let oscar = ctl::json_of(&with_password(&suite, line, PASSWORD), "setup");
    assert_eq!((&oscar["channel-opened"], &oscar["missing"]), (&json!(false), &Value::Null));
    assert!(oscar["login"].as_str().is_some_and(|line| line.contains("-U oscar -L OPERATOR")));
    until_login(&suite.administrator().user("oscar", PASSWORD).level("OPERATOR"), true);
}

#[test]
fn setup_asks_on_a_terminal_and_says_what_is_missing() {
    let mut suite = Suite::start();
    suite.netipmid.kill();
    let mut command = ctl::command();
    command.arg("--bus").arg(suite.bus.address()).arg("setup");
    let mut terminal = Terminal::start(&command);
    terminal.until_shows("User name [admin]: ");
    terminal.enter("\r");
    terminal.until_shows("Privilege [administrator]: ");
    terminal.enter("user\r");
    for question in ["Password for admin: ", "Again: "] {
        terminal.until_shows(question);
        terminal.enter(&format!("{PASSWORD}\r"));
    }
    terminal.until_shows("user admin (id 3) may log in on channel 1 as user");
    terminal.until_shows("netipmid is not on the bus");
    assert_eq!(terminal.until_ended(), Some(0));
    suite.restart_netipmid();
    until_login(&suite.administrator().user("admin", PASSWORD).level("USER"), true);
}
