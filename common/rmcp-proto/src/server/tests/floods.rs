//! Floods, guesses, and full tables.

use super::*;
use crate::console::ConsoleError;
use crate::wire::StatusCode;
use crate::wire::v20::{self, V20Header};

#[test]
fn half_open_handshakes_never_refuse_a_login_nor_grow() {
    let config = Config { pending: 64, ..config() };
    let mut bmc = Bmc::new(config, Table::usual());
    let flood = console(bmc.now, root(17)).poll_transmit().unwrap();
    let owner = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 2), 623));
    let mut console = console(bmc.now, root(17));
    let mut opened = 0;
    for round in 0..10_000u16 {
        bmc.now += Duration::from_micros(300); // as 100,000 in 30 s
        bmc.handle(peer(round), &flood);
        assert!(bmc.server.pending() <= 64);
        // Meanwhile another logs in, at one step for each thousand datagrams.
        if round % 1000 == 999 {
            let Some(bytes) = console.poll_transmit() else {
                continue;
            };
            for answer in bmc.handle(owner, &bytes) {
                console.handle_datagram(bmc.now, &answer);
            }
        }
        while let Some(event) = console.poll_event() {
            assert_eq!(event, ConsoleEvent::Opened);
            opened += 1;
        }
    }
    assert_eq!(opened, 1);
    bmc.events();
    bmc.log_in(2, root(17));
    assert!(bmc.counted(Reason::HandshakeEvicted) > 9_900);
}

#[test]
fn logins_that_succeed_are_no_flood() {
    let packets = Rate { burst: 8, period: Duration::from_secs(3600) };
    let mut bmc = Bmc::new(Config { packets, ..config() }, Table::usual());
    for _ in 0..50 {
        bmc.log_in(1, root(17));
    }
    assert_eq!(bmc.counted(Reason::TooManyPackets), 0);
    // Those that nobody completes are.
    let open_session = console(bmc.now, root(17)).poll_transmit().unwrap();
    let answered = (0..20).filter(|_| !bmc.handle(peer(1), &open_session).is_empty()).count();
    assert!(answered <= 8, "{answered}");
    assert_eq!(bmc.counted(Reason::TooManyPackets), 20 - answered as u64);
}

#[test]
fn forged_sources_cost_a_login_no_more_than_a_retry() {
    let mut bmc = Bmc::usual();
    let flood = console(bmc.now, root(17)).poll_transmit().unwrap();
    let mut failed = 0;
    for attempt in 0..100_u32 {
        let mut console = console(bmc.now, root(17));
        let mut step = 0;
        while let Some(bytes) = console.poll_transmit() {
            // 3,333 a second while a step takes 2 ms, each from an address of its own.
            for forged in 0..7_u32 {
                bmc.now += Duration::from_micros(300);
                let address = Ipv4Addr::from(0x0a00_0000 + attempt * 64 + step * 8 + forged);
                bmc.handle(SocketAddr::from((address, 623)), &flood);
            }
            step += 1;
            for answer in bmc.handle(peer(1), &bytes) {
                console.handle_datagram(bmc.now, &answer);
            }
        }
        failed += u32::from(!console.is_open());
        for info in bmc.server.sessions().copied().collect::<Vec<_>>() {
            bmc.server.close(info.id);
        }
    }
    assert!(failed < 20, "{failed} of 100, where 5 are to be expected");
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
fn wrong_passwords_lock_a_user_except_for_a_source_that_has_logged_in() {
    let bad_password = BadPassword { threshold: 3, ..BadPassword::default() };
    let mut bmc = Bmc::new(config(), Table { bad_password, ..Table::usual() });
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
    assert!(matches!(events.as_slice(), [ConsoleEvent::Failed(_)]), "{events:?}");
    assert_eq!(bmc.counted(Reason::UserLocked), 1);
    // A change of something else is not what enables the user.
    bmc.server.accounts_changed(bmc.now);
    let mut locked = console(bmc.now, credentials(17, "guest", "guest word", 2));
    bmc.run(peer(5), &mut locked);
    assert_eq!(bmc.counted(Reason::UserLocked), 2);
    bmc.server.accounts_mut().enabled_mark += 1;
    bmc.log_in(5, credentials(17, "guest", "guest word", 2));
}

#[test]
fn a_source_that_floods_is_not_heard_and_its_sessions_are() {
    let mut bmc = Bmc::usual();
    let mut console = bmc.log_in(1, root(17));
    let ping = hex_literal::hex!("06 00 ff 06 00 00 11 be 80 2a 00 00");
    let pongs = (0..10_000).filter(|_| !bmc.handle(peer(9), &ping).is_empty()).count();
    assert!((3900..=4000).contains(&pongs), "{pongs}");
    assert!(bmc.counted(Reason::TooManyPackets) >= 6000);
    bmc.events();
    console.send(bmc.now, &device_id());
    bmc.run(peer(1), &mut console);
    assert_eq!(bmc.requests(), 1);
}

#[test]
fn a_full_table_gives_up_the_session_idle_longest_or_refuses() {
    let mut bmc = Bmc::new(Config { sessions: 3, ..config() }, Table::usual());
    let ids: Vec<_> = (1..=3)
        .map(|port| {
            let id = bmc.log_in(port, root(17)).managed_id().unwrap();
            bmc.pass(Duration::from_secs(2));
            SessionId(id)
        })
        .collect();
    let mut late = console(bmc.now, root(17));
    let refused = bmc.run(peer(4), &mut late);
    let no_resources = ConsoleError::Refused(StatusCode::NO_RESOURCES);
    assert_eq!(refused, [ConsoleEvent::Failed(no_resources)], "none idle over 10 s");
    let mut later = console(bmc.now, root(17));
    let request = later.poll_transmit().expect("an Open Session Request");
    let answer = bmc.handle(peer(5), &request).remove(0);
    // RMCP header, session header of 12 bytes; then tag and status of the Open Session Response.
    assert_eq!((answer[5] & 0x3f, answer[17]), (0x11, 0x01), "Open Session Response, status 01h");
    assert_eq!(bmc.counted(Reason::NoFreeSession), 2);
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
    assert_eq!(closed, [ids[1]], "the one idle longest that holds no payload");
}

#[test]
fn all_sixty_two_sessions_have_their_own_handle() {
    let instance = Instance::new(3).unwrap();
    let mut bmc = Bmc::new(Config { instance, ..config() }, Table::usual());
    for port in 1..=62 {
        bmc.log_in(port, root(3));
    }
    let mut handles: Vec<_> = bmc.server.sessions().map(|info| info.handle).collect();
    handles.sort_unstable();
    assert_eq!(handles, (0xc1..=0xfe).collect::<Vec<u8>>());
    assert!(bmc.server.sessions().all(|info| info.id.0 >> 30 == 3));
}
