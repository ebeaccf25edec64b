//! Forged, replayed, truncated and over-long datagrams.

use proptest::prelude::*;

use super::handshake::recorded_login;
use super::*;

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

#[test]
fn no_packet_of_a_session_can_be_replayed() {
    for suite in [3, 17] {
        let mut bmc = Bmc::usual();
        let (_, recorded) = recorded_session(&mut bmc, suite);
        bmc.events();
        for bytes in recorded.iter().skip(3) {
            assert!(bmc.handle(peer(1), bytes).is_empty());
        }
        assert_eq!(bmc.requests(), 0);
        assert_eq!(bmc.counted(Reason::Replayed), 3);
        assert_eq!(bmc.server.sessions().count(), 1);
    }
}

/// Every packet of a session, its set-up and both directions included: during it, after it, to the
/// server that it was with and to one that was started anew, from its address and from another.
#[test]
fn no_captured_packet_opens_a_session_or_does_anything_in_one() {
    for suite in CipherSuite::all().map(|suite| suite.id()) {
        let mut bmc = Bmc::usual();
        let mut console = console(bmc.now, root(suite));
        let mut captured = Vec::new();
        for _ in 0..4 {
            while let Some(bytes) = console.poll_transmit() {
                captured.push(bytes.clone());
                for answer in bmc.handle(peer(1), &bytes) {
                    captured.push(answer.clone());
                    console.handle_datagram(bmc.now, &answer);
                }
            }
            console.send(bmc.now, &device_id());
        }
        bmc.events();
        let id = bmc.server.sessions().next().unwrap().id;
        let protected = Reason::Replayed;
        for round in 0..3 {
            for port in [1, 2] {
                let before = bmc.counted(protected);
                for bytes in &captured {
                    bmc.handle(peer(port), bytes);
                }
                let replayed = bmc.counted(protected) - before;
                let live = round == 0 && port == 1;
                assert_eq!(replayed, if live { 3 } else { 0 }, "suite {suite}");
            }
            assert_eq!(bmc.requests(), 0, "suite {suite}, round {round}");
            let sessions: Vec<_> = bmc.server.sessions().map(|info| info.id).collect();
            assert_eq!(sessions, if round == 0 { vec![id] } else { vec![] });
            match round {
                0 => assert!(bmc.server.close(id)),
                // As after a restart: nothing known, and other random numbers.
                _ => bmc.server = Server::new(config(), Table::usual(), Counted(4711)),
            }
        }
    }
}

/// With repetitions, as a network that doubles and reorders delivers them: one session at most, and
/// none unless the three came in their order.
#[test]
fn no_other_sequence_of_its_messages_opens_a_session() {
    const LENGTH: u32 = 6;
    let recorded = recorded_login(&mut Bmc::usual(), root(17));
    for number in 0..3_usize.pow(LENGTH) {
        let indexes = (0..LENGTH).map(|digit| number / 3_usize.pow(digit) % 3);
        let mut bmc = Bmc::usual();
        let mut due = 0;
        for index in indexes.clone() {
            bmc.handle(peer(1), &recorded[index]);
            due += usize::from(index == due);
        }
        let opened = bmc.server.sessions().count();
        assert!(opened <= 1 && (opened == 0 || due == 3), "{number}");
        if indexes.eq([0, 1, 2, 2, 1, 0]) {
            assert_eq!(opened, 1, "copies of the right ones do no harm");
        }
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
        assert_eq!(bmc.requests(), 1, "suite {suite}: {reserved} bits that mean nothing");
        assert!(bmc.counted(Reason::WrongAuthCode) > 0);
        console.send(bmc.now, &device_id());
        let next = console.poll_transmit().unwrap();
        bmc.handle(peer(1), &next);
        assert_eq!(bmc.requests(), 1, "the session goes on");
    }
}

#[test]
fn packets_without_the_sessions_protection_are_refused() {
    let mut bmc = Bmc::usual();
    let mut console = bmc.log_in(1, root(17));
    bmc.events();
    let message = hex_literal::hex!("20 18 c8 81 04 01 7a");
    for (encrypted, authenticated) in [(false, false), (true, false), (false, true)] {
        let protection = Protection { encrypted, authenticated };
        console.send_payload(PayloadType::IPMI, protection, &message);
        bmc.run(peer(1), &mut console);
    }
    assert_eq!(bmc.counted(Reason::Unprotected), 3);
    assert_eq!(bmc.requests(), 0);
}

#[test]
fn encrypted_packets_of_a_session_without_confidentiality_are_refused() {
    let without = |suite: &CipherSuite| suite.algorithms().confidentiality.value() == 0;
    for suite in CipherSuite::all().filter(without).map(|suite| suite.id()) {
        let mut bmc = Bmc::usual();
        let mut console = bmc.log_in(1, root(suite));
        bmc.events();
        console.send(bmc.now, &device_id());
        let good = console.poll_transmit().unwrap();
        let mut bytes = good.clone();
        bytes[5] |= 0x80;
        assert!(bmc.handle(peer(1), &bytes).is_empty());
        let refused = bmc.counted(Reason::NotNegotiated) + bmc.counted(Reason::WrongAuthCode);
        assert_eq!(refused, 1, "suite {suite}");
        assert_eq!(bmc.requests(), 0, "suite {suite}");
        bmc.handle(peer(1), &good);
        assert_eq!(bmc.requests(), 1, "suite {suite}: the session goes on");
    }
}

#[test]
fn a_session_is_bound_to_its_address_unless_configured_otherwise() {
    for bound_to_peer in [true, false] {
        let mut bmc = Bmc::new(Config { bound_to_peer, ..config() }, Table::usual());
        let mut console = bmc.log_in(1, root(17));
        bmc.events();
        console.send(bmc.now, &device_id());
        let bytes = console.poll_transmit().unwrap();
        bmc.handle(peer(2), &bytes);
        assert_eq!(bmc.requests(), usize::from(!bound_to_peer));
    }
}

#[test]
fn a_wrong_rakp_3_aimed_at_an_active_session_does_nothing_to_it() {
    let mut bmc = Bmc::usual();
    let (mut console, recorded) = recorded_session(&mut bmc, 17);
    let id = console.managed_id().unwrap();
    let mut forged = recorded[2].clone();
    assert_eq!(forged[20..24], id.to_le_bytes(), "after tag, status and two reserved bytes");
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
    assert_eq!(bmc.requests(), 1);
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
