//! One client: its type, and the requests that it may yet answer.

use std::collections::VecDeque;
use std::time::Duration;

use mctp_proto::{Address, Eid, LinkId, MessageType, Tag};

use super::counters::ClientCounters;
use super::marks::{Marks, PldmKey};

/// Requests of one endpoint that are kept for a client to answer.
const KEPT_PER_EID: usize = 32;

/// Requests that are kept for a client in all.
const KEPT: usize = 1024;

/// How long a request is kept.
pub(super) const REQUEST_LIFE: Duration = Duration::from_secs(6);

/// Where the answer to a request goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct ReplyTo {
    pub(super) link: LinkId,
    pub(super) address: Address,
    /// Where the request came from.
    pub(super) eid: Eid,
    /// The id by which it was addressed here.
    pub(super) local: Eid,
    pub(super) tag: Tag,
    /// The kernel's number of the network, for links that are the kernel's.
    pub(super) network: u32,
}

/// A request that was delivered to a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owed {
    /// The same for every client that the request was delivered to.
    pub(super) request: u64,
    pub(super) reply_to: ReplyTo,
    pub(super) key: Option<PldmKey>,
    pub(super) until: Duration,
    /// Another client has answered already.
    pub(super) settled: bool,
}

/// What a client's message turns out to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meaning {
    /// A request of its own, which wants an answer or not.
    Request { wants_answer: bool },
    /// The answer to what is owed at this index.
    Answer(usize),
    /// An answer to nothing.
    Unasked,
}

/// A registered client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) kind: MessageType,
    owed: VecDeque<Owed>,
    /// What could not go yet; nothing more is read until it has.
    pub(super) held: Option<Vec<u8>>,
    pub(super) counters: ClientCounters,
}

impl Client {
    pub(super) fn new(kind: MessageType) -> Self {
        Self { kind, owed: VecDeque::new(), held: None, counters: ClientCounters::default() }
    }

    /// Notes a request that is being delivered; gives whether an older one had to be forgotten.
    pub(super) fn owe(&mut self, owed: Owed) -> bool {
        let eid = owed.reply_to.eid;
        let mut of_eid =
            (0..self.owed.len()).zip(&self.owed).filter(|(_, other)| other.reply_to.eid == eid);
        let forgotten = match of_eid.next() {
            Some((oldest, _)) if 1 + of_eid.count() >= KEPT_PER_EID => self.owed.remove(oldest),
            _ if self.owed.len() >= KEPT => self.owed.pop_front(),
            _ => None,
        };
        self.owed.push_back(owed);
        forgotten.is_some_and(|forgotten| !forgotten.settled)
    }

    /// What a message to `eid` is.
    pub(super) fn meaning_of(&self, now: Duration, eid: Eid, message: &[u8]) -> Meaning {
        let of_eid = |owed: &Owed| owed.reply_to.eid == eid && now < owed.until;
        match Marks::of(message) {
            Marks::Request => Meaning::Request { wants_answer: true },
            Marks::Datagram => Meaning::Request { wants_answer: false },
            Marks::None => match self.owed.iter().position(of_eid) {
                Some(index) => Meaning::Answer(index),
                None => Meaning::Request { wants_answer: true },
            },
            Marks::Answer(key) => self
                .owed
                .iter()
                .position(|owed| of_eid(owed) && (key.is_none() || owed.key == key))
                .map_or(Meaning::Unasked, Meaning::Answer),
        }
    }

    pub(super) fn owed_at(&self, index: usize) -> Option<Owed> {
        self.owed.get(index).copied()
    }

    pub(super) fn forget_at(&mut self, index: usize) {
        self.owed.remove(index);
    }

    /// Another client has answered `request`.
    pub(super) fn settle(&mut self, request: u64) {
        if let Some(owed) = self.owed.iter_mut().find(|owed| owed.request == request) {
            owed.settled = true;
        }
    }

    /// Forgets what is too old to be answered.
    pub(super) fn expire(&mut self, now: Duration) {
        while self.owed.front().is_some_and(|owed| owed.until <= now) {
            self.owed.pop_front();
        }
    }

    /// When the oldest request is too old; they are in order of age.
    pub(super) fn next_expiry(&self) -> Option<Duration> {
        self.owed.front().map(|owed| owed.until)
    }

    pub(super) fn owed_count(&self) -> usize {
        self.owed.len()
    }
}
