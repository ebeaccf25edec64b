//! Which link and physical address an endpoint is behind.

use alloc::vec::Vec;
use core::time::Duration;

use crate::{Address, BusPath, Eid, LinkId};

/// How a route came to be, from the least to the most binding.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Origin {
    /// Seen as the source of traffic.
    Learned,
    /// Learned, and it has answered a request.
    Answered,
    /// Assigned or found by a bus owner.
    Assigned,
    /// Configured.
    Static,
}

/// What is at the end of a route (DSP0236, "Get Routing Table Entries", entry type).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// One endpoint that is no bridge.
    Endpoint,
    /// A bridge and endpoints behind it, the bridge's id first.
    BridgeAndEndpoints,
    /// A bridge alone.
    Bridge,
    /// Endpoints behind a bridge, without the bridge.
    Endpoints,
}

impl Kind {
    /// The kind of an entry type, 0 to 3.
    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Endpoint),
            1 => Some(Self::BridgeAndEndpoints),
            2 => Some(Self::Bridge),
            3 => Some(Self::Endpoints),
            _ => None,
        }
    }

    /// The entry type.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Endpoint => 0,
            Self::BridgeAndEndpoints => 1,
            Self::Bridge => 2,
            Self::Endpoints => 3,
        }
    }
}

/// A range of endpoint ids behind one physical address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Route {
    /// The first id.
    pub first: Eid,
    /// The last id, included.
    pub last: Eid,
    /// The link to send on.
    pub link: LinkId,
    /// The physical address to send to.
    pub address: Address,
    /// What is there.
    pub kind: Kind,
    /// How it is known.
    pub origin: Origin,
}

impl Route {
    /// A route to one endpoint.
    #[must_use]
    pub const fn to(eid: Eid, link: LinkId, address: Address, origin: Origin) -> Self {
        Self { first: eid, last: eid, link, address, kind: Kind::Endpoint, origin }
    }

    /// Whether `eid` is reached this way.
    #[must_use]
    pub const fn covers(&self, eid: Eid) -> bool {
        self.first.0 <= eid.0 && eid.0 <= self.last.0
    }
}

/// Every route, and the link that takes what no route covers.
///
/// What was learned from traffic is bounded: anybody can claim any source id. When
/// [`RouteTable::MAX_LEARNED`] are known, the one that was heard longest ago makes room, and those that
/// have never answered go before those that have.
#[derive(Clone, Debug)]
pub struct RouteTable {
    entries: Vec<Entry>,
    fallback: Option<LinkId>,
    learned_life: Duration,
    /// Not after the first learned route expires; may be before.
    check: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    route: Route,
    /// For a learned route: when its endpoint was last heard.
    heard: Duration,
}

impl Entry {
    fn is_learned(&self) -> bool {
        self.route.origin <= Origin::Answered
    }
}

impl Default for RouteTable {
    fn default() -> Self {
        Self::new(Self::LEARNED_LIFE)
    }
}

impl RouteTable {
    /// The most routes there can be; more than ids, since ranges may nest.
    pub const MAX: usize = 256;

    /// The most routes that are learned from traffic.
    pub const MAX_LEARNED: usize = 64;

    /// How long a learned route stays while its endpoint is not heard.
    pub const LEARNED_LIFE: Duration = Duration::from_secs(600);

    /// A table whose learned routes stay for `learned_life`.
    #[must_use]
    pub const fn new(learned_life: Duration) -> Self {
        Self { entries: Vec::new(), fallback: None, learned_life, check: None }
    }

    /// Sets how long learned routes stay, those that there are included.
    pub fn set_learned_life(&mut self, life: Duration) {
        self.learned_life = life;
        let learned = self.entries.iter().filter(|entry| entry.is_learned());
        self.check = learned.map(|entry| entry.heard + life).min();
    }

    /// Sends what no route covers to `link`, which must need no physical address.
    pub fn set_fallback(&mut self, link: Option<LinkId>) {
        self.fallback = link;
    }

    /// Adds a route, in place of one to the same ids that binds no more than it does.
    ///
    /// Gives whether the table has changed.
    pub fn add(&mut self, route: Route) -> bool {
        if let Some(old) = self.entry_to(&route) {
            let changed = old.route.origin <= route.origin && old.route != route;
            if changed {
                old.route = route;
            }
            return changed;
        }
        if self.entries.len() >= Self::MAX {
            return false;
        }
        self.entries.push(Entry { route, heard: Duration::ZERO });
        true
    }

    /// An endpoint was heard at a position, and may have answered a request.
    ///
    /// Gives whether the table has changed.
    pub fn learn(&mut self, now: Duration, eid: Eid, path: BusPath, answered: bool) -> bool {
        let origin = if answered { Origin::Answered } else { Origin::Learned };
        let route = Route::to(eid, path.link, path.address, origin);
        if let Some(old) = self.entry_to(&route) {
            if !old.is_learned() {
                return false;
            }
            old.heard = now;
            let moved = (old.route.link, old.route.address) != (route.link, route.address);
            let changed = moved || old.route.origin < origin;
            if changed {
                old.route = route;
            }
            return changed;
        }
        let learned = self.entries.iter().filter(|entry| entry.is_learned()).count();
        if learned >= Self::MAX_LEARNED || self.entries.len() >= Self::MAX {
            self.remove_oldest_learned();
        }
        if self.entries.len() >= Self::MAX {
            return false;
        }
        self.check.get_or_insert(now + self.learned_life);
        self.entries.push(Entry { route, heard: now });
        true
    }

    /// Removes the learned routes whose endpoints were not heard for too long; gives whether there
    /// were any.
    pub fn handle_timeout(&mut self, now: Duration) -> bool {
        if self.check.is_none_or(|check| now < check) {
            return false;
        }
        let (before, life) = (self.entries.len(), self.learned_life);
        self.entries.retain(|entry| !entry.is_learned() || now < entry.heard + life);
        let learned = self.entries.iter().filter(|entry| entry.is_learned());
        self.check = learned.map(|entry| entry.heard + life).min();
        self.entries.len() < before
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Duration> {
        self.check
    }

    /// Forgets the routes to `eid` alone that are not configured.
    pub fn remove(&mut self, eid: Eid) {
        self.entries.retain(|Entry { route, .. }| {
            route.origin == Origin::Static || route.first != eid || route.last != eid
        });
    }

    /// Forgets the assigned ranges of ids that are behind a position, when its bridge is lost.
    pub fn remove_ranges(&mut self, path: BusPath) {
        self.entries.retain(|Entry { route, .. }| {
            route.origin != Origin::Assigned
                || route.first == route.last
                || BusPath::new(route.link, route.address) != path
        });
    }

    /// Forgets what was learned or assigned on a link.
    pub fn forget_link(&mut self, link: LinkId) {
        self.entries
            .retain(|Entry { route, .. }| route.link != link || route.origin == Origin::Static);
    }

    /// Where to send what is for `eid`: the narrowest route, and of those the most binding.
    #[must_use]
    pub fn lookup(&self, eid: Eid) -> Option<(LinkId, Address)> {
        self.entries
            .iter()
            .map(|entry| &entry.route)
            .filter(|route| route.covers(eid))
            .min_by_key(|route| (route.last.0 - route.first.0, core::cmp::Reverse(route.origin)))
            .map(|route| (route.link, route.address))
            .or_else(|| self.fallback.map(|link| (link, Address::None)))
    }

    /// Every route, in the order of their first ids.
    #[must_use]
    pub fn entries(&self) -> Vec<Route> {
        let mut routes: Vec<Route> = self.entries.iter().map(|entry| entry.route).collect();
        routes.sort_by_key(|route| (route.first, route.last));
        routes
    }

    fn entry_to(&mut self, route: &Route) -> Option<&mut Entry> {
        self.entries
            .iter_mut()
            .find(|old| old.route.first == route.first && old.route.last == route.last)
    }

    fn remove_oldest_learned(&mut self) {
        let learned = self.entries.iter().enumerate().filter(|(_, entry)| entry.is_learned());
        let oldest = learned.min_by_key(|(_, entry)| (entry.route.origin, entry.heard));
        if let Some((index, _)) = oldest {
            self.entries.swap_remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: LinkId = LinkId(0);
    const B: LinkId = LinkId(1);

    #[test]
    fn the_narrowest_route_wins_then_the_fallback() {
        let mut table = RouteTable::default();
        let range = Route {
            last: Eid(20),
            kind: Kind::Endpoints,
            ..Route::to(Eid(10), A, Address::Smbus(0x20), Origin::Assigned)
        };
        table.add(range);
        table.add(Route::to(Eid(12), B, Address::Pcie(5), Origin::Learned));
        assert_eq!(table.lookup(Eid(11)), Some((A, Address::Smbus(0x20))));
        assert_eq!(table.lookup(Eid(12)), Some((B, Address::Pcie(5))));
        assert_eq!(table.lookup(Eid(21)), None);
        table.set_fallback(Some(B));
        assert_eq!(table.lookup(Eid(21)), Some((B, Address::None)));
    }

    #[test]
    fn what_is_learned_does_not_displace_what_is_configured() {
        let mut table = RouteTable::default();
        assert!(table.add(Route::to(Eid(9), A, Address::None, Origin::Static)));
        assert!(!table.add(Route::to(Eid(9), B, Address::None, Origin::Learned)));
        table.remove(Eid(9));
        table.forget_link(A);
        assert_eq!(table.lookup(Eid(9)), Some((A, Address::None)));
    }

    #[test]
    fn removed_routes_are_not_found() {
        let mut table = RouteTable::default();
        table.add(Route::to(Eid(9), A, Address::None, Origin::Assigned));
        table.add(Route::to(Eid(10), B, Address::None, Origin::Learned));
        table.remove(Eid(9));
        table.forget_link(B);
        assert_eq!((table.lookup(Eid(9)), table.lookup(Eid(10))), (None, None));
    }

    #[test]
    fn the_table_is_bounded() {
        let mut table = RouteTable::default();
        for first in 0..=255 {
            assert!(table.add(Route::to(Eid(first), A, Address::None, Origin::Learned)));
        }
        let range = Route { last: Eid(9), ..Route::to(Eid(8), A, Address::None, Origin::Learned) };
        assert!(!table.add(range));
    }

    fn learn(table: &mut RouteTable, second: u64, eid: u8, answered: bool) -> bool {
        table.learn(Duration::from_secs(second), Eid(eid), BusPath::new(A, Address::None), answered)
    }

    #[test]
    fn learned_routes_are_bounded_and_those_that_answered_stay_longest() {
        let mut table = RouteTable::default();
        assert!(learn(&mut table, 0, 9, true));
        for eid in 10..250 {
            assert!(learn(&mut table, u64::from(eid), eid, false));
        }
        assert_eq!(table.entries().len(), RouteTable::MAX_LEARNED);
        assert_eq!(table.entries()[0].origin, Origin::Answered);
        assert!(!learn(&mut table, 300, 9, false));
        assert_eq!(table.entries()[0].origin, Origin::Answered);
    }

    #[test]
    fn learned_routes_expire_when_their_endpoint_is_not_heard() {
        let mut table = RouteTable::new(Duration::from_secs(60));
        table.add(Route::to(Eid(8), A, Address::None, Origin::Assigned));
        learn(&mut table, 0, 9, true);
        learn(&mut table, 10, 10, false);
        learn(&mut table, 30, 9, false);
        assert_eq!(table.poll_timeout(), Some(Duration::from_secs(60)));
        assert!(!table.handle_timeout(Duration::from_secs(60)));
        assert!(table.handle_timeout(Duration::from_secs(70)));
        assert!(table.handle_timeout(Duration::from_secs(90)));
        assert_eq!((table.entries().len(), table.poll_timeout()), (1, None));
    }

    #[test]
    fn ranges_behind_a_position_are_removed_alone() {
        let mut table = RouteTable::default();
        let bridge = Route::to(Eid(9), A, Address::None, Origin::Assigned);
        table.add(bridge);
        table.add(Route { first: Eid(10), last: Eid(20), kind: Kind::Endpoints, ..bridge });
        table.remove_ranges(BusPath::new(A, Address::None));
        assert_eq!(table.entries(), [bridge]);
    }
}
