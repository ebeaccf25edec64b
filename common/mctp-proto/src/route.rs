//! Which link and physical address an endpoint is behind.

use alloc::vec::Vec;

use crate::{Address, Eid, LinkId};

/// How a route came to be, from the least to the most binding.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Origin {
    /// Seen as the source of traffic.
    Learned,
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
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    routes: Vec<Route>,
    fallback: Option<LinkId>,
}

impl RouteTable {
    /// The most routes there can be; more than ids, since ranges may nest.
    pub const MAX: usize = 256;

    /// Sends what no route covers to `link`, which must need no physical address.
    pub fn set_fallback(&mut self, link: Option<LinkId>) {
        self.fallback = link;
    }

    /// Adds a route, in place of one to the same ids that binds no more than it does.
    ///
    /// Gives whether the table has changed.
    pub fn add(&mut self, route: Route) -> bool {
        let same = |old: &&mut Route| old.first == route.first && old.last == route.last;
        if let Some(old) = self.routes.iter_mut().find(same) {
            let changed = old.origin <= route.origin && *old != route;
            if changed {
                *old = route;
            }
            return changed;
        }
        if self.routes.len() >= Self::MAX {
            return false;
        }
        self.routes.push(route);
        true
    }

    /// Forgets the routes to `eid` alone that are not configured.
    pub fn remove(&mut self, eid: Eid) {
        self.routes.retain(|route| {
            route.origin == Origin::Static || route.first != eid || route.last != eid
        });
    }

    /// Forgets what was learned or assigned on a link, as when it has gone.
    pub fn forget_link(&mut self, link: LinkId) {
        self.routes.retain(|route| route.link != link || route.origin == Origin::Static);
    }

    /// Where to send what is for `eid`: the narrowest route, and of those the most binding.
    #[must_use]
    pub fn lookup(&self, eid: Eid) -> Option<(LinkId, Address)> {
        self.routes
            .iter()
            .filter(|route| route.covers(eid))
            .min_by_key(|route| (route.last.0 - route.first.0, core::cmp::Reverse(route.origin)))
            .map(|route| (route.link, route.address))
            .or_else(|| self.fallback.map(|link| (link, Address::None)))
    }

    /// Every route, in the order of their first ids.
    #[must_use]
    pub fn entries(&self) -> Vec<Route> {
        let mut routes = self.routes.clone();
        routes.sort_by_key(|route| (route.first, route.last));
        routes
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
    fn removed_and_lost_routes_are_gone() {
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
}
