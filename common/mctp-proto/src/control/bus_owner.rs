//! A bus owner: finds endpoints, gives them ids, and notices when they are gone.
//!
//! For each place on a bus it asks Get Endpoint ID, then as needed Set Endpoint ID and Allocate
//! Endpoint IDs, then Get Endpoint UUID and Get Message Type Support (DSP0236, "EID assignment").
//! A request is repeated [`Timing::tries`] times; an endpoint that misses all of them is removed and
//! looked for again later.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Command, CompletionCode, ControlHeader};
use crate::{Address, Eid, LinkId, MessageType};

/// How patient the bus owner is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    /// How long an answer may take.
    pub answer: Duration,
    /// How often a request is sent before its endpoint counts as absent.
    pub tries: u8,
    /// How often an endpoint that is there is asked again.
    pub poll: Duration,
    /// How often a place where nobody was is asked again.
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

/// An endpoint as it was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// The link it is on.
    pub link: LinkId,
    /// Its place on the link.
    pub address: Address,
    /// Its id, kept or given.
    pub eid: Eid,
    /// Its UUID, if it tells one.
    pub uuid: Option<[u8; 16]>,
    /// What it takes.
    pub types: Vec<MessageType>,
    /// For a bridge: the first id behind it, and how many.
    pub pool: Option<(Eid, u8)>,
}

/// A request to be sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outgoing {
    /// On which link.
    pub link: LinkId,
    /// To which place.
    pub address: Address,
    /// To which id; null while the place is all that is known.
    pub destination: Eid,
    /// Type byte and all.
    pub message: Vec<u8>,
}

/// What became of an endpoint.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// It is there, with this id.
    Added(Endpoint),
    /// It no longer answers.
    Removed(Endpoint),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    /// Nothing is asked until the target is due.
    Rest,
    GetId,
    SetId(Eid),
    Allocate(Eid, u8),
    GetUuid,
    GetTypes,
    /// Get Endpoint ID of one that is there already.
    Poll,
}

#[derive(Clone, Debug)]
struct Target {
    link: LinkId,
    address: Address,
    /// The id to give, where one is configured.
    wanted: Option<Eid>,
    /// What is known, from the first answer on.
    found: Option<Endpoint>,
    /// Whether `found` has been told as an event.
    told: bool,
    step: Step,
    tries: u8,
    due: Duration,
    instance: u8,
}

/// Every place on every bus that is owned, and the ids to give.
#[derive(Clone, Debug)]
pub struct BusOwner {
    own: Eid,
    pool: (Eid, Eid),
    timing: Timing,
    targets: Vec<Target>,
    out: VecDeque<Outgoing>,
    events: VecDeque<Event>,
}

impl BusOwner {
    /// An owner with id `own` that gives out ids from the first to the last of `pool`.
    #[must_use]
    pub fn new(own: Eid, pool: (Eid, Eid), timing: Timing) -> Self {
        let (targets, out, events) = (Vec::new(), VecDeque::new(), VecDeque::new());
        Self { own, pool, timing, targets, out, events }
    }

    /// Looks for an endpoint at a place, and gives it the id `wanted`, or one from the pool.
    ///
    /// For a place that is known already, asks there at once.
    pub fn look_at(&mut self, now: Duration, link: LinkId, address: Address, wanted: Option<Eid>) {
        let known = self.targets.iter().position(|t| t.link == link && t.address == address);
        let index = known.unwrap_or_else(|| {
            self.targets.push(Target {
                link,
                address,
                wanted,
                found: None,
                told: false,
                step: Step::Rest,
                tries: 0,
                due: now,
                instance: 0,
            });
            self.targets.len() - 1
        });
        if let Some(target) = self.targets.get(index).filter(|target| target.step == Step::Rest) {
            let step = if target.told { Step::Poll } else { Step::GetId };
            self.ask(now, index, step);
        }
    }

    /// Takes an answer to one of its requests; an answer to none is left alone.
    pub fn handle_answer(&mut self, now: Duration, link: LinkId, address: Address, message: &[u8]) {
        let Ok((header, data)) = ControlHeader::parse(message) else {
            return;
        };
        let Some((&code, data)) = data.split_first() else {
            return;
        };
        let awaited = self.targets.iter().position(|target| {
            target.link == link
                && target.address == address
                && target.instance == header.instance
                && target.step.command() == Some(header.command)
        });
        if header.request {
            return;
        }
        if let Some(index) = awaited {
            let data = (code == CompletionCode::SUCCESS.0).then_some(data);
            self.advance(now, index, data);
        }
    }

    /// Repeats what was not answered, gives up what never is, and asks what is due again.
    pub fn handle_timeout(&mut self, now: Duration) {
        for index in 0..self.targets.len() {
            let Some(target) = self.targets.get(index).filter(|target| target.due <= now) else {
                continue;
            };
            match target.step {
                Step::Rest if target.told => self.ask(now, index, Step::Poll),
                Step::Rest => self.ask(now, index, Step::GetId),
                step if target.tries < self.timing.tries => self.send(now, index, step),
                // Both may be left unanswered by an endpoint that is there all the same.
                Step::GetUuid | Step::GetTypes | Step::Allocate(..) => {
                    self.advance(now, index, None);
                }
                _ => self.give_up(now, index),
            }
        }
    }

    /// The next request to send.
    pub fn poll_transmit(&mut self) -> Option<Outgoing> {
        self.out.pop_front()
    }

    /// The next thing that became of an endpoint.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.targets.iter().map(|target| target.due).min()
    }

    /// The endpoints that are there.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.targets.iter().filter(|target| target.told).filter_map(|t| t.found.as_ref())
    }

    fn ask(&mut self, now: Duration, index: usize, step: Step) {
        if let Some(target) = self.targets.get_mut(index) {
            target.tries = 0;
            target.instance = (target.instance + 1) & super::INSTANCE_MASK;
            self.send(now, index, step);
        }
    }

    fn send(&mut self, now: Duration, index: usize, step: Step) {
        let Some(target) = self.targets.get_mut(index) else {
            return;
        };
        let Some(command) = step.command() else {
            return;
        };
        target.step = step;
        target.tries += 1;
        target.due = now + self.timing.answer;
        let eid = target.found.as_ref().map_or(Eid::NULL, |found| found.eid);
        let (destination, data) = match step {
            Step::SetId(eid) => (Eid::NULL, Vec::from([0, eid.0])),
            Step::Allocate(first, size) => (eid, Vec::from([0, size, first.0])),
            Step::GetId | Step::Rest => (Eid::NULL, Vec::new()),
            Step::GetUuid | Step::GetTypes | Step::Poll => (eid, Vec::new()),
        };
        let message = ControlHeader::request(command, target.instance).message(&data);
        let (link, address) = (target.link, target.address);
        self.out.push_back(Outgoing { link, address, destination, message });
    }

    /// The step in hand was answered: with data, or with an error (`None`).
    fn advance(&mut self, now: Duration, index: usize, data: Option<&[u8]>) {
        let Some(step) = self.targets.get(index).map(|target| target.step) else {
            return;
        };
        match (step, data) {
            (Step::GetId | Step::Poll, Some(&[eid, ..])) => self.has_id(now, index, Eid(eid)),
            (Step::SetId(_), Some(&[status, eid, pool_size, ..])) => {
                self.id_was_set(now, index, status, Eid(eid), pool_size);
            }
            (Step::Allocate(..), Some(&[0, size, first, ..])) => {
                self.note(index, |found| found.pool = Some((Eid(first), size)));
                self.ask(now, index, Step::GetUuid);
            }
            (Step::Allocate(..), _) => self.ask(now, index, Step::GetUuid),
            (Step::GetUuid, data) => {
                let uuid = data.and_then(|data| data.try_into().ok());
                self.note(index, |found| found.uuid = uuid);
                self.ask(now, index, Step::GetTypes);
            }
            (Step::GetTypes, data) => {
                let types = data.and_then(<[u8]>::split_first).map_or(&[][..], |(_, types)| types);
                let types = types.iter().map(|&kind| MessageType::from_first_byte(kind)).collect();
                self.note(index, |found| found.types = types);
                self.settle(now, index);
            }
            _ => self.give_up(now, index),
        }
    }

    /// An endpoint told its id: it stays when it is free, and is set anew otherwise.
    fn has_id(&mut self, now: Duration, index: usize, eid: Eid) {
        let Some(target) = self.targets.get(index) else {
            return;
        };
        let polled = target.step == Step::Poll;
        let had = target.found.as_ref().map(|found| found.eid);
        if polled && had == Some(eid) {
            self.rest(now, index, self.timing.poll);
            return;
        }
        if polled {
            self.remove(index);
        }
        let Some(target) = self.targets.get(index) else {
            return;
        };
        let wanted = target.wanted.is_none_or(|wanted| wanted == eid);
        if eid.is_assignable() && wanted && self.is_free_for(index, eid) {
            self.found_with_id(index, eid);
            self.ask(now, index, Step::GetUuid);
        } else if let Some(eid) = self.choose(index, had) {
            self.ask(now, index, Step::SetId(eid));
        } else {
            self.give_up(now, index); // the pool is used up
        }
    }

    fn id_was_set(&mut self, now: Duration, index: usize, status: u8, eid: Eid, pool_size: u8) {
        const POOL_WANTED: u8 = 0x01;
        // One that rejects its assignment tells its own id, which does as well when it is free.
        if !eid.is_assignable() || !self.is_free_for(index, eid) {
            self.give_up(now, index);
            return;
        }
        self.found_with_id(index, eid);
        let wants_pool = status & 0x03 == POOL_WANTED && pool_size > 0;
        match self.free_range(pool_size).filter(|_| wants_pool) {
            Some(first) => self.ask(now, index, Step::Allocate(first, pool_size)),
            None => self.ask(now, index, Step::GetUuid),
        }
    }

    fn found_with_id(&mut self, index: usize, eid: Eid) {
        if let Some(target) = self.targets.get_mut(index) {
            let (link, address) = (target.link, target.address);
            let (uuid, types, pool) = (None, Vec::new(), None);
            target.found = Some(Endpoint { link, address, eid, uuid, types, pool });
        }
    }

    fn note(&mut self, index: usize, change: impl FnOnce(&mut Endpoint)) {
        if let Some(found) = self.targets.get_mut(index).and_then(|t| t.found.as_mut()) {
            change(found);
        }
    }

    /// Everything is known: the endpoint is told, and left alone for a while.
    fn settle(&mut self, now: Duration, index: usize) {
        if let Some(target) = self.targets.get_mut(index) {
            target.told = true;
            self.events.extend(target.found.clone().map(Event::Added));
        }
        self.rest(now, index, self.timing.poll);
    }

    fn give_up(&mut self, now: Duration, index: usize) {
        self.remove(index);
        self.rest(now, index, self.timing.rescan);
    }

    fn remove(&mut self, index: usize) {
        if let Some(target) = self.targets.get_mut(index) {
            let found = target.found.take().filter(|_| target.told);
            target.told = false;
            self.events.extend(found.map(Event::Removed));
        }
    }

    fn rest(&mut self, now: Duration, index: usize, pause: Duration) {
        if let Some(target) = self.targets.get_mut(index) {
            target.step = Step::Rest;
            target.due = now + pause;
        }
    }

    /// The id it had, the one configured, or the first of the pool that nobody has.
    fn choose(&self, index: usize, had: Option<Eid>) -> Option<Eid> {
        let wanted = self.targets.get(index).and_then(|target| target.wanted);
        let preferred = wanted.or(had).filter(|&eid| self.is_free_for(index, eid));
        let (first, last) = self.pool;
        preferred.or_else(|| {
            let unclaimed = |eid: &Eid| self.targets.iter().all(|t| t.wanted != Some(*eid));
            let pool = (first.0..=last.0).map(Eid).filter(|eid| eid.is_assignable());
            pool.filter(unclaimed).find(|&eid| self.is_free_for(index, eid))
        })
    }

    fn is_free_for(&self, index: usize, eid: Eid) -> bool {
        let others = self.targets.iter().enumerate().filter(|(other, _)| *other != index);
        eid != self.own && !others.map(|(_, target)| target).any(|target| target.holds(eid))
    }

    /// The first of `size` ids in a row that nobody has, from the end of the pool downwards.
    fn free_range(&self, size: u8) -> Option<Eid> {
        let (low, high) = self.pool;
        let free = |eid| eid != self.own && !self.targets.iter().any(|target| target.holds(eid));
        let mut first = high.0.checked_sub(size.checked_sub(1)?)?;
        while first >= low.0 {
            if (first..=first + (size - 1)).all(|eid| free(Eid(eid))) {
                return Some(Eid(first));
            }
            first = first.checked_sub(1)?;
        }
        None
    }
}

impl Step {
    const fn command(self) -> Option<Command> {
        match self {
            Self::Rest => None,
            Self::GetId | Self::Poll => Some(Command::GET_ENDPOINT_ID),
            Self::SetId(_) => Some(Command::SET_ENDPOINT_ID),
            Self::Allocate(..) => Some(Command::ALLOCATE_ENDPOINT_IDS),
            Self::GetUuid => Some(Command::GET_ENDPOINT_UUID),
            Self::GetTypes => Some(Command::GET_MESSAGE_TYPE_SUPPORT),
        }
    }
}

impl Target {
    /// Whether an id is this target's, is being given to it, or is behind it.
    fn holds(&self, eid: Eid) -> bool {
        let being_given = self.step == Step::SetId(eid);
        let in_range = |first: Eid, size| first <= eid && eid.0 - first.0 < size;
        let allocating = matches!(self.step, Step::Allocate(first, size) if in_range(first, size));
        being_given
            || allocating
            || self.found.as_ref().is_some_and(|found| {
                found.eid == eid || found.pool.is_some_and(|(first, size)| in_range(first, size))
            })
    }
}

#[cfg(test)]
mod tests;
