//! What netipmid must refuse, and that it serves the next login all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tests::bus::{CHASSIS_STATE, HOST_STATE};
use tests::clients::{CIPHER_SUITES, Login};
use tests::relay::{Relay, Way};
use tests::shell::Shell;
use tests::suite::Suite;
use tests::wire::{Wire, recorded, sessionless};

/// Offsets in an RMCP+ datagram (IPMI v2.0 Table 13-8).
const PAYLOAD_TYPE: usize = 5;
const PAYLOAD_LENGTH: usize = 14;
const PAYLOAD: usize = 16;
/// The payload length of an IPMI 1.5 datagram without authentication code.
const PAYLOAD_LENGTH_1_5: usize = 13;

/// Payload types, with the bits for encryption and authentication where they are set.
const OPEN_SESSION_RESPONSE: u8 = 0x11;
const RAKP_1: u8 = 0x12;
const RAKP_2: u8 = 0x13;
const RAKP_3: u8 = 0x14;
const RAKP_4: u8 = 0x15;
const SECURED_IPMI: u8 = 0xc0;

/// How far beyond their length datagrams are drawn out.
const EXCESS: usize = 64;

fn payload_type(datagram: &[u8]) -> Option<u8> {
    datagram.get(PAYLOAD_TYPE).copied()
}

/// Every cut of `datagram`, and every extension by up to [`EXCESS`] zeros: first with the length
/// field as it was, then with one that is correct.
fn wrong_lengths(datagram: &[u8]) -> Vec<Vec<u8>> {
    let lengths = (0..datagram.len() + EXCESS).filter(|length| *length != datagram.len());
    let mut all = Vec::new();
    for length in lengths {
        let mut bytes = datagram.to_vec();
        bytes.resize(length, 0);
        all.push(bytes.clone());
        let (at, header) = match bytes.get(4) {
            Some(6) => (PAYLOAD_LENGTH, PAYLOAD),
            _ => (PAYLOAD_LENGTH_1_5, PAYLOAD_LENGTH_1_5 + 1),
        };
        if let (Some(field), Some(payload)) = (bytes.get_mut(at), length.checked_sub(header)) {
            *field = payload.to_le_bytes()[0];
            all.push(bytes);
        }
    }
    all
}

#[track_caller]
fn serves_the_next_login(suite: &Suite) {
    for cipher_suite in CIPHER_SUITES {
        let guid = suite.administrator().suite(cipher_suite).ipmitool("mc guid");
        assert!(guid.ok().contains("System GUID"), "{guid}\n{}", suite.netipmid.log());
    }
}

/// What a refused login shows: the client's message, and length and status of the RAKP 2 it got.
fn refusal(suite: &Suite, login: &Login) -> (String, usize, u8) {
    let relay = Relay::open(suite.address);
    let message = login.at(relay.address()).ipmitool("mc guid").failed();
    let replies = relay.sent(Way::ToClient);
    let rakp_2 = replies.iter().find(|reply| payload_type(reply) == Some(RAKP_2));
    let rakp_2 = rakp_2.unwrap_or_else(|| panic!("no RAKP 2: {message}"));
    (message, rakp_2.len(), rakp_2[PAYLOAD + 1])
}

#[test]
fn wrong_password_unknown_user_and_disabled_user_look_alike() {
    let suite = Suite::start();
    let administrator = suite.administrator();
    administrator.ipmitool("user set name 3 disabled").ok();
    administrator.ipmitool("user set password 3 s3cret").ok();
    administrator.ipmitool("channel setaccess 1 3 link=on ipmi=on privilege=4").ok();
    administrator.ipmitool("user disable 3").ok();
    let disabled = administrator.user("disabled", "s3cret");
    for cipher_suite in CIPHER_SUITES {
        let administrator = suite.administrator().suite(cipher_suite);
        let wrong = refusal(&suite, &administrator.user("root", "wrong"));
        let unknown = refusal(&suite, &administrator.user("nobody", "s3cret"));
        let disabled = refusal(&suite, &disabled.suite(cipher_suite));
        assert_eq!(wrong, unknown);
        assert_eq!(wrong, disabled);
        assert_eq!(wrong.2, 0, "RAKP 2 reports no failure");
    }
    serves_the_next_login(&suite);
}

#[test]
fn a_privilege_above_the_users_limit_is_refused_after_a_valid_rakp_3() {
    let suite = Suite::start();
    let watcher = suite.add_user(3, "watcher", "s3cret", 2);
    for cipher_suite in CIPHER_SUITES {
        let watcher = watcher.suite(cipher_suite);
        watcher.level("USER").ipmitool("mc guid").ok();
        for level in ["OPERATOR", "ADMIN"] {
            let relay = Relay::open(suite.address);
            watcher.level(level).at(relay.address()).ipmitool("mc guid").failed();
            let replies = relay.sent(Way::ToClient);
            let last = replies.iter().find(|reply| payload_type(reply) == Some(RAKP_4));
            let last = last.unwrap_or_else(|| panic!("no RAKP 4 for {level}"));
            assert_eq!(last[PAYLOAD + 1], 0x0a, "unauthorized role (§13.24)");
        }
    }
    serves_the_next_login(&suite);
}

#[test]
fn cipher_suites_that_are_not_configured_are_refused() {
    let suite = Suite::start();
    for cipher_suite in [0, 1, 2, 6, 7, 8, 11, 12, 15, 16] {
        let relay = Relay::open(suite.address);
        let login = suite.administrator().suite(cipher_suite);
        login.at(relay.address()).ipmitool("mc guid").failed();
        let replies = relay.sent(Way::ToClient);
        let answer = replies.iter().find(|r| payload_type(r) == Some(OPEN_SESSION_RESPONSE));
        let answer = answer.unwrap_or_else(|| panic!("no answer to suite {cipher_suite}"));
        assert_ne!(answer[PAYLOAD + 1], 0, "suite {cipher_suite}");
        assert!(!replies.iter().any(|reply| payload_type(reply) == Some(RAKP_2)));
    }
    serves_the_next_login(&suite);
}

#[test]
fn an_error_echoes_message_tag_and_console_session_id() {
    let suite = Suite::start();
    let mut request = recorded("open-session-tagged");
    request[PAYLOAD + 12] = 0x3f; // an authentication algorithm that nobody has
    let reply = Wire::to(suite.address).ask(&request);
    assert_eq!(payload_type(&reply), Some(OPEN_SESSION_RESPONSE));
    assert_eq!(reply[PAYLOAD], 0xdd, "message tag");
    assert_ne!(reply[PAYLOAD + 1], 0, "status");
    assert_eq!(reply[PAYLOAD + 4..PAYLOAD + 8], [0x1b, 0x3c, 0x1f, 0x74], "console session id");
}

#[test]
fn replayed_packets_of_a_session_do_nothing() {
    let suite = Suite::start();
    let relay = Relay::open(suite.address);
    let mut shell = Shell::open(&suite.administrator().at(relay.address()));
    shell.run("chassis power on");
    suite.bus.until_property(&HOST_STATE, "Running");
    let recording = relay.sent(Way::ToBmc);
    let secured = recording.iter().filter(|sent| payload_type(sent) == Some(SECURED_IPMI));
    let secured: Vec<_> = secured.cloned().collect();
    shell.run("chassis power off");
    suite.bus.until_property(&CHASSIS_STATE, "Off");
    let (asked, answered) = (relay.sent(Way::ToBmc).len(), relay.sent(Way::ToClient).len());
    for packet in &secured {
        relay.inject(packet);
    }
    // What follows is answered, in the session, and is the only thing that is.
    let answer = shell.run("chassis power status");
    assert!(answer.contains("Chassis Power is off"), "{answer}");
    let replies = relay.sent(Way::ToClient).len() - answered;
    let asked = relay.sent(Way::ToBmc).len() - asked;
    assert!(replies <= asked, "{replies} replies to {asked} requests");
    suite.bus.until_property(&HOST_STATE, "Off");
    serves_the_next_login(&suite);
}

/// Replaces a datagram by `forgeries` of it and, after them, itself, once, when switched on.
struct Forger {
    wanted: Arc<AtomicBool>,
    relay: Relay,
}

impl Forger {
    fn start(suite: &Suite, kind: u8, forgeries: fn(&[u8]) -> Vec<Vec<u8>>) -> Self {
        let wanted = Arc::new(AtomicBool::new(false));
        let now = Arc::clone(&wanted);
        let relay = Relay::tampering(suite.address, move |way, bytes| {
            let applies = way == Way::ToBmc && payload_type(bytes) == Some(kind);
            let mut all = Vec::new();
            if applies && now.swap(false, Ordering::Relaxed) {
                all = forgeries(bytes);
            }
            // A refused forgery may be answered with an error, which is not for the client.
            let error = way == Way::ToClient
                && matches!(payload_type(bytes), Some(RAKP_2 | RAKP_4))
                && bytes.get(PAYLOAD + 1).is_some_and(|status| *status != 0);
            if !error {
                all.push(bytes.to_vec());
            }
            all
        });
        Self { wanted, relay }
    }

    /// Forges the next datagram of the kind.
    fn strike(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    #[track_caller]
    fn assert_struck(&self) {
        assert!(!self.wanted.load(Ordering::Relaxed), "the client sent no such datagram");
    }
}

/// `datagram` with each of its bits turned, one at a time.
fn turned_bits(datagram: &[u8]) -> Vec<Vec<u8>> {
    let turned = |at: usize| {
        let mut bytes = datagram.to_vec();
        bytes[at / 8] ^= 1 << (at % 8);
        bytes
    };
    (0..datagram.len() * 8).map(turned).collect()
}

/// Strikes within a running session, which must go on as if nothing had been.
fn session_survives(forgeries: fn(&[u8]) -> Vec<Vec<u8>>) {
    let suite = Suite::start();
    for cipher_suite in CIPHER_SUITES {
        let forger = Forger::start(&suite, SECURED_IPMI, forgeries);
        let login = suite.administrator().suite(cipher_suite).at(forger.relay.address());
        let mut shell = Shell::open(&login);
        let before = shell.run("raw 6 1");
        forger.strike();
        assert_eq!(shell.run("raw 6 1"), before);
        forger.assert_struck();
        assert_eq!(shell.run("raw 6 1"), before);
    }
    serves_the_next_login(&suite);
}

#[test]
fn forged_packets_leave_a_session_as_it_was() {
    session_survives(turned_bits);
}

#[test]
fn packets_of_wrong_length_leave_a_session_as_it_was() {
    session_survives(wrong_lengths);
}

#[test]
fn handshake_messages_of_wrong_length_do_not_hinder_the_right_one() {
    let suite = Suite::start();
    for cipher_suite in CIPHER_SUITES {
        for kind in [RAKP_1, RAKP_3] {
            let forger = Forger::start(&suite, kind, wrong_lengths);
            forger.strike();
            let login = suite.administrator().suite(cipher_suite).at(forger.relay.address());
            let guid = login.ipmitool("mc guid");
            assert!(guid.ok().contains("System GUID"), "{guid}\n{}", suite.netipmid.log());
            forger.assert_struck();
        }
    }
}

#[test]
fn sessionless_datagrams_of_wrong_length_are_survived() {
    let suite = Suite::start();
    for (name, datagram) in sessionless() {
        let wire = Wire::to(suite.address);
        for bytes in wrong_lengths(&datagram) {
            wire.send(&bytes);
        }
        let pong = Wire::to(suite.address).ask(&recorded("presence-ping"));
        assert_eq!(pong[8], 0x40, "a pong after {name}");
    }
    serves_the_next_login(&suite);
}

#[test]
fn a_request_of_another_session_is_not_answered_here() {
    let suite = Suite::start();
    let first = Relay::open(suite.address);
    let second = Relay::open(suite.address);
    let mut mine = Shell::open(&suite.administrator().at(first.address()));
    let before = mine.run("raw 6 1");
    let stolen = first.sent(Way::ToBmc);
    // The same packets from another port: another peer that has listened.
    let heard = second.sent(Way::ToClient).len();
    for packet in &stolen {
        if payload_type(packet) == Some(SECURED_IPMI) {
            second.inject(packet);
        }
    }
    assert_eq!(mine.run("raw 6 1"), before);
    assert_eq!(second.sent(Way::ToClient).len(), heard, "nothing for the thief");
}
