//! The table of handshakes under way.

use std::collections::BTreeMap;
use std::time::Instant;

use super::accounts::{Random, random_u32};
use super::event::Route;
use super::handshake::Handshake;
use super::limits::Source;

/// The handshakes under way, up to a fixed number. A full table evicts one at random, of the source that has
/// most of them: a flood can neither fill the table for long nor choose which handshake goes, and a flood from
/// a single source evicts no other source's.
pub(super) struct HandshakeTable {
    entries: Vec<Handshake>,
    capacity: usize,
    /// How many of the entries each source has.
    shares: BTreeMap<Source, usize>,
}

impl HandshakeTable {
    pub(super) const fn new(capacity: usize) -> Self {
        Self { entries: Vec::new(), capacity, shares: BTreeMap::new() }
    }

    /// Sets how many handshakes there may be. Those beyond go on; each new one evicts another.
    pub(super) const fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    /// Adds `handshake`; returns the one evicted for it, if the table was full.
    pub(super) fn insert(
        &mut self,
        handshake: Handshake,
        random: &mut impl Random,
    ) -> Option<Handshake> {
        let victim = (self.entries.len() >= self.capacity).then(|| self.victim(random));
        let evicted = victim.flatten().map(|index| self.take(index));
        *self.shares.entry(handshake.source()).or_default() += 1;
        self.entries.push(handshake);
        evicted
    }

    /// The handshake of `managed_id`, if it came from `route`'s peer.
    pub(super) fn get_mut(&mut self, managed_id: u32, route: &Route) -> Option<&mut Handshake> {
        self.entries
            .iter_mut()
            .find(|entry| entry.managed_id == managed_id && entry.route.peer == route.peer)
    }

    /// Takes the handshake of `managed_id` out.
    pub(super) fn remove(&mut self, managed_id: u32) -> Option<Handshake> {
        let is_it = |entry: &Handshake| entry.managed_id == managed_id;
        let index = self.entries.iter().position(is_it)?;
        Some(self.take(index))
    }

    /// Whether a handshake has `managed_id`.
    pub(super) fn contains(&self, managed_id: u32) -> bool {
        self.entries.iter().any(|entry| entry.managed_id == managed_id)
    }

    /// Takes out one whose time is over, until `None`.
    pub(super) fn take_expired(&mut self, now: Instant) -> Option<Handshake> {
        let is_over = |entry: &Handshake| entry.deadline <= now;
        let index = self.entries.iter().position(is_over)?;
        Some(self.take(index))
    }

    pub(super) fn deadlines(&self) -> impl Iterator<Item = Instant> {
        self.entries.iter().map(|entry| entry.deadline)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Which entry to evict: one of the source that has most, or any if no source has more than one.
    fn victim(&self, random: &mut impl Random) -> Option<usize> {
        let (crowd, share) = self.shares.iter().max_by_key(|(_, share)| **share)?;
        let all = self.entries.len();
        let candidates = if *share > 1 { *share } else { all };
        let chosen = random_u32(random).checked_rem(u32::try_from(candidates).ok()?)?;
        let entries = self.entries.iter().enumerate();
        let mut theirs = entries.filter(|(_, entry)| *share == 1 || entry.source() == *crowd);
        Some(theirs.nth(usize::try_from(chosen).ok()?)?.0)
    }

    fn take(&mut self, index: usize) -> Handshake {
        let taken = self.entries.swap_remove(index);
        let source = taken.source();
        if let Some(share) = self.shares.get_mut(&source) {
            *share = share.saturating_sub(1);
            if *share == 0 {
                self.shares.remove(&source);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::Duration;

    use super::super::handshake::{AwaitRakp1, State};
    use super::*;
    use crate::suite::CipherSuite;
    use crate::testing::{Counted, now};

    fn handshake(managed_id: u32, host: u8, deadline: Instant) -> Handshake {
        let state = State::Rakp1(AwaitRakp1 {
            console_id: 1,
            suite: CipherSuite::from_id(17).unwrap(),
            granted: ipmi_proto::Privilege::User,
        });
        let peer = SocketAddr::from((Ipv4Addr::new(192, 0, 2, host), 623));
        Handshake { managed_id, route: Route { peer, local: None }, deadline, state }
    }

    #[test]
    fn a_flood_of_one_source_costs_no_other_its_handshake() {
        let (mut table, mut random, now) = (HandshakeTable::new(8), Counted(1), now());
        table.insert(handshake(1, 1, now), &mut random);
        table.insert(handshake(2, 2, now), &mut random);
        for id in 3..1000 {
            let evicted = table.insert(handshake(id, 66, now), &mut random);
            assert_eq!(evicted.is_some(), id > 8);
            assert!(evicted.is_none_or(|evicted| evicted.managed_id > 2));
            assert!(table.len() <= 8);
        }
        assert!(table.contains(1) && table.contains(2));
    }

    #[test]
    fn among_sources_with_as_many_each_may_have_to_go() {
        let (mut random, now) = (Counted(1), now());
        let mut gone = [false; 8];
        for _ in 0..200 {
            let mut table = HandshakeTable::new(8);
            for host in 0..8_u8 {
                table.insert(handshake(u32::from(host), host, now), &mut random);
            }
            let evicted = table.insert(handshake(9, 9, now), &mut random).unwrap();
            gone[usize::try_from(evicted.managed_id).unwrap()] = true;
        }
        assert_eq!(gone, [true; 8]);
    }

    #[test]
    fn what_is_taken_out_is_not_counted_any_more() {
        let (mut table, mut random, now) = (HandshakeTable::new(4), Counted(1), now());
        let later = now + Duration::from_secs(1);
        for (id, deadline) in [(1, now), (2, later), (3, now)] {
            table.insert(handshake(id, 1, deadline), &mut random);
        }
        assert!(table.remove(9).is_none());
        let expired: Vec<_> = std::iter::from_fn(|| table.take_expired(now)).collect();
        assert_eq!(expired.len(), 2);
        assert!(table.remove(2).is_some());
        assert!(table.shares.is_empty());
        assert_eq!(table.len(), 0);
    }
}
