//! What an operator sees of refusals: the reason of each in the log, at a bounded rate, and as a
//! counter on the bus.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use tests::attack::Attacker;
use tests::relay::{Relay, Way};
use tests::shell::Shell;
use tests::suite::Suite;
use tests::terminal::Terminal;
use tests::wait;
use tests::wire::{Wire, recorded};

/// Offsets in an RMCP+ datagram (IPMI v2.0 Table 13-8).
const PAYLOAD_TYPE: usize = 5;
const SEQUENCE: usize = 10;
const LENGTH: usize = 14;
const PAYLOAD: usize = 16;

/// An encrypted and authenticated IPMI message.
const SECURED_IPMI: u8 = 0xc0;

/// Waits until a refusal for `reason` is counted, and asserts that it is logged.
#[track_caller]
fn until_refused(suite: &Suite, reason: &str) {
    wait::until_true(&format!("{reason} is counted"), || suite.rejections()[reason] > 0);
    assert!(lines(suite, reason) > 0, "{reason} is not in the log");
}

/// How many lines of the log have `reason`.
fn lines(suite: &Suite, reason: &str) -> usize {
    let field = format!("reason=\"{reason}\"");
    let log = suite.netipmid.log();
    log.lines().filter(|line| line.contains(&field)).count()
}

/// A recorded datagram with some bytes set.
fn changed(name: &str, changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = recorded(name);
    for (at, byte) in changes {
        bytes[*at] = *byte;
    }
    bytes
}

#[test]
fn refused_datagrams_outside_a_session_are_counted_and_logged_by_reason() {
    let suite = Suite::start();
    let wire = Wire::to(suite.address);
    let short_setup = [&changed("open-session", &[(14, 4)])[..PAYLOAD + 4]].concat();
    let get_device_id = changed("auth-capabilities", &[(19, 0x01), (22, 0xec)]);
    for (reason, datagram) in [
        ("malformed-rmcp", vec![6, 0]),
        ("malformed-asf", recorded("presence-ping")[..8].to_vec()),
        ("unsupported-class", vec![6, 0, 0xff, 8, 1]),
        ("malformed-packet", recorded("open-session")[..12].to_vec()),
        ("malformed-message", changed("auth-capabilities", &[(22, 0)])),
        ("malformed-setup", short_setup),
        ("needs-session", get_device_id),
        ("unknown-session", recorded("session-request")),
        ("version-disabled", recorded("session-request-1.5")),
        ("unsupported-payload", changed("open-session", &[(PAYLOAD_TYPE, 0x2f)])),
        ("not-negotiated", changed("open-session", &[(PAYLOAD_TYPE, 0xd0)])),
        ("out-of-turn", recorded("rakp-3")),
        ("no-cipher-suite", changed("open-session", &[(PAYLOAD + 12, 0x3f)])),
        ("illegal-setup", changed("open-session", &[(PAYLOAD + 1, 0x0f)])),
        ("handshake-timeout", recorded("open-session")),
    ] {
        assert_eq!(suite.rejections()[reason], 0, "{reason}, before");
        wire.send(&datagram);
        until_refused(&suite, reason);
    }
}

#[test]
fn refused_packets_of_a_session_are_counted_and_logged_by_reason() {
    let suite = Suite::start();
    let (relay, other) = (Relay::open(suite.address), Relay::open(suite.address));
    let mut shell = Shell::open(&suite.administrator().at(relay.address()));
    shell.run("raw 6 1");
    let sent = relay.sent(Way::ToBmc);
    let secured = |bytes: &&Vec<u8>| bytes.get(PAYLOAD_TYPE) == Some(&SECURED_IPMI);
    let packet = sent.iter().rfind(secured).expect("a request").clone();
    let mut forged = packet.clone();
    forged[SEQUENCE] += 2;
    forged[PAYLOAD] ^= 1;
    // Encrypted, but without the trailer that authenticates.
    let mut bare = packet.clone();
    bare[PAYLOAD_TYPE] = 0x80;
    bare.truncate(PAYLOAD + usize::from(packet[LENGTH]));
    for (reason, from, datagram) in [
        ("replayed", &relay, packet.clone()),
        ("wrong-auth-code", &relay, forged),
        ("other-address", &other, packet.clone()),
        ("unprotected", &relay, bare),
    ] {
        from.inject(&datagram);
        until_refused(&suite, reason);
    }
}

#[test]
fn refused_logins_are_counted_and_logged_by_reason() {
    let suite = Suite::with("[lan]\nsessions = 1");
    let login = suite.administrator();
    let watcher = suite.add_user(3, "watcher", "s3cret", 2);
    watcher.level("ADMIN").ipmitool("mc guid").failed();
    until_refused(&suite, "privilege-above-limit");
    // ipmitool sees from RAKP 2 that its password is wrong, and sends no RAKP 3.
    let refused = |user: &str, reason: &str| {
        let line = |line: &str| {
            line.contains(&format!("user={user} "))
                && line.contains(&format!("reason=\"{reason}\""))
                && line.contains("console=\"sent no RAKP 3\"")
        };
        let shown = wait::until(&format!("{user} is refused for {reason}"), || {
            let shown = login.user(user, "wrong").ipmitool("mc guid").failed();
            suite.netipmid.log().lines().any(line).then_some(shown)
        });
        until_refused(&suite, reason);
        shown
    };
    let shown = refused("watcher", "wrong-password");
    assert_eq!(refused("nobody", "unknown-user"), shown);
    login.ipmitool("user disable 3").ok();
    assert_eq!(refused("watcher", "user-disabled"), shown);
    login.ipmitool("user enable 3").ok();
    // Set User Access without IPMI messaging.
    login.ipmitool("raw 6 0x43 0x81 3 2 0").ok();
    assert_eq!(refused("watcher", "messaging-disabled"), shown);
    // With IPMI messaging, restricted to callback.
    login.ipmitool("raw 6 0x43 0xd1 3 2 0").ok();
    assert_eq!(refused("watcher", "callback-only"), shown);
    login.ipmitool("raw 6 0x43 0x91 3 2 0").ok();
    login.ipmitool("channel setaccess 1 3 callin=on privilege=15").ok();
    assert_eq!(refused("watcher", "no-channel-access"), shown);
    // A session with an active payload is not closed in favour of a new one (`sessions = 1`).
    let mut busy = login.ipmitool_command();
    let mut busy = Terminal::start(busy.args(["sol", "activate"]));
    busy.until_shows("SOL Session operational");
    login.ipmitool("mc guid").failed();
    until_refused(&suite, "no-free-session");
    busy.enter("\r~.");
    busy.until_ended();
    // Unlike ipmitool, an attacker sends RAKP 3 with a wrong authentication code.
    Attacker::guess(suite.address, 100, 100).finish();
    until_refused(&suite, "wrong-password");
    until_refused(&suite, "too-many-failures");
    assert!(!suite.netipmid.log().contains("s3cret"), "a secret in the log");
}

#[test]
fn unreadable_accounts_are_the_logged_reason_of_a_refused_login() {
    let suite = Suite::start();
    let login = suite.administrator();
    login.ipmitool("mc guid").ok();
    let folder = suite.state().join("access");
    let mode = |mode| {
        fs::set_permissions(&folder, Permissions::from_mode(mode)).expect("a folder of ours");
    };
    // Without capabilities, which netipmid has dropped, even root cannot read the folder.
    mode(0o000);
    let says = |text: &str| suite.netipmid.log().contains(text);
    wait::until_true("it is logged", || says("accounts cannot be read"));
    login.ipmitool("mc guid").failed();
    until_refused(&suite, "accounts-unreadable");
    mode(0o2750);
    wait::until_true("it logs in again", || login.ipmitool("mc guid").code == Some(0));
    assert!(says("accounts can be read again"));
}

#[test]
fn without_inotify_accounts_are_polled_and_one_warning_is_logged() {
    let test = "without_inotify_accounts_are_polled_and_one_warning_is_logged";
    let mut suite = Suite::start();
    suite.netipmid.terminate();
    if suite.restart_netipmid_without_inotify().is_none() {
        eprintln!("{test}: skipped: inotify cannot be limited here");
        return;
    }
    let lines = || {
        let log = suite.netipmid.log();
        log.lines().filter(|line| line.contains("cannot watch the accounts' folders")).count()
    };
    wait::until_true("it is logged", || lines() == 1);
    // Enable User: the first user, off, and on again.
    let login = suite.administrator();
    let works = || login.ipmitool("-N 1 -R 1 mc guid").code == Some(0);
    wait::until_true("a login", works);
    let set_enabled = |enabled| {
        let (code, _) = suite.bus.execute(0x06, 0x47, &[0x02, u8::from(enabled)]);
        assert_eq!(code, 0);
    };
    set_enabled(false);
    wait::until_true("the next poll", || {
        !works() && suite.netipmid.log().contains("reason=\"user-disabled\"")
    });
    set_enabled(true);
    wait::until_true("the poll after that", works);
    assert_eq!(lines(), 1, "{}", suite.netipmid.log());
}

#[test]
fn log_lines_of_a_flood_of_refusals_are_limited() {
    let suite = Suite::start();
    let begun = Instant::now();
    let wire = Wire::to(suite.address);
    for _ in 0..500 {
        wire.send(&[6, 0]);
    }
    // The kernel drops datagrams while the socket's buffer is full.
    wait::until_true("all are counted", || {
        for _ in 0..50 {
            wire.send(&[6, 0]);
        }
        suite.rejections()["malformed-rmcp"] >= 500
    });
    let minutes = usize::try_from(begun.elapsed().as_secs() / 60).expect("a short test");
    let lines = lines(&suite, "malformed-rmcp");
    assert!(lines <= 5 * (minutes + 1), "{lines} lines");
}
