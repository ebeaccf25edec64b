//! Which ids and pools are assigned.

use super::target::Target;
use super::{BusOwner, TargetId};
use crate::Eid;

impl BusOwner {
    /// The configured id, the one it had, or the first free one of the pool; one that an
    /// absent endpoint had only when there is no other.
    pub(super) fn choose(&self, id: TargetId) -> Option<Eid> {
        let target = self.targets.get(&id)?;
        let preferred = target.wanted.or(target.restored);
        if let Some(eid) = preferred.filter(|&eid| self.is_free_for(id, eid)) {
            return Some(eid);
        }
        let (first, last) = self.pool;
        let free = || {
            let pool = (first.0..=last.0).map(Eid);
            pool.filter(|&eid| self.is_in_pool(eid) && self.is_free_for(id, eid))
        };
        free().find(|&eid| !self.is_reserved(id, eid)).or_else(|| free().next())
    }

    /// Whether an id is one of those to assign.
    pub(super) fn is_in_pool(&self, eid: Eid) -> bool {
        let (first, last) = self.pool;
        let reserved = |(first, last): &(Eid, Eid)| (*first..=*last).contains(&eid);
        eid.is_assignable() && (first..=last).contains(&eid) && !self.reserved.iter().any(reserved)
    }

    /// Whether an absent endpoint had an id, or had it in its pool.
    fn is_reserved(&self, id: TargetId, eid: Eid) -> bool {
        let others = self.targets.iter().filter(|(other, _)| **other != id);
        others.map(|(_, target)| target).any(|target| target.had(eid))
    }

    pub(super) fn is_free_for(&self, id: TargetId, eid: Eid) -> bool {
        let others = || self.targets.iter().filter(|(other, _)| **other != id).map(|(_, t)| t);
        let behind_same = |other: &Target| {
            let path = self.targets.get(&id).filter(|t| t.behind == Some(eid)).map(|t| t.path);
            path == Some(other.path) && other.found.as_ref().is_some_and(|f| f.eid != eid)
        };
        eid != self.own
            && !others().any(|other| other.wanted == Some(eid))
            && !others().any(|other| other.holds(eid) && !behind_same(other))
    }

    /// The pool that a bridge had, or the first of `size` free ids in a row, from the end
    /// of the pool downwards.
    pub(super) fn pool_for(&self, id: TargetId, size: u8) -> Option<Eid> {
        let all = |first: u8, holds: &dyn Fn(Eid) -> bool| {
            (first..=first.saturating_add(size.saturating_sub(1))).map(Eid).all(holds)
        };
        let free = |first| all(first, &|eid| self.is_in_pool(eid) && self.is_free_for(id, eid));
        let had = self.targets.get(&id)?.restored_pool;
        if let Some((first, _)) = had.filter(|had| had.1 == size && free(had.0.0)) {
            return Some(first);
        }
        let (low, high) = self.pool;
        let highest = high.0.checked_sub(size.checked_sub(1)?)?;
        let candidates = || (low.0..=highest).rev().filter(|first| free(*first));
        let unreserved = candidates().find(|first| all(*first, &|eid| !self.is_reserved(id, eid)));
        unreserved.or_else(|| candidates().next()).map(Eid)
    }
}
