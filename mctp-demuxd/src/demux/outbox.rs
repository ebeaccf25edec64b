//! What waits to be sent on one link.
//!
//! Each sender has a queue of its own, and they take turns of about [`TURN`] bytes, so that one that
//! floods the link, or sends something long, does not hold up the others. Packets of messages with
//! one destination and tag never mix, whatever their tag owner bit: some receivers leave that bit
//! out of their key.

use std::collections::VecDeque;

use mctp_proto::fragment::Fragmenter;
use mctp_proto::packet::Header;
use mctp_proto::tags::TagPeer;
use mctp_proto::{Address, Eid, Tag};

use super::ClientId;

/// Bytes after which the next sender has its turn.
const TURN: usize = 1024;

/// Bytes that one sender may have waiting; a single message may be longer.
const SENDER_BYTES: usize = 8 * 1024;

/// Messages that one sender may have waiting.
const SENDER_MESSAGES: usize = 32;

/// Bytes that may wait in all.
const LINK_BYTES: usize = 512 * 1024;

/// Packets that may wait to be passed on to another link.
const FORWARDED: usize = 64;

/// One message, as far as it is not sent yet.
#[derive(Debug)]
pub(super) struct OutMessage {
    pub(super) address: Address,
    pub(super) fragmenter: Fragmenter,
    pub(super) message: Vec<u8>,
    /// A tag to be freed once all is sent, since no answer will come.
    pub(super) frees: Option<(TagPeer, Tag)>,
    /// In an answer: the kernel's number of the network that the request came from.
    pub(super) answers_on: Option<u32>,
}

/// The result of asking for the next packet.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Whether there was one.
    pub(super) packet: bool,
    /// Whether it was the last of a message, so that there is room again.
    pub(super) message: bool,
    /// A tag that is free now.
    pub(super) frees: Option<(TagPeer, Tag)>,
}

/// Takes one packet: address, header as on the wire, payload.
pub type Encode<'a> = &'a mut dyn FnMut(Address, [u8; Header::LEN], &[u8]);

#[derive(Debug)]
struct Flow {
    sender: Option<ClientId>,
    messages: VecDeque<OutMessage>,
    bytes: usize,
    /// Bytes sent in this turn.
    turn: usize,
}

/// All queues of a link.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    flows: VecDeque<Flow>,
    forwarded: VecDeque<(Address, [u8; Header::LEN], Vec<u8>)>,
    bytes: usize,
    /// Destination and tag of messages that are sent in part.
    open: Vec<(Eid, Tag)>,
}

impl Outbox {
    /// Messages of `sender` that wait.
    pub(super) fn waiting_of(&self, sender: Option<ClientId>) -> usize {
        let own = self.flows.iter().find(|flow| flow.sender == sender);
        own.map_or(0, |flow| flow.messages.len())
    }

    /// Whether `sender` may add a message.
    pub(super) fn has_room_for(&self, sender: Option<ClientId>) -> bool {
        let own = self.flows.iter().find(|flow| flow.sender == sender);
        let own_room = own
            .is_none_or(|flow| flow.messages.len() < SENDER_MESSAGES && flow.bytes < SENDER_BYTES);
        own_room && self.bytes < LINK_BYTES
    }

    pub(super) fn push(&mut self, sender: Option<ClientId>, message: OutMessage) {
        let len = message.message.len();
        self.bytes += len;
        let flow = match self.flows.iter_mut().position(|flow| flow.sender == sender) {
            Some(index) => self.flows.get_mut(index),
            None => {
                let messages = VecDeque::new();
                self.flows.push_back(Flow { sender, messages, bytes: 0, turn: 0 });
                self.flows.back_mut()
            }
        };
        if let Some(flow) = flow {
            flow.bytes += len;
            flow.messages.push_back(message);
        }
    }

    /// Adds a packet for another endpoint; gives whether there was room.
    pub(super) fn forward(&mut self, address: Address, header: [u8; 4], payload: &[u8]) -> bool {
        let room = self.forwarded.len() < FORWARDED;
        if room {
            self.forwarded.push_back((address, header, payload.to_vec()));
        }
        room
    }

    pub(super) fn is_empty(&self) -> bool {
        self.flows.is_empty() && self.forwarded.is_empty()
    }

    /// Drops everything; gives how many messages that were.
    pub(super) fn clear(&mut self) -> usize {
        let messages = self.flows.iter().map(|flow| flow.messages.len()).sum();
        *self = Self::default();
        messages
    }

    /// Hands the next packet to `encode`.
    pub(super) fn next_packet(&mut self, encode: Encode<'_>) -> Sent {
        if let Some((address, header, payload)) = self.forwarded.pop_front() {
            encode(address, header, &payload);
            return Sent { packet: true, ..Sent::default() };
        }
        for _ in 0..self.flows.len() {
            if self.front_may_send() {
                return self.send_from_front(encode);
            }
            self.flows.rotate_left(1);
        }
        Sent::default()
    }

    /// Takes the next message whole, for a link that cuts messages itself, passing over senders
    /// that have to wait.
    pub(super) fn next_message(
        &mut self,
        waits: impl Fn(Option<ClientId>) -> bool,
    ) -> Option<(Option<ClientId>, OutMessage)> {
        let at = self.flows.iter().position(|flow| !waits(flow.sender))?;
        let mut flow = self.flows.remove(at)?;
        let message = flow.messages.pop_front();
        if let Some(message) = &message {
            flow.bytes -= message.message.len();
            self.bytes -= message.message.len();
        }
        let sender = flow.sender;
        if !flow.messages.is_empty() {
            self.flows.push_back(flow);
        }
        message.map(|message| (sender, message))
    }

    /// Whether the front flow's next message is open already, or meets no open one.
    fn front_may_send(&self) -> bool {
        let next = self.flows.front().and_then(|flow| flow.messages.front());
        next.is_some_and(|next| {
            let key = (next.fragmenter.destination(), next.fragmenter.tag());
            next.fragmenter.has_begun() || !self.open.contains(&key)
        })
    }

    fn send_from_front(&mut self, encode: Encode<'_>) -> Sent {
        let Some(flow) = self.flows.front_mut() else {
            return Sent::default();
        };
        let Some(next) = flow.messages.front_mut() else {
            return Sent::default();
        };
        let key = (next.fragmenter.destination(), next.fragmenter.tag());
        let Some((header, payload)) = next.fragmenter.next(&next.message) else {
            return Sent::default();
        };
        encode(next.address, header.emit(), payload);
        flow.turn += payload.len();
        if header.start && !header.end {
            self.open.push(key);
        } else if header.end && !header.start {
            self.open.retain(|open| *open != key);
        }
        let mut sent = Sent { packet: true, message: header.end, frees: None };
        if header.end {
            flow.bytes -= next.message.len();
            self.bytes -= next.message.len();
            sent.frees = flow.messages.pop_front().and_then(|message| message.frees);
        }
        if flow.messages.is_empty() {
            self.flows.pop_front();
        } else if flow.turn >= TURN {
            flow.turn = 0;
            self.flows.rotate_left(1);
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(destination: u8, tag: u8, len: usize) -> OutMessage {
        let (eid, tag) = (Eid(destination), Tag::from_bits(tag));
        OutMessage {
            address: Address::None,
            fragmenter: Fragmenter::new(eid, Eid(8), true, tag, 64),
            message: vec![tag.value(); len],
            frees: None,
            answers_on: None,
        }
    }

    /// Destination, and whether the packet ends its message.
    fn drain(outbox: &mut Outbox) -> Vec<(u8, bool)> {
        let mut all = Vec::new();
        while outbox
            .next_packet(&mut |_, header, _| all.push((header[1], header[3] & 0x40 != 0)))
            .packet
        {}
        all
    }

    const A: Option<ClientId> = Some(ClientId(1));
    const B: Option<ClientId> = Some(ClientId(2));

    #[test]
    fn a_short_message_does_not_wait_for_a_long_one() {
        let mut outbox = Outbox::default();
        outbox.push(A, message(9, 0, 60_000));
        outbox.push(B, message(10, 0, 10));
        let order = drain(&mut outbox);
        let at = order.iter().position(|&(eid, _)| eid == 10).unwrap();
        assert_eq!(at, TURN / 64);
        assert!(outbox.is_empty() && outbox.bytes == 0 && outbox.open.is_empty());
    }

    #[test]
    fn messages_with_one_destination_and_tag_do_not_mix() {
        let mut outbox = Outbox::default();
        outbox.push(A, message(9, 3, 3000));
        outbox.push(B, message(9, 3, 2000));
        let ends: Vec<usize> = drain(&mut outbox)
            .iter()
            .enumerate()
            .filter_map(|(index, (_, end))| end.then_some(index + 1))
            .collect();
        assert_eq!(ends, [47, 79]);
    }

    #[test]
    fn room_is_bounded_per_sender_and_in_all() {
        let mut outbox = Outbox::default();
        for _ in 0..SENDER_MESSAGES {
            assert!(outbox.has_room_for(A));
            outbox.push(A, message(9, 0, 10));
        }
        assert!(!outbox.has_room_for(A) && outbox.has_room_for(B));
        outbox.push(B, message(9, 0, SENDER_BYTES));
        assert!(!outbox.has_room_for(B));
        for client in 10..18 {
            outbox.push(Some(ClientId(client)), message(9, 0, 65_536));
        }
        assert!(!outbox.has_room_for(Some(ClientId(99))));
        assert_eq!(outbox.clear(), SENDER_MESSAGES + 9);
        assert!(outbox.has_room_for(A));
    }

    #[test]
    fn forwarded_packets_go_first_and_are_bounded() {
        let mut outbox = Outbox::default();
        outbox.push(A, message(9, 0, 10));
        for _ in 0..FORWARDED {
            assert!(outbox.forward(Address::None, [1, 20, 9, 0xc8], b"x"));
        }
        assert!(!outbox.forward(Address::None, [1, 20, 9, 0xc8], b"x"));
        assert_eq!(drain(&mut outbox)[0], (20, true));
    }

    #[test]
    fn whole_messages_are_taken_in_turn() {
        let mut outbox = Outbox::default();
        for (sender, eid) in [(A, 9), (A, 10), (B, 11)] {
            outbox.push(sender, message(eid, 0, 100));
        }
        let order: Vec<u8> = std::iter::from_fn(|| outbox.next_message(|_| false))
            .map(|(_, message)| message.fragmenter.destination().0)
            .collect();
        assert_eq!(order, [9, 11, 10]);
        assert_eq!(outbox.bytes, 0);
    }

    #[test]
    fn senders_that_have_to_wait_are_passed_over() {
        let mut outbox = Outbox::default();
        outbox.push(A, message(9, 0, 100));
        outbox.push(B, message(10, 0, 100));
        let (sender, _) = outbox.next_message(|sender| sender == A).unwrap();
        assert_eq!(sender, B);
        assert!(outbox.next_message(|sender| sender == A).is_none());
    }
}
