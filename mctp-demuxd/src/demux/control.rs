//! The control protocol between this endpoint and its links.

use std::time::Duration;

use mctp_proto::control::bus_owner::{BusOwner, Endpoint, Event as OwnerEvent};
use mctp_proto::control::requester::Request;
use mctp_proto::control::responder::{Event, Incoming, Role, Surroundings};
use mctp_proto::fragment::Fragmenter;
use mctp_proto::route::{Kind, Origin, Route};
use mctp_proto::{Address, Eid, LinkId, Medium, MessageType};

use super::client::ReplyTo;
use super::outbox::OutMessage;
use super::{Change, Demux, Holder};

impl Demux {
    /// Makes this endpoint the owner of its buses.
    pub fn own_buses(&mut self, owner: BusOwner) {
        self.owner = Some(owner);
    }

    /// Has the bus owner look for an endpoint at a place.
    pub fn look_at(&mut self, now: Duration, link: LinkId, address: Address, wanted: Option<Eid>) {
        if let Some(owner) = &mut self.owner {
            owner.look_at(now, link, address, wanted);
            self.drain_owner(now);
        }
    }

    /// The endpoints that the bus owner has found.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.owner.iter().flat_map(BusOwner::endpoints)
    }

    /// On PCIe, an endpoint that has no id asks the bus owner to be found (DSP0238, "Endpoint
    /// discovery").
    pub(super) fn notify_bus_owner(&mut self, now: Duration, link: LinkId) {
        let nameless = self.eid() == Eid::NULL && self.identity().role == Role::Endpoint;
        if !nameless || self.kind_of(link).medium() != Medium::PcieVdm {
            return;
        }
        if let Ok((_, tag)) = self.take_tag(now, link, Eid::NULL, Holder::BusOwner) {
            let fragmenter = Fragmenter::new(Eid::NULL, Eid::NULL, true, tag, self.mtu_of(link));
            let (address, message) = (Address::None, Request::DiscoveryNotify.emit(0));
            let request =
                OutMessage { address, fragmenter, message, frees: None, answers_on: None };
            self.push_own(link, request);
        }
    }

    pub(super) fn answer_control(
        &mut self,
        now: Duration,
        reply_to: ReplyTo,
        destination: Eid,
        message: &[u8],
    ) {
        let media: Vec<Medium> = self.links.iter().map(|link| link.kind.medium()).collect();
        let types: Vec<MessageType> = self.types().collect();
        let incoming = Incoming {
            link: reply_to.link,
            medium: self.kind_of(reply_to.link).medium(),
            address: reply_to.address,
            destination,
            message,
        };
        let mut around = Surroundings { types: &types, routes: &mut self.routes, media: &media };
        let outcome = self.responder.respond(&incoming, &mut around);
        match outcome.event {
            Some(Event::EidChanged(_)) => self.changes.push(Change::OwnEid),
            Some(Event::DiscoveryNotify(link, address)) => self.look_at(now, link, address, None),
            Some(Event::PoolAllocated(..)) | None => {}
        }
        let Some(message) = outcome.answer else {
            return;
        };
        // One that addressed this endpoint by an id expects that id's answer, even when the request
        // has just changed it.
        let local = if destination.is_assignable() { destination } else { self.eid() };
        let mtu = self.mtu_of(reply_to.link);
        let fragmenter = Fragmenter::new(reply_to.eid, local, false, reply_to.tag, mtu);
        let answer = OutMessage {
            address: reply_to.address,
            fragmenter,
            message,
            frees: None,
            answers_on: Some(reply_to.network),
        };
        self.push_own(reply_to.link, answer);
    }

    pub(super) fn owner_answered(
        &mut self,
        now: Duration,
        link: LinkId,
        address: Address,
        message: &[u8],
    ) {
        if let Some(owner) = &mut self.owner {
            owner.handle_answer(now, link, address, message);
            self.drain_owner(now);
        }
    }

    /// Sends what the bus owner asks, and follows what it finds.
    ///
    /// A request for which there is no tag or no room is left out; the owner repeats it.
    pub(super) fn drain_owner(&mut self, now: Duration) {
        while let Some(next) = self.owner.as_mut().and_then(BusOwner::poll_transmit) {
            let taken = self.take_tag(now, next.link, next.destination, Holder::BusOwner);
            let Ok((_, tag)) = taken else { continue };
            let mtu = self.mtu_of(next.link);
            let fragmenter = Fragmenter::new(next.destination, self.eid(), true, tag, mtu);
            let (address, message) = (next.address, next.message);
            let request =
                OutMessage { address, fragmenter, message, frees: None, answers_on: None };
            self.push_own(next.link, request);
        }
        while let Some(event) = self.owner.as_mut().and_then(BusOwner::poll_event) {
            match event {
                OwnerEvent::Added(found) => self.add_routes_to(&found),
                OwnerEvent::Removed(gone) => self.routes.remove(gone.eid),
            }
            self.changes.push(Change::Endpoints);
        }
    }

    fn add_routes_to(&mut self, found: &Endpoint) {
        let route = Route::to(found.eid, found.link, found.address, Origin::Assigned);
        let Some((first, size)) = found.pool.filter(|(_, size)| *size > 0) else {
            self.routes.add(route);
            return;
        };
        self.routes.add(Route { kind: Kind::Bridge, ..route });
        let last = Eid(first.0.saturating_add(size - 1));
        self.routes.add(Route { first, last, kind: Kind::Endpoints, ..route });
    }

    fn push_own(&mut self, link: LinkId, message: OutMessage) {
        let room = self.link(link).is_some_and(|l| l.up && l.outbox.has_room_for(None));
        if room {
            self.push(link, None, message);
        }
    }
}
