//! `ipmid`'s end of the bus: every call in its own task, replies written in batches.

use std::collections::HashMap;
use std::future::{self, Future};
use std::sync::Arc;

use daemon::AbortOnDrop;
use futures_util::StreamExt;
use ipmi_proto::{CompletionCode, ResponseBody};
use tokio::sync::{Semaphore, mpsc};
use tokio::task;
use tracing::{debug, warn};
use zbus::{Connection, Message, MessageStream, message};

use super::commands::{COMMANDS, CommandInfo, LIST};
use super::direct::{self, DIRECT, OPEN};
use super::message::{Call, reply_message, sender_of};
use super::requests::Requests;
use super::signal::{self, Signalled};
use super::{INTERFACE, MAX_IN_FLIGHT, METHOD, PATH, link_server, owners};
use crate::bus::{NameEnd, OwnerChange};

/// Requests from the bus in progress: as many as four bridges send. More get C0h at once.
const FROM_THE_BUS: usize = 4 * MAX_IN_FLIGHT;

/// Direct links in all: two for each channel number.
const MAX_LINKS: usize = 32;

/// Replies that may wait to be written together.
const BATCH: usize = MAX_IN_FLIGHT;

const ACCESS_DENIED: &str = "org.freedesktop.DBus.Error.AccessDenied";
const LIMITS_EXCEEDED: &str = "org.freedesktop.DBus.Error.LimitsExceeded";
pub(super) const NOT_SUPPORTED: &str = "org.freedesktop.DBus.Error.NotSupported";

/// The text of errors that need no further reason.
pub(super) const NO_LINK: &str = "no direct link";

/// Handles calls.
pub trait Execute: Send + Sync + 'static {
    /// Handles one call. This function runs in the order of the messages, after the changes of owners before the
    /// call and before those after it; its future does not.
    fn execute(self: Arc<Self>, call: Call) -> impl Future<Output = ResponseBody> + Send;

    /// Whether `caller`, a unique bus name, may have a direct link. Runs in order as [`execute`](Self::execute) does.
    fn may_link(
        self: Arc<Self>,
        caller: String,
    ) -> impl Future<Output = Result<(), LinkRefusal>> + Send;

    /// The commands, for operators.
    fn commands(&self) -> Vec<CommandInfo> {
        Vec::new()
    }

    /// Callers are now on `connection`.
    fn attached(&self, connection: &Connection);

    /// The connection ended; the executor must drop its clones of it.
    fn detached(&self);

    /// A bridge's name has another owner.
    fn owner_changed(&self, change: &OwnerChange);

    /// The bridges' names and their owners, listed after the subscription to changes. Once for each connection;
    /// calls may have been handled before.
    fn owners_listed(&self, owners: Vec<(String, String)>);
}

/// Why a caller gets no direct link.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LinkRefusal {
    /// The configuration offers none.
    NotOffered,
    /// The caller may not call, for this reason.
    Caller(String),
}

/// Serves `execute()` on the connection of `requests` and on the direct links that are opened there, and the
/// requests of OpenBMC's btbridge. Ends when the connection closes, the owners of the bridges' names cannot be
/// listed, or the service's name is lost.
///
/// Each call runs in a task of its own, so that none waits for another. The connection's stream is
/// drained here and nowhere else.
pub async fn serve<E: Execute>(requests: Requests, executor: Arc<E>) -> NameEnd {
    let Requests { connection, calls, name } = requests;
    let permits = Arc::new(Semaphore::new(FROM_THE_BUS));
    let (replies, queue) = mpsc::channel(FROM_THE_BUS);
    let _writer = AbortOnDrop::spawn(write_queued(connection.clone(), queue));
    let server = Server { executor, permits, replies, links: Links::default() };
    // In a task, because the stream must be drained meanwhile.
    let _follower = AbortOnDrop::spawn(signal::follow(connection.clone()));
    let executor = Arc::clone(&server.executor);
    let _attached = Attached::enter(&*executor, &connection);
    let owners = async {
        match owners::follow(&connection, &*executor).await {
            Ok(()) => future::pending().await,
            Err(error) => {
                warn!(%error, "cannot list the owners of the bridges' names; reconnecting")
            }
        }
    };
    tokio::select! {
        () = server.serve(calls) => NameEnd::BusClosed,
        () = owners => NameEnd::BusClosed,
        end = name.ended() => end,
    }
}

/// An executor that has a connection, until this is dropped.
struct Attached<'a, E: Execute>(&'a E);

impl<'a, E: Execute> Attached<'a, E> {
    fn enter(executor: &'a E, connection: &Connection) -> Self {
        executor.attached(connection);
        Self(executor)
    }
}

impl<E: Execute> Drop for Attached<'_, E> {
    fn drop(&mut self) {
        self.0.detached();
    }
}

/// Writes the queued replies, as many as possible in one system call, until all senders are dropped or the bus closes.
async fn write_queued(connection: Connection, mut queue: mpsc::Receiver<Message>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        if let Err(error) = connection.send_all(&batch).await {
            debug!(%error, "cannot write to the bus");
            return;
        }
        batch.clear();
    }
}

/// Handles the calls on the bus.
struct Server<E> {
    executor: Arc<E>,
    /// One for each request in progress.
    permits: Arc<Semaphore>,
    replies: mpsc::Sender<Message>,
    links: Links,
}

impl<E: Execute> Server<E> {
    /// Handles messages until there is no further one.
    async fn serve(mut self, mut calls: MessageStream) {
        while let Some(Ok(message)) = calls.next().await {
            if let Some(reply) = self.handle(message) {
                send(&self.replies, reply).await;
            }
        }
    }

    /// Handles one message; returns the reply, if there is one already.
    fn handle(&mut self, message: Message) -> Option<zbus::Result<Message>> {
        match Received::parse(&message) {
            Received::Ignored => None,
            Received::OwnerChanged(change) => {
                self.executor.owner_changed(&change);
                None
            }
            Received::Execute(call) => self.call(message, call),
            Received::Signalled(request) => {
                let (call, build) = request.split();
                self.execute(call, build)
            }
            Received::Link => self.links.open(&self.executor, message, &self.replies),
            Received::Commands => {
                let reply = Message::method_return(&message.header());
                Some(reply.build(&(self.executor.commands(),)))
            }
            Received::Other(reply) => Some(reply),
        }
    }

    /// Executes the `call` in `message`.
    fn call(&self, message: Message, call: Call) -> Option<zbus::Result<Message>> {
        let (netfn, lun, command) = (call.netfn, call.lun, call.command);
        let build =
            move |response: &ResponseBody| reply_message(&message, netfn, lun, command, response);
        self.execute(call, build)
    }

    /// Executes `call` in a task of its own; returns C0h at once if the limit is reached. `build` makes a message of
    /// the response.
    fn execute(
        &self,
        call: Call,
        build: impl FnOnce(&ResponseBody) -> zbus::Result<Message> + Send + 'static,
    ) -> Option<zbus::Result<Message>> {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            let busy = ResponseBody::from(CompletionCode::BUSY);
            return Some(build(&busy));
        };
        let execution = Arc::clone(&self.executor).execute(call);
        let replies = self.replies.clone();
        task::spawn(async move {
            let reply = build(&execution.await);
            send(&replies, reply).await;
            // Not before: a reply that waits for the writer counts as in progress.
            drop(permit);
        });
        None
    }
}

/// The open direct links, by the unique bus name of the caller.
#[derive(Default)]
struct Links(HashMap<String, AbortOnDrop>);

impl Links {
    /// Opens a link for the sender of `request` and serves it in a task; it replaces an earlier one of the sender.
    fn open<E: Execute>(
        &mut self,
        executor: &Arc<E>,
        request: Message,
        replies: &mpsc::Sender<Message>,
    ) -> Option<zbus::Result<Message>> {
        self.0.retain(|_, link| !link.is_finished());
        let caller = sender_of(&request);
        if self.0.len() >= MAX_LINKS && !self.0.contains_key(&caller) {
            return Some(refusal(&request, LIMITS_EXCEEDED, NO_LINK));
        }
        let allowed = Arc::clone(executor).may_link(caller.clone());
        let executor = Arc::clone(executor);
        let link = open_link(executor, caller.clone(), allowed, request, replies.clone());
        self.0.insert(caller, AbortOnDrop::spawn(link));
        None
    }
}

/// Replies to `request` with a link, if its sender may have one, and serves that until it ends.
async fn open_link<E: Execute>(
    executor: Arc<E>,
    caller: String,
    allowed: impl Future<Output = Result<(), LinkRefusal>>,
    request: Message,
    replies: mpsc::Sender<Message>,
) {
    let refused = match allowed.await {
        Ok(()) => None,
        Err(LinkRefusal::NotOffered) => Some(refusal(&request, ACCESS_DENIED, NO_LINK)),
        Err(LinkRefusal::Caller(reason)) => Some(refusal(&request, ACCESS_DENIED, &reason)),
    };
    if let Some(refused) = refused {
        return send(&replies, refused).await;
    }
    match direct::pair(&request) {
        Ok((reply, stream)) => {
            send(&replies, Ok(reply)).await;
            debug!(caller, "opened a direct link");
            drop(replies);
            link_server::serve(executor, stream, caller.into(), MAX_IN_FLIGHT).await;
        }
        Err(error) => {
            warn!(%error, "cannot open a direct link; the bridge calls over the bus");
            send(&replies, refusal(&request, LIMITS_EXCEEDED, NO_LINK)).await;
        }
    }
}

async fn send(replies: &mpsc::Sender<Message>, reply: zbus::Result<Message>) {
    match reply {
        // The queue is gone only when the connection is.
        Ok(reply) => drop(replies.send(reply).await),
        Err(error) => debug!(%error, "cannot build a reply; dropped"),
    }
}

/// A message that was received.
pub(super) enum Received {
    /// One that needs nothing done.
    Ignored,
    Execute(Call),
    Signalled(Signalled),
    OwnerChanged(OwnerChange),
    Link,
    Commands,
    /// Another call, and the reply to it.
    Other(zbus::Result<Message>),
}

impl Received {
    pub(super) fn parse(message: &Message) -> Self {
        match message.message_type() {
            message::Type::MethodCall => parse_call(message),
            message::Type::Signal => match Signalled::parse(message) {
                Some(request) => Received::Signalled(request),
                None => owners::bridge_owner_change(message)
                    .map_or(Received::Ignored, Received::OwnerChanged),
            },
            _ => Received::Ignored,
        }
    }
}

fn parse_call(message: &Message) -> Received {
    let header = message.header();
    let interface = header.interface().map(|name| name.as_str());
    let member = header.member().map(|name| name.as_str()).unwrap_or_default();
    let path = header.path().map(|path| path.as_str()).unwrap_or_default();
    Received::Other(match (interface, member) {
        (Some(INTERFACE) | None, METHOD) if path == PATH => match Call::parse(message) {
            Ok(call) => return Received::Execute(call),
            Err(error) => Message::error(&header, "org.freedesktop.DBus.Error.InvalidArgs")
                .build(&error.to_string()),
        },
        (Some(DIRECT), OPEN) if path == PATH => return Received::Link,
        (Some(COMMANDS), LIST) if path == PATH => return Received::Commands,
        (Some("org.freedesktop.DBus.Peer"), "Ping") => Message::method_return(&header).build(&()),
        (Some("org.freedesktop.DBus.Introspectable"), "Introspect") => {
            Message::method_return(&header).build(&introspection(path))
        }
        _ => Message::error(&header, "org.freedesktop.DBus.Error.UnknownMethod")
            .build(&"this object has execute() alone"),
    })
}

/// The error that is the reply to `request`.
pub(super) fn refusal(request: &Message, name: &str, reason: &str) -> zbus::Result<Message> {
    Message::error(&request.header(), name).build(&reason)
}

/// What `busctl tree` and `introspect` show: the path down to [`PATH`] and its one method.
fn introspection(path: &str) -> String {
    let inner = if path == PATH {
        format!(
            "<interface name=\"{INTERFACE}\"><method name=\"{METHOD}\">\
             <arg name=\"netFn\" type=\"y\" direction=\"in\"/>\
             <arg name=\"lun\" type=\"y\" direction=\"in\"/>\
             <arg name=\"cmd\" type=\"y\" direction=\"in\"/>\
             <arg name=\"data\" type=\"ay\" direction=\"in\"/>\
             <arg name=\"options\" type=\"a{{sv}}\" direction=\"in\"/>\
             <arg name=\"response\" type=\"(yyyyay)\" direction=\"out\"/>\
             </method></interface>\
             <interface name=\"{DIRECT}\"><method name=\"{OPEN}\">\
             <arg name=\"link\" type=\"h\" direction=\"out\"/>\
             </method></interface>\
             <interface name=\"{COMMANDS}\"><method name=\"{LIST}\">\
             <arg name=\"commands\" type=\"a(yuysyysa(yys))\" direction=\"out\"/>\
             </method></interface>"
        )
    } else {
        let base = if path == "/" { "" } else { path };
        PATH.strip_prefix(base)
            .and_then(|rest| rest.strip_prefix('/'))
            .and_then(|rest| rest.split('/').next())
            .map(|child| format!("<node name=\"{child}\"/>"))
            .unwrap_or_default()
    };
    format!("<node>{inner}</node>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn introspection_leads_down_to_the_method() {
        assert_eq!(introspection("/"), "<node><node name=\"xyz\"/></node>");
        assert_eq!(introspection("/xyz/openbmc_project"), "<node><node name=\"Ipmi\"/></node>");
        assert!(introspection(PATH).contains("(yyyyay)"));
        assert_eq!(introspection("/elsewhere"), "<node></node>");
    }
}
