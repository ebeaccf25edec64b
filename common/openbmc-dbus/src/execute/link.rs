//! One way to `ipmid`, over the bus or round it: calls go out, replies find those that wait.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use daemon::lock;
use ipmi_proto::CompletionCode;
use tokio::sync::{mpsc, oneshot};
use zbus::{Message, message};

use super::client::MAX_IN_FLIGHT;
use super::transport::{Incoming, Outgoing};

/// Where a link is to be found while there is one.
pub(super) type Place = Mutex<Option<Link>>;

/// Takes calls as long as somebody [carries](carry) them.
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
    /// `D2h` when it can no longer be sent, `C3h` when the link goes before the reply has come.
    pub(super) async fn ask(&self, call: Message) -> Result<Message, CompletionCode> {
        let (_waiting, reply) = Waiting::enter(&self.pending, call.primary_header().serial_num());
        self.outgoing.send(call).await.map_err(|_| CompletionCode::INITIALIZING)?;
        // The sender is dropped when the link goes.
        reply.await.map_err(|_| CompletionCode::TIMEOUT)
    }
}

/// An entry of [`Pending`], removed however the wait ends.
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
        lock(pending).insert(serial, sender);
        (Self { pending, serial }, receiver)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        lock(self.pending).remove(&self.serial);
    }
}

/// Puts a link into `place` and carries its calls and replies until either way ends. However that
/// comes, the place is empty afterwards and nobody waits any more.
pub(super) async fn carry(place: &Place, incoming: Incoming, outgoing: Outgoing) {
    let (sender, queue) = mpsc::channel(MAX_IN_FLIGHT);
    let there = There::enter(place, sender);
    tokio::select! {
        () = pass_replies(incoming, &there.pending) => {}
        () = outgoing.write_queued(queue) => {}
    }
}

/// A link in its place, taken away when dropped.
struct There<'a> {
    place: &'a Place,
    pending: Arc<Mutex<Pending>>,
}

impl<'a> There<'a> {
    fn enter(place: &'a Place, outgoing: mpsc::Sender<Message>) -> Self {
        let pending = Arc::default();
        *lock(place) = Some(Link { outgoing, pending: Arc::clone(&pending) });
        Self { place, pending }
    }
}

impl Drop for There<'_> {
    fn drop(&mut self) {
        *lock(self.place) = None;
        lock(&self.pending).clear();
    }
}

/// Hands each reply to the call that awaits it; ends with the messages.
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
            // Whoever waited may have given up in this very turn.
            let _ = waiter.send(message);
        }
    }
}
