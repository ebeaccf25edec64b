//! The demultiplexer without sockets, devices or clocks.
//!
//! Links give packets ([`Demux::handle_packet`]) or whole messages
//! ([`Demux::handle_kernel_message`]), clients give messages ([`Demux::client_message`]), and the
//! caller drains each link's outbox afterwards ([`Demux::next_packet`]). What is for a client goes
//! through an [`Outlet`] at once, so that a message is copied as little as possible.

mod client;
mod control;
mod counters;
mod inbound;
mod limits;
mod links;
mod outbound;
mod outbox;
mod ping;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use mctp_proto::control::bus_owner::{BusOwner, TargetId};
use mctp_proto::control::responder::{Identity, Responder};
use mctp_proto::protocols::Key;
use mctp_proto::reassembly::{Limits, Reassembler};
use mctp_proto::route::{Route, RouteTable};
use mctp_proto::tags::{TagPeer, TagTable};
use mctp_proto::{BASELINE_MTU, BusPath, DropReason, Eid, LinkId, MessageType, Tag};

use self::client::Client;
use self::control::Announcement;
pub use self::counters::{ClientCounters, LinkCounters, Refusal, Refusals};
pub use self::inbound::KernelMessage;
pub use self::limits::AnswerLimits;
pub use self::links::{LinkKind, LinkState};
pub use self::outbound::{KernelSend, Progress};
pub use self::outbox::Encode;
use self::outbox::Outbox;
use self::ping::Ping;
pub use self::ping::{PingError, PingId, Pong};

/// A client, by a number that is never used again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClientId(pub u64);

/// Where messages for clients go.
pub trait Outlet {
    /// Gives a message to a client without waiting.
    ///
    /// Gives whether there was room; a client without any is to be disconnected.
    fn deliver(&mut self, client: ClientId, eid: Eid, message: &[u8]) -> bool;

    /// A client whose message was held may be read again.
    fn resume(&mut self, client: ClientId);
}

/// What the configuration says.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What this endpoint is.
    pub identity: Identity,
    /// Bounds on unfinished messages.
    pub reassembly: Limits,
    /// The most clients there may be.
    pub clients: usize,
    /// Configured routes.
    pub routes: Vec<Route>,
    /// How long answers may take.
    pub answer_limits: AnswerLimits,
    /// How long the position of an endpoint that is not heard is remembered.
    pub learned_life: Duration,
}

/// The sender of a request that is out under a tag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Requester {
    Client(ClientId),
    BusOwner(TargetId),
    /// A Discovery Notify of this endpoint.
    Announcement,
    /// An operator.
    Ping(PingId),
}

/// A request that is out under a tag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Request {
    by: Requester,
    kind: MessageType,
    key: Key,
}

/// Why a client's message is held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wait {
    Room(LinkId),
    Tag(TagPeer),
}

/// A change that is published.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// This endpoint has another id.
    OwnEid,
    /// Endpoints were found or lost, or answer otherwise than before.
    Endpoints,
}

/// Everything between the links and the clients.
#[derive(Debug)]
pub struct Demux {
    links: Vec<LinkState>,
    clients: BTreeMap<ClientId, Client>,
    by_type: BTreeMap<MessageType, Vec<ClientId>>,
    next_client: u64,
    max_clients: usize,
    next_request: u64,
    responder: Responder,
    owner: Option<BusOwner>,
    routes: RouteTable,
    /// Payload bytes of packets to single endpoints.
    mtus: BTreeMap<Eid, usize>,
    reassembler: Reassembler,
    tags: TagTable<Request>,
    answer_limits: AnswerLimits,
    announcements: Vec<Announcement>,
    pings: Vec<Ping>,
    next_ping: u64,
    /// Whether a ping was answered.
    pinged: bool,
    blocked: VecDeque<(ClientId, Wait)>,
    refusals: Refusals,
    expiry: Option<Duration>,
    changes: Vec<Change>,
    /// Whether the bus owner has handled an answer or a time-out.
    owner_advanced: bool,
}

impl Demux {
    /// With no clients, and links that are not up yet.
    #[must_use]
    pub fn new(settings: Settings, links: Vec<(String, LinkKind)>) -> Self {
        let mut routes = RouteTable::new(settings.learned_life);
        for route in settings.routes {
            routes.add(route);
        }
        let without_addresses =
            |(_, (_, kind)): &(usize, &(String, LinkKind))| kind.medium().address_len() == 0;
        let fallback = links.iter().enumerate().find(without_addresses);
        routes.set_fallback(fallback.and_then(|(index, _)| u8::try_from(index).ok().map(LinkId)));
        let links = links.into_iter().map(|(name, kind)| {
            let (counters, outbox) = (LinkCounters::default(), Outbox::default());
            LinkState { name, kind, up: true, counters, outbox }
        });
        Self {
            links: links.collect(),
            clients: BTreeMap::new(),
            by_type: BTreeMap::new(),
            next_client: 0,
            max_clients: settings.clients,
            next_request: 0,
            responder: Responder::new(settings.identity),
            owner: None,
            routes,
            mtus: BTreeMap::new(),
            reassembler: Reassembler::new(settings.reassembly),
            tags: TagTable::default(),
            answer_limits: settings.answer_limits,
            announcements: Vec::new(),
            pings: Vec::new(),
            next_ping: 0,
            pinged: false,
            blocked: VecDeque::new(),
            refusals: Refusals::default(),
            expiry: None,
            changes: Vec::new(),
            owner_advanced: false,
        }
    }

    /// Applies other settings from now on, but for configured routes and what this endpoint is on its buses. It
    /// disconnects no client, and a request that is out has the time that it had.
    pub fn reconfigure(&mut self, settings: Settings) {
        self.max_clients = settings.clients;
        self.reassembler.set_limits(settings.reassembly);
        self.answer_limits = settings.answer_limits;
        self.routes.set_learned_life(settings.learned_life);
        self.responder.reconfigure(settings.identity);
    }

    /// The most clients there may be.
    #[must_use]
    pub const fn max_clients(&self) -> usize {
        self.max_clients
    }

    /// The id of this endpoint; null while it has none.
    #[must_use]
    pub fn eid(&self) -> Eid {
        self.responder.eid()
    }

    /// What this endpoint is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        self.responder.identity()
    }

    /// Every link, in the order of their numbers.
    #[must_use]
    pub fn links(&self) -> &[LinkState] {
        &self.links
    }

    /// Every client: its type, counters, and how many answers it owes.
    pub fn clients(
        &self,
        now: Duration,
    ) -> impl Iterator<Item = (ClientId, MessageType, ClientCounters, usize)> {
        self.clients.iter().map(move |(id, c)| (*id, c.kind, c.counters, c.owed_count(now)))
    }

    /// What was thrown away at the sockets' side.
    #[must_use]
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// Where endpoints are.
    #[must_use]
    pub fn routes(&self) -> Vec<Route> {
        self.routes.entries()
    }

    /// The link and the physical address by which an endpoint is reached.
    #[must_use]
    pub fn route_to(&self, eid: Eid) -> Option<(LinkId, mctp_proto::Address)> {
        self.routes.lookup(eid)
    }

    /// Sets the payload of packets to an endpoint, or for 0 that of its link again.
    ///
    /// # Errors
    ///
    /// `false` outside of what the link can carry, and for an endpoint without a route.
    #[must_use]
    pub fn set_mtu(&mut self, eid: Eid, mtu: usize) -> bool {
        let Some((link, _)) = self.routes.lookup(eid) else {
            return false;
        };
        let LinkKind::Packets(medium, _) = self.kind_of(link) else {
            return false;
        };
        if mtu == 0 {
            self.mtus.remove(&eid);
            return true;
        }
        let fits = (BASELINE_MTU..=medium.max_mtu()).contains(&mtu);
        if fits {
            self.mtus.insert(eid, mtu);
        }
        fits
    }

    /// Counts what the caller has thrown away.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.refusals.add(refusal);
    }

    /// Counts what a framing has thrown away.
    pub fn drop_frame(&mut self, link: LinkId, reason: DropReason) {
        if let Some(link) = self.link_mut(link) {
            link.counters.packets_in += 1;
            link.counters.drops.add(reason);
        }
    }

    /// Whether a client is registered.
    #[must_use]
    pub fn has_client(&self, id: ClientId) -> bool {
        self.clients.contains_key(&id)
    }

    /// Whether there are several clients, which then have to leave one another room.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.clients.len() > 1
    }

    /// Whether [`take_changes`](Self::take_changes) has something to give.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Whether the bus owner has handled an answer or a time-out since this was last called.
    pub fn take_owner_advanced(&mut self) -> bool {
        std::mem::take(&mut self.owner_advanced)
    }

    /// Notes a change; once is enough until it is taken.
    fn note_change(&mut self, change: Change) {
        if !self.changes.contains(&change) {
            self.changes.push(change);
        }
    }

    /// What has changed since this was last called.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// The types that clients have registered for, in order.
    pub fn types(&self) -> impl Iterator<Item = MessageType> {
        self.by_type.keys().copied()
    }

    /// Takes a client's registration, its first message.
    ///
    /// # Errors
    ///
    /// [`Refusal::Registration`] or [`Refusal::TooManyClients`]; the client is to be disconnected.
    pub fn register(&mut self, first_message: &[u8]) -> Result<ClientId, Refusal> {
        let refusal = match first_message {
            // The control protocol is this daemon's own.
            &[kind] if MessageType::from_first_byte(kind) != MessageType::CONTROL => {
                if self.clients.len() < self.max_clients {
                    return Ok(self.add_client(MessageType::from_first_byte(kind)));
                }
                Refusal::TooManyClients
            }
            _ => Refusal::Registration,
        };
        self.refusals.add(refusal);
        Err(refusal)
    }

    fn add_client(&mut self, kind: MessageType) -> ClientId {
        let id = ClientId(self.next_client);
        self.next_client += 1;
        self.clients.insert(id, Client::new(kind));
        self.by_type.entry(kind).or_default().push(id);
        id
    }

    /// A client has disconnected, or is to be. What it has sent is still sent.
    pub fn remove_client(&mut self, now: Duration, id: ClientId) {
        let Some(client) = self.clients.remove(&id) else {
            return;
        };
        if let Some(of_type) = self.by_type.get_mut(&client.kind) {
            of_type.retain(|other| *other != id);
            if of_type.is_empty() {
                self.by_type.remove(&client.kind);
            }
        }
        self.blocked.retain(|(blocked, _)| *blocked != id);
        self.tags.forget(now, |request| request.by == Requester::Client(id));
    }

    /// A link's device was opened or failed. What waits for a link that is down is thrown away, since
    /// what it answers or asks is stale by the time the link is up again.
    pub fn set_link_up(&mut self, now: Duration, link: LinkId, up: bool, out: &mut impl Outlet) {
        let Some(state) = self.link_mut(link) else {
            return;
        };
        state.up = up;
        if up {
            self.announce(now, link);
            if let Some(owner) = &mut self.owner {
                owner.link_up(link);
                self.drain_owner(now);
            }
            return;
        }
        for _ in 0..state.outbox.clear() {
            self.refusals.add(Refusal::LinkDown);
        }
        self.reassembler.forget_link(link);
        self.tags.forget_link(link);
        self.announcements.retain(|announcement| announcement.link != link);
        self.retry_for_tags(now, link, out);
        self.retry_for_room(now, link, out);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Duration, out: &mut impl Outlet) {
        let links = &mut self.links;
        self.reassembler.handle_timeout(now, |link| {
            if let Some(link) = links.get_mut(usize::from(link.0)) {
                link.counters.drops.add(DropReason::TimedOut);
            }
        });
        for link in self.tags.handle_timeout(now) {
            self.retry_for_tags(now, link, out);
        }
        if self.expiry.is_some_and(|expiry| expiry <= now) {
            for client in self.clients.values_mut() {
                client.expire(now);
            }
            self.expiry = self.clients.values().filter_map(Client::next_expiry).min();
        }
        if self.routes.handle_timeout(now) {
            self.note_change(Change::Endpoints);
        }
        self.repeat_announcements(now);
        if let Some(owner) = &mut self.owner {
            let due = owner.poll_timeout().is_some_and(|due| due <= now);
            owner.handle_timeout(now);
            self.owner_advanced |= due;
            self.drain_owner(now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` while nothing waits.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let owner = self.owner.as_ref().and_then(BusOwner::poll_timeout);
        let own = self.announcements.iter().map(|announcement| announcement.due).min();
        let tables = [self.reassembler.poll_timeout(), self.tags.poll_timeout()];
        let others = [self.routes.poll_timeout(), self.expiry, owner, own];
        tables.into_iter().chain(others).flatten().min()
    }

    /// Whether something waits to go out on a link.
    #[must_use]
    pub fn wants_to_send(&self, link: LinkId) -> bool {
        self.link(link).is_some_and(|link| !link.outbox.is_empty())
    }

    /// Hands the next packet for a link to `encode`: address, header as on the wire, payload.
    ///
    /// Gives whether there was one.
    pub fn next_packet(
        &mut self,
        now: Duration,
        link: LinkId,
        out: &mut impl Outlet,
        encode: Encode<'_>,
    ) -> bool {
        let Some(state) = self.link_mut(link) else {
            return false;
        };
        let sent = state.outbox.next_packet(encode);
        state.counters.packets_out += u64::from(sent.packet);
        if let Some((peer, tag)) = sent.frees {
            self.tags.free(peer, tag);
            self.retry_for_tags(now, link, out);
        }
        if sent.message {
            self.retry_for_room(now, link, out);
            self.drain_owner(now);
        }
        sent.packet
    }

    fn link(&self, link: LinkId) -> Option<&LinkState> {
        self.links.get(usize::from(link.0))
    }

    fn link_mut(&mut self, link: LinkId) -> Option<&mut LinkState> {
        self.links.get_mut(usize::from(link.0))
    }

    fn kind_of(&self, link: LinkId) -> LinkKind {
        self.link(link).map_or(LinkKind::Kernel, |link| link.kind)
    }

    /// How long answers of a message's type may take.
    fn limit_of(&self, message: &[u8]) -> Duration {
        let first = message.first().copied().unwrap_or_default();
        self.answer_limits.of(MessageType::from_first_byte(first))
    }

    /// A tag for a request to `peer`.
    fn take_tag(&mut self, now: Duration, peer: TagPeer, request: Request) -> Result<Tag, Wait> {
        let life = self.answer_limits.of(request.kind);
        self.tags.allocate(now, peer, request, life).ok_or(Wait::Tag(peer))
    }
}

fn path_of((link, address): (LinkId, mctp_proto::Address)) -> BusPath {
    BusPath::new(link, address)
}
