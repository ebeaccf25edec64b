//! One link to `ipmid`, over the bus or direct: sends calls and hands each reply to its caller.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipmi_proto::CompletionCode;
use tokio::sync::{mpsc, oneshot};
use zbus::{Message, message};

use super::client::MAX_IN_FLIGHT;
use super::transport::{Incoming, Outgoing};

/// Holds the link while it is up.
pub(super) type LinkSlot = Mutex<Option<Link>>;

/// Accepts calls while a task [forwards](forward) them.
#[derive(Clone, Debug)]
pub(super) struct Link {
    outgoing: mpsc::Sender<Message>,
    pending: Arc<Mutex<Pending>>,
}

/// Calls that await their reply, by the serial number of the message that carried them.
type Pending = HashMap<NonZeroU32, oneshot::Sender<Message>>;

impl Link {
    /// Sends `call` and waits for its reply.
    ///
    /// # Errors
    ///
    /// `D2h` when it can no longer be sent, `C3h` when the link closes before the reply arrives.
    pub(super) async fn call(&self, call: Message) -> Result<Message, CompletionCode> {
        let (_pending, reply) =
            PendingCall::enter(&self.pending, call.primary_header().serial_num());
        self.outgoing.send(call).await.map_err(|_| CompletionCode::INITIALIZING)?;
        // The sender is dropped when the link closes.
        reply.await.map_err(|_| CompletionCode::TIMEOUT)
    }
}

/// An entry of [`Pending`], removed however the wait ends.
struct PendingCall<'a> {
    pending: &'a Mutex<Pending>,
    serial: NonZeroU32,
}

impl<'a> PendingCall<'a> {
    fn enter(
        pending: &'a Mutex<Pending>,
        serial: NonZeroU32,
    ) -> (Self, oneshot::Receiver<Message>) {
        let (sender, receiver) = oneshot::channel();
        lock(pending).insert(serial, sender);
        (Self { pending, serial }, receiver)
    }
}

impl Drop for PendingCall<'_> {
    fn drop(&mut self) {
        lock(self.pending).remove(&self.serial);
    }
}

/// Puts a link into `slot` and forwards its calls and replies until either direction ends. Also when
/// cancelled, it empties the slot and fails the calls that await a reply.
pub(super) async fn forward(slot: &LinkSlot, incoming: Incoming, outgoing: Outgoing) {
    let (sender, queue) = mpsc::channel(MAX_IN_FLIGHT);
    let installed = InstalledLink::new(slot, sender);
    tokio::select! {
        () = pass_replies(incoming, &installed.pending) => {}
        () = outgoing.write_queued(queue) => {}
    }
}

/// A link in its slot, removed when dropped.
struct InstalledLink<'a> {
    slot: &'a LinkSlot,
    pending: Arc<Mutex<Pending>>,
}

impl<'a> InstalledLink<'a> {
    fn new(slot: &'a LinkSlot, outgoing: mpsc::Sender<Message>) -> Self {
        let pending = Arc::default();
        *lock(slot) = Some(Link { outgoing, pending: Arc::clone(&pending) });
        Self { slot, pending }
    }
}

impl Drop for InstalledLink<'_> {
    fn drop(&mut self) {
        *lock(self.slot) = None;
        lock(&self.pending).clear();
    }
}

/// Hands each reply to the call that awaits it, until there are no more messages.
async fn pass_replies(mut messages: Incoming, pending: &Mutex<Pending>) {
    while let Some(message) = messages.next().await {
        let is_reply =
            matches!(message.message_type(), message::Type::MethodReturn | message::Type::Error);
        if !is_reply {
            continue;
        }
        let waiter =
            message.header().reply_serial().and_then(|serial| lock(pending).remove(&serial));
        if let Some(waiter) = waiter {
            // The caller may have timed out between the look-up and this line.
            let _ = waiter.send(message);
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
