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
mod steps;
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

/// The assignment of a position, to be restored after a restart.
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
}

#[cfg(test)]
mod tests;
