//! A link to `ipmid`, over the bus or a socket: calls go out, and each reply is given to the task that awaits it.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use daemon::lock;
use daemon::metrics::LATE_REPLIES;
use ipmi_proto::CompletionCode;
use tokio::sync::{mpsc, oneshot};
use zbus::{Message, message};

use super::client::MAX_IN_FLIGHT;
use super::transport::{Incoming, Outgoing};

/// The link while it is up; `None` while it is down.
pub(super) type LinkSlot = Mutex<Option<Link>>;

/// Sends calls while [`forward`] runs.
#[derive(Clone, Debug)]
pub(super) struct Link {
    outgoing: mpsc::Sender<Message>,
    pending: Arc<Mutex<Pending>>,
}

/// Calls that await their reply, by the serial number of their message; `None` for those that nobody awaits any more.
type Pending = HashMap<NonZeroU32, Option<oneshot::Sender<Message>>>;

/// Calls that may be pending before those that nobody awaits are forgotten at once: a late reply to them is not
/// counted.
const MAX_PENDING: usize = 8 * MAX_IN_FLIGHT;

impl Link {
    /// Sends `call` and waits for its reply.
    ///
    /// # Errors
    ///
    /// `D2h` when the link is down, `C3h` when it goes down before the reply has arrived.
    pub(super) async fn call(&self, call: Message) -> Result<Message, CompletionCode> {
        let (_waiting, reply) = Waiting::enter(&self.pending, call.primary_header().serial_num());
        self.outgoing.send(call).await.map_err(|_| CompletionCode::INITIALIZING)?;
        // The sender is dropped when the link goes.
        reply.await.map_err(|_| CompletionCode::TIMEOUT)
    }
}

/// An entry of [`Pending`], which awaits nothing any more however the wait ends.
struct Waiting<'a> {
    pending: &'a Mutex<Pending>,
    serial: NonZeroU32,
}

impl<'a> Waiting<'a> {
    fn enter(
        pending: &'a Mutex<Pending>,
        serial: NonZeroU32,
    ) -> (Self, oneshot::Receiver<Message>) {
        let (sender, receiver) = oneshot::channel();
        lock(pending).insert(serial, Some(sender));
        (Self { pending, serial }, receiver)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut pending = lock(self.pending);
        let has_room = pending.len() < MAX_PENDING;
        // It is gone already if the reply came.
        match pending.get_mut(&self.serial) {
            Some(waiter) if has_room => *waiter = None,
            _ => drop(pending.remove(&self.serial)),
        }
    }
}

/// Puts a link into `slot` and forwards its calls and replies until either direction ends. When this ends or
/// is dropped, the slot is empty and no call waits.
pub(super) async fn forward(slot: &LinkSlot, incoming: Incoming, outgoing: Outgoing) {
    let (sender, queue) = mpsc::channel(MAX_IN_FLIGHT);
    let up = LinkUp::enter(slot, sender);
    tokio::select! {
        () = pass_replies(incoming, &up.pending) => {}
        () = outgoing.write_queued(queue) => {}
    }
}

/// A link in its slot, removed when dropped.
struct LinkUp<'a> {
    slot: &'a LinkSlot,
    pending: Arc<Mutex<Pending>>,
}

impl<'a> LinkUp<'a> {
    fn enter(slot: &'a LinkSlot, outgoing: mpsc::Sender<Message>) -> Self {
        let pending = Arc::default();
        *lock(slot) = Some(Link { outgoing, pending: Arc::clone(&pending) });
        Self { slot, pending }
    }
}

impl Drop for LinkUp<'_> {
    fn drop(&mut self) {
        *lock(self.slot) = None;
        lock(&self.pending).clear();
    }
}

/// Gives each reply to the call that awaits it, until `messages` ends.
async fn pass_replies(mut messages: Incoming, pending: &Mutex<Pending>) {
    while let Some(message) = messages.next().await {
        let is_reply =
            matches!(message.message_type(), message::Type::MethodReturn | message::Type::Error);
        if !is_reply {
            continue;
        }
        let waiter =
            message.header().reply_serial().and_then(|serial| lock(pending).remove(&serial));
        // The caller may have given up before, or meanwhile.
        if waiter.is_some_and(|waiter| waiter.is_none_or(|waiter| waiter.send(message).is_err())) {
            LATE_REPLIES.add(1);
        }
    }
}
