//! The table of sessions, which gives each its handle.

use std::time::{Duration, Instant};

use super::config::{Config, Instance};
use super::event::SessionId;
use super::session::Session;

/// A session idle for less than this is never closed to make room for another login.
const EVICTABLE_AFTER: Duration = Duration::from_secs(10);

/// The sessions: a slot for each, which has its handle (IPMI v2.0 §22.20).
pub(super) struct SessionTable {
    instance: Instance,
    /// As many as there may be sessions, or have been.
    slots: Vec<Option<Box<Session>>>,
    capacity: usize,
}

impl SessionTable {
    /// A table for as many sessions as `config` says.
    pub(super) fn new(config: &Config) -> Self {
        let mut table = Self { instance: config.instance, slots: Vec::new(), capacity: 0 };
        table.set_capacity(config.sessions);
        table
    }

    /// Sets how many sessions there may be. Those beyond live on, and no others are added until there are fewer.
    pub(super) fn set_capacity(&mut self, sessions: usize) {
        self.capacity = sessions.min(Config::MAX_SESSIONS);
        if self.slots.len() < self.capacity {
            self.slots.resize_with(self.capacity, || None);
        }
    }

    /// Whether a session has the id.
    pub(super) fn contains(&self, id: SessionId) -> bool {
        self.iter().any(|session| session.id() == id)
    }

    /// The session `id`, active or closing.
    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.iter_mut().find(|session| session.id() == id)
    }

    /// The session `id`, if it is not closing.
    pub(super) fn active_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.get_mut(id).filter(|session| !session.is_closing())
    }

    /// All sessions.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.slots.iter().flatten().map(Box::as_ref)
    }

    /// All sessions.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.slots.iter_mut().flatten().map(Box::as_mut)
    }

    /// Takes the session `id` out.
    pub(super) fn remove(&mut self, id: SessionId) -> Option<Session> {
        self.remove_if(|session| session.id() == id)
    }

    /// Takes out one whose time is over, until `None`.
    pub(super) fn take_expired(&mut self, now: Instant, idle_timeout: Duration) -> Option<Session> {
        self.remove_if(|session| session.deadline(idle_timeout) <= now)
    }

    fn remove_if(&mut self, matches: impl Fn(&Session) -> bool) -> Option<Session> {
        let mut slots = self.slots.iter_mut();
        slots.find_map(|slot| slot.take_if(|session| matches(session))).map(|session| *session)
    }

    /// Adds the session that `make` gives for its handle; returns it, and the one that had to make room.
    /// `None`, and nothing is made, if every slot is taken and none may be freed.
    ///
    /// The slot is a free one, that of a session which is closing, or that of the session idle longest, if it
    /// is idle for some time and has no payload.
    pub(super) fn insert_with(
        &mut self,
        now: Instant,
        make: impl FnOnce(u8) -> Session,
    ) -> Option<(&Session, Option<Session>)> {
        let index = self.slot_for_new(now)?;
        let slot = self.slots.get_mut(index)?;
        let evicted = slot.take().map(|session| *session);
        let session = slot.insert(Box::new(make(self.instance.handle(index))));
        Some((session, evicted))
    }

    /// Whether a session could be added at `now`.
    pub(super) fn has_room(&self, now: Instant) -> bool {
        self.slot_for_new(now).is_some()
    }

    fn slot_for_new(&self, now: Instant) -> Option<usize> {
        let is_closing =
            |slot: &Option<Box<Session>>| slot.as_ref().is_some_and(|session| session.is_closing());
        let active = self.iter().filter(|session| !session.is_closing()).count();
        if active < self.capacity {
            let free = self.slots.iter().position(Option::is_none);
            return free.or_else(|| self.slots.iter().position(is_closing));
        }
        if active > self.capacity {
            return None;
        }
        let occupied = self.slots.iter().enumerate();
        let evictable = occupied.filter_map(|(index, slot)| {
            let session = slot.as_ref().filter(|session| !session.has_payload)?;
            let idle = session.idle(now);
            (idle > EVICTABLE_AFTER).then_some((idle, index))
        });
        evictable.max().map(|(_, index)| index)
    }
}
