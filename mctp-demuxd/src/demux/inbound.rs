//! From the links to the clients.

use std::time::Duration;

use mctp_proto::packet::Header;
use mctp_proto::protocols::{Reading, Role, fits};
use mctp_proto::tags::{Answered, TagPeer};
use mctp_proto::{Address, BusPath, DropReason, Eid, LinkId, MessageType, Tag};

use super::client::{Owed, ReplyTo, forgotten_at};
use super::counters::Refusal;
use super::{Change, ClientId, Demux, LinkKind, Outlet, Request, Requester};

/// A whole message that the kernel's stack has put together.
#[derive(Clone, Copy, Debug)]
pub struct KernelMessage<'a> {
    /// The link it came on.
    pub link: LinkId,
    /// The kernel's number of the network it came from.
    pub network: u32,
    /// Its sender.
    pub eid: Eid,
    /// The tag; of the sender if it is a request.
    pub tag: Tag,
    /// Whether it is a request.
    pub request: bool,
    /// For an answer: the client whose request it answers.
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
        state.counters.types_in.add(&message);
        let path = BusPath::new(link, address);
        self.learn(now, path, header.source, false);
        self.handle_message(now, path, &header, &message, out);
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
            link.counters.types_in.add(from.message);
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
            let reading = Reading::of(from.message);
            self.deliver_request(now, reply_to, reading, from.message, out);
        } else if let Some(client) = from.client {
            self.deliver_answer(now, client, from.eid, from.message, out);
        } else {
            self.refusals.add(Refusal::Unsolicited);
        }
    }

    /// A packet for another endpoint is forwarded if this endpoint is a bridge and has a route.
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

    /// Remembers the position of a sender, where there are addresses or several links, and of each that
    /// has answered a request.
    fn learn(&mut self, now: Duration, path: BusPath, eid: Eid, answered: bool) {
        let useful = answered || path.address != Address::None || self.links.len() > 1;
        if eid.is_assignable() && useful && self.routes.learn(now, eid, path, answered) {
            self.note_change(Change::Endpoints);
        }
    }

    fn handle_message(
        &mut self,
        now: Duration,
        path: BusPath,
        header: &Header,
        message: &[u8],
        out: &mut impl Outlet,
    ) {
        let reading = Reading::of(message);
        let kind = message.first().map(|&first| MessageType::from_first_byte(first));
        let sender = TagPeer { path, eid: header.source };
        let more = reading.more_within(|| self.limit_of(message));
        let answered = match (header.tag_owner, reading.is_answer()) {
            (false, _) => self.tags.answer(now, sender, header.tag, more),
            // Libmctp's daemon sets the tag owner bit in all it sends, and tag 0, so what says that it
            // is an answer is matched by its key.
            (true, true) => self.tags.answer_where(now, sender, more, |_, request| {
                request.is_some_and(|r| Some(r.kind) == kind && fits(reading.key, r.key))
            }),
            (true, false) => Answered::Unsolicited,
        };
        match answered {
            Answered::Held(request) => {
                // What answers the bus owner is published once everything is known of it.
                let by_client = matches!(request.by, Requester::Client(_));
                self.learn(now, path, header.source, by_client);
                self.handle_answer(now, request, header.source, message, out);
            }
            Answered::Abandoned => self.refusals.add(Refusal::Unsolicited),
            Answered::Unsolicited if header.tag_owner => {
                return self.handle_request(now, path, header, reading, message, out);
            }
            Answered::Unsolicited => self.refusals.add(Refusal::Unsolicited),
        }
        self.retry_for_tags(now, path.link, out);
    }

    fn handle_request(
        &mut self,
        now: Duration,
        path: BusPath,
        header: &Header,
        reading: Reading,
        message: &[u8],
        out: &mut impl Outlet,
    ) {
        let kind = message.first().map(|&first| MessageType::from_first_byte(first));
        let local =
            if header.destination.is_assignable() { header.destination } else { self.eid() };
        let BusPath { link, address } = path;
        let reply_to =
            ReplyTo { link, address, eid: header.source, local, tag: header.tag, network: 0 };
        if kind == Some(MessageType::CONTROL) {
            self.answer_control(now, reply_to, header.destination, message);
        } else {
            self.deliver_request(now, reply_to, reading, message, out);
        }
    }

    fn handle_answer(
        &mut self,
        now: Duration,
        request: Request,
        eid: Eid,
        message: &[u8],
        out: &mut impl Outlet,
    ) {
        match request.by {
            Requester::Client(client) => self.deliver_answer(now, client, eid, message, out),
            Requester::BusOwner(target) => self.owner_answered(now, target, message),
            Requester::Announcement => self.announcements.clear(),
            Requester::Ping(id) => self.ping_answered(now, id, message),
        }
    }

    /// A request goes to every client of its type, and each is noted to owe an answer.
    fn deliver_request(
        &mut self,
        now: Duration,
        reply_to: ReplyTo,
        reading: Reading,
        message: &[u8],
        out: &mut impl Outlet,
    ) {
        let kind = message.first().map(|&first| MessageType::from_first_byte(first));
        let of_type = kind.and_then(|kind| Some((kind, self.by_type.get(&kind)?)));
        let Some((kind, of_type)) = of_type else {
            self.refusals.add(Refusal::NoClient);
            return;
        };
        let request = self.next_request;
        self.next_request += 1;
        let until = now + self.answer_limits.of(kind);
        // One that wants no answer gets none, or the next answer would be taken for its.
        let wants_answer = reading.role != Role::Datagram;
        let mut overrun = Vec::new();
        for &id in of_type {
            let Some(client) = self.clients.get_mut(&id) else {
                continue;
            };
            let owed = Owed { request, reply_to, key: reading.key, until, settled: false };
            if wants_answer && client.owe(now, owed) {
                self.refusals.add(Refusal::Forgotten);
            }
            client.counters.messages_out += 1;
            client.counters.bytes_out += message.len() as u64;
            if !out.deliver(id, reply_to.eid, message) {
                overrun.push(id);
            }
        }
        if wants_answer {
            self.expiry.get_or_insert(forgotten_at(until));
        }
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

    /// Disconnects clients that do not read what they are sent.
    pub(super) fn disconnect(&mut self, now: Duration, overrun: &[ClientId]) {
        for &id in overrun {
            self.refusals.add(Refusal::Overrun);
            self.remove_client(now, id);
        }
    }
}
