//! Which senders may change something: found out at the bus, call by call.
//!
//! A call that changes something waits until the bus has said whose process sent it, and so do later calls
//! of the same sender, which keep their order. Nothing else waits. Only accepted senders are remembered, so
//! that no other can make us forget them; a unique name is never given to a second connection.

use std::collections::{HashMap, HashSet};

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use openbmc_dbus::callers::Callers;
use zbus::Connection;
use zbus::message::Message;

use super::links::LinkId;

/// Accepted senders that are remembered; beyond that the bus is asked again.
const MOST_ACCEPTED: usize = 256;
/// Senders of one connection that may wait.
const MOST_WAITING: usize = 64;
/// Calls of one sender that may wait.
const MOST_CALLS: usize = 64;

/// A sender: the connection that it calls on, and its unique name.
type Sender = (LinkId, String);

/// What is known of senders, and the calls of those of which too little is.
pub(super) struct Senders {
    callers: Callers,
    accepted: HashSet<String>,
    waiting: HashMap<Sender, Vec<Message>>,
    lookups: FuturesUnordered<BoxFuture<'static, (Sender, Option<u32>)>>,
}

/// What is to be done with a call now.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Answer it.
    Answer(Message),
    /// Its sender is to be looked up; nothing to do.
    Waits,
    /// Too many calls wait.
    Overload(Message),
}

/// The calls of a sender that has been looked up.
#[derive(Debug)]
pub(super) struct LookedUp {
    pub(super) link: LinkId,
    /// The user; `None` for a sender that has gone.
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

    /// Forgets all senders: those of another bus have other names.
    pub(super) fn clear(&mut self) {
        let callers = std::mem::take(&mut self.callers);
        *self = Self::new(callers);
    }

    /// Whether the sender of `call` is known to be accepted.
    pub(super) fn is_accepted(&self, call: &Message) -> bool {
        call.header().sender().is_some_and(|sender| self.accepted.contains(sender.as_str()))
    }

    /// Takes a call that came on `link`; one that `changes` something waits for its sender's user, which is
    /// asked for on `bus`.
    pub(super) fn take(
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
            return Verdict::Waits;
        }
        if !changes || self.accepted.contains(&key.1) {
            return Verdict::Answer(call);
        }
        if self.waiting.keys().filter(|(on, _)| *on == link).count() >= MOST_WAITING {
            return Verdict::Overload(call);
        }
        self.lookups.push(Box::pin(look_up(bus.clone(), key.clone())));
        self.waiting.insert(key, vec![call]);
        Verdict::Waits
    }

    /// The next sender that has been looked up; for ever without one.
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
    const BUS: &str = "org.freedesktop.DBus";
    let path = "/org/freedesktop/DBus";
    let member = "GetConnectionUnixUser";
    let asked = bus.call_method(Some(BUS), path, Some(BUS), member, &sender.1).await;
    let uid = asked.ok().and_then(|reply| reply.body().deserialize().ok());
    (sender, uid)
}
