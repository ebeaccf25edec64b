//! The bridges' end: one connection, owning the channel's bus name, with a bounded number of
//! requests in flight.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;
use ipmi_proto::{CompletionCode, Privilege, Request, Response};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{self, AbortHandle},
    time,
};
use tracing::{info, warn};
use zbus::{Connection, Message, MessageStream, SerializeDict, Type, message};

use super::{CHANNEL_PREFIX, INTERFACE, METHOD, PATH, SERVICE};
use crate::bus;

/// Requests that one bridge may have in flight; further ones are answered C0h at once.
///
/// Far enough below the library's queue of 64 that no reply ever waits for room in it.
pub const MAX_IN_FLIGHT: usize = 32;

/// Who asks, as far as the bridge can vouch for it: the `options` of the call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Caller {
    /// The host's system interface: no session, no address.
    System,
    /// An authenticated session.
    Session {
        /// IPMI user id, 1 to 63.
        user_id: u8,
        /// The session's present privilege.
        privilege: Privilege,
        /// The managed system's session id.
        session_id: u32,
    },
    /// A satellite controller on an IPMB.
    Ipmb {
        /// Requester's slave address in its 7-bit form.
        rq_sa: u8,
        /// Host or device index of the bus.
        host_id: u8,
    },
}

/// The bridge's link to the bus as it is now; `None` while there is no bus.
pub type LinkState = watch::Receiver<Option<Connection>>;

/// A bridge's handle on `ipmid`.
///
/// Owns `xyz.openbmc_project.Ipmi.Channel.<channel>` on a connection of its own, and keeps both
/// through restarts of the bus. Cheap to clone; the link ends with the last clone.
#[derive(Clone, Debug)]
pub struct IpmiHost {
    shared: Arc<Shared>,
    _task: Arc<AbortOnDrop>,
}

#[derive(Debug)]
struct Shared {
    link: Mutex<Option<Link>>,
    in_flight: AtomicUsize,
}

#[derive(Clone, Debug)]
struct Link {
    outgoing: mpsc::Sender<Message>,
    pending: Arc<Mutex<Pending>>,
}

/// Calls that await their reply, by the serial number of the message that carried them.
type Pending = HashMap<NonZeroU32, oneshot::Sender<Message>>;

#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl IpmiHost {
    /// Starts to connect as the bridge of `channel` (`lan0`, `ipmi_kcs3`, …) and returns at once.
    ///
    /// The second value tells when the link comes and goes, for a bridge that serves objects.
    #[must_use]
    pub fn new(channel: &str) -> (Self, LinkState) {
        let shared = Arc::new(Shared {
            link: Mutex::new(None),
            in_flight: AtomicUsize::new(0),
        });
        let (state, receiver) = watch::channel(None);
        let name = format!("{CHANNEL_PREFIX}{channel}");
        let task = task::spawn(keep_linked(Arc::clone(&shared), state, name));
        (
            Self {
                shared,
                _task: Arc::new(AbortOnDrop(task.abort_handle())),
            },
            receiver,
        )
    }

    /// Has `ipmid` execute `request` and returns its answer, at `deadline` from now at the latest.
    ///
    /// Always an answer: C0h when [`MAX_IN_FLIGHT`] are under way, D2h while `ipmid` or the bus is
    /// away, C3h past the deadline or when `ipmid` ended before it answered, FFh for a reply that
    /// is none.
    pub async fn execute(&self, request: &Request, caller: Caller, deadline: Duration) -> Response {
        match self.try_execute(request, caller, deadline).await {
            Ok((completion, data)) => Response::to(request, completion, data),
            Err(completion) => Response::failure(request, completion),
        }
    }

    async fn try_execute(
        &self,
        request: &Request,
        caller: Caller,
        deadline: Duration,
    ) -> Result<(CompletionCode, Vec<u8>), CompletionCode> {
        let _slot = Slot::take(&self.shared.in_flight).ok_or(CompletionCode::BUSY)?;
        let link = lock(&self.shared.link)
            .clone()
            .ok_or(CompletionCode::INITIALIZING)?;
        let call = call_message(request, caller).map_err(|error| {
            warn!(%error, "a request could not be put into a message");
            CompletionCode::UNSPECIFIED
        })?;
        let waiting = Waiting::enter(&link.pending, call.primary_header().serial_num());
        let (waiting, reply) = waiting;
        let answered = async {
            link.outgoing
                .send(call)
                .await
                .map_err(|_| CompletionCode::INITIALIZING)?;
            // The sender is dropped when the link goes.
            reply.await.map_err(|_| CompletionCode::TIMEOUT)
        };
        let reply = time::timeout(deadline, answered)
            .await
            .map_err(|_| CompletionCode::TIMEOUT)??;
        drop(waiting);
        read_reply(&reply)
    }
}

/// One of the [`MAX_IN_FLIGHT`] places.
struct Slot<'a>(&'a AtomicUsize);

impl<'a> Slot<'a> {
    fn take(count: &'a AtomicUsize) -> Option<Self> {
        let taken = count.fetch_add(1, Ordering::Relaxed);
        let slot = Self(count); // given back on drop, also when there was no place
        (taken < MAX_IN_FLIGHT).then_some(slot)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
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

/// Connects, owns the name, and passes replies on, until the bus goes; then again, for ever.
async fn keep_linked(shared: Arc<Shared>, state: watch::Sender<Option<Connection>>, name: String) {
    let mut lost = false;
    loop {
        let connection = bus::connect().await;
        if let Err(error) = connection.request_name(name.as_str()).await {
            warn!(%error, %name, "the channel's bus name is not to be had; trying again");
            time::sleep(Duration::from_secs(1)).await;
            continue;
        }
        if lost {
            info!(%name, "linked again");
        }
        let (outgoing, queue) = mpsc::channel(MAX_IN_FLIGHT);
        let pending = Arc::new(Mutex::new(HashMap::new()));
        let replies = MessageStream::from(&connection);
        *lock(&shared.link) = Some(Link {
            outgoing,
            pending: Arc::clone(&pending),
        });
        state.send_replace(Some(connection.clone()));
        let writer = task::spawn(super::server::write_batched(connection.clone(), queue));
        pass_replies(replies, &pending).await;
        writer.abort();
        *lock(&shared.link) = None;
        lock(&pending).clear();
        state.send_replace(None);
        warn!(%name, "the bus went away");
        lost = true;
    }
}

/// Hands each reply to the call that awaits it; ends with the connection.
async fn pass_replies(mut messages: MessageStream, pending: &Mutex<Pending>) {
    while let Some(Ok(message)) = messages.next().await {
        let is_reply = matches!(
            message.message_type(),
            message::Type::MethodReturn | message::Type::Error
        );
        if !is_reply {
            continue;
        }
        let waiter = message
            .header()
            .reply_serial()
            .and_then(|serial| lock(pending).remove(&serial));
        if let Some(waiter) = waiter {
            // Whoever waited may have given up in this very turn.
            let _ = waiter.send(message);
        }
    }
}

#[derive(Debug, Default, SerializeDict, Type)]
#[zbus(signature = "a{sv}")]
struct Options {
    #[zbus(rename = "userId")]
    user_id: Option<i32>,
    privilege: Option<i32>,
    #[zbus(rename = "currentSessionId")]
    session_id: Option<u32>,
    #[zbus(rename = "rqSA")]
    rq_sa: Option<i32>,
    #[zbus(rename = "hostId")]
    host_id: Option<i32>,
}

impl From<Caller> for Options {
    fn from(caller: Caller) -> Self {
        match caller {
            Caller::System => Self::default(),
            Caller::Session {
                user_id,
                privilege,
                session_id,
            } => Self {
                user_id: Some(user_id.into()),
                privilege: Some(privilege.value().into()),
                session_id: Some(session_id),
                ..Self::default()
            },
            Caller::Ipmb { rq_sa, host_id } => Self {
                rq_sa: Some(rq_sa.into()),
                host_id: Some(host_id.into()),
                ..Self::default()
            },
        }
    }
}

fn call_message(request: &Request, caller: Caller) -> zbus::Result<Message> {
    Message::method_call(PATH, METHOD)
        .destination(SERVICE)
        .interface(INTERFACE)
        .build(&(
            request.netfn.value(),
            request.lun.value(),
            request.command,
            request.data.as_slice(),
            Options::from(caller),
        ))
}

fn read_reply(reply: &Message) -> Result<(CompletionCode, Vec<u8>), CompletionCode> {
    if reply.message_type() == message::Type::Error {
        return Err(completion_of_error(reply));
    }
    let body = reply.body();
    let ((_, _, _, completion, data),): ((u8, u8, u8, u8, Vec<u8>),) =
        body.deserialize().map_err(|error| {
            warn!(%error, "ipmid's reply is not (yyyyay)");
            CompletionCode::UNSPECIFIED
        })?;
    Ok((CompletionCode(completion), data))
}

/// What the requester is told when the bus answers in `ipmid`'s place.
fn completion_of_error(reply: &Message) -> CompletionCode {
    let header = reply.header();
    match header.error_name().map(|name| name.as_str()) {
        Some(
            "org.freedesktop.DBus.Error.ServiceUnknown"
            | "org.freedesktop.DBus.Error.NameHasNoOwner",
        ) => CompletionCode::INITIALIZING,
        // ipmid ended with the call in its hands: it may or may not have been carried out.
        Some("org.freedesktop.DBus.Error.NoReply") => CompletionCode::TIMEOUT,
        name => {
            warn!(name, "execute() failed on the bus");
            CompletionCode::UNSPECIFIED
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use ipmi_proto::{Lun, NetFn};

    use super::*;
    use crate::execute::Call;

    #[test]
    fn slots_are_given_back_and_bounded() {
        let count = AtomicUsize::new(0);
        let slots: Vec<_> = (0..MAX_IN_FLIGHT)
            .map(|_| Slot::take(&count).unwrap())
            .collect();
        assert!(Slot::take(&count).is_none());
        assert_eq!(count.load(Ordering::Relaxed), MAX_IN_FLIGHT);
        drop(slots);
        assert!(Slot::take(&count).is_some());
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn call_has_the_contracts_signature_and_no_sender() {
        let request = Request {
            netfn: NetFn::APP,
            lun: Lun::BMC,
            command: 0x01,
            data: vec![1, 2, 3],
        };
        let caller = Caller::Session {
            user_id: 2,
            privilege: Privilege::Administrator,
            session_id: 0x8000_0001,
        };
        let message = call_message(&request, caller).unwrap();
        assert_eq!(
            message.body().signature().to_string_no_parens(),
            "yyyaya{sv}"
        );
        assert!(message.header().sender().is_none());
        let call = Call::parse(&message).unwrap();
        assert_eq!((call.netfn, call.lun, call.command), (6, 0, 1));
        assert_eq!(call.data, [1, 2, 3]);
        assert_eq!(call.options.user_id, Some(2));
        assert_eq!(call.options.privilege, Some(4));
        assert_eq!(call.options.session_id, Some(0x8000_0001));
        assert_eq!(call.options.rq_sa, None);
    }
}
