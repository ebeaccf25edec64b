//! Forged, replayed, truncated and over-long datagrams, floods, and full tables.

use proptest::prelude::*;

use super::*;
use crate::wire::v20::{self, V20Header};

/// A login and some requests: every datagram that the console sent.
fn recorded_session(bmc: &mut Bmc, suite: u8) -> (Console<Counted>, Vec<Vec<u8>>) {
    let mut console = console(bmc.now, root(suite));
    let mut recorded = Vec::new();
    for _ in 0..4 {
        while let Some(bytes) = console.poll_transmit() {
            recorded.push(bytes.clone());
            for answer in bmc.handle(peer(1), &bytes) {
                console.handle_datagram(bmc.now, &answer);
            }
        }
        for event in bmc.events() {
            if let Event::Request { token, .. } = event {
                bmc.server.respond(bmc.now, token, &answer(&[1, 2, 3]));
            }
        }
        for bytes in bmc.sent(peer(1)) {
            console.handle_datagram(bmc.now, &bytes);
        }
        console.send(bmc.now, &device_id());
    }
    assert_eq!(recorded.len(), 3 + 3);
    console.poll_transmit(); // never sent
    (console, recorded)
}

fn requests(bmc: &mut Bmc) -> usize {
    bmc.events()
        .iter()
        .filter(|event| matches!(event, Event::Request { .. }))
        .count()
}

#[test]
fn no_packet_of_a_session_can_be_replayed() {
    for suite in [3, 17] {
        let mut bmc = Bmc::usual();
        let (_, recorded) = recorded_session(&mut bmc, suite);
        bmc.events();
        for bytes in recorded.iter().skip(3) {
            assert!(bmc.handle(peer(1), bytes).is_empty());
        }
        assert_eq!(requests(&mut bmc), 0);
        assert_eq!(bmc.counted(Reason::Replayed), 3);
        assert_eq!(bmc.server.sessions().count(), 1);
    }
}

#[test]
fn forged_and_cut_packets_of_a_session_do_nothing() {
    for suite in [2, 3, 12, 17] {
        let mut bmc = Bmc::usual();
        let mut console = bmc.log_in(1, root(suite));
        bmc.events();
        console.send(bmc.now, &device_id());
        let good = console.poll_transmit().unwrap();
        for bit in 0..good.len() * 8 {
            let mut forged = good.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            bmc.handle(peer(1), &forged);
        }
        for end in 0..good.len() {
            bmc.handle(peer(1), &good[..end]);
        }
        for extra in 1..40 {
            bmc.handle(peer(1), &[&good[..], &vec![0; extra]].concat());
        }
        // Only the reserved byte of the RMCP header may differ.
        let reserved = 8;
        assert_eq!(
            requests(&mut bmc),
            1,
            "suite {suite}: {reserved} bits that mean nothing"
        );
        assert!(bmc.counted(Reason::WrongAuthCode) > 0);
        console.send(bmc.now, &device_id());
        let next = console.poll_transmit().unwrap();
        bmc.handle(peer(1), &next);
        assert_eq!(requests(&mut bmc), 1, "the session goes on");
    }
}

#[test]
fn packets_without_the_sessions_protection_are_refused() {
    let mut bmc = Bmc::usual();
    let mut console = bmc.log_in(1, root(17));
    bmc.events();
    let message = hex_literal::hex!("20 18 c8 81 04 01 7a");
    for (encrypted, authenticated) in [(false, false), (true, false), (false, true)] {
        let protection = Protection {
            encrypted,
            authenticated,
        };
        console.send_payload(PayloadType::IPMI, protection, &message);
        bmc.run(peer(1), &mut console);
    }
    assert_eq!(bmc.counted(Reason::Unprotected), 3);
    assert_eq!(requests(&mut bmc), 0);
}

#[test]
fn encrypted_packets_of_a_session_without_confidentiality_are_refused() {
    let mut bmc = Bmc::usual();
    let mut console = bmc.log_in(1, root(2));
    console.send(bmc.now, &device_id());
    let mut bytes = console.poll_transmit().unwrap();
    bytes[5] |= 0x80;
    bmc.handle(peer(1), &bytes);
    assert_eq!(bmc.counted(Reason::NotNegotiated), 1);
}

#[test]
fn a_session_is_bound_to_its_address_unless_configured_otherwise() {
    for bound_to_peer in [true, false] {
        let mut bmc = Bmc::new(
            Config {
                bound_to_peer,
                ..config()
            },
            Table::usual(),
        );
        let mut console = bmc.log_in(1, root(17));
        bmc.events();
        console.send(bmc.now, &device_id());
        let bytes = console.poll_transmit().unwrap();
        bmc.handle(peer(2), &bytes);
        assert_eq!(requests(&mut bmc), usize::from(!bound_to_peer));
    }
}

#[test]
fn a_wrong_rakp_3_aimed_at_an_active_session_does_nothing_to_it() {
    let mut bmc = Bmc::usual();
    let (mut console, recorded) = recorded_session(&mut bmc, 17);
    let id = console.managed_id().unwrap();
    let mut forged = recorded[2].clone();
    assert_eq!(
        forged[20..24],
        id.to_le_bytes(),
        "after tag, status and two reserved bytes"
    );
    for last in 0..=255 {
        *forged.last_mut().unwrap() = last;
        for status in [0, 0x0f] {
            forged[17] = status;
            bmc.handle(peer(1), &forged);
            bmc.handle(peer(9), &forged);
        }
    }
    bmc.events();
    console.send(bmc.now, &device_id());
    let bytes = console.poll_transmit().unwrap();
    bmc.handle(peer(1), &bytes);
    assert_eq!(requests(&mut bmc), 1);
}

#[test]
fn every_cut_and_over_long_set_up_message_is_refused_and_the_next_login_works() {
    let mut bmc = Bmc::usual();
    let (_, recorded) = recorded_session(&mut bmc, 17);
    for message in &recorded[..3] {
        for length in 0..message.len() + 40 {
            if length == message.len() {
                continue;
            }
            let mut bytes = message.clone();
            bytes.resize(length, 0);
            bmc.handle(peer(3), &bytes);
            // The same with a payload length that fits the datagram.
            if let Some(payload) = length.checked_sub(16) {
                let payload = u16::try_from(payload).unwrap();
                bytes[14..16].copy_from_slice(&payload.to_le_bytes());
                bmc.handle(peer(3), &bytes);
            }
        }
    }
    assert_eq!(bmc.server.sessions().count(), 1);
    bmc.events();
    bmc.log_in(2, root(17));
}

#[test]
fn half_open_handshakes_never_refuse_a_login_nor_grow() {
    let config = Config {
        pending: 64,
        ..config()
    };
    let mut bmc = Bmc::new(config, Table::usual());
    let flood = console(bmc.now, root(17)).poll_transmit().unwrap();
    for round in 0..10_000u16 {
        bmc.now += Duration::from_micros(300); // as 100,000 in 30 s
        bmc.handle(peer(round), &flood);
        assert!(bmc.server.pending() <= 64);
    }
    bmc.events();
    bmc.log_in(2, root(17));
    assert_eq!(bmc.counted(Reason::HandshakeEvicted), 10_000 - 64 + 1);
}

/// A login attempt from a host of 192.0.2.0/24 that trusts any proof: RAKP 4's status.
fn guess(bmc: &mut Bmc, host: u8, user: &str, code: &[u8]) -> u8 {
    let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)), 623);
    let payload_of = |sent: &[Vec<u8>]| sent.first().map(|bytes| bytes[16..].to_vec());
    let set_up = |kind, payload: &[u8]| {
        let mut datagram = Vec::new();
        v20::emit_plain(&V20Header::sessionless(kind), payload, &mut datagram).unwrap();
        datagram
    };
    let open = console(bmc.now, root(17)).poll_transmit().unwrap();
    let response = payload_of(&bmc.handle(peer, &open)).expect("an Open Session Response");
    let id = &response[8..12];
    let name = UserName::new(user.as_bytes()).unwrap();
    let mut rakp_1 = [&[0; 4], id, &[7; 16], &[0x14, 0, 0, name.length()]].concat();
    rakp_1.extend(name.as_bytes());
    bmc.handle(peer, &set_up(PayloadType::RAKP_1, &rakp_1));
    let rakp_3 = [&[0; 4], id, code].concat();
    payload_of(&bmc.handle(peer, &set_up(PayloadType::RAKP_3, &rakp_3))).expect("a RAKP 4")[1]
}

#[test]
fn a_source_that_guesses_is_held_up_and_others_log_in() {
    let mut bmc = Bmc::usual();
    bmc.log_in(1, root(17)); // from host 1, which is known from now on
    let (mut heard, mut held_up) = (0, 0);
    for round in 0..3000 {
        bmc.now += Duration::from_millis(1);
        let user = if round % 2 == 0 { "root" } else { "nobody" };
        match guess(&mut bmc, 66, user, &[0x55; 32]) {
            0x0f => heard += 1,
            0x01 => held_up += 1,
            other => panic!("status {other:02x}"),
        }
    }
    assert_eq!((heard, held_up), (11, 2989), "ten, and one more each 2 s");
    assert_eq!(bmc.counted(Reason::TooManyFailures), 2989);
    bmc.log_in(2, root(17));
}

#[test]
fn wrong_passwords_lock_a_user_but_not_for_who_has_logged_in() {
    let bad_password = BadPassword {
        threshold: 3,
        ..BadPassword::default()
    };
    let mut bmc = Bmc::new(
        config(),
        Table {
            bad_password,
            ..Table::usual()
        },
    );
    bmc.log_in(1, root(17));
    for _ in 0..3 {
        assert_eq!(guess(&mut bmc, 66, "root", &[0x55; 32]), 0x0f);
    }
    bmc.log_in(2, root(17));
    bmc.server.accounts_mut().bad_password.threshold = 3;
    for _ in 0..3 {
        guess(&mut bmc, 67, "guest", &[0x55; 32]);
    }
    bmc.events();
    let mut locked = console(bmc.now, credentials(17, "guest", "guest word", 2));
    let events = bmc.run(peer(5), &mut locked);
    assert!(
        matches!(events.as_slice(), [ConsoleEvent::Failed(_)]),
        "{events:?}"
    );
    assert_eq!(bmc.counted(Reason::UserLocked), 1);
    bmc.server.accounts_changed();
    bmc.log_in(5, credentials(17, "guest", "guest word", 2));
}

#[test]
fn a_source_that_floods_is_not_heard_and_its_sessions_are() {
    let mut bmc = Bmc::usual();
    let mut console = bmc.log_in(1, root(17));
    let ping = hex_literal::hex!("06 00 ff 06 00 00 11 be 80 2a 00 00");
    let pongs = (0..10_000)
        .filter(|_| !bmc.handle(peer(9), &ping).is_empty())
        .count();
    assert!((3900..=4000).contains(&pongs), "{pongs}");
    assert!(bmc.counted(Reason::TooManyPackets) >= 6000);
    bmc.events();
    console.send(bmc.now, &device_id());
    bmc.run(peer(1), &mut console);
    assert_eq!(requests(&mut bmc), 1);
}

#[test]
fn a_full_table_gives_up_the_session_idle_longest_or_refuses() {
    let mut bmc = Bmc::new(
        Config {
            sessions: 3,
            ..config()
        },
        Table::usual(),
    );
    let ids: Vec<_> = (1..=3)
        .map(|port| {
            let id = bmc.log_in(port, root(17)).managed_id().unwrap();
            bmc.pass(Duration::from_secs(2));
            SessionId(id)
        })
        .collect();
    let mut late = console(bmc.now, root(17));
    let refused = bmc.run(peer(4), &mut late);
    assert!(
        matches!(refused.as_slice(), [ConsoleEvent::Failed(_)]),
        "none idle over 10 s"
    );
    assert_eq!(bmc.counted(Reason::NoFreeSession), 1);
    assert_eq!(bmc.server.sessions().count(), 3);

    bmc.server.set_payload_active(ids[0], true);
    bmc.pass(Duration::from_secs(12));
    bmc.events();
    bmc.log_in(4, root(17));
    let closed: Vec<_> = bmc
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Closed(info, CloseReason::MadeRoom) => Some(info.id),
            _ => None,
        })
        .collect();
    assert_eq!(
        closed,
        [ids[1]],
        "the one idle longest that holds no payload"
    );
}

#[test]
fn all_sixty_two_sessions_have_their_own_handle() {
    let instance = Instance::new(3).unwrap();
    let mut bmc = Bmc::new(
        Config {
            instance,
            ..config()
        },
        Table::usual(),
    );
    for port in 1..=62 {
        bmc.log_in(port, root(3));
    }
    let mut handles: Vec<_> = bmc.server.sessions().map(|info| info.handle).collect();
    handles.sort_unstable();
    assert_eq!(handles, (0xc1..=0xfe).collect::<Vec<u8>>());
    assert!(bmc.server.sessions().all(|info| info.id.0 >> 30 == 3));
}

proptest! {
    #[test]
    fn no_bytes_panic(
        datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 1..20),
        head in prop::sample::select(vec![&b"\x06\x00\xff\x07"[..], b"\x06\x00\xff\x07\x06", b""]),
    ) {
        let mut bmc = Bmc::usual();
        for datagram in datagrams {
            bmc.handle(peer(1), &[head, &datagram].concat());
        }
        prop_assert_eq!(bmc.server.sessions().count(), 0);
    }

    #[test]
    fn no_change_to_any_recorded_packet_panics(
        changes in prop::collection::vec((0usize..6, 0usize..120, any::<u8>()), 1..60),
    ) {
        let mut bmc = Bmc::usual();
        let (_, recorded) = recorded_session(&mut bmc, 17);
        for (which, offset, value) in changes {
            let mut bytes = recorded[which].clone();
            if offset < bytes.len() {
                bytes[offset] = value;
            } else {
                bytes.resize(offset, value);
            }
            bmc.handle(peer(1), &bytes);
        }
        prop_assert!(bmc.server.sessions().count() <= 2);
    }
}
