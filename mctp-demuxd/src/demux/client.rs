//! One client: its type, and the requests that it may yet answer.
//!
//! A client's message to an endpoint is read as follows. What says of itself that it is a request, a
//! datagram or an answer is that. An answer, and a message that says nothing, is matched with the
//! requests of that endpoint that have the same key ([`Reading`]), oldest first:
//!
//! 1. one that is still to be answered: the message is the answer to it;
//! 2. one whose time is over: the message is a late answer, and dropped;
//! 3. one that another client has answered: the message is a late answer, and dropped; but a message
//!    that says nothing, of a client that has never answered anything, is a request of its own;
//! 4. none: an answer is dropped, and anything else is a request of the client's own.

use std::collections::VecDeque;
use std::time::Duration;

use mctp_proto::protocols::{Key, Reading, Role, fits};
use mctp_proto::{Address, Eid, LinkId, MessageType, Tag};

use super::counters::ClientCounters;

/// Requests of one endpoint that are remembered for a client.
const MAX_OWED_PER_EID: usize = 32;

/// Requests that are remembered for a client in all.
const MAX_OWED: usize = 1024;

/// How long an answered or expired request is remembered, so that a late answer to it is known.
const LATE: Duration = Duration::from_secs(60);

/// Where the answer to a request goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct ReplyTo {
    pub(super) link: LinkId,
    pub(super) address: Address,
    /// The sender of the request.
    pub(super) eid: Eid,
    /// The id by which it was addressed here.
    pub(super) local: Eid,
    pub(super) tag: Tag,
    /// The kernel's number of the network, for links of the kernel.
    pub(super) network: u32,
}

/// A request that was delivered to a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owed {
    /// The same for every client that the request was delivered to.
    pub(super) request: u64,
    pub(super) reply_to: ReplyTo,
    pub(super) key: Key,
    /// When it is too late to answer.
    pub(super) until: Duration,
    /// Another client has answered.
    pub(super) settled: bool,
}

impl Owed {
    fn is_open(&self, now: Duration) -> bool {
        !self.settled && now < self.until
    }
}

/// What a client's message turns out to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meaning {
    /// A request of its own, which wants an answer or not.
    Request { wants_answer: bool },
    /// The answer to what is owed at this index, after which another one may come.
    Response(usize),
    /// A late answer to what is at this index.
    Late(usize),
    /// An answer to nothing.
    Unasked,
}

/// A registered client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) kind: MessageType,
    owed: VecDeque<Owed>,
    /// Whether it has answered a request, so that it is no requester alone.
    pub(super) has_answered: bool,
    /// What could not be sent yet; nothing more is read until it is.
    pub(super) held: Option<Vec<u8>>,
    pub(super) counters: ClientCounters,
}

impl Client {
    pub(super) fn new(kind: MessageType) -> Self {
        let (owed, counters) = (VecDeque::new(), ClientCounters::default());
        Self { kind, owed, has_answered: false, held: None, counters }
    }

    /// Notes a request that is being delivered; gives whether one that is still to be answered had to
    /// be forgotten.
    pub(super) fn owe(&mut self, now: Duration, owed: Owed) -> bool {
        let eid = owed.reply_to.eid;
        if self.owed.len() < MAX_OWED_PER_EID {
            self.owed.push_back(owed);
            return false;
        }
        // The oldest, and the oldest that needs no answer, of this endpoint and of all.
        let (mut count, mut own, mut own_done, mut done) = (0, None, None, None);
        for (index, other) in self.owed.iter().enumerate() {
            let of_eid = other.reply_to.eid == eid;
            count += usize::from(of_eid);
            if of_eid && own.is_none() {
                own = Some(index);
            }
            if !other.is_open(now) {
                done = done.or(Some(index));
                own_done = own_done.or(Some(index).filter(|_| of_eid));
            }
        }
        let least = if count >= MAX_OWED_PER_EID {
            own_done.or(own)
        } else if self.owed.len() >= MAX_OWED {
            done.or(Some(0))
        } else {
            None
        };
        let forgotten = least.and_then(|index| self.owed.remove(index));
        self.owed.push_back(owed);
        forgotten.is_some_and(|forgotten| forgotten.is_open(now))
    }

    /// What a message to `eid` is.
    pub(super) fn meaning_of(&self, now: Duration, eid: Eid, reading: Reading) -> Meaning {
        match reading.role {
            Role::Request => return Meaning::Request { wants_answer: true },
            Role::Datagram => return Meaning::Request { wants_answer: false },
            Role::Unmarked | Role::Response | Role::Intermediate(_) => {}
        }
        let of_request = |owed: &Owed| owed.reply_to.eid == eid && fits(reading.key, owed.key);
        let find = |wanted: &dyn Fn(&Owed) -> bool| {
            self.owed.iter().position(|owed| of_request(owed) && wanted(owed))
        };
        if let Some(index) = find(&|owed| owed.is_open(now)) {
            return Meaning::Response(index);
        }
        let expired = find(&|owed| !owed.settled);
        let settled = || {
            let known_as_answer = reading.is_answer() || self.has_answered;
            find(&|owed| owed.settled).filter(|_| known_as_answer)
        };
        match expired.or_else(settled) {
            Some(index) => Meaning::Late(index),
            None if reading.is_answer() => Meaning::Unasked,
            None => Meaning::Request { wants_answer: true },
        }
    }

    pub(super) fn owed_at(&self, index: usize) -> Option<Owed> {
        self.owed.get(index).copied()
    }

    pub(super) fn forget_at(&mut self, index: usize) {
        self.owed.remove(index);
    }

    /// An intermediate answer was sent: the final one may take until then.
    pub(super) fn extend_at(&mut self, index: usize, until: Duration) {
        if let Some(owed) = self.owed.get_mut(index) {
            owed.until = owed.until.max(until);
        }
    }

    /// Another client has answered `request`.
    pub(super) fn settle(&mut self, request: u64) {
        if let Some(owed) = self.owed.iter_mut().find(|owed| owed.request == request) {
            owed.settled = true;
        }
    }

    /// Forgets what is too old for even a late answer.
    pub(super) fn expire(&mut self, now: Duration) {
        self.owed.retain(|owed| now < owed.until + LATE);
    }

    /// When [`expire`](Self::expire) is due.
    pub(super) fn next_expiry(&self) -> Option<Duration> {
        self.owed.iter().map(|owed| owed.until + LATE).min()
    }

    /// How many requests are still to be answered.
    pub(super) fn owed_count(&self, now: Duration) -> usize {
        self.owed.iter().filter(|owed| owed.is_open(now)).count()
    }
}

/// When a request that is to be answered until then is forgotten.
pub(super) fn forgotten_at(until: Duration) -> Duration {
    until + LATE
}
