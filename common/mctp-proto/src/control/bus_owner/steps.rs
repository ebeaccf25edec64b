//! What follows from an answer, or from the lack of one.

use alloc::vec::Vec;
use core::time::Duration;

use super::target::{Step, Target};
use super::{
    Assign, BusOwner, Endpoint, Event, FIRST_ANSWERS, FIRST_RETRY, MAX_VENDORS, TargetId,
    VendorSupport,
};
use crate::control::requester::Response;
use crate::{Eid, MessageType};

impl BusOwner {
    /// The request of the current step was answered with `response`; `None` for an error, no answer
    /// or one that cannot be read.
    pub(super) fn advance(
        &mut self,
        now: Duration,
        id: TargetId,
        response: Option<Response>,
        data: &[u8],
    ) {
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
        let is_acceptable = target.behind.map_or_else(
            || target.wanted.is_none_or(|wanted| wanted == eid) && target.assign != Assign::Always,
            |behind| behind == eid,
        );
        let may_assign = target.behind.is_none() && target.assign != Assign::Never;
        if eid.is_assignable() && is_acceptable && self.is_free_for(id, eid) {
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

    pub(super) fn assign_waiting(&mut self, now: Duration) {
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

    pub(super) fn set_responding(&mut self, id: TargetId, responding: bool) {
        let Some(target) = self.targets.get_mut(&id).filter(|target| target.published) else {
            return;
        };
        if let Some(found) = target.found.as_mut().filter(|f| f.responding != responding) {
            found.responding = responding;
            self.events.push_back(Event::Changed(found.clone()));
        }
    }

    /// Everything that could be asked is known.
    pub(super) fn publish(&mut self, now: Duration, id: TargetId) {
        if let Some(target) = self.targets.get_mut(&id) {
            let event = if target.published { Event::Changed } else { Event::Added };
            target.published = true;
            target.transient = false;
            self.events.extend(target.found.clone().map(event));
        }
        self.rest(now, id);
    }

    pub(super) fn give_up(&mut self, now: Duration, id: TargetId) {
        self.remove(id);
        self.rest(now, id);
        if self.targets.get(&id).is_some_and(|target| target.transient) {
            self.targets.remove(&id);
        }
    }

    pub(super) fn remove(&mut self, id: TargetId) {
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
    pub(super) fn rest(&mut self, now: Duration, id: TargetId) {
        let timing = self.timing;
        if let Some(target) = self.targets.get_mut(&id) {
            let pause = if target.published { timing.poll } else { timing.rescan };
            target.step = Step::Rest;
            target.due = Some(target.types_due.unwrap_or(now + pause).min(now + pause));
        }
        self.unsent.retain(|unsent| *unsent != id);
    }
}
