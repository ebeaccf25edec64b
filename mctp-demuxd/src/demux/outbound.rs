//! From the clients to the links, and to one another.

use std::time::Duration;

use mctp_proto::fragment::Fragmenter;
use mctp_proto::protocols::Reading;
use mctp_proto::tags::TagPeer;
use mctp_proto::{Address, Eid, LinkId, MAX_MESSAGE, MessageType, Tag};

use super::client::{Meaning, Owed};
use super::counters::Refusal;
use super::outbox::OutMessage;
use super::{ClientId, Demux, LinkKind, LinkState, Outlet, Request, Requester, Wait, path_of};

/// Tags of each peer.
const TAGS: usize = Tag::COUNT as usize;

/// Tags of each peer that are reserved for clients that have none.
const RESERVED: usize = 2;

/// Whether to go on reading a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// The message is done with.
    Taken,
    /// It waits for a tag or for room; nothing more is to be read until [`Outlet::resume`].
    Held,
}

/// A message that the kernel is to send.
#[derive(Debug)]
pub struct KernelSend {
    /// The client that sent it, which may have disconnected.
    pub sender: Option<ClientId>,
    /// The receiver.
    pub eid: Eid,
    /// In an answer: the kernel's network and tag of the request. `None` in a request.
    pub answers: Option<(u32, Tag)>,
    /// In a request: how long its answer may take.
    pub limit: Duration,
    /// The message with its type byte.
    pub message: Vec<u8>,
}

impl Demux {
    /// Takes one message of a registered client: an EID, then the message.
    pub fn client_message(
        &mut self,
        now: Duration,
        id: ClientId,
        bytes: &[u8],
        out: &mut impl Outlet,
    ) -> Progress {
        let Some(client) = self.clients.get_mut(&id) else {
            return Progress::Taken;
        };
        client.counters.messages_in += 1;
        client.counters.bytes_in += bytes.len().saturating_sub(1) as u64;
        let kind = client.kind;
        let (eid, message) = match bytes {
            &[eid, ref message @ ..] if !message.is_empty() => (Eid(eid), message),
            _ => {
                self.refusals.add(Refusal::Short);
                return Progress::Taken;
            }
        };
        let refusal = match message.first() {
            _ if message.len() > MAX_MESSAGE => Some(Refusal::Oversize),
            Some(&first) if MessageType::from_first_byte(first) == kind => None,
            _ => Some(Refusal::TypeMismatch),
        };
        if let Some(refusal) = refusal {
            self.refusals.add(refusal);
            return Progress::Taken;
        }
        match self.send(now, id, eid, message, out) {
            Ok(()) => Progress::Taken,
            Err(wait) => {
                self.blocked.push_back((id, wait));
                if let Some(client) = self.clients.get_mut(&id) {
                    client.held = Some(bytes.to_vec());
                    client.counters.waits += 1;
                }
                Progress::Held
            }
        }
    }

    /// The next message for a link that is the kernel's, of a sender that does not have to wait.
    pub fn next_kernel_message(
        &mut self,
        now: Duration,
        link: LinkId,
        waits: impl Fn(Option<ClientId>) -> bool,
        out: &mut impl Outlet,
    ) -> Option<KernelSend> {
        let (sender, next) = self.link_mut(link)?.outbox.next_message(waits)?;
        self.retry_for_room(now, link, out);
        let answers = next.answers_on.map(|network| (network, next.fragmenter.tag()));
        let eid = next.fragmenter.destination();
        let kind = next.message.first().map(|&first| MessageType::from_first_byte(first));
        let limit = kind.map(|kind| self.answer_limits.of(kind)).unwrap_or_default();
        Some(KernelSend { sender, eid, answers, limit, message: next.message })
    }

    /// Tries again what waits for a tag of an endpoint on a link, in the order it came.
    pub(super) fn retry_for_tags(&mut self, now: Duration, link: LinkId, out: &mut impl Outlet) {
        self.retry(now, out, |demux, wait| {
            matches!(wait, Wait::Tag(peer)
                if peer.path.link == link && demux.tags.outstanding(peer) < TAGS)
        });
    }

    /// Tries again what waits for room on a link, in the order it came.
    pub(super) fn retry_for_room(&mut self, now: Duration, link: LinkId, out: &mut impl Outlet) {
        self.retry(now, out, |_, wait| wait == Wait::Room(link));
    }

    fn retry(
        &mut self,
        now: Duration,
        out: &mut impl Outlet,
        is_ready: impl Fn(&Self, Wait) -> bool,
    ) {
        let mut at = 0;
        while let Some(&(id, wait)) = self.blocked.get(at) {
            if !is_ready(self, wait) {
                at += 1;
                continue;
            }
            let held = self.clients.get_mut(&id).and_then(|client| client.held.take());
            let parts = held.as_deref().and_then(<[u8]>::split_first);
            let sent =
                parts.map_or(Ok(()), |(eid, message)| self.send(now, id, Eid(*eid), message, out));
            match sent {
                Ok(()) => {
                    self.blocked.remove(at);
                    out.resume(id);
                }
                Err(wait) => {
                    if let Some(client) = self.clients.get_mut(&id) {
                        client.held = held;
                    }
                    if let Some(entry) = self.blocked.get_mut(at) {
                        entry.1 = wait;
                    }
                    at += 1;
                }
            }
        }
    }

    fn send(
        &mut self,
        now: Duration,
        id: ClientId,
        eid: Eid,
        message: &[u8],
        out: &mut impl Outlet,
    ) -> Result<(), Wait> {
        if eid == self.eid() && eid != Eid::NULL {
            self.send_to_neighbours(now, id, eid, message, out);
            return Ok(());
        }
        let Some(client) = self.clients.get(&id) else {
            return Ok(());
        };
        let reading = Reading::of(message);
        match client.meaning_of(now, eid, reading) {
            Meaning::Response(index) => self.send_answer(now, id, index, reading, message),
            Meaning::Late(index) => {
                self.refusals.add(Refusal::LateAnswer);
                if let Some(client) = self.clients.get_mut(&id) {
                    client.forget_at(index);
                }
                Ok(())
            }
            Meaning::Unasked => {
                self.refusals.add(Refusal::UnaskedAnswer);
                Ok(())
            }
            Meaning::Request { wants_answer } => {
                self.send_request(now, &Outbound { id, eid, reading, message, wants_answer })
            }
        }
    }

    /// A message to this endpoint goes to the other clients of its type.
    fn send_to_neighbours(
        &mut self,
        now: Duration,
        sender: ClientId,
        eid: Eid,
        message: &[u8],
        out: &mut impl Outlet,
    ) {
        let kind = message.first().map(|&first| MessageType::from_first_byte(first));
        let of_type = kind.and_then(|kind| self.by_type.get(&kind));
        let mut overrun = Vec::new();
        for &id in of_type.into_iter().flatten().filter(|id| **id != sender) {
            if let Some(client) = self.clients.get_mut(&id) {
                client.counters.messages_out += 1;
                client.counters.bytes_out += message.len() as u64;
            }
            if !out.deliver(id, eid, message) {
                overrun.push(id);
            }
        }
        self.disconnect(now, &overrun);
    }

    /// The answer to a request that no other client has answered. Another one may come after it.
    fn send_answer(
        &mut self,
        now: Duration,
        id: ClientId,
        index: usize,
        reading: Reading,
        message: &[u8],
    ) -> Result<(), Wait> {
        let owed = self.clients.get(&id).and_then(|client| client.owed_at(index));
        let Some(owed) = owed else { return Ok(()) };
        if self.is_up(owed.reply_to.link) {
            self.check_room(id, owed.reply_to.link)?;
            self.push_answer(id, &owed, message);
        } else {
            self.refusals.add(Refusal::LinkDown);
        }
        let kind = message.first().map(|&first| MessageType::from_first_byte(first));
        let more = reading.more_within(|| self.limit_of(message));
        if let Some(client) = self.clients.get_mut(&id) {
            client.has_answered = true;
            match more {
                Some(more) => client.extend_at(index, now + more),
                None => client.forget_at(index),
            }
        }
        let of_type = kind.and_then(|kind| self.by_type.get(&kind));
        for other in of_type.into_iter().flatten().filter(|other| **other != id) {
            if let Some(client) = self.clients.get_mut(other) {
                client.settle(owed.request);
            }
        }
        Ok(())
    }

    fn push_answer(&mut self, id: ClientId, owed: &Owed, message: &[u8]) {
        let to = owed.reply_to;
        let mtu = self.mtu_of(to.link);
        let local = if to.local.is_assignable() { to.local } else { self.eid() };
        let fragmenter = Fragmenter::new(to.eid, local, false, to.tag, mtu);
        let out = OutMessage {
            address: to.address,
            fragmenter,
            message: message.to_vec(),
            frees: None,
            answers_on: Some(to.network),
        };
        self.push(to.link, Some(id), out);
    }

    fn send_request(&mut self, now: Duration, request: &Outbound<'_>) -> Result<(), Wait> {
        let (all, one);
        let links = if request.eid == Eid::BROADCAST {
            all = self.links_of_broadcasts();
            all.as_slice()
        } else {
            one = self.routes.lookup(request.eid);
            one.as_slice()
        };
        let Some(&(first, _)) = links.first() else {
            self.refusals.add(Refusal::NoRoute);
            return Ok(());
        };
        if links.iter().all(|(link, _)| !self.is_up(*link)) {
            self.refusals.add(Refusal::LinkDown);
            return Ok(());
        }
        for &(link, address) in links {
            self.check_room(request.id, link)?;
            let peer = TagPeer { path: path_of((link, address)), eid: request.eid };
            if self.kind_of(link) != LinkKind::Kernel && !self.may_take_tag(request.id, peer) {
                return Err(Wait::Tag(peer));
            }
        }
        if self.kind_of(first) == LinkKind::Kernel {
            self.push_to_kernel(first, request);
            return Ok(());
        }
        for &(link, address) in links {
            let peer = TagPeer { path: path_of((link, address)), eid: request.eid };
            let tag = self.take_tag(now, peer, request.taken())?;
            let fragmenter =
                Fragmenter::new(request.eid, self.eid(), true, tag, self.mtu_to(link, request.eid));
            let frees = (!request.wants_answer).then_some((peer, tag));
            let message = request.message.to_vec();
            let out = OutMessage { address, fragmenter, message, frees, answers_on: None };
            self.push(link, Some(request.id), out);
        }
        Ok(())
    }

    /// The last tags of a peer are for clients that have none of them yet, while there are several
    /// clients: one that floods a peer must not deprive the others of it.
    fn may_take_tag(&self, id: ClientId, peer: TagPeer) -> bool {
        let out = self.tags.outstanding(peer);
        let first = || !self.tags.is_held_by(peer, |held| held.by == Requester::Client(id));
        out < TAGS && (out < TAGS - RESERVED || !self.is_shared() || first())
    }

    fn push_to_kernel(&mut self, link: LinkId, request: &Outbound<'_>) {
        let fragmenter =
            Fragmenter::new(request.eid, Eid::NULL, true, Tag::default(), self.mtu_of(link));
        let message = request.message.to_vec();
        let (address, frees, answers_on) = (Address::None, None, None);
        let out = OutMessage { address, fragmenter, message, frees, answers_on };
        self.push(link, Some(request.id), out);
    }

    /// Where a broadcast goes: to every link that carries it.
    fn links_of_broadcasts(&self) -> Vec<(LinkId, Address)> {
        let can =
            |(_, link): &(usize, &LinkState)| link.kind.medium().carries_broadcasts() && link.up;
        let links = self.links.iter().enumerate().filter(can);
        links
            .filter_map(|(index, _)| Some((LinkId(u8::try_from(index).ok()?), Address::None)))
            .collect()
    }

    pub(super) fn is_up(&self, link: LinkId) -> bool {
        self.link(link).is_some_and(|link| link.up)
    }

    fn check_room(&self, id: ClientId, link: LinkId) -> Result<(), Wait> {
        match self.link(link) {
            Some(state) if state.outbox.has_room_for(Some(id)) => Ok(()),
            _ => Err(Wait::Room(link)),
        }
    }

    /// The payload of a packet to an endpoint: what was set for it, within what its link carries.
    fn mtu_to(&self, link: LinkId, eid: Eid) -> usize {
        let of_link = self.mtu_of(link);
        self.mtus.get(&eid).map_or(of_link, |mtu| *mtu)
    }

    pub(super) fn mtu_of(&self, link: LinkId) -> usize {
        match self.kind_of(link) {
            LinkKind::Packets(_, mtu) => mtu,
            LinkKind::Kernel => MAX_MESSAGE,
        }
    }

    pub(super) fn push(&mut self, link: LinkId, sender: Option<ClientId>, message: OutMessage) {
        if let Some(link) = self.link_mut(link) {
            link.counters.messages_out += 1;
            link.counters.bytes_out += message.message.len() as u64;
            link.counters.types_out.add(&message.message);
            link.outbox.push(sender, message);
        }
    }
}

/// A request as a client gave it.
struct Outbound<'a> {
    id: ClientId,
    eid: Eid,
    reading: Reading,
    message: &'a [u8],
    wants_answer: bool,
}

impl Outbound<'_> {
    /// What is noted with its tag.
    fn taken(&self) -> Request {
        let kind = MessageType::from_first_byte(self.message.first().copied().unwrap_or_default());
        Request { by: Requester::Client(self.id), kind, key: self.reading.key }
    }
}
