use alloc::vec;

use super::*;
use crate::control::responder::{Identity, Incoming, Responder, Surroundings};
use crate::route::RouteTable;
use crate::{Address, Medium};

const LINK: LinkId = LinkId(0);
const HERE: Address = Address::Smbus(0x1d);
const THERE: Address = Address::Smbus(0x1e);

const fn at(address: Address) -> BusPath {
    BusPath::new(LINK, address)
}

/// A bus owner, a clock, and endpoints at addresses that each run a [`Responder`].
struct Bus {
    owner: BusOwner,
    now: Duration,
    present: Vec<(Address, Responder)>,
    sent: usize,
}

impl Bus {
    fn new(pool: (u8, u8), present: Vec<(Address, Identity)>) -> Self {
        let pool = (Eid(pool.0), Eid(pool.1));
        let present = present.into_iter().map(|(at, who)| (at, Responder::new(who))).collect();
        let owner = BusOwner::new(Eid(8), pool, Timing::default());
        Self { owner, now: Duration::ZERO, present, sent: 0 }
    }

    fn own(&mut self, address: Address, wanted: Option<u8>) {
        self.owner.add_position(at(address), wanted.map(Eid));
    }

    /// Passes requests and responses until there are none; responses take no time.
    fn settle(&mut self) -> Vec<Event> {
        while let Some(request) = self.owner.poll_transmit(self.now, |_| true) {
            self.sent += 1;
            let to = |(address, responder): &&mut (Address, Responder)| {
                *address == request.path.address
                    && [Eid::NULL, responder.eid()].contains(&request.destination)
            };
            let Some((_, responder)) = self.present.iter_mut().find(to) else {
                continue;
            };
            let incoming = Incoming {
                link: LINK,
                medium: Medium::Smbus,
                address: Address::Smbus(0x10),
                destination: request.destination,
                message: &request.message,
            };
            let mut routes = RouteTable::default();
            let mut around = Surroundings { types: &[], routes: &mut routes, media: &[] };
            let outcome = responder.respond(&incoming, &mut around);
            if let Some(answer) = outcome.answer {
                self.owner.handle_answer(self.now, request.target, &answer);
            }
        }
        core::iter::from_fn(|| self.owner.poll_event()).collect()
    }

    fn until_due(&mut self) -> Vec<Event> {
        self.now = self.owner.poll_timeout().unwrap();
        self.owner.handle_timeout(self.now);
        self.settle()
    }

    /// Lets time pass, and collects what happens until then.
    fn until(&mut self, time: Duration) -> Vec<Event> {
        let mut events = self.settle();
        while self.owner.poll_timeout().is_some_and(|due| due <= time) {
            events.extend(self.until_due());
        }
        self.now = time;
        events
    }
}

fn with_id(eid: u8) -> Identity {
    Identity { static_eid: Some(Eid(eid)), assignable: true, ..Identity::default() }
}

fn added(events: &[Event]) -> Vec<(Address, u8)> {
    let added = |event: &Event| match event {
        Event::Added(found) => Some((found.path.address, found.eid.0)),
        Event::Changed(_) | Event::Removed(_) => None,
    };
    events.iter().filter_map(added).collect()
}

#[test]
fn endpoints_without_an_id_are_given_one_each() {
    let uuid = Some([7; 16]);
    let nameless = Identity { uuid, ..Identity::default() };
    let mut bus = Bus::new((10, 20), vec![(HERE, nameless.clone()), (THERE, nameless)]);
    bus.own(HERE, None);
    bus.own(THERE, None);
    let events = bus.settle();
    assert_eq!(added(&events), [(HERE, 10), (THERE, 11)]);
    let found = bus.owner.endpoints().next().unwrap();
    assert_eq!((found.uuid, &found.types[..]), (uuid, &[MessageType::CONTROL][..]));
}

#[test]
fn an_id_that_is_free_stays_and_one_that_is_not_is_changed() {
    let mut bus = Bus::new((10, 20), vec![(HERE, with_id(42)), (THERE, with_id(42))]);
    bus.own(HERE, None);
    bus.own(THERE, None);
    assert_eq!(added(&bus.settle()), [(HERE, 42), (THERE, 10)]);
}

#[test]
fn an_id_that_is_configured_is_assigned_and_reserved() {
    let mut bus = Bus::new((10, 20), vec![(HERE, with_id(42)), (THERE, Identity::default())]);
    bus.own(HERE, Some(10));
    bus.own(THERE, None);
    assert_eq!(added(&bus.settle()), [(HERE, 10), (THERE, 11)]);
}

#[test]
fn the_owners_own_id_is_never_given() {
    let mut bus = Bus::new((8, 20), vec![(HERE, with_id(8))]);
    bus.own(HERE, None);
    assert_eq!(added(&bus.settle()), [(HERE, 9)]);
}

#[test]
fn an_absent_endpoint_is_asked_thrice_and_later_again() {
    let mut bus = Bus::new((10, 20), vec![]);
    bus.own(HERE, None);
    bus.settle();
    for _ in 0..3 {
        assert!(bus.until_due().is_empty());
    }
    assert_eq!((bus.sent, bus.now), (3, Duration::from_millis(1500)));
    bus.present.push((HERE, Responder::new(Identity::default())));
    assert_eq!(added(&bus.until_due()), [(HERE, 10)]);
    assert_eq!(bus.now, Duration::from_millis(31_500));
}

#[test]
fn an_endpoint_that_no_longer_answers_is_degraded_then_removed_and_found_again_with_its_id() {
    let mut bus = Bus::new((10, 20), vec![(HERE, Identity::default())]);
    bus.own(HERE, None);
    bus.settle();
    let gone = bus.present.pop().unwrap();
    let events: Vec<Event> = (0..4).flat_map(|_| bus.until_due()).collect();
    let [Event::Changed(degraded), Event::Removed(removed)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((degraded.responding, removed.eid), (false, Eid(10)));
    assert_eq!(bus.owner.endpoints().count(), 0);
    bus.present.push(gone);
    assert_eq!(added(&bus.until_due()), [(HERE, 10)]);
}

#[test]
fn an_endpoint_that_was_reset_gets_its_id_back_with_the_second_request_of_a_poll() {
    let mut bus = Bus::new((10, 20), vec![(HERE, Identity::default())]);
    bus.own(HERE, None);
    bus.settle();
    bus.present[0].1 = Responder::new(Identity::default());
    let events = bus.until(Duration::from_millis(10_500));
    assert!(matches!(events[1], Event::Removed(_)), "{events:?}");
    assert_eq!(added(&events), [(HERE, 10)]);
}

#[test]
fn an_endpoint_that_announces_itself_is_asked_at_once_whatever_was_going_on() {
    let mut bus = Bus::new((10, 20), vec![(HERE, Identity::default())]);
    bus.own(HERE, None);
    bus.settle();
    for polling in [false, true] {
        if polling {
            let due = bus.owner.poll_timeout().unwrap();
            bus.owner.handle_timeout(due);
            bus.now = due;
            bus.owner.poll_transmit(bus.now, |_| true).unwrap();
        }
        bus.present[0].1 = Responder::new(Identity::default());
        bus.owner.look_at(at(HERE), None, Assign::IfNeeded);
        assert_eq!(added(&bus.settle()), [(HERE, 10)], "{polling}");
    }
}

#[test]
fn one_that_announced_itself_and_is_absent_is_forgotten() {
    let mut bus = Bus::new((10, 20), vec![]);
    bus.owner.look_at(at(HERE), None, Assign::IfNeeded);
    bus.until(Duration::from_secs(2));
    assert_eq!((bus.sent, bus.owner.poll_timeout()), (3, None));
}

#[test]
fn absent_endpoints_delay_no_other() {
    let mut bus = Bus::new((10, 40), vec![(THERE, with_id(42))]);
    for address in 0x30..0x50 {
        bus.own(Address::Smbus(address), None);
    }
    bus.own(THERE, None);
    assert_eq!(added(&bus.settle()), [(THERE, 42)]);
}

#[test]
fn all_are_asked_before_an_id_is_assigned() {
    let third = Address::Smbus(0x1f);
    let running = vec![(HERE, Identity::default()), (THERE, with_id(9)), (third, with_id(10))];
    let mut bus = Bus::new((9, 20), running);
    for address in [HERE, THERE, third] {
        bus.own(address, None);
    }
    assert_eq!(added(&bus.settle()), [(THERE, 9), (third, 10), (HERE, 11)]);
}

#[test]
fn an_assignment_waits_for_an_absent_endpoint_a_moment_and_once() {
    let mut bus = Bus::new((9, 20), vec![(HERE, Identity::default())]);
    bus.own(HERE, None);
    bus.own(THERE, None);
    assert!(bus.settle().is_empty());
    assert_eq!(added(&bus.until_due()), [(HERE, 9)]);
    assert_eq!(bus.now, FIRST_ANSWERS);
}

#[test]
fn restored_ids_are_assigned_at_once_and_reserved_for_absent_endpoints() {
    let nameless = Identity::default;
    let mut bus = Bus::new((9, 10), vec![(HERE, nameless()), (THERE, nameless())]);
    let restore = |address, eid| Assignment { path: at(address), eid: Eid(eid), pool: None };
    bus.owner.restore(vec![restore(HERE, 10), restore(Address::Smbus(0x50), 9)]);
    bus.own(HERE, None);
    bus.own(Address::Smbus(0x50), None);
    assert_eq!(added(&bus.settle()), [(HERE, 10)]);
    let mut restored: Vec<u8> = bus.owner.assignments().map(|restored| restored.eid.0).collect();
    restored.sort_unstable();
    assert_eq!(restored, [9, 10]);
    // When no other is left, the id of an absent endpoint is better than none.
    bus.own(THERE, None);
    bus.settle();
    assert_eq!(added(&bus.until_due()), [(THERE, 9)]);
}

/// A bus owner that was asked for one position, and has sent its first request.
fn scripted() -> (BusOwner, Outgoing) {
    let mut owner = BusOwner::new(Eid(8), (Eid(10), Eid(20)), Timing::default());
    owner.add_position(at(HERE), None);
    let first = owner.poll_transmit(Duration::ZERO, |_| true).unwrap();
    (owner, first)
}

/// Answers a request with a completion code and data; gives the next one.
fn reply(owner: &mut BusOwner, request: &Outgoing, answer: &[u8]) -> Option<Outgoing> {
    let message = [&[0, request.message[1] & 0x1f, request.message[2]], answer].concat();
    owner.handle_answer(Duration::ZERO, request.target, &message);
    owner.poll_transmit(Duration::ZERO, |_| true)
}

#[test]
fn message_types_that_are_not_ready_are_asked_again_with_growing_pauses() {
    let (mut owner, request) = scripted();
    let request = reply(&mut owner, &request, &[0, 9, 0, 0]).unwrap();
    let request = reply(&mut owner, &request, &[5]).unwrap();
    assert_eq!(request.message[2], 5);
    assert_eq!(reply(&mut owner, &request, &[4]), None);
    let Some(Event::Added(found)) = owner.poll_event() else { panic!("not added") };
    assert_eq!((found.eid, found.types), (Eid(9), vec![]));
    let mut now = Duration::ZERO;
    for pause in [1, 2, 4] {
        now += Duration::from_secs(pause);
        assert_eq!(owner.poll_timeout(), Some(now));
        owner.handle_timeout(now);
        let request = owner.poll_transmit(now, |_| true).unwrap();
        assert_eq!(request.message[2], 5, "{pause}");
        let answer: &[u8] = if pause == 4 { &[0, 2, 0, 1] } else { &[4] };
        let message = [&[0, request.message[1] & 0x1f, 5], answer].concat();
        owner.handle_answer(now, request.target, &message);
    }
    let changed = core::iter::from_fn(|| owner.poll_event()).last();
    let Some(Event::Changed(found)) = changed else { panic!("not changed") };
    assert_eq!(found.types, [MessageType::CONTROL, MessageType::PLDM]);
}

#[test]
fn vendor_defined_messages_are_listed() {
    let (mut owner, request) = scripted();
    let request = reply(&mut owner, &request, &[0, 9, 0, 0]).unwrap();
    let request = reply(&mut owner, &request, &[5]).unwrap();
    let request = reply(&mut owner, &request, &[0, 3, 0, 0x7e, 0x7f]).unwrap();
    assert_eq!(request.message[2..], [6, 0]);
    let request = reply(&mut owner, &request, &[0, 1, 0, 0x1a, 0xb4, 1, 2]).unwrap();
    assert_eq!(request.message[2..], [6, 1]);
    assert_eq!(reply(&mut owner, &request, &[0, 0xff, 1, 0, 0, 0x30, 0x39, 3, 4]), None);
    let pci = VendorSupport { format: 0, id: 0x1ab4, command_set: 0x0102 };
    let iana = VendorSupport { format: 1, id: 0x3039, command_set: 0x0304 };
    assert_eq!(owner.endpoints().next().unwrap().vendors, [pci, iana]);
}

#[test]
fn a_pool_that_a_bridge_holds_is_asked_for_and_its_endpoints_are_found() {
    let (mut owner, request) = scripted();
    let request = reply(&mut owner, &request, &[0, 10, 0x10, 0]).unwrap();
    assert_eq!(request.message[2..], [8, 2, 0, 0]);
    let first = reply(&mut owner, &request, &[0, 0, 2, 11]).unwrap();
    let second = owner.poll_transmit(Duration::ZERO, |_| true).unwrap();
    assert_eq!((first.destination, second.destination), (Eid(11), Eid(12)));
    assert_eq!((first.path, first.message[2]), (at(HERE), 2));
    let uuid = owner.poll_transmit(Duration::ZERO, |_| true).unwrap();
    assert_eq!((uuid.destination, uuid.message[2]), (Eid(10), 3));
    // Both behind it are asked on, at their own ids and the bridge's address.
    let mut request = reply(&mut owner, &first, &[0, 11, 0, 0]).unwrap();
    for answer in [&[5][..], &[0, 1, 1]] {
        assert_eq!(request.destination, Eid(11));
        match reply(&mut owner, &request, answer) {
            Some(next) => request = next,
            None => break,
        }
    }
    let Some(Event::Added(found)) = owner.poll_event() else { panic!("not added") };
    assert_eq!((found.eid, found.bridge), (Eid(11), Some(Eid(10))));
    assert!(!owner.is_free_for(TargetId(99), Eid(12)));
}

#[test]
fn an_endpoint_that_rejects_its_id_keeps_its_own() {
    let fixed = Identity { assignable: false, ..with_id(42) };
    let mut bus = Bus::new((10, 20), vec![(HERE, fixed)]);
    bus.own(HERE, Some(12));
    assert_eq!(added(&bus.settle()), [(HERE, 42)]);
}

#[test]
fn a_pool_used_up_leaves_the_rest_without_ids() {
    let nameless = Identity::default;
    let mut bus = Bus::new((10, 10), vec![(HERE, nameless()), (THERE, nameless())]);
    bus.own(HERE, None);
    bus.own(THERE, None);
    assert_eq!(added(&bus.settle()), [(HERE, 10)]);
}

#[test]
fn a_bridge_that_wants_a_pool_gets_one() {
    let (mut owner, request) = scripted();
    let request = reply(&mut owner, &request, &[0, 0, 0x10, 0]).unwrap();
    assert_eq!(request.message[2..], [1, 0, 10]);
    let request = reply(&mut owner, &request, &[0, 0x01, 10, 4]).unwrap();
    assert_eq!(request.message[2..], [8, 0, 4, 17]);
    let first = reply(&mut owner, &request, &[0, 0, 4, 17]).unwrap();
    assert_eq!((first.destination, first.message[2]), (Eid(17), 2));
    let last = core::iter::from_fn(|| owner.poll_transmit(Duration::ZERO, |_| true)).last();
    let request = reply(&mut owner, &last.unwrap(), &[5]).unwrap();
    assert_eq!(reply(&mut owner, &request, &[0, 2, 0, 1]), None);
    let Some(Event::Added(found)) = owner.poll_event() else { panic!("not added") };
    assert_eq!((found.eid, found.pool), (Eid(10), Some((Eid(17), 4))));
}

#[test]
fn a_bridge_that_was_reset_gets_the_pool_back_that_it_had() {
    let mut owner = BusOwner::new(Eid(8), (Eid(10), Eid(40)), Timing::default());
    let pool = Some((Eid(21), 4));
    owner.restore(vec![Assignment { path: at(HERE), eid: Eid(12), pool }]);
    owner.add_position(at(HERE), None);
    let request = owner.poll_transmit(Duration::ZERO, |_| true).unwrap();
    let request = reply(&mut owner, &request, &[0, 0, 0x10, 0]).unwrap();
    assert_eq!(request.message[2..], [1, 0, 12]);
    let request = reply(&mut owner, &request, &[0, 0x01, 12, 4]).unwrap();
    assert_eq!(request.message[2..], [8, 0, 4, 21]);
}

#[test]
fn requests_wait_for_room_on_their_link_and_their_time_counts_from_there() {
    let mut owner = BusOwner::new(Eid(8), (Eid(10), Eid(20)), Timing::default());
    owner.add_position(at(HERE), None);
    owner.add_position(BusPath::new(LinkId(1), HERE), None);
    let other = owner.poll_transmit(Duration::ZERO, |link| link != LINK).unwrap();
    assert_eq!(other.path.link, LinkId(1));
    assert_eq!(owner.poll_transmit(Duration::ZERO, |link| link != LINK), None);
    let later = Duration::from_secs(7);
    assert!(owner.poll_transmit(later, |_| true).is_some());
    owner.handle_timeout(later);
    assert_eq!(owner.poll_timeout(), Some(later + Timing::default().answer));
}

#[test]
fn what_is_reserved_or_not_in_the_pool_is_not_assigned() {
    let nameless = Identity::default;
    let mut bus = Bus::new((10, 13), vec![(HERE, nameless()), (THERE, nameless())]);
    bus.owner.reserve(Eid(10), Eid(11));
    bus.owner.restore(vec![Assignment { path: at(HERE), eid: Eid(99), pool: None }]);
    bus.own(HERE, None);
    bus.own(THERE, None);
    assert_eq!(added(&bus.settle()), [(HERE, 12), (THERE, 13)]);
}

#[test]
fn stray_answers_change_nothing() {
    let (mut owner, request) = scripted();
    for stray in
        [&[0, 2, 2, 0, 9, 0, 0][..], &[0, 1, 1, 0, 0, 9, 0], &[0, 0x81, 2, 0, 9, 0, 0], &[0, 1, 2]]
    {
        owner.handle_answer(Duration::ZERO, request.target, stray);
        owner.handle_answer(Duration::ZERO, TargetId(9), &[0, 1, 2, 0, 9, 0, 0]);
        assert_eq!(owner.poll_transmit(Duration::ZERO, |_| true), None, "{stray:02x?}");
    }
}
