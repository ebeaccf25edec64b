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

fn instances() -> PayloadInstances {
    let section = SolSection { ring: 1024, scrollback: 8, ..SolSection::default() };
    let mut instances = PayloadInstances::new(&section, Settings::default());
    instances.set_available(true, false);
    instances
}

fn sent(instances: &mut PayloadInstances, now: Instant) -> Vec<(u32, Vec<u8>)> {
    let packets = std::iter::from_fn(|| instances.poll_transmit(now));
    packets.map(|packet| (packet.session.0, packet.payload)).collect()
}

#[test]
fn the_same_user_takes_over_and_the_old_session_gets_a_notice() {
    let now = Instant::now();
    let mut instances = instances();
    instances.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    assert_eq!(
        instances.activate(WRITER, holder(20, BOB), FULL),
        Err(ActivateError::HeldByOtherUser)
    );
    instances.handle_output(b"unread");
    assert_eq!(sent(&mut instances, now), [(10, hex!("01 00 00 00 75 6e 72 65 61 64").to_vec())]);
    instances.activate(WRITER, holder(30, ALICE), FULL).unwrap();
    assert_eq!(instances.holder(WRITER), Some(holder(30, ALICE)));
    let packets = sent(&mut instances, now);
    assert_eq!(
        packets,
        [(30, hex!("01 00 00 00 75 6e 72 65 61 64").to_vec()), (10, hex!("02 00 00 10").to_vec()),]
    );
    instances.handle_packet(now, SessionId(10), FULL, &hex!("00 02 00 00")).unwrap();
    assert_eq!(sent(&mut instances, now), []);
    assert!(instances.closing.is_empty());
}

#[test]
fn what_the_old_writer_did_not_acknowledge_goes_to_the_new_one() {
    let now = Instant::now();
    let mut instances = instances();
    instances.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    instances.handle_output(b"0123456789abcdefghij");
    assert_eq!(sent(&mut instances, now).len(), 1);
    instances.activate(WRITER, holder(11, ALICE), FULL).unwrap();
    let packets = sent(&mut instances, now);
    assert_eq!(packets[0].1[4..], *b"0123456789abcdefghij", "more than the scrollback");
}

#[test]
fn a_session_that_ends_frees_its_instance_in_the_same_turn() {
    let mut instances = instances();
    instances.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    instances.session_closed(SessionId(10));
    assert_eq!(instances.holder(WRITER), None);
    instances.activate(WRITER, holder(20, BOB), FULL).unwrap();
    assert!(instances.closing.is_empty(), "no notice");
}

#[test]
fn scrollback_is_shown_and_lost_output_marked() {
    let now = Instant::now();
    let mut instances = instances();
    instances.handle_output(b"login: ");
    instances.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    assert_eq!(sent(&mut instances, now)[0].1, hex!("01 00 00 00 6c 6f 67 69 6e 3a 20"));
    instances.handle_packet(now, SessionId(10), FULL, &hex!("00 01 07 00")).unwrap();
    instances.session_closed(SessionId(10));
    instances.handle_output(b"x");
    instances.activate(WRITER, holder(11, ALICE), FULL).unwrap();
    let again = sent(&mut instances, now);
    assert_eq!(again[0].1, hex!("01 00 00 00 6c 6f 67 69 6e 3a 20 78"), "eight characters back");
    instances.session_closed(SessionId(11));
    instances.handle_output(b"much more than eight");
    instances.activate(WRITER, holder(12, ALICE), FULL).unwrap();
    let late = sent(&mut instances, now);
    assert_eq!(late[0].1[..4], hex!("01 00 00 08"), "an overrun mark");
    assert_eq!(late[0].1[4..], *b"an eight");
}

#[test]
fn a_writer_stops_the_host_and_viewers_do_not() {
    let now = Instant::now();
    let mut instances = instances();
    assert_eq!(instances.room(), usize::MAX);
    instances.activate(number(2), holder(20, BOB), FULL).unwrap();
    instances.handle_output(&[b'.'; 5000]);
    assert_eq!(instances.room(), usize::MAX);
    instances.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    sent(&mut instances, now);
    instances.handle_packet(now, SessionId(10), FULL, &hex!("00 01 08 00")).unwrap();
    assert_eq!(instances.room(), 1024);
    instances.handle_output(&[b'.'; 1000]);
    assert_eq!(instances.room(), 24);
    instances.handle_packet(now, SessionId(10), FULL, &hex!("01 00 00 08")).unwrap();
    assert_eq!(instances.room(), 0, "CTS is deasserted");
}

#[test]
fn instances_are_limited() {
    let mut instances = instances();
    assert_eq!(instances.capacity(), 4);
    assert!(instances.has(number(4)) && !instances.has(number(5)));
    let fifth = instances.activate(number(5), holder(11, ALICE), FULL);
    assert_eq!(fifth, Err(ActivateError::NoSuchInstance));
    assert!(!instances.serves(SessionId(11)));
}

#[test]
fn a_session_switches_between_instances_and_numbers_its_packets_on() {
    let now = Instant::now();
    let mut instances = instances();
    instances.activate(number(2), holder(10, ALICE), FULL).unwrap();
    instances.handle_output(b"a");
    assert_eq!(sent(&mut instances, now), [(10, hex!("01 00 00 00 61").to_vec())]);
    instances.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    assert_eq!(instances.holder(number(2)), None);
    assert_eq!(sent(&mut instances, now), [(10, hex!("02 00 00 00 61").to_vec())]);
    instances.handle_packet(now, SessionId(10), FULL, &hex!("09 02 01 00 78")).unwrap();
    assert_eq!(instances.host_input(), Some(HostInput::Chars(b"x")));
}

#[test]
fn typed_characters_and_breaks_go_to_the_host_in_order() {
    let now = Instant::now();
    let mut instances = instances();
    instances.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    instances.handle_packet(now, SessionId(10), FULL, &hex!("01 00 00 00 61 62")).unwrap();
    instances.handle_packet(now, SessionId(10), FULL, &hex!("02 00 00 10 63")).unwrap();
    assert_eq!(instances.host_input(), Some(HostInput::Chars(b"ab")));
    instances.consume(1);
    assert_eq!(instances.host_input(), Some(HostInput::Chars(b"b")));
    instances.consume(1);
    assert_eq!(instances.host_input(), Some(HostInput::Break));
    assert_eq!(instances.host_input(), Some(HostInput::Chars(b"c")));
    instances.consume(1);
    assert_eq!(instances.host_input(), None);
}

#[test]
fn packets_with_less_protection_than_agreed_are_dropped() {
    let now = Instant::now();
    let mut instances = instances();
    instances.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    let plain = Protection { authenticated: true, encrypted: false };
    let typed = hex!("01 00 00 00 61");
    for (session, came, payload, reason) in [
        (10, plain, &typed[..], Reason::Unprotected),
        (11, FULL, &typed[..], Reason::UnsupportedPayload),
        (10, FULL, &typed[..3], Reason::MalformedMessage),
    ] {
        let taken = instances.handle_packet(now, SessionId(session), came, payload);
        assert_eq!(taken, Err(reason));
    }
    assert_eq!(instances.host_input(), None);
    assert_eq!(sent(&mut instances, now), []);
    instances.set_encrypted(WRITER, false);
    instances.handle_packet(now, SessionId(10), plain, &hex!("01 00 00 00 61")).unwrap();
    assert_eq!(instances.host_input(), Some(HostInput::Chars(b"a")));
}

#[test]
fn disabling_ends_all_instances_with_a_notice_to_their_sessions() {
    let now = Instant::now();
    let mut instances = instances();
    instances.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    instances.activate(number(2), holder(20, BOB), FULL).unwrap();
    instances.set_settings(Settings { enable: false, ..Settings::default() });
    assert_eq!((instances.holder(WRITER), instances.holder(number(2))), (None, None));
    let notified: Vec<u32> =
        sent(&mut instances, now).into_iter().map(|(session, _)| session).collect();
    assert_eq!(notified, [10, 20]);
    let retry = now + Duration::from_secs(1);
    assert_eq!(instances.poll_timeout(), Some(retry));
    instances.handle_timeout(retry);
    assert_eq!(sent(&mut instances, retry).len(), 2, "until they answer");
    instances.session_closed(SessionId(10));
    instances.session_closed(SessionId(20));
    assert_eq!(instances.poll_timeout(), None);
}

#[test]
fn ended_instances_are_bounded() {
    let mut instances = instances();
    for session in 0..100 {
        instances.activate(WRITER, holder(session, ALICE), FULL).unwrap();
    }
    assert_eq!(instances.closing.len(), MAX_CLOSING);
}

/// Passes time as the daemon does, and returns what was sent in it.
fn pass(
    instances: &mut PayloadInstances,
    now: &mut Instant,
    time: Duration,
) -> Vec<(u32, Vec<u8>)> {
    let end = *now + time;
    let mut packets = Vec::new();
    while let Some(due) = instances.poll_timeout().filter(|due| *due <= end) {
        *now = due.max(*now);
        instances.handle_timeout(*now);
        packets.extend(sent(instances, *now));
    }
    *now = end;
    packets
}

#[test]
fn a_console_that_has_gone_gives_its_instance_up_and_its_output_to_the_next() {
    let mut now = Instant::now();
    let mut instances = instances();
    instances.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    instances.handle_output(&[b'x'; 1024]);
    assert_eq!(sent(&mut instances, now).len(), 1);
    assert_eq!(instances.room(), 0, "the host waits");
    let retries = pass(&mut instances, &mut now, Duration::from_millis(7_999));
    assert_eq!(retries.len(), 7, "a second apart");
    assert_eq!(instances.holder(WRITER), Some(holder(10, ALICE)));
    let notice = pass(&mut instances, &mut now, Duration::from_millis(1));
    assert_eq!(notice, [(10, hex!("02 00 00 10").to_vec())], "for what it is worth");
    assert_eq!(instances.holder(WRITER), None);
    assert_eq!(instances.room(), usize::MAX, "the host goes on");
    instances.handle_output(b"y");
    instances.activate(WRITER, holder(20, BOB), FULL).unwrap();
    let packets = sent(&mut instances, now);
    let (_, first) = packets.iter().find(|(session, _)| *session == 20).unwrap();
    assert_eq!(first[..4], hex!("01 00 00 08"), "one character had to make room");
    assert!(first.len() > 200, "more than the scrollback: {}", first.len());
}

#[test]
fn a_console_that_answers_now_and_then_keeps_its_instance() {
    let mut now = Instant::now();
    let mut instances = instances();
    instances.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    instances.handle_output(b"x");
    sent(&mut instances, now);
    for _ in 0..20 {
        pass(&mut instances, &mut now, Duration::from_secs(7));
        // An acknowledgement of what was sent long ago, which the network held up.
        instances.handle_packet(now, SessionId(10), FULL, &hex!("00 0e 01 00")).unwrap();
    }
    assert_eq!(instances.holder(WRITER), Some(holder(10, ALICE)));
    pass(&mut instances, &mut now, Duration::from_secs(14));
    assert_eq!(instances.holder(WRITER), None);
}

#[test]
fn the_same_user_need_not_wait_for_a_console_that_has_gone() {
    let now = Instant::now();
    let mut instances = instances();
    instances.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    instances.handle_output(&[b'x'; 1024]);
    assert_eq!(sent(&mut instances, now).len(), 1);
    instances.activate(WRITER, holder(11, ALICE), FULL).unwrap();
    let packets = sent(&mut instances, now);
    let (_, first) = packets.iter().find(|(session, _)| *session == 11).unwrap();
    assert_eq!(first[..4], hex!("01 00 00 00"), "nothing is missing");
}

#[test]
fn a_lower_limit_ends_no_instance_and_bars_new_ones() {
    let mut instances = instances();
    instances.activate(WRITER, holder(10, ALICE), FULL).unwrap();
    instances.activate(number(4), holder(20, BOB), FULL).unwrap();
    let section = SolSection { viewers: 0, max_payload: 16, ..SolSection::default() };
    instances.reconfigure(&section);
    assert_eq!((instances.capacity(), instances.max_payload()), (1, 16));
    assert!(instances.serves(SessionId(20)) && instances.has(number(4)));
    let third = instances.activate(number(3), holder(30, ALICE), FULL);
    assert_eq!(third, Err(ActivateError::NoSuchInstance));
    instances.session_closed(SessionId(20));
    assert!(!instances.has(number(4)));
    instances.reconfigure(&SolSection { viewers: 3, ..section });
    assert_eq!(instances.activate(number(4), holder(30, ALICE), FULL), Ok(()));
}
