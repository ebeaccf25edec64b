//! From the links to the clients.

use std::time::Duration;

use mctp_proto::packet::Header;
use mctp_proto::route::{Origin, Route};
use mctp_proto::tags::{Answered, TagPeer};
use mctp_proto::{Address, DropReason, Eid, LinkId, MessageType, Tag};

use super::client::{Owed, REQUEST_LIFE, ReplyTo};
use super::counters::Refusal;
use super::marks::Marks;
use super::{Change, ClientId, Demux, Holder, LinkKind, Outlet, Wait};

/// A whole message that the kernel's stack has put together.
#[derive(Clone, Copy, Debug)]
pub struct KernelMessage<'a> {
    /// The link it came on.
    pub link: LinkId,
    /// The kernel's number of the network it came from.
    pub network: u32,
    /// Who sent it.
    pub eid: Eid,
    /// The tag; of the sender if it is a request.
    pub tag: Tag,
    /// Whether it is a request.
    pub request: bool,
    /// For an answer: whose request it is for.
    pub client: Option<ClientId>,
    /// Type byte and all.
    pub message: &'a [u8],
}

impl Demux {
    /// Takes one packet, header first, without its framing.
    pub fn handle_packet(
        &mut self,
        now: Duration,
        link: LinkId,
        address: Address,
        packet: &[u8],
        out: &mut impl Outlet,
    ) {
        let own = self.eid();
        let Some(state) = self.links.get_mut(usize::from(link.0)) else {
            return;
        };
        state.counters.packets_in += 1;
        let drops = &mut state.counters.drops;
        let (header, payload) = match Header::parse(packet) {
            Ok(parsed) => parsed,
            Err(reason) => return drops.add(reason),
        };
        if header.source == Eid::BROADCAST {
            return drops.add(DropReason::BroadcastSource);
        }
        if ![own, Eid::NULL, Eid::BROADCAST].contains(&header.destination) {
            return self.forward(link, &header, payload);
        }
        let whole = self.reassembler.accept(now, link, address, &header, payload, drops);
        let Some(message) = whole else { return };
        state.counters.messages_in += 1;
        state.counters.bytes_in += message.len() as u64;
        self.learn(link, address, header.source);
        self.handle_message(now, link, address, &header, &message, out);
    }

    /// Takes one message that the kernel has put together.
    pub fn handle_kernel_message(
        &mut self,
        now: Duration,
        from: KernelMessage<'_>,
        out: &mut impl Outlet,
    ) {
        if let Some(link) = self.link_mut(from.link) {
            link.counters.messages_in += 1;
            link.counters.bytes_in += from.message.len() as u64;
        }
        if from.request {
            let reply_to = ReplyTo {
                link: from.link,
                address: Address::None,
                eid: from.eid,
                local: Eid::NULL,
                tag: from.tag,
                network: from.network,
            };
            self.deliver_request(now, reply_to, from.message, out);
        } else if let Some(client) = from.client {
            self.deliver_answer(now, client, from.eid, from.message, out);
        } else {
            self.refusals.add(Refusal::Unsolicited);
        }
    }

    /// A packet for somebody else goes on if this endpoint is a bridge and knows where.
    fn forward(&mut self, from: LinkId, header: &Header, payload: &[u8]) {
        let bridge = self.responder.identity().bridge;
        let route = self.routes.lookup(header.destination).filter(|(to, _)| bridge && *to != from);
        let forwarded = route.is_some_and(|(to, address)| {
            let Some(to) = self.links.get_mut(usize::from(to.0)) else {
                return false;
            };
            let fits = matches!(to.kind, LinkKind::Packets(_, mtu) if payload.len() <= mtu);
            fits && to.up && to.outbox.forward(address, header.emit(), payload)
        });
        if let Some(from) = self.link_mut(from) {
            if forwarded {
                from.counters.forwarded += 1;
            } else {
                from.counters.drops.add(DropReason::ForeignDestination);
            }
        }
    }

    /// Remembers behind which address a sender is, where there are addresses or several links.
    fn learn(&mut self, link: LinkId, address: Address, eid: Eid) {
        if eid.is_assignable() && (address != Address::None || self.links.len() > 1) {
            let route = Route::to(eid, link, address, Origin::Learned);
            if self.routes.add(route) {
                self.changes.push(Change::Endpoints);
            }
        }
    }

    fn handle_message(
        &mut self,
        now: Duration,
        link: LinkId,
        address: Address,
        header: &Header,
        message: &[u8],
        out: &mut impl Outlet,
    ) {
        let kind = message.first().map(|&first| MessageType::from_first_byte(first));
        if header.tag_owner {
            let local =
                if header.destination.is_assignable() { header.destination } else { self.eid() };
            let reply_to =
                ReplyTo { link, address, eid: header.source, local, tag: header.tag, network: 0 };
            if kind == Some(MessageType::CONTROL) {
                self.answer_control(now, reply_to, header.destination, message);
            } else {
                self.deliver_request(now, reply_to, message, out);
            }
            return;
        }
        let peer = TagPeer { link, eid: header.source };
        match self.tags.answer(peer, header.tag) {
            Answered::Held(Holder::Client(client)) => {
                self.deliver_answer(now, client, header.source, message, out);
            }
            Answered::Held(Holder::BusOwner) => self.owner_answered(now, link, address, message),
            Answered::Abandoned | Answered::Unsolicited => self.refusals.add(Refusal::Unsolicited),
        }
        for eid in [header.source, Eid::NULL, Eid::BROADCAST] {
            self.retry(now, Wait::Tag(TagPeer { link, eid }), out);
        }
    }

    /// A request goes to every client of its type, and each is noted to owe an answer.
    fn deliver_request(
        &mut self,
        now: Duration,
        reply_to: ReplyTo,
        message: &[u8],
        out: &mut impl Outlet,
    ) {
        let kind = message.first().map(|&first| MessageType::from_first_byte(first));
        let Some(of_type) = kind.and_then(|kind| self.by_type.get(&kind)) else {
            self.refusals.add(Refusal::NoClient);
            return;
        };
        let request = self.next_request;
        self.next_request += 1;
        let until = now + REQUEST_LIFE;
        let key = Marks::key_of_request(message);
        // One that wants no answer gets none, or the next answer would be taken for its.
        let wants_answer = Marks::of(message) != Marks::Datagram;
        let mut overrun = Vec::new();
        for &id in of_type {
            let Some(client) = self.clients.get_mut(&id) else {
                continue;
            };
            let owed = Owed { request, reply_to, key, until, settled: false };
            if wants_answer && client.owe(owed) {
                self.refusals.add(Refusal::Forgotten);
            }
            client.counters.messages_out += 1;
            client.counters.bytes_out += message.len() as u64;
            if !out.deliver(id, reply_to.eid, message) {
                overrun.push(id);
            }
        }
        self.expiry.get_or_insert(until);
        self.disconnect(now, &overrun);
    }

    /// An answer goes to the client that asked, and to no other.
    fn deliver_answer(
        &mut self,
        now: Duration,
        id: ClientId,
        eid: Eid,
        message: &[u8],
        out: &mut impl Outlet,
    ) {
        let kind = message.first().map(|&first| MessageType::from_first_byte(first));
        let Some(client) = self.clients.get_mut(&id) else {
            self.refusals.add(Refusal::Unsolicited);
            return;
        };
        if kind != Some(client.kind) {
            self.refusals.add(Refusal::TypeMismatch);
            return;
        }
        client.counters.messages_out += 1;
        client.counters.bytes_out += message.len() as u64;
        if !out.deliver(id, eid, message) {
            self.disconnect(now, &[id]);
        }
    }

    /// Clients that do not read what they are sent.
    pub(super) fn disconnect(&mut self, now: Duration, overrun: &[ClientId]) {
        for &id in overrun {
            self.refusals.add(Refusal::Overrun);
            self.remove_client(now, id);
        }
    }
}
