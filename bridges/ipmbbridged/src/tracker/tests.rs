use std::collections::BTreeMap;

use ipmi_proto::Lun;

use super::*;

const SATELLITE: IpmbAddress = IpmbAddress(0x24);
const TRY: Duration = Duration::from_millis(250);

fn tracker() -> (Tracker, Instant) {
    (Tracker::new(IpmbAddress::BMC, RetryPolicy::default()), Instant::now())
}

fn get_device_id() -> Request {
    Request { netfn: NetFn::APP, lun: Lun::BMC, command: 0x01, data: vec![] }
}

/// The frame with which the receiver of `outgoing` answers.
fn answer(outgoing: &Outgoing, completion: u8, data: &[u8]) -> Vec<u8> {
    let request = IpmbRequest::parse(&outgoing.frame).unwrap();
    let response = Response::to(&request.to_request(), CompletionCode(completion), data.to_vec());
    let mut frame = Vec::new();
    IpmbResponse::answering(&request.header, &response).emit(&mut frame);
    frame
}

fn take(tracker: &mut Tracker, now: Instant, frame: &[u8]) -> bool {
    tracker.handle_response(now, &IpmbResponse::parse(frame).unwrap())
}

fn answered(outcome: Outcome) -> Response {
    match outcome {
        Outcome::Answered(response) => response,
        other => panic!("{other:?}"),
    }
}

#[test]
fn request_has_both_checksums_and_its_answer_ends_it() {
    let (mut tracker, now) = tracker();
    let id = tracker.start(now, SATELLITE, &get_device_id()).unwrap();
    let outgoing = tracker.poll_transmit().unwrap();
    assert_eq!(outgoing.frame, [0x24, 0x18, 0xc4, 0x20, 0x00, 0x01, 0xdf]);
    assert!(take(&mut tracker, now, &answer(&outgoing, 0, &[0x42])));
    let (ended, outcome) = tracker.poll_event().unwrap();
    assert_eq!((ended, answered(outcome).data), (id, vec![0x42]));
    assert_eq!(tracker.outstanding(), 0);
    assert_eq!(tracker.poll_timeout(), None);
}

#[test]
fn silence_is_retried_with_the_same_number_and_then_ended() {
    let (mut tracker, start) = tracker();
    let id = tracker.start(start, SATELLITE, &get_device_id()).unwrap();
    let first = tracker.poll_transmit().unwrap();
    tracker.handle_written(id);
    for count in 1..6 {
        let now = start + TRY * count;
        assert_eq!(tracker.poll_timeout(), Some(now));
        tracker.handle_timeout(now - Duration::from_millis(1));
        assert_eq!(tracker.poll_transmit(), None);
        tracker.handle_timeout(now);
        assert_eq!(tracker.poll_transmit().as_ref(), Some(&first));
    }
    assert_eq!(tracker.poll_event(), None);
    tracker.handle_timeout(start + TRY * 6);
    assert_eq!(tracker.poll_event(), Some((id, Outcome::TimedOut)));
    assert_eq!((tracker.outstanding(), tracker.poll_transmit()), (0, None));
}

#[test]
fn address_without_acknowledgement_is_an_error_of_its_own() {
    let (mut tracker, now) = tracker();
    let id = tracker.start(now, SATELLITE, &get_device_id()).unwrap();
    for count in 1..=6 {
        tracker.handle_timeout(now + TRY * count);
    }
    assert_eq!(tracker.poll_event(), Some((id, Outcome::Unreachable)));
}

#[test]
fn response_from_anybody_else_or_to_anything_else_is_stray() {
    let (mut tracker, now) = tracker();
    tracker.start(now, SATELLITE, &get_device_id()).unwrap();
    let outgoing = tracker.poll_transmit().unwrap();
    let good = answer(&outgoing, 0, &[]);
    let good = IpmbResponse::parse(&good).unwrap();
    let lun = Lun::new(2).unwrap();
    for header in [
        IpmbHeader { responder: IpmbAddress(0x26), ..good.header },
        IpmbHeader { requester: IpmbAddress(0x22), ..good.header },
        IpmbHeader { sequence: good.header.sequence.next(), ..good.header },
        IpmbHeader { netfn: NetFn::STORAGE.response(), ..good.header },
        IpmbHeader { command: 0x02, ..good.header },
        IpmbHeader { responder_lun: lun, ..good.header },
        IpmbHeader { requester_lun: lun, ..good.header },
    ] {
        assert!(!tracker.handle_response(now, &IpmbResponse { header, ..good }));
    }
    assert_eq!((tracker.unmatched(), tracker.outstanding()), (7, 1));
    assert!(tracker.handle_response(now, &good));
    assert!(!tracker.handle_response(now, &good), "a second answer is stray");
}

#[test]
fn every_number_is_used_once_and_the_65th_request_is_refused() {
    let (mut tracker, now) = tracker();
    for _ in 0..64 {
        assert!(tracker.start(now, SATELLITE, &get_device_id()).is_some());
    }
    assert_eq!(tracker.start(now, SATELLITE, &get_device_id()), None);
    let first = tracker.poll_transmit().unwrap();
    assert!(take(&mut tracker, now, &answer(&first, 0, &[])));
    assert!(tracker.start(now, SATELLITE, &get_device_id()).is_some());
}

#[test]
fn invalid_command_blocks_nothing() {
    let (mut tracker, now) = tracker();
    for _ in 0..2 {
        tracker.start(now, SATELLITE, &get_device_id()).unwrap();
        let outgoing = tracker.poll_transmit().unwrap();
        assert!(take(&mut tracker, now, &answer(&outgoing, 0xc1, &[])));
        let response = answered(tracker.poll_event().unwrap().1);
        assert_eq!(response.completion, CompletionCode::INVALID_COMMAND);
    }
}

/// A Send Message, tracked, that has 24h pass Get Device ID on to 72h.
fn send_message() -> Request {
    let inner = [0x72, 0x18, 0x76, 0x20, 0x08, 0x01, 0xd7];
    Request { command: 0x34, data: [&[0x47], &inner[..]].concat(), ..get_device_id() }
}

#[test]
fn relayed_response_follows_its_bridges_own() {
    for own_number in [false, true] {
        let (mut tracker, now) = tracker();
        tracker.start(now, SATELLITE, &send_message()).unwrap();
        let outgoing = tracker.poll_transmit().unwrap();
        assert!(take(&mut tracker, now, &answer(&outgoing, 0, &[])));
        assert_eq!(tracker.poll_event(), None);
        let number = if own_number { 0x00 } else { 0x08 };
        let mut relayed = vec![0x20, 0x1c, 0xc4, 0x24, number, 0x01, 0x00, 0x42];
        relayed.push(ipmi_proto::ipmb::checksum(&relayed[3..]));
        assert!(take(&mut tracker, now, &relayed));
        let response = answered(tracker.poll_event().unwrap().1);
        assert_eq!(response.command, 0x34);
        // As the controller at 72h would have answered the inner request.
        let expected = [0x20, 0x1c, 0xc4, 0x72, 0x08, 0x01, 0x00, 0x42, 0x43];
        assert_eq!(response.data, expected);
    }
}

#[test]
fn response_embedded_in_its_bridges_own_is_passed_as_it_is() {
    let (mut tracker, now) = tracker();
    tracker.start(now, SATELLITE, &send_message()).unwrap();
    let outgoing = tracker.poll_transmit().unwrap();
    let embedded = [0x20, 0x1c, 0xc4, 0x72, 0x08, 0x01, 0x00, 0x85];
    assert!(take(&mut tracker, now, &answer(&outgoing, 0, &embedded)));
    assert_eq!(answered(tracker.poll_event().unwrap().1).data, embedded);
}

#[test]
fn relayed_response_that_never_comes_frees_the_slot() {
    let (mut tracker, now) = tracker();
    let id = tracker.start(now, SATELLITE, &send_message()).unwrap();
    let outgoing = tracker.poll_transmit().unwrap();
    tracker.handle_written(id);
    assert!(take(&mut tracker, now, &answer(&outgoing, 0, &[])));
    tracker.handle_timeout(now + TRY * 6);
    assert_eq!(tracker.poll_event(), Some((id, Outcome::TimedOut)));
    assert_eq!(tracker.outstanding(), 0);
}

/// A small generator, so that a run can be repeated from its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[test]
fn million_requests_to_bad_controllers_leak_nothing_and_mix_nothing_up() {
    let (mut tracker, start) = tracker();
    let mut now = start;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut asked = BTreeMap::new();
    let (mut answers, mut ended) = (Vec::new(), 0_u32);
    for number in 0..1_000_000_u32 {
        let mut request = get_device_id();
        request.data = number.to_le_bytes().to_vec();
        if let Some(id) = tracker.start(now, SATELLITE, &request) {
            asked.insert(id, number);
        }
        now += Duration::from_millis(dice.roll(60));
        tracker.handle_timeout(now);
        while let Some(outgoing) = tracker.poll_transmit() {
            tracker.handle_written(outgoing.id);
            match dice.roll(8) {
                // Silence; an answer; one that is late, doubled or damaged.
                0..4 => {}
                kind => {
                    let echo = IpmbRequest::parse(&outgoing.frame).unwrap().data.to_vec();
                    let frame = answer(&outgoing, 0, &echo);
                    let due = now + Duration::from_millis(dice.roll(600));
                    if kind == 4 {
                        answers.push((due, frame.clone()));
                    }
                    answers.push((due, frame));
                }
            }
        }
        let (due, later) = answers.drain(..).partition(|(at, _)| *at <= now);
        answers = later;
        let due: Vec<_> = due;
        for (_, mut frame) in due {
            if dice.roll(10) == 0 {
                let at = usize::try_from(dice.roll(u64::try_from(frame.len()).unwrap())).unwrap();
                frame[at] ^= 0x40;
            }
            if let Ok(response) = IpmbResponse::parse(&frame) {
                tracker.handle_response(now, &response);
            }
        }
        while let Some((id, outcome)) = tracker.poll_event() {
            let number = asked.remove(&id).expect("a request that ended once");
            if let Outcome::Answered(response) = outcome {
                assert_eq!(response.data, number.to_le_bytes());
            }
            ended += 1;
        }
        assert!(tracker.outstanding() <= 64);
        assert_eq!(tracker.outstanding(), asked.len());
    }
    assert!(ended > 300_000, "{ended}");
    for _ in 0..7 {
        now += TRY;
        tracker.handle_timeout(now);
    }
    assert_eq!(tracker.outstanding(), 0);
}
