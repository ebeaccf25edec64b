//! A bus owner: finds endpoints, assigns ids to them, and polls them.
//!
//! Each position on a bus ([`BusPath`]) is asked Get Endpoint ID, then as needed Set Endpoint ID and
//! Allocate Endpoint IDs, then Get Endpoint UUID, Get Message Type Support and Get Vendor Defined
//! Message Support (DSP0236, "EID assignment"). The ids of a pool that a bridge holds are asked
//! through the bridge. All requests are independent of one another: a position without an endpoint
//! delays none of the others.
//!
//! Nothing is assigned before every position was asked and has had a fifth of a second for its answer,
//! since any of them may have an id from before this bus owner started.
//! A position whose id is configured or restored ([`BusOwner::restore`]) does not wait for that.

mod choice;
mod target;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use self::target::{Step, Target};
use super::requester::{Request, Response};
use super::{CompletionCode, ControlHeader};
use crate::{BusPath, Eid, LinkId, MessageType};

/// How long assignments wait for the first answer of a position, counted from its request and from the
/// last first answer of another one, so that a slow line extends it.
const FIRST_ANSWERS: Duration = Duration::from_millis(200);

/// How soon message types are asked again after an error; doubled each time.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The most positions, configured ones, those that announced themselves, and ids behind bridges.
const MAX_TARGETS: usize = 512;

/// The most entries taken from Get Vendor Defined Message Support.
const MAX_VENDORS: usize = 32;

/// How long to wait, and how often to repeat.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    /// How long an answer may take.
    pub answer: Duration,
    /// How often a request is sent before its endpoint counts as absent.
    pub tries: u8,
    /// The interval at which a present endpoint is asked again.
    pub poll: Duration,
    /// The interval at which an absent endpoint is asked again.
    pub rescan: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            answer: Duration::from_millis(500),
            tries: 3,
            poll: Duration::from_secs(10),
            rescan: Duration::from_secs(30),
        }
    }
}

/// One vendor's messages (DSP0236, "Get Vendor Defined Message Support").
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct VendorSupport {
    /// 0 for a PCI vendor id, 1 for an IANA enterprise number.
    pub format: u8,
    /// The vendor's number.
    pub id: u32,
    /// The command set, or the type within the vendor's messages.
    pub command_set: u16,
}

/// An endpoint as it was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// Its position; that of the bridge for an endpoint behind one.
    pub path: BusPath,
    /// Its id.
    pub eid: Eid,
    /// The bridge that it is behind.
    pub bridge: Option<Eid>,
    /// Its UUID, if it has one.
    pub uuid: Option<[u8; 16]>,
    /// The message types it supports; empty until it has answered.
    pub types: Vec<MessageType>,
    /// The vendor defined messages it supports.
    pub vendors: Vec<VendorSupport>,
    /// For a bridge: the first id behind it, and the number of ids.
    pub pool: Option<(Eid, u8)>,
    /// Whether it answered what it was asked last.
    pub responding: bool,
}

/// A request to be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outgoing {
    /// To be returned with the answer.
    pub target: TargetId,
    /// Where to.
    pub path: BusPath,
    /// To which id; null while the position is all that is known.
    pub destination: Eid,
    /// The message with its type byte.
    pub message: Vec<u8>,
}

/// A change of an endpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// It was found.
    Added(Endpoint),
    /// It has other message types, or has ceased or begun again to answer.
    Changed(Endpoint),
    /// It no longer answers.
    Removed(Endpoint),
}

/// A position, or an id behind a bridge; a number that is not used again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TargetId(u32);

/// What to do with an endpoint whose id is not assigned or not the configured one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Assign {
    /// Assign one if it has none.
    #[default]
    IfNeeded,
    /// Assign one in any case.
    Always,
    /// Use the id that it has, or none.
    Never,
}

/// What is known of a position.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finding {
    /// It is being asked.
    Pending,
    /// An endpoint with this id; `true` if it was assigned since it was asked for.
    Found(Eid, bool),
    /// There is no endpoint, or it got no id.
    Absent,
}

/// What was assigned at a position, to be kept over a restart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Assignment {
    /// The position.
    pub path: BusPath,
    /// The id.
    pub eid: Eid,
    /// A bridge's pool.
    pub pool: Option<(Eid, u8)>,
}

/// Every position on every bus that is owned, and the ids to assign.
#[derive(Clone, Debug)]
pub struct BusOwner {
    own: Eid,
    pool: (Eid, Eid),
    timing: Timing,
    targets: BTreeMap<TargetId, Target>,
    next_target: u32,
    restored: Vec<Assignment>,
    /// Ids that are not assigned.
    reserved: Vec<(Eid, Eid)>,
    /// Targets whose request has not been sent, in order.
    unsent: VecDeque<TargetId>,
    events: VecDeque<Event>,
    /// When a position answered for the first time.
    last_first_answer: Duration,
}

impl BusOwner {
    /// An owner with id `own` that assigns ids from the first to the last of `pool`.
    #[must_use]
    pub fn new(own: Eid, pool: (Eid, Eid), timing: Timing) -> Self {
        Self {
            own,
            pool,
            timing,
            targets: BTreeMap::new(),
            next_target: 0,
            restored: Vec::new(),
            reserved: Vec::new(),
            unsent: VecDeque::new(),
            events: VecDeque::new(),
            last_first_answer: Duration::ZERO,
        }
    }

    /// Takes the ids from `first` to `last` out of the pool, as those of configured routes.
    pub fn reserve(&mut self, first: Eid, last: Eid) {
        self.reserved.push((first, last));
    }

    /// What was assigned before a restart: each position gets its id back, if it is still free and in
    /// the pool.
    pub fn restore(&mut self, assignments: Vec<Assignment>) {
        self.restored = assignments;
    }

    /// What is assigned now, and what was restored for positions that are absent.
    pub fn assignments(&self) -> impl Iterator<Item = Assignment> {
        let now = self.targets.values().filter_map(|target| {
            let found = target.found.as_ref().filter(|_| target.behind.is_none())?;
            Some(Assignment { path: found.path, eid: found.eid, pool: found.pool })
        });
        let absent = self.restored.iter().filter(|restored| {
            !self.targets.values().any(|t| t.path == restored.path && t.found.is_some())
        });
        now.chain(absent.copied())
    }

    /// Adds a position at which an endpoint is looked for until it is found, with the id to assign.
    pub fn add_position(&mut self, path: BusPath, wanted: Option<Eid>) {
        let id = self.look_at(path, wanted, Assign::IfNeeded);
        if let Some(target) = id.and_then(|id| self.targets.get_mut(&id)) {
            target.transient = false;
        }
    }

    /// Looks once for an endpoint at a position, and assigns it the id `wanted`, or one of the pool.
    ///
    /// A position that is known already is asked at once, at the null id, since the endpoint may have
    /// been reset. `None` if there are too many positions.
    pub fn look_at(
        &mut self,
        path: BusPath,
        wanted: Option<Eid>,
        assign: Assign,
    ) -> Option<TargetId> {
        let known = self.targets.iter_mut().find(|(_, t)| t.path == path && t.behind.is_none());
        let id = match known {
            Some((id, target)) => {
                target.assign = assign;
                target.wanted = wanted.or(target.wanted);
                *id
            }
            None => self.add(Target { wanted, assign, ..Target::new(path) })?,
        };
        let target = self.targets.get_mut(&id)?;
        target.is_new = false;
        let step = if target.published { Step::Probe } else { Step::GetId };
        if target.step != step {
            self.ask(id, step);
        }
        Some(id)
    }

    /// What is known of a position.
    #[must_use]
    pub fn finding(&self, id: TargetId) -> Finding {
        match self.targets.get(&id) {
            Some(target) if target.published && target.step != Step::Probe => {
                let eid = target.found.as_ref().map_or(Eid::NULL, |found| found.eid);
                Finding::Found(eid, target.is_new)
            }
            Some(target) if target.step != Step::Rest => Finding::Pending,
            _ => Finding::Absent,
        }
    }

    /// Asks the endpoint with an id again, if it is known; gives its position.
    pub fn probe(&mut self, eid: Eid) -> Option<TargetId> {
        let with_id = |target: &Target| target.found.as_ref().is_some_and(|f| f.eid == eid);
        let (&id, target) = self.targets.iter().find(|(_, target)| with_id(target))?;
        let step = if target.behind.is_some() { Step::Poll } else { Step::Probe };
        self.ask(id, step);
        Some(id)
    }

    /// Looks for the endpoint with an id at a position where other endpoints are, as behind a bridge.
    pub fn look_behind(&mut self, path: BusPath, eid: Eid) -> Option<TargetId> {
        let known = self.targets.iter().find(|(_, target)| target.behind == Some(eid));
        let id = match known {
            Some((&id, _)) => id,
            None => self.add(Target { behind: Some(eid), ..Target::new(path) })?,
        };
        self.ask(id, Step::GetId);
        Some(id)
    }

    /// Removes an endpoint; its position is asked again later.
    pub fn forget(&mut self, now: Duration, eid: Eid) -> bool {
        let with_id = |target: &Target| target.found.as_ref().is_some_and(|f| f.eid == eid);
        let id = self.targets.iter().find(|(_, target)| with_id(target)).map(|(&id, _)| id);
        if let Some(id) = id {
            self.give_up(now, id);
        }
        id.is_some()
    }

    /// A link has come up: its positions are asked at once.
    pub fn link_up(&mut self, link: LinkId) {
        let resting: Vec<(TargetId, bool)> = self
            .targets
            .iter()
            .filter(|(_, target)| target.path.link == link && target.step == Step::Rest)
            .map(|(&id, target)| (id, target.published))
            .collect();
        for (id, published) in resting {
            self.ask(id, if published { Step::Poll } else { Step::GetId });
        }
    }

    /// Takes an answer to one of its requests; any other is ignored.
    pub fn handle_answer(&mut self, now: Duration, id: TargetId, message: &[u8]) {
        let Ok((header, data)) = ControlHeader::parse(message) else {
            return;
        };
        let Some((&code, data)) = data.split_first() else {
            return;
        };
        let awaited = self.targets.get_mut(&id).filter(|target| {
            !header.request
                && target.instance == header.instance
                && target.request().map(Request::command) == Some(header.command)
        });
        let Some(target) = awaited else { return };
        if !core::mem::replace(&mut target.heard, true) && target.behind.is_none() {
            self.last_first_answer = now;
        }
        let response = (code == CompletionCode::SUCCESS.0)
            .then(|| Response::parse_data(header.command, data))
            .flatten();
        self.advance(now, id, response, data);
        self.assign_waiting(now);
    }

    /// Repeats what was not answered, gives up what never is, and asks what is due again.
    pub fn handle_timeout(&mut self, now: Duration) {
        let due: Vec<TargetId> = self
            .targets
            .iter()
            .filter(|(_, target)| target.due.is_some_and(|due| due <= now))
            .map(|(&id, _)| id)
            .collect();
        for id in due {
            self.handle_target_timeout(now, id);
        }
        self.assign_waiting(now);
    }

    fn handle_target_timeout(&mut self, now: Duration, id: TargetId) {
        let Some(target) = self.targets.get(&id) else {
            return;
        };
        match target.step {
            Step::Rest if target.types_due.is_some_and(|due| due <= now) => {
                self.ask(id, Step::GetTypes);
            }
            Step::Rest if target.published => self.ask(id, Step::Poll),
            Step::Rest => self.ask(id, Step::GetId),
            Step::AwaitOthers => {}
            Step::Poll if target.tries < self.timing.tries => {
                self.set_responding(id, false);
                // An endpoint that was reset has lost its id, and answers at the null id only.
                let behind = self.targets.get(&id).is_some_and(|target| target.behind.is_some());
                self.repeat(id, if behind { Step::Poll } else { Step::Probe });
            }
            step if target.tries < self.timing.tries => self.repeat(id, step),
            // An endpoint that answers Get Endpoint ID is present without answers to these.
            Step::GetUuid
            | Step::GetTypes
            | Step::GetVendor(_)
            | Step::Allocate(..)
            | Step::GetPool => self.advance(now, id, None, &[]),
            _ => self.give_up(now, id),
        }
    }

    /// The next request to send to a link for which `has_room` holds. How long it waits for its answer
    /// counts from here.
    pub fn poll_transmit(
        &mut self,
        now: Duration,
        has_room: impl Fn(LinkId) -> bool,
    ) -> Option<Outgoing> {
        loop {
            let targets = &self.targets;
            let sendable = |id: &TargetId| targets.get(id).is_none_or(|t| has_room(t.path.link));
            let at = self.unsent.iter().position(sendable)?;
            let id = self.unsent.remove(at)?;
            let Some(target) = self.targets.get_mut(&id) else { continue };
            let Some(request) = target.request() else { continue };
            target.tries += 1;
            target.due = Some(now + self.timing.answer);
            target.first_due.get_or_insert(now + self.timing.answer.min(FIRST_ANSWERS));
            return Some(Outgoing {
                target: id,
                path: target.path,
                destination: target.destination(),
                message: request.emit(target.instance),
            });
        }
    }

    /// The next change of an endpoint.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let due = self.targets.values().filter_map(|target| target.due);
        due.chain(self.first_answers_due()).min()
    }

    /// When waiting assignments can be made, if nothing is heard until then.
    fn first_answers_due(&self) -> Option<Duration> {
        let all = || self.targets.values().filter(|target| target.behind.is_none());
        if !all().any(|target| target.step == Step::AwaitOthers) {
            return None;
        }
        let unheard = all().filter(|target| !target.heard);
        let due = unheard.map(|target| target.first_due).collect::<Option<Vec<_>>>()?;
        due.into_iter().max().map(|due| due.max(self.last_first_answer + FIRST_ANSWERS))
    }

    /// The endpoints that are present.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.targets.values().filter(|target| target.published).filter_map(|t| t.found.as_ref())
    }

    fn add(&mut self, target: Target) -> Option<TargetId> {
        if self.targets.len() >= MAX_TARGETS {
            return None;
        }
        let id = TargetId(self.next_target);
        self.next_target += 1;
        let restored = self.restored.iter().find(|restored| restored.path == target.path);
        let restored = restored.filter(|_| target.behind.is_none());
        let eid = restored.map(|r| r.eid).filter(|eid| self.is_in_pool(*eid));
        let pool = restored.and_then(|r| r.pool).filter(|(first, _)| self.is_in_pool(*first));
        self.targets.insert(id, Target { restored: eid, restored_pool: pool, ..target });
        Some(id)
    }

    fn ask(&mut self, id: TargetId, step: Step) {
        if let Some(target) = self.targets.get_mut(&id) {
            target.tries = 0;
            target.instance = (target.instance + 1) & super::INSTANCE_MASK;
            self.repeat(id, step);
        }
    }

    fn repeat(&mut self, id: TargetId, step: Step) {
        if let Some(target) = self.targets.get_mut(&id) {
            target.step = step;
            target.due = None;
            if !self.unsent.contains(&id) {
                self.unsent.push_back(id);
            }
        }
    }

    /// The request of the current step was answered with `response`; `None` for an error, no answer
    /// or one that cannot be read.
    fn advance(&mut self, now: Duration, id: TargetId, response: Option<Response>, data: &[u8]) {
        let Some(step) = self.targets.get(&id).map(|target| target.step) else {
            return;
        };
        match (step, response) {
            (Step::GetId | Step::Poll | Step::Probe, Some(Response::EndpointId(eid, bridge))) => {
                self.has_id(now, id, eid, bridge);
            }
            (Step::SetId(_), Some(Response::EndpointIdSet(_, eid, pool_size))) => {
                let pool_status = data.first().map_or(0, |status| status & 0x03);
                self.id_was_set(now, id, eid, pool_status, pool_size);
            }
            (Step::Allocate(..) | Step::GetPool, Some(Response::Allocated(_, first, size))) => {
                self.has_pool(id, first, size);
                self.ask(id, Step::GetUuid);
            }
            (Step::Allocate(..) | Step::GetPool, _) => self.ask(id, Step::GetUuid),
            (Step::GetUuid, response) => {
                let uuid = match response {
                    Some(Response::Uuid(uuid)) => Some(uuid),
                    _ => None,
                };
                self.edit(id, |found| found.uuid = uuid);
                self.ask(id, Step::GetTypes);
            }
            (Step::GetTypes, Some(Response::Types(types))) => self.has_types(now, id, types),
            (Step::GetTypes, _) => {
                self.retry_types_later(now, id);
                self.publish(now, id);
            }
            (Step::GetVendor(_), Some(Response::Vendor(next, vendor))) => {
                self.has_vendor(now, id, next, &vendor);
            }
            (Step::GetVendor(_), _) => self.publish(now, id),
            _ => self.give_up(now, id),
        }
    }

    /// An endpoint has an id: it stays when it is free, and another one is assigned otherwise.
    fn has_id(&mut self, now: Duration, id: TargetId, eid: Eid, bridge: bool) {
        let Some(target) = self.targets.get(&id) else {
            return;
        };
        let polled = matches!(target.step, Step::Poll | Step::Probe);
        let had = target.found.as_ref().map(|found| found.eid);
        if polled && had == Some(eid) {
            self.set_responding(id, true);
            self.rest(now, id);
            return;
        }
        if polled {
            self.remove(id);
        }
        let Some(target) = self.targets.get_mut(&id) else {
            return;
        };
        target.restored = had.or(target.restored);
        let keeps = target.behind.map_or_else(
            || target.wanted.is_none_or(|wanted| wanted == eid) && target.assign != Assign::Always,
            |behind| behind == eid,
        );
        let may_assign = target.behind.is_none() && target.assign != Assign::Never;
        if eid.is_assignable() && keeps && self.is_free_for(id, eid) {
            self.found_with_id(id, eid);
            self.ask(id, if bridge { Step::GetPool } else { Step::GetUuid });
        } else if may_assign {
            self.assign(now, id);
        } else {
            self.give_up(now, id);
        }
    }

    /// Assigns an id at once where it is certain which, and otherwise once all have been asked.
    fn assign(&mut self, now: Duration, id: TargetId) {
        let certain = self.targets.get(&id).is_some_and(|target| {
            let known = target.wanted.or(target.restored);
            known.is_some_and(|eid| self.is_free_for(id, eid))
        });
        if certain {
            self.assign_chosen(now, id);
        } else if let Some(target) = self.targets.get_mut(&id) {
            // The caller of this looks at the waiting ones afterwards, in their order.
            target.step = Step::AwaitOthers;
            target.due = None;
        }
    }

    fn assign_chosen(&mut self, now: Duration, id: TargetId) {
        match self.choose(id) {
            Some(eid) => self.ask(id, Step::SetId(eid)),
            None => self.give_up(now, id), // the pool is used up
        }
    }

    /// Whether each position has answered, or has had the time to.
    fn all_were_asked(&self, now: Duration) -> bool {
        let is_late = |target: &Target| {
            target.first_due.is_some_and(|due| due <= now)
                && self.last_first_answer + FIRST_ANSWERS <= now
        };
        let mut positions = self.targets.values().filter(|target| target.behind.is_none());
        positions.all(|target| target.heard || is_late(target))
    }

    fn assign_waiting(&mut self, now: Duration) {
        if !self.all_were_asked(now) {
            return;
        }
        let waiting =
            |(id, target): (&TargetId, &Target)| (target.step == Step::AwaitOthers).then_some(*id);
        let waiting: Vec<TargetId> = self.targets.iter().filter_map(waiting).collect();
        for id in waiting {
            self.assign_chosen(now, id);
        }
    }

    fn id_was_set(
        &mut self,
        now: Duration,
        id: TargetId,
        eid: Eid,
        pool_status: u8,
        pool_size: u8,
    ) {
        const POOL_WANTED: u8 = 1;
        const POOL_HELD: u8 = 2;
        // One that rejects its assignment returns its own id, which is used when it is free.
        if !eid.is_assignable() || !self.is_free_for(id, eid) {
            self.give_up(now, id);
            return;
        }
        if let Some(target) = self.targets.get_mut(&id) {
            target.is_new = true;
        }
        self.found_with_id(id, eid);
        let first = (pool_status == POOL_WANTED && pool_size > 0)
            .then(|| self.pool_for(id, pool_size))
            .flatten();
        match first {
            Some(first) => self.ask(id, Step::Allocate(first, pool_size)),
            None if pool_status == POOL_HELD => self.ask(id, Step::GetPool),
            None => self.ask(id, Step::GetUuid),
        }
    }

    /// A bridge holds a pool: the ids in it are looked for.
    fn has_pool(&mut self, id: TargetId, first: Eid, size: u8) {
        let last = first.0.checked_add(size.saturating_sub(1)).map(Eid);
        let Some(last) = last.filter(|last| first.is_assignable() && last.is_assignable()) else {
            return;
        };
        if size == 0 {
            return;
        }
        self.edit(id, |found| found.pool = Some((first, size)));
        let Some((path, bridge)) =
            self.targets.get(&id).and_then(|t| Some((t.path, t.found.as_ref()?.eid)))
        else {
            return;
        };
        let own = self.own;
        for eid in (first.0..=last.0).map(Eid).filter(|eid| *eid != bridge && *eid != own) {
            let child = self.look_behind(path, eid);
            if let Some(target) = child.and_then(|child| self.targets.get_mut(&child)) {
                target.transient = false;
            }
        }
    }

    fn has_types(&mut self, now: Duration, id: TargetId, types: Vec<MessageType>) {
        let vendors = [MessageType::VENDOR_PCI, MessageType::VENDOR_IANA];
        let has_vendors = types.iter().any(|kind| vendors.contains(kind));
        if let Some(target) = self.targets.get_mut(&id) {
            target.types_due = None;
            target.types_retry = FIRST_RETRY;
        }
        self.edit(id, |found| {
            found.types = types;
            found.vendors.clear();
        });
        if has_vendors {
            self.ask(id, Step::GetVendor(0));
        } else {
            self.publish(now, id);
        }
    }

    fn has_vendor(&mut self, now: Duration, id: TargetId, next: Option<u8>, vendor: &[u8]) {
        let vendor = match *vendor {
            [0, id1, id0, set1, set0, ..] => {
                Some((0, u32::from_be_bytes([0, 0, id1, id0]), [set1, set0]))
            }
            [1, id3, id2, id1, id0, set1, set0, ..] => {
                Some((1, u32::from_be_bytes([id3, id2, id1, id0]), [set1, set0]))
            }
            _ => None,
        };
        let mut count = 0;
        self.edit(id, |found| {
            let support = vendor.map(|(format, id, set)| VendorSupport {
                format,
                id,
                command_set: u16::from_be_bytes(set),
            });
            found.vendors.extend(support);
            count = found.vendors.len();
        });
        match next.filter(|_| vendor.is_some() && count < MAX_VENDORS) {
            Some(next) => self.ask(id, Step::GetVendor(next)),
            None => self.publish(now, id),
        }
    }

    fn retry_types_later(&mut self, now: Duration, id: TargetId) {
        let longest = self.timing.rescan.max(FIRST_RETRY);
        if let Some(target) = self.targets.get_mut(&id) {
            target.types_due = Some(now + target.types_retry);
            target.types_retry = (2 * target.types_retry).min(longest);
        }
    }

    fn found_with_id(&mut self, id: TargetId, eid: Eid) {
        let Some(target) = self.targets.get(&id) else {
            return;
        };
        let path = target.path;
        let bridge = target.behind.and_then(|_| {
            let at_path = |t: &&Target| t.path == path && t.behind.is_none();
            self.targets.values().find(at_path)?.found.as_ref().map(|found| found.eid)
        });
        let (types, vendors) = (Vec::new(), Vec::new());
        let found = Endpoint {
            path,
            eid,
            bridge,
            uuid: None,
            types,
            vendors,
            pool: None,
            responding: true,
        };
        if let Some(target) = self.targets.get_mut(&id) {
            target.found = Some(found);
            target.types_retry = FIRST_RETRY;
        }
    }

    fn edit(&mut self, id: TargetId, change: impl FnOnce(&mut Endpoint)) {
        if let Some(found) = self.targets.get_mut(&id).and_then(|t| t.found.as_mut()) {
            change(found);
        }
    }

    fn set_responding(&mut self, id: TargetId, responding: bool) {
        let Some(target) = self.targets.get_mut(&id).filter(|target| target.published) else {
            return;
        };
        if let Some(found) = target.found.as_mut().filter(|f| f.responding != responding) {
            found.responding = responding;
            self.events.push_back(Event::Changed(found.clone()));
        }
    }

    /// Everything that could be asked is known.
    fn publish(&mut self, now: Duration, id: TargetId) {
        if let Some(target) = self.targets.get_mut(&id) {
            let event = if target.published { Event::Changed } else { Event::Added };
            target.published = true;
            target.transient = false;
            self.events.extend(target.found.clone().map(event));
        }
        self.rest(now, id);
    }

    fn give_up(&mut self, now: Duration, id: TargetId) {
        self.remove(id);
        self.rest(now, id);
        if self.targets.get(&id).is_some_and(|target| target.transient) {
            self.targets.remove(&id);
        }
    }

    fn remove(&mut self, id: TargetId) {
        let Some(target) = self.targets.get_mut(&id) else {
            return;
        };
        let (path, behind) = (target.path, target.behind);
        let found = target.found.take();
        target.restored = found.as_ref().map(|found| found.eid).or(target.restored);
        target.restored_pool = found.as_ref().and_then(|f| f.pool).or(target.restored_pool);
        target.types_due = None;
        let published = core::mem::take(&mut target.published);
        let had_pool = found.as_ref().is_some_and(|found| found.pool.is_some());
        self.events.extend(found.filter(|_| published).map(Event::Removed));
        if had_pool && behind.is_none() {
            let children = |(child, target): (&TargetId, &Target)| {
                (target.path == path && target.behind.is_some()).then_some(*child)
            };
            let children: Vec<TargetId> = self.targets.iter().filter_map(children).collect();
            for child in children {
                self.remove(child);
                self.targets.remove(&child);
            }
        }
    }

    /// Nothing more is asked until the next poll, or the next try to get the message types.
    fn rest(&mut self, now: Duration, id: TargetId) {
        let timing = self.timing;
        if let Some(target) = self.targets.get_mut(&id) {
            let pause = if target.published { timing.poll } else { timing.rescan };
            target.step = Step::Rest;
            target.due = Some(target.types_due.unwrap_or(now + pause).min(now + pause));
        }
        self.unsent.retain(|unsent| *unsent != id);
    }
}

#[cfg(test)]
mod tests;
