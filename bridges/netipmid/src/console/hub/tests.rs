use std::time::Duration;

use hex_literal::hex;

use super::*;

const ALICE: u8 = 2;
const BOB: u8 = 3;
const FULL: Protection = Protection::FULL;
const WRITER: InstanceNumber = InstanceNumber::WRITER;

fn number(value: u8) -> InstanceNumber {
    InstanceNumber::new(value).unwrap()
}

fn holder(session: u32, user_id: u8) -> Holder {
    Holder { session: SessionId(session), user_id }
}

fn hub() -> Hub {
    let section = SolSection { ring: 1024, scrollback: 8, ..SolSection::default() };
    let mut hub = Hub::new(&section, Settings::default());
    hub.set_available(true, false);
    hub
}

fn sent(hub: &mut Hub, now: Instant) -> Vec<(u32, Vec<u8>)> {
    let packets = std::iter::from_fn(|| hub.poll_transmit(now));
    packets.map(|packet| (packet.session.0, packet.payload)).collect()
}

#[test]
fn the_same_user_takes_over_and_the_old_session_is_told() {
    let now = Instant::now();
    let mut hub = hub();
    hub.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    assert_eq!(hub.activate(WRITER, holder(20, BOB), FULL), Err(Occupied::OtherUser));
    hub.handle_output(b"unread");
    assert_eq!(sent(&mut hub, now), [(10, hex!("01 00 00 00 75 6e 72 65 61 64").to_vec())]);
    hub.activate(WRITER, holder(30, ALICE), FULL).unwrap();
    assert_eq!(hub.holder(WRITER), Some(holder(30, ALICE)));
    let packets = sent(&mut hub, now);
    assert_eq!(
        packets,
        [(30, hex!("01 00 00 00 75 6e 72 65 61 64").to_vec()), (10, hex!("02 00 00 10").to_vec()),]
    );
    hub.handle_packet(now, SessionId(10), FULL, &hex!("00 02 00 00")).unwrap();
    assert_eq!(sent(&mut hub, now), []);
    assert!(hub.closing.is_empty());
}

#[test]
fn what_the_old_writer_did_not_acknowledge_goes_to_the_new_one() {
    let now = Instant::now();
    let mut hub = hub();
    hub.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    hub.handle_output(b"0123456789abcdefghij");
    assert_eq!(sent(&mut hub, now).len(), 1);
    hub.activate(WRITER, holder(11, ALICE), FULL).unwrap();
    let packets = sent(&mut hub, now);
    assert_eq!(packets[0].1[4..], *b"0123456789abcdefghij", "more than the scrollback");
}

#[test]
fn a_session_that_ends_frees_its_instance_in_the_same_turn() {
    let mut hub = hub();
    hub.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    hub.session_closed(SessionId(10));
    assert_eq!(hub.holder(WRITER), None);
    hub.activate(WRITER, holder(20, BOB), FULL).unwrap();
    assert!(hub.closing.is_empty(), "nobody to tell");
}

#[test]
fn scrollback_is_shown_and_lost_output_marked() {
    let now = Instant::now();
    let mut hub = hub();
    hub.handle_output(b"login: ");
    hub.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    assert_eq!(sent(&mut hub, now)[0].1, hex!("01 00 00 00 6c 6f 67 69 6e 3a 20"));
    hub.handle_packet(now, SessionId(10), FULL, &hex!("00 01 07 00")).unwrap();
    hub.session_closed(SessionId(10));
    hub.handle_output(b"x");
    hub.activate(WRITER, holder(11, ALICE), FULL).unwrap();
    let again = sent(&mut hub, now);
    assert_eq!(again[0].1, hex!("01 00 00 00 6c 6f 67 69 6e 3a 20 78"), "eight characters back");
    hub.session_closed(SessionId(11));
    hub.handle_output(b"much more than eight");
    hub.activate(WRITER, holder(12, ALICE), FULL).unwrap();
    let late = sent(&mut hub, now);
    assert_eq!(late[0].1[..4], hex!("01 00 00 08"), "an overrun mark");
    assert_eq!(late[0].1[4..], *b"an eight");
}

#[test]
fn a_writer_stops_the_source_and_viewers_do_not() {
    let now = Instant::now();
    let mut hub = hub();
    assert_eq!(hub.room(), usize::MAX);
    hub.activate(number(2), holder(20, BOB), FULL).unwrap();
    hub.handle_output(&[b'.'; 5000]);
    assert_eq!(hub.room(), usize::MAX);
    hub.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    sent(&mut hub, now);
    hub.handle_packet(now, SessionId(10), FULL, &hex!("00 01 08 00")).unwrap();
    assert_eq!(hub.room(), 1024);
    hub.handle_output(&[b'.'; 1000]);
    assert_eq!(hub.room(), 24);
    hub.handle_packet(now, SessionId(10), FULL, &hex!("01 00 00 08")).unwrap();
    assert_eq!(hub.room(), 0, "CTS is deasserted");
}

#[test]
fn instances_are_limited() {
    let mut hub = hub();
    assert_eq!(hub.capacity(), 4);
    assert!(hub.has(number(4)) && !hub.has(number(5)));
    let fifth = hub.activate(number(5), holder(11, ALICE), FULL);
    assert_eq!(fifth, Err(Occupied::Limit));
    assert!(!hub.serves(SessionId(11)));
}

#[test]
fn a_session_switches_between_instances_and_numbers_its_packets_on() {
    let now = Instant::now();
    let mut hub = hub();
    hub.activate(number(2), holder(10, ALICE), FULL).unwrap();
    hub.handle_output(b"a");
    assert_eq!(sent(&mut hub, now), [(10, hex!("01 00 00 00 61").to_vec())]);
    hub.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    assert_eq!(hub.holder(number(2)), None);
    assert_eq!(sent(&mut hub, now), [(10, hex!("02 00 00 00 61").to_vec())]);
    hub.handle_packet(now, SessionId(10), FULL, &hex!("09 02 01 00 78")).unwrap();
    assert_eq!(hub.host_input(), Some(HostInput::Chars(b"x")));
}

#[test]
fn typed_characters_and_breaks_go_to_the_source_in_order() {
    let now = Instant::now();
    let mut hub = hub();
    hub.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    hub.handle_packet(now, SessionId(10), FULL, &hex!("01 00 00 00 61 62")).unwrap();
    hub.handle_packet(now, SessionId(10), FULL, &hex!("02 00 00 10 63")).unwrap();
    assert_eq!(hub.host_input(), Some(HostInput::Chars(b"ab")));
    hub.consume(1);
    assert_eq!(hub.host_input(), Some(HostInput::Chars(b"b")));
    hub.consume(1);
    assert_eq!(hub.host_input(), Some(HostInput::Break));
    assert_eq!(hub.host_input(), Some(HostInput::Chars(b"c")));
    hub.consume(1);
    assert_eq!(hub.host_input(), None);
}

#[test]
fn packets_with_less_protection_than_agreed_are_dropped() {
    let now = Instant::now();
    let mut hub = hub();
    hub.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    let plain = Protection { authenticated: true, encrypted: false };
    let typed = hex!("01 00 00 00 61");
    for (session, came, payload, reason) in [
        (10, plain, &typed[..], Reason::Unprotected),
        (11, FULL, &typed[..], Reason::UnsupportedPayload),
        (10, FULL, &typed[..3], Reason::MalformedMessage),
    ] {
        let taken = hub.handle_packet(now, SessionId(session), came, payload);
        assert_eq!(taken, Err(reason));
    }
    assert_eq!(hub.host_input(), None);
    assert_eq!(sent(&mut hub, now), []);
    hub.set_encrypted(WRITER, false);
    hub.handle_packet(now, SessionId(10), plain, &hex!("01 00 00 00 61")).unwrap();
    assert_eq!(hub.host_input(), Some(HostInput::Chars(b"a")));
}

#[test]
fn disabling_ends_all_instances_and_tells_their_sessions() {
    let now = Instant::now();
    let mut hub = hub();
    hub.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    hub.activate(number(2), holder(20, BOB), FULL).unwrap();
    hub.set_settings(Settings { enable: false, ..Settings::default() });
    assert_eq!((hub.holder(WRITER), hub.holder(number(2))), (None, None));
    let told: Vec<u32> = sent(&mut hub, now).into_iter().map(|(session, _)| session).collect();
    assert_eq!(told, [10, 20]);
    let retry = now + Duration::from_secs(1);
    assert_eq!(hub.poll_timeout(), Some(retry));
    hub.handle_timeout(retry);
    assert_eq!(sent(&mut hub, retry).len(), 2, "until they answer");
    hub.session_closed(SessionId(10));
    hub.session_closed(SessionId(20));
    assert_eq!(hub.poll_timeout(), None);
}

#[test]
fn ended_instances_are_bounded() {
    let mut hub = hub();
    for session in 0..100 {
        hub.activate(WRITER, holder(session, ALICE), FULL).unwrap();
    }
    assert_eq!(hub.closing.len(), MAX_CLOSING);
}

/// Passes time as the daemon does, and returns what was sent in it.
fn pass(hub: &mut Hub, now: &mut Instant, time: Duration) -> Vec<(u32, Vec<u8>)> {
    let end = *now + time;
    let mut packets = Vec::new();
    while let Some(due) = hub.poll_timeout().filter(|due| *due <= end) {
        *now = due.max(*now);
        hub.handle_timeout(*now);
        packets.extend(sent(hub, *now));
    }
    *now = end;
    packets
}

#[test]
fn a_console_that_has_gone_gives_its_instance_up_and_its_output_to_the_next() {
    let mut now = Instant::now();
    let mut hub = hub();
    hub.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    hub.handle_output(&[b'x'; 1024]);
    assert_eq!(sent(&mut hub, now).len(), 1);
    assert_eq!(hub.room(), 0, "the host waits");
    let retries = pass(&mut hub, &mut now, Duration::from_millis(7_999));
    assert_eq!(retries.len(), 7, "a second apart");
    assert_eq!(hub.holder(WRITER), Some(holder(10, ALICE)));
    let notice = pass(&mut hub, &mut now, Duration::from_millis(1));
    assert_eq!(notice, [(10, hex!("02 00 00 10").to_vec())], "for what it is worth");
    assert_eq!(hub.holder(WRITER), None);
    assert_eq!(hub.room(), usize::MAX, "the host goes on");
    hub.handle_output(b"y");
    hub.activate(WRITER, holder(20, BOB), FULL).unwrap();
    let packets = sent(&mut hub, now);
    let (_, first) = packets.iter().find(|(session, _)| *session == 20).unwrap();
    assert_eq!(first[..4], hex!("01 00 00 08"), "one character had to make room");
    assert!(first.len() > 200, "more than the scrollback: {}", first.len());
}

#[test]
fn a_console_that_answers_now_and_then_keeps_its_instance() {
    let mut now = Instant::now();
    let mut hub = hub();
    hub.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    hub.handle_output(b"x");
    sent(&mut hub, now);
    for _ in 0..20 {
        pass(&mut hub, &mut now, Duration::from_secs(7));
        // An acknowledgement of what was sent long ago, which the network held up.
        hub.handle_packet(now, SessionId(10), FULL, &hex!("00 0e 01 00")).unwrap();
    }
    assert_eq!(hub.holder(WRITER), Some(holder(10, ALICE)));
    pass(&mut hub, &mut now, Duration::from_secs(14));
    assert_eq!(hub.holder(WRITER), None);
}

#[test]
fn the_same_user_need_not_wait_for_a_console_that_has_gone() {
    let now = Instant::now();
    let mut hub = hub();
    hub.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    hub.handle_output(&[b'x'; 1024]);
    assert_eq!(sent(&mut hub, now).len(), 1);
    hub.activate(WRITER, holder(11, ALICE), FULL).unwrap();
    let packets = sent(&mut hub, now);
    let (_, first) = packets.iter().find(|(session, _)| *session == 11).unwrap();
    assert_eq!(first[..4], hex!("01 00 00 00"), "nothing is missing");
}
