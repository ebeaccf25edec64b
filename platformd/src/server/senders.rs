//! Which senders may change something: asked of the bus daemon, call by call.
//!
//! A call that changes something waits until the bus daemon has named the user of its sender, and so do later
//! calls of the same sender, so that they stay in order. No other call waits. Only accepted senders are
//! cached, so that refused ones cannot evict them; the bus never gives a unique name to a second connection.

use std::collections::{HashMap, HashSet};

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use openbmc_dbus::bus::user_of;
use openbmc_dbus::callers::Callers;
use zbus::Connection;
use zbus::message::Message;

use super::links::LinkId;

/// Accepted senders in the cache; beyond that it is cleared, and the bus is asked again.
const MOST_ACCEPTED: usize = 256;
/// Senders of one connection that may wait.
const MOST_WAITING: usize = 64;
/// Calls of one sender that may wait.
const MOST_CALLS: usize = 64;

/// A sender: the connection that it calls on, and its unique name.
type Sender = (LinkId, String);

/// The accepted senders, and the calls of senders that are being looked up.
pub(super) struct Senders {
    callers: Callers,
    accepted: HashSet<String>,
    waiting: HashMap<Sender, Vec<Message>>,
    lookups: FuturesUnordered<BoxFuture<'static, (Sender, Option<u32>)>>,
}

/// What the server does with a call now.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Dispatch it.
    Dispatch(Message),
    /// It waits for its sender's look-up.
    Pending,
    /// Too many calls wait.
    Overload(Message),
}

/// The calls of a sender that has been looked up.
#[derive(Debug)]
pub(super) struct LookedUp {
    pub(super) link: LinkId,
    /// The user; `None` for a sender that has disconnected.
    pub(super) uid: Option<u32>,
    pub(super) is_accepted: bool,
    pub(super) calls: Vec<Message>,
}

impl Senders {
    pub(super) fn new(callers: Callers) -> Self {
        Self {
            callers,
            accepted: HashSet::new(),
            waiting: HashMap::new(),
            lookups: FuturesUnordered::new(),
        }
    }

    /// Accepts other callers from now on, and forgets who was accepted.
    pub(super) fn configure(&mut self, callers: Callers) {
        self.callers = callers;
        self.accepted.clear();
    }

    /// Forgets all senders: unique names are valid on one bus only.
    pub(super) fn clear(&mut self) {
        let callers = std::mem::take(&mut self.callers);
        *self = Self::new(callers);
    }

    /// Whether the sender of `call` is known to be accepted.
    pub(super) fn is_accepted(&self, call: &Message) -> bool {
        call.header().sender().is_some_and(|sender| self.accepted.contains(sender.as_str()))
    }

    /// Decides on a call received on `link`; one that `changes` something waits for its sender's user, which is
    /// asked for on `bus`.
    pub(super) fn admit(
        &mut self,
        link: LinkId,
        call: Message,
        changes: bool,
        bus: &Connection,
    ) -> Verdict {
        let sender = call.header().sender().map(ToString::to_string).unwrap_or_default();
        let key = (link, sender);
        if let Some(calls) = self.waiting.get_mut(&key) {
            if calls.len() >= MOST_CALLS {
                return Verdict::Overload(call);
            }
            calls.push(call);
            return Verdict::Pending;
        }
        if !changes || self.accepted.contains(&key.1) {
            return Verdict::Dispatch(call);
        }
        if self.waiting.keys().filter(|(on, _)| *on == link).count() >= MOST_WAITING {
            return Verdict::Overload(call);
        }
        self.lookups.push(Box::pin(look_up(bus.clone(), key.clone())));
        self.waiting.insert(key, vec![call]);
        Verdict::Pending
    }

    /// The next sender that has been looked up; pending while there is none.
    pub(super) async fn looked_up(&mut self) -> LookedUp {
        let Some((key, uid)) = self.lookups.next().await else {
            return std::future::pending().await;
        };
        let calls = self.waiting.remove(&key).unwrap_or_default();
        let (link, sender) = key;
        let is_accepted = uid.is_some_and(|uid| self.callers.accept(uid));
        if is_accepted {
            if self.accepted.len() >= MOST_ACCEPTED {
                self.accepted.clear();
            }
            self.accepted.insert(sender);
        }
        LookedUp { link, uid, is_accepted, calls }
    }
}

async fn look_up(bus: Connection, sender: Sender) -> (Sender, Option<u32>) {
    let uid = user_of(&bus, &sender.1).await.ok();
    (sender, uid)
}
