use alloc::vec;

use super::*;
use crate::Medium;
use crate::control::responder::{Identity, Incoming, Responder, Surroundings};
use crate::route::RouteTable;

const LINK: LinkId = LinkId(0);
const HERE: Address = Address::Smbus(0x1d);
const THERE: Address = Address::Smbus(0x1e);

/// A bus owner, a clock, and endpoints at places that each run a [`Responder`].
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

    /// Carries requests and answers until there are none; answers take no time.
    fn settle(&mut self) -> Vec<Event> {
        while let Some(request) = self.owner.poll_transmit() {
            self.sent += 1;
            let at = self.present.iter_mut().find(|(address, _)| *address == request.address);
            let Some((address, responder)) = at else {
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
                self.owner.handle_answer(self.now, LINK, *address, &answer);
            }
        }
        core::iter::from_fn(|| self.owner.poll_event()).collect()
    }

    fn until_due(&mut self) -> Vec<Event> {
        self.now = self.owner.poll_timeout().unwrap();
        self.owner.handle_timeout(self.now);
        self.settle()
    }
}

fn with_id(eid: u8) -> Identity {
    Identity { static_eid: Some(Eid(eid)), assignable: true, ..Identity::default() }
}

fn added(events: &[Event]) -> Vec<(Address, u8)> {
    let added = |event: &Event| match event {
        Event::Added(found) => Some((found.address, found.eid.0)),
        Event::Removed(_) => None,
    };
    events.iter().filter_map(added).collect()
}

#[test]
fn endpoints_without_an_id_are_given_one_each() {
    let uuid = Some([7; 16]);
    let nameless = Identity { uuid, ..Identity::default() };
    let mut bus = Bus::new((10, 20), vec![(HERE, nameless.clone()), (THERE, nameless)]);
    bus.owner.look_at(bus.now, LINK, HERE, None);
    bus.owner.look_at(bus.now, LINK, THERE, None);
    let events = bus.settle();
    assert_eq!(added(&events), [(HERE, 10), (THERE, 11)]);
    let found = bus.owner.endpoints().next().unwrap();
    assert_eq!((found.uuid, &found.types[..]), (uuid, &[MessageType::CONTROL][..]));
}

#[test]
fn an_id_that_is_free_is_kept_and_one_that_is_not_is_changed() {
    let mut bus = Bus::new((10, 20), vec![(HERE, with_id(42)), (THERE, with_id(42))]);
    bus.owner.look_at(bus.now, LINK, HERE, None);
    bus.owner.look_at(bus.now, LINK, THERE, None);
    assert_eq!(added(&bus.settle()), [(HERE, 42), (THERE, 10)]);
}

#[test]
fn an_id_that_is_configured_is_given_and_kept_from_others() {
    let mut bus = Bus::new((10, 20), vec![(HERE, with_id(42)), (THERE, Identity::default())]);
    bus.owner.look_at(bus.now, LINK, HERE, Some(Eid(10)));
    bus.owner.look_at(bus.now, LINK, THERE, None);
    assert_eq!(added(&bus.settle()), [(HERE, 10), (THERE, 11)]);
}

#[test]
fn the_owners_own_id_is_never_given() {
    let mut bus = Bus::new((8, 20), vec![(HERE, with_id(8))]);
    bus.owner.look_at(bus.now, LINK, HERE, None);
    assert_eq!(added(&bus.settle()), [(HERE, 9)]);
}

#[test]
fn a_place_where_nobody_is_is_asked_thrice_and_later_again() {
    let mut bus = Bus::new((10, 20), vec![]);
    bus.owner.look_at(bus.now, LINK, HERE, None);
    for _ in 0..3 {
        assert!(bus.until_due().is_empty());
    }
    assert_eq!((bus.sent, bus.now), (3, Duration::from_millis(1500)));
    bus.present.push((HERE, Responder::new(Identity::default())));
    assert_eq!(added(&bus.until_due()), [(HERE, 10)]);
    assert_eq!(bus.now, Duration::from_millis(31_500));
}

#[test]
fn an_endpoint_that_no_longer_answers_is_removed_and_found_again_with_its_id() {
    let mut bus = Bus::new((10, 20), vec![(HERE, Identity::default())]);
    bus.owner.look_at(bus.now, LINK, HERE, None);
    bus.settle();
    let gone = bus.present.pop().unwrap();
    let events: Vec<Event> = (0..4).flat_map(|_| bus.until_due()).collect();
    assert!(matches!(&events[..], [Event::Removed(found)] if found.eid == Eid(10)));
    assert_eq!(bus.owner.endpoints().count(), 0);
    bus.present.push(gone);
    assert_eq!(added(&bus.until_due()), [(HERE, 10)]);
}

#[test]
fn an_endpoint_that_was_reset_gets_its_id_back() {
    let mut bus = Bus::new((10, 20), vec![(HERE, Identity::default())]);
    bus.owner.look_at(bus.now, LINK, HERE, None);
    bus.settle();
    bus.present[0].1 = Responder::new(Identity::default());
    let events = bus.until_due();
    assert!(matches!(events[0], Event::Removed(_)));
    assert_eq!(added(&events), [(HERE, 10)]);
}

#[test]
fn an_endpoint_that_rejects_its_id_keeps_its_own() {
    let fixed = Identity { assignable: false, ..with_id(42) };
    let mut bus = Bus::new((10, 20), vec![(HERE, fixed)]);
    bus.owner.look_at(bus.now, LINK, HERE, Some(Eid(12)));
    assert_eq!(added(&bus.settle()), [(HERE, 42)]);
}

#[test]
fn a_pool_used_up_leaves_the_rest_without_ids() {
    let nameless = Identity::default;
    let mut bus = Bus::new((10, 10), vec![(HERE, nameless()), (THERE, nameless())]);
    bus.owner.look_at(bus.now, LINK, HERE, None);
    bus.owner.look_at(bus.now, LINK, THERE, None);
    assert_eq!(added(&bus.settle()), [(HERE, 10)]);
}

#[test]
fn a_bridge_that_wants_a_pool_gets_one() {
    let mut owner = BusOwner::new(Eid(8), (Eid(10), Eid(20)), Timing::default());
    owner.look_at(Duration::ZERO, LINK, HERE, None);
    let answers: [&[u8]; 5] = [
        &[0, 1, 2, 0, 0, 0x10, 0],
        &[0, 2, 1, 0, 0x01, 10, 4],
        &[0, 3, 8, 0, 0, 4, 17],
        &[0, 4, 3, 5],
        &[0, 5, 5, 0, 2, 0, 1],
    ];
    let mut last = Vec::new();
    for answer in answers {
        last = owner.poll_transmit().unwrap().message;
        assert_eq!(last[2], answer[2]);
        if last[2] == 8 {
            assert_eq!(last[3..], [0, 4, 17]);
        }
        owner.handle_answer(Duration::ZERO, LINK, HERE, answer);
    }
    assert_eq!(last[2], 5);
    let Some(Event::Added(found)) = owner.poll_event() else { panic!("not added") };
    assert_eq!((found.eid, found.pool), (Eid(10), Some((Eid(17), 4))));
}

#[test]
fn stray_answers_change_nothing() {
    let mut owner = BusOwner::new(Eid(8), (Eid(10), Eid(20)), Timing::default());
    owner.look_at(Duration::ZERO, LINK, HERE, None);
    owner.poll_transmit();
    for stray in
        [&[0, 2, 2, 0, 9, 0, 0][..], &[0, 1, 1, 0, 0, 9, 0], &[0, 0x81, 2, 0, 9, 0, 0], &[0, 1, 2]]
    {
        owner.handle_answer(Duration::ZERO, LINK, HERE, stray);
        owner.handle_answer(Duration::ZERO, LINK, THERE, &[0, 1, 2, 0, 9, 0, 0]);
        assert_eq!(owner.poll_transmit(), None, "{stray:02x?}");
    }
}
