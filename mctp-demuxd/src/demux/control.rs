//! The control protocol between this endpoint and its links.

use std::time::Duration;

use mctp_proto::control::bus_owner::{
    Assign, BusOwner, Endpoint, Event as OwnerEvent, Outgoing, TargetId,
};
use mctp_proto::control::requester::Request as ControlRequest;
use mctp_proto::control::responder::{Event, Incoming, Role, Surroundings};
use mctp_proto::control::{Command, ControlHeader};
use mctp_proto::fragment::Fragmenter;
use mctp_proto::protocols::Reading;
use mctp_proto::route::{Kind, Origin, Route};
use mctp_proto::tags::TagPeer;
use mctp_proto::{Address, BusPath, Eid, LinkId, Medium, MessageType};

use super::client::ReplyTo;
use super::outbox::OutMessage;
use super::{Change, Demux, Request, Requester};

/// Control messages of this endpoint that wait for a link. Others are sent when these are, so that
/// the time for an answer begins when the request leaves and not when a queue takes it.
const OWN_WINDOW: usize = 4;

/// How often a Discovery Notify that is not answered is repeated, and when (DSP0238, "Endpoint
/// discovery").
const ANNOUNCEMENTS: u8 = 3;
const ANNOUNCEMENT_PAUSE: Duration = Duration::from_secs(5);

/// A Discovery Notify that was not answered yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announcement {
    pub(super) link: LinkId,
    pub(super) due: Duration,
    left: u8,
}

impl Demux {
    /// Makes this endpoint the owner of its buses.
    pub fn own_buses(&mut self, owner: BusOwner) {
        self.owner = Some(owner);
    }

    /// The bus owner, to be followed by [`drain_owner`](Self::drain_owner).
    pub fn owner_mut(&mut self) -> Option<&mut BusOwner> {
        self.owner.as_mut()
    }

    /// The bus owner.
    #[must_use]
    pub fn owner(&self) -> Option<&BusOwner> {
        self.owner.as_ref()
    }

    /// The endpoints that the bus owner has found.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.owner.iter().flat_map(BusOwner::endpoints)
    }

    /// On PCIe, an endpoint that has no id asks the bus owner to be found (DSP0238, "Endpoint
    /// discovery").
    pub(super) fn announce(&mut self, now: Duration, link: LinkId) {
        let nameless = self.eid() == Eid::NULL && self.identity().role == Role::Endpoint;
        if nameless && self.kind_of(link).medium() == Medium::PcieVdm {
            self.announcements.push(Announcement { link, due: now, left: ANNOUNCEMENTS });
            self.repeat_announcements(now);
        }
    }

    pub(super) fn repeat_announcements(&mut self, now: Duration) {
        if self.announcements.iter().all(|announcement| now < announcement.due) {
            return;
        }
        if self.eid() != Eid::NULL {
            self.announcements.clear();
        }
        let mut due = Vec::new();
        self.announcements.retain_mut(|announcement| {
            if now < announcement.due {
                return true;
            }
            let again = announcement.left > 0;
            if again {
                due.push(announcement.link);
                announcement.left -= 1;
                announcement.due = now + ANNOUNCEMENT_PAUSE;
            }
            again
        });
        for link in due {
            let path = BusPath::new(link, Address::None);
            let message = ControlRequest::DiscoveryNotify.emit(0);
            self.push_own_request(now, path, Eid::NULL, Requester::Announcement, message);
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
        let medium = self.kind_of(reply_to.link).medium();
        let incoming = Incoming {
            link: reply_to.link,
            medium,
            address: reply_to.address,
            destination,
            message,
        };
        let mut around = Surroundings { types: &types, routes: &mut self.routes, media: &media };
        let outcome = self.responder.respond(&incoming, &mut around);
        match outcome.event {
            Some(Event::EidChanged(_)) => self.note_change(Change::OwnEid),
            Some(Event::DiscoveryNotify(link, address)) => {
                if let Some(owner) = &mut self.owner {
                    owner.look_at(BusPath::new(link, address), None, Assign::IfNeeded);
                }
            }
            Some(Event::PoolAllocated(..)) | None => {}
        }
        if let Some(answer) = outcome.answer {
            self.push_control_answer(reply_to, destination, medium, answer);
        }
        self.drain_owner(now);
    }

    fn push_control_answer(
        &mut self,
        reply_to: ReplyTo,
        destination: Eid,
        medium: Medium,
        message: Vec<u8>,
    ) {
        // One that addressed this endpoint by an id expects that id's answer, even when the request
        // has just changed it.
        let local = if destination.is_assignable() { destination } else { self.eid() };
        let mtu = self.mtu_of(reply_to.link);
        let fragmenter = Fragmenter::new(reply_to.eid, local, false, reply_to.tag, mtu);
        // The bus owner is at the root complex, and answers to discovery are routed there (DSP0238).
        let to_root = medium == Medium::PcieVdm && is_discovery(&message);
        let address = if to_root { Address::None } else { reply_to.address };
        let answers_on = Some(reply_to.network);
        let answer = OutMessage { address, fragmenter, message, frees: None, answers_on };
        self.push_own(reply_to.link, answer);
    }

    pub(super) fn owner_answered(&mut self, now: Duration, target: TargetId, message: &[u8]) {
        if let Some(owner) = &mut self.owner {
            owner.handle_answer(now, target, message);
            self.owner_advanced = true;
            self.drain_owner(now);
        }
    }

    /// Sends what the bus owner asks, as the links take it, and follows what it finds.
    pub fn drain_owner(&mut self, now: Duration) {
        while let Some(next) = self.next_of_owner(now) {
            let Outgoing { target, path, destination, message } = next;
            self.push_own_request(now, path, destination, Requester::BusOwner(target), message);
        }
        while let Some(event) = self.owner.as_mut().and_then(BusOwner::poll_event) {
            match event {
                OwnerEvent::Added(found) | OwnerEvent::Changed(found) => self.add_routes_to(&found),
                OwnerEvent::Removed(lost) => {
                    self.routes.remove(lost.eid);
                    if lost.pool.is_some() {
                        self.routes.remove_ranges(lost.path);
                    }
                }
            }
            self.note_change(Change::Endpoints);
        }
    }

    fn next_of_owner(&mut self, now: Duration) -> Option<Outgoing> {
        let Self { owner, links, .. } = self;
        owner.as_mut()?.poll_transmit(now, |link| {
            // On a link that is down the request is lost, and the owner finds no endpoint there.
            let link = links.get(usize::from(link.0));
            link.is_none_or(|link| !link.up || link.outbox.waiting_of(None) < OWN_WINDOW)
        })
    }

    fn add_routes_to(&mut self, found: &Endpoint) {
        let BusPath { link, address } = found.path;
        let route = Route::to(found.eid, link, address, Origin::Assigned);
        let Some((first, size)) = found.pool.filter(|(_, size)| *size > 0) else {
            self.routes.add(route);
            return;
        };
        self.routes.add(Route { kind: Kind::Bridge, ..route });
        let last = Eid(first.0.saturating_add(size - 1));
        self.routes.add(Route { first, last, kind: Kind::Endpoints, ..route });
    }

    /// Sends a request of this endpoint's own. One for which there is no tag or no room is left out,
    /// and repeated by the part that sent it. Returns whether it was taken.
    pub(super) fn push_own_request(
        &mut self,
        now: Duration,
        path: BusPath,
        destination: Eid,
        by: Requester,
        message: Vec<u8>,
    ) -> bool {
        let peer = TagPeer { path, eid: destination };
        let key = Reading::of(&message).key;
        let request = Request { by, kind: MessageType::CONTROL, key };
        let Ok(tag) = self.take_tag(now, peer, request) else {
            return false;
        };
        let mtu = self.mtu_of(path.link);
        let fragmenter = Fragmenter::new(destination, self.eid(), true, tag, mtu);
        let (frees, answers_on) = (None, None);
        let address = path.address;
        let request = OutMessage { address, fragmenter, message, frees, answers_on };
        self.push_own(path.link, request)
    }

    fn push_own(&mut self, link: LinkId, message: OutMessage) -> bool {
        let room = self.link(link).is_some_and(|l| l.up && l.outbox.has_room_for(None));
        if room {
            self.push(link, None, message);
        }
        room
    }
}

fn is_discovery(answer: &[u8]) -> bool {
    ControlHeader::parse(answer).is_ok_and(|(header, _)| {
        [Command::PREPARE_FOR_ENDPOINT_DISCOVERY, Command::ENDPOINT_DISCOVERY]
            .contains(&header.command)
    })
}
