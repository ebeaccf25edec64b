//! A link to `ipmid`, over the bus or a socket: calls go out, and each reply is given to the request that awaits it.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex};

use daemon::lock;
use daemon::metrics::LATE_REPLIES;
use futures_util::StreamExt;
use ipmi_proto::{CompletionCode, Request};
use tokio::sync::{Notify, oneshot};
use tracing::{debug, warn};
use zbus::{Connection, Message, MessageStream, message};

use super::client::MAX_IN_FLIGHT;
use super::direct::LONGEST;
use super::frame;
use super::message::{Caller, call_message, read_reply};
use crate::bus::messages;
use crate::bus::socket::{self, BufferedStream, Reader, Writer};

/// What a reply says: completion code and data, or the completion code that the requester gets instead.
pub(super) type Reply = Result<(CompletionCode, Vec<u8>), CompletionCode>;

/// The link while it is up; `None` while it is down.
pub(super) type LinkSlot<Q> = Mutex<Option<Link<Q>>>;

/// Calls that may wait to be written; more are answered C0h. Far above what is in flight, which alone waits while the
/// peer reads.
const MAX_QUEUED: usize = 8 * MAX_IN_FLIGHT;

/// Calls that may be pending before those that nobody awaits are forgotten at once: a late reply to them is not
/// counted.
const MAX_PENDING: usize = 8 * MAX_IN_FLIGHT;

/// The calls that wait to be written.
pub(super) trait Queue: Default + Send {
    /// Adds a call; returns its serial number.
    ///
    /// # Errors
    ///
    /// The completion code for a request that cannot be called: `C0h` if too many wait.
    fn push(&mut self, request: &Request, caller: Caller) -> Result<u32, CompletionCode>;
}

/// Calls on the bus.
impl Queue for Vec<Message> {
    fn push(&mut self, request: &Request, caller: Caller) -> Result<u32, CompletionCode> {
        if self.len() >= MAX_QUEUED {
            return Err(CompletionCode::BUSY);
        }
        let call = call_message(request, caller).map_err(|error| {
            warn!(%error, "cannot build the D-Bus call of a request; responding FFh");
            CompletionCode::UNSPECIFIED
        })?;
        let serial = call.primary_header().serial_num().get();
        Vec::push(self, call);
        Ok(serial)
    }
}

/// Calls on a direct link, one after the other.
#[derive(Debug, Default)]
pub(super) struct Frames(Vec<u8>);

impl Queue for Frames {
    fn push(&mut self, request: &Request, caller: Caller) -> Result<u32, CompletionCode> {
        if self.0.len() >= LONGEST {
            return Err(CompletionCode::BUSY);
        }
        Ok(frame::write_call(&mut self.0, request, caller))
    }
}

/// Sends calls while it is forwarded.
#[derive(Debug)]
pub(super) struct Link<Q>(Arc<Shared<Q>>);

impl<Q> Clone for Link<Q> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Shared<Q> {
    calls: Mutex<Calls<Q>>,
    /// Calls wait to be written.
    queued: Notify,
}

#[derive(Debug)]
struct Calls<Q> {
    is_up: bool,
    queue: Q,
    /// Calls that await their reply, by serial number; `None` for those that nobody awaits any more.
    pending: BTreeMap<u32, Option<oneshot::Sender<Reply>>>,
}

impl<Q: Queue> Link<Q> {
    /// Sends the call for `request` and waits for its reply.
    ///
    /// # Errors
    ///
    /// What the reply says, and what [`Queue::push`] does; `D2h` when the link is down, `C3h` when it goes down before
    /// the reply has arrived.
    pub(super) async fn call(&self, request: &Request, caller: Caller) -> Reply {
        let (sender, reply) = oneshot::channel();
        let serial = {
            let mut calls = lock(&self.0.calls);
            if !calls.is_up {
                return Err(CompletionCode::INITIALIZING);
            }
            let serial = calls.queue.push(request, caller)?;
            calls.pending.insert(serial, Some(sender));
            serial
        };
        self.0.queued.notify_one();
        let waiting = Waiting { calls: &self.0.calls, serial };
        let reply = reply.await;
        // There is nothing left to remove.
        mem::forget(waiting);
        // The sender is dropped when the link goes.
        reply.unwrap_or(Err(CompletionCode::TIMEOUT))
    }

    /// Gives a reply to the request that awaits it; `reply` reads it if there is one. The bus carries replies to other
    /// calls of the process as well.
    fn answer(&self, serial: u32, reply: impl FnOnce() -> Reply) {
        let Some(waiter) = lock(&self.0.calls).pending.remove(&serial) else {
            return;
        };
        // The caller may have given up before, or meanwhile.
        if waiter.is_none_or(|waiter| waiter.send(reply()).is_err()) {
            LATE_REPLIES.add(1);
        }
    }

    /// Waits for calls, and exchanges them for `written`, which is empty.
    async fn next_calls(&self, written: &mut Q) {
        self.0.queued.notified().await;
        mem::swap(&mut lock(&self.0.calls).queue, written);
    }
}

/// A call that is pending, and awaits nothing any more when this is dropped.
struct Waiting<'a, Q> {
    calls: &'a Mutex<Calls<Q>>,
    serial: u32,
}

impl<Q> Drop for Waiting<'_, Q> {
    fn drop(&mut self) {
        let pending = &mut lock(self.calls).pending;
        let has_room = pending.len() < MAX_PENDING;
        match pending.get_mut(&self.serial) {
            Some(waiter) if has_room => *waiter = None,
            _ => drop(pending.remove(&self.serial)),
        }
    }
}

/// A link in its slot, removed when dropped.
struct LinkUp<'a, Q> {
    slot: &'a LinkSlot<Q>,
    link: Link<Q>,
}

impl<'a, Q: Queue> LinkUp<'a, Q> {
    fn enter(slot: &'a LinkSlot<Q>) -> Self {
        let calls = Calls { is_up: true, queue: Q::default(), pending: BTreeMap::new() };
        let link = Link(Arc::new(Shared { calls: Mutex::new(calls), queued: Notify::new() }));
        *lock(slot) = Some(link.clone());
        Self { slot, link }
    }
}

impl<Q> Drop for LinkUp<'_, Q> {
    fn drop(&mut self) {
        // Another link may have taken its place already.
        let _ = lock(self.slot).take_if(|link| Arc::ptr_eq(&link.0, &self.link.0));
        let mut calls = lock(&self.link.0.calls);
        calls.is_up = false;
        calls.pending.clear();
    }
}

/// Puts a link over the bus into `slot` and forwards its calls and replies until the connection ends. When this ends or
/// is dropped, the slot is empty and no call waits.
pub(super) async fn forward_on_bus(slot: &LinkSlot<Vec<Message>>, bus: &Connection) {
    let replies = messages(bus);
    let up = LinkUp::enter(slot);
    let ended = tokio::select! {
        () = read_from_bus(replies, &up.link) => Ok(()),
        ended = write_to_bus(bus, &up.link) => ended,
    };
    if let Err(error) = ended {
        debug!(%error, "cannot call ipmid over the bus");
    }
}

async fn read_from_bus(mut messages: MessageStream, link: &Link<Vec<Message>>) {
    while let Some(Ok(message)) = messages.next().await {
        answer_by(&message, link);
    }
}

async fn write_to_bus(bus: &Connection, link: &Link<Vec<Message>>) -> zbus::Result<()> {
    let mut calls = Vec::with_capacity(MAX_IN_FLIGHT);
    loop {
        link.next_calls(&mut calls).await;
        bus.send_all(&calls).await?;
        calls.clear();
    }
}

/// As [`forward_on_bus`], over a direct link.
pub(super) async fn forward_directly(slot: Arc<LinkSlot<Frames>>, stream: BufferedStream) {
    let (reader, writer) = stream.halves();
    let up = LinkUp::enter(&slot);
    let ended = tokio::select! {
        ended = read_directly(reader, &up.link) => ended,
        ended = write_directly(&writer, &up.link) => ended,
    };
    if let Err(error) = ended {
        debug!(%error, "the direct link to ipmid ends");
    }
}

async fn read_directly(mut reader: Reader, link: &Link<Frames>) -> zbus::Result<()> {
    loop {
        reader.fill().await?;
        while let Some(message) = reader.next_message(LONGEST)? {
            match frame::read_reply(message) {
                Some((serial, completion, data)) => {
                    link.answer(serial, || Ok((completion, data.to_vec())));
                }
                None => answer_by(&socket::parse(message).await?, link),
            }
        }
    }
}

async fn write_directly(writer: &Writer, link: &Link<Frames>) -> zbus::Result<()> {
    let mut calls = Frames::default();
    loop {
        link.next_calls(&mut calls).await;
        writer.write_all(&calls.0).await?;
        calls.0.clear();
        calls.0.shrink_to(LONGEST);
    }
}

/// Gives the reply in `message`, if it is one, to the request that awaits it.
fn answer_by<Q: Queue>(message: &Message, link: &Link<Q>) {
    let is_reply =
        matches!(message.message_type(), message::Type::MethodReturn | message::Type::Error);
    if let Some(serial) = message.header().reply_serial().filter(|_| is_reply) {
        link.answer(serial.get(), || read_reply(message));
    }
}
