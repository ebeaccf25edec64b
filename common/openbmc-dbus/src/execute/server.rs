//! `ipmid`'s end: every call in its own task, replies written in batches.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use ipmi_proto::{CompletionCode, ResponseBody};
use tokio::sync::{Semaphore, mpsc};
use tokio::task;
use tracing::{debug, warn};
use zbus::{Message, message};

use super::direct::{self, DIRECT, OPEN};
use super::message::{Call, reply_message, sender_of};
use super::requests::Requests;
use super::signal::{self, SignalRequest};
use super::transport::{Incoming, Outgoing};
use super::{AbortOnDrop, INTERFACE, MAX_IN_FLIGHT, METHOD, PATH};
use crate::bus::NameEnd;

/// Requests from the bus in flight in all; as many as four full bridges. Further ones are answered C0h
/// at once.
const MAX_BUS_REQUESTS: usize = 4 * MAX_IN_FLIGHT;

/// Requests of one direct link in flight: as many as a bridge may have.
const MAX_LINK_REQUESTS: usize = MAX_IN_FLIGHT;

/// Direct links in all; two for each possible channel.
const MAX_LINKS: usize = 32;

const ACCESS_DENIED: &str = "org.freedesktop.DBus.Error.AccessDenied";
const LIMITS_EXCEEDED: &str = "org.freedesktop.DBus.Error.LimitsExceeded";
const NOT_SUPPORTED: &str = "org.freedesktop.DBus.Error.NotSupported";

/// The text of errors whose name gives the reason.
pub(super) const NO_LINK: &str = "no direct link";

/// Executes requests.
pub trait Execute: Send + Sync + 'static {
    /// Executes one request.
    fn execute(self: Arc<Self>, call: Call) -> impl Future<Output = ResponseBody> + Send;

    /// Whether `caller`, a unique bus name, may open a direct link.
    fn may_link(&self, caller: &str) -> impl Future<Output = Result<(), LinkRefusal>> + Send;
}

/// Why a caller may not open a direct link.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LinkRefusal {
    /// Direct links are disabled.
    NotOffered,
    /// The caller may not call `execute()`, for this reason.
    Caller(String),
}

/// Serves `execute()` on the connection of `requests`, and on the direct links that are opened there,
/// and the requests of OpenBMC's btbridge, until the bus closes or the service's name is lost.
///
/// Each call runs in a task of its own, so that no call waits for another. Only this function reads the
/// connection's stream.
pub async fn serve<E: Execute>(requests: Requests, executor: Arc<E>) -> NameEnd {
    let Requests { connection, calls, name } = requests;
    let server = Server::new(executor, MAX_BUS_REQUESTS);
    let replies = Outgoing::Bus(connection.clone());
    // In a task: AddMatch completes only while the stream is being read.
    let _subscriber = AbortOnDrop::spawn(signal::subscribe(connection));
    tokio::select! {
        () = server.serve(calls, replies, Peer::Bus(Links::default())) => NameEnd::BusClosed,
        end = name.ended() => end,
    }
}

/// Serves the calls of one connection. Each connection has permits of its own, so that a peer that never
/// reads a reply uses up no other's.
pub(super) struct Server<E> {
    executor: Arc<E>,
    permits: Arc<Semaphore>,
    max_requests: usize,
}

/// The other end of a connection.
enum Peer {
    /// The bus, where each message names its sender; with the direct links opened there.
    Bus(Links),
    /// The direct link of this caller.
    Link(String),
}

impl<E: Execute> Server<E> {
    /// A server that executes at most `max_requests` at a time.
    pub(super) fn new(executor: Arc<E>, max_requests: usize) -> Self {
        let permits = Arc::new(Semaphore::new(max_requests));
        Self { executor, permits, max_requests }
    }

    /// Serves `caller` on its direct link until the link closes.
    pub(super) async fn serve_link(&self, calls: Incoming, replies: Outgoing, caller: String) {
        self.serve(calls, replies, Peer::Link(caller)).await;
    }

    /// Serves the messages of `peer` until its transport closes.
    async fn serve(&self, mut calls: Incoming, outgoing: Outgoing, mut peer: Peer) {
        let (replies, queue) = mpsc::channel(self.max_requests);
        let _writer = AbortOnDrop::spawn(outgoing.write_queued(queue));
        while let Some(message) = calls.next().await {
            let reply = match (parse_message(&message), &mut peer) {
                (ClientRequest::Nothing, _) | (ClientRequest::Signal(_), Peer::Link(_)) => None,
                (ClientRequest::Execute(call), Peer::Bus(_)) => self.call(message, call, &replies),
                (ClientRequest::Execute(call), Peer::Link(caller)) => {
                    let sender = caller.clone();
                    self.call(message, Call { sender, ..call }, &replies)
                }
                (ClientRequest::Signal(request), Peer::Bus(_)) => {
                    let (call, build_reply) = request.split();
                    self.execute(call, build_reply, &replies)
                }
                (ClientRequest::Link, Peer::Bus(links)) => {
                    links.open(&self.executor, message, &replies)
                }
                (ClientRequest::Link, Peer::Link(_)) => {
                    Some(refusal(&message, NOT_SUPPORTED, NO_LINK))
                }
                (ClientRequest::Other(reply), _) => Some(reply),
            };
            if let Some(reply) = reply {
                send(&replies, reply).await;
            }
        }
    }

    /// Executes the `call` in `message`.
    fn call(
        &self,
        message: Message,
        call: Call,
        replies: &mpsc::Sender<Message>,
    ) -> Option<zbus::Result<Message>> {
        let (netfn, lun, command) = (call.netfn, call.lun, call.command);
        let build_reply =
            move |reply: &ResponseBody| reply_message(&message, netfn, lun, command, reply);
        self.execute(call, build_reply, replies)
    }

    /// Executes `call` in a task of its own, or returns a C0h reply when all permits are taken;
    /// `build_reply` encodes the response.
    fn execute(
        &self,
        call: Call,
        build_reply: impl FnOnce(&ResponseBody) -> zbus::Result<Message> + Send + 'static,
        replies: &mpsc::Sender<Message>,
    ) -> Option<zbus::Result<Message>> {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            let busy = ResponseBody::from(CompletionCode::BUSY);
            return Some(build_reply(&busy));
        };
        let work = Arc::clone(&self.executor).execute(call);
        let replies = replies.clone();
        task::spawn(async move {
            let reply = build_reply(&work.await);
            send(&replies, reply).await;
            // Only now: a peer that does not read its replies gets no further requests executed.
            drop(permit);
        });
        None
    }
}

/// The open direct links, by the unique bus name of the caller.
#[derive(Default)]
struct Links(HashMap<String, AbortOnDrop>);

impl Links {
    /// Opens a link for the sender of `request`, in a task that then serves it; closes the sender's
    /// earlier link, if it has one.
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
        let server = Server::new(Arc::clone(executor), MAX_LINK_REQUESTS);
        let link = serve_link(server, caller.clone(), request, replies.clone());
        self.0.insert(caller, AbortOnDrop::spawn(link));
        None
    }
}

/// Replies to `request` with a link, if its sender may open one, and serves the link until it closes.
async fn serve_link<E: Execute>(
    server: Server<E>,
    caller: String,
    request: Message,
    replies: mpsc::Sender<Message>,
) {
    let refused = match server.executor.may_link(&caller).await {
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
            let (calls, outgoing) = stream.halves();
            let (calls, outgoing) = (Incoming::Direct(calls), Outgoing::Direct(outgoing));
            server.serve_link(calls, outgoing, caller).await;
        }
        Err(error) => {
            warn!(%error, caller, "cannot create a direct link; its requests go over the bus");
            send(&replies, refusal(&request, LIMITS_EXCEEDED, NO_LINK)).await;
        }
    }
}

async fn send(replies: &mpsc::Sender<Message>, reply: zbus::Result<Message>) {
    match reply {
        // The queue closes only with the connection: then there is no peer left to reply to.
        Ok(reply) => drop(replies.send(reply).await),
        Err(error) => debug!(%error, "cannot encode a reply; the caller gets none"),
    }
}

/// What a message requests.
enum ClientRequest {
    Nothing,
    Execute(Call),
    Signal(SignalRequest),
    Link,
    /// Anything that has this immediate reply.
    Other(zbus::Result<Message>),
}

fn parse_message(message: &Message) -> ClientRequest {
    match message.message_type() {
        message::Type::MethodCall => parse_call(message),
        message::Type::Signal => {
            SignalRequest::parse(message).map_or(ClientRequest::Nothing, ClientRequest::Signal)
        }
        _ => ClientRequest::Nothing,
    }
}

fn parse_call(message: &Message) -> ClientRequest {
    let header = message.header();
    let interface = header.interface().map(|name| name.as_str());
    let member = header.member().map(|name| name.as_str()).unwrap_or_default();
    let path = header.path().map(|path| path.as_str()).unwrap_or_default();
    ClientRequest::Other(match (interface, member) {
        (Some(INTERFACE) | None, METHOD) if path == PATH => match Call::parse(message) {
            Ok(call) => return ClientRequest::Execute(call),
            Err(error) => Message::error(&header, "org.freedesktop.DBus.Error.InvalidArgs")
                .build(&error.to_string()),
        },
        (Some(DIRECT), OPEN) if path == PATH => return ClientRequest::Link,
        (Some("org.freedesktop.DBus.Peer"), "Ping") => Message::method_return(&header).build(&()),
        (Some("org.freedesktop.DBus.Introspectable"), "Introspect") => {
            Message::method_return(&header).build(&introspection(path))
        }
        _ => Message::error(&header, "org.freedesktop.DBus.Error.UnknownMethod")
            .build(&"this object has execute() alone"),
    })
}

fn refusal(request: &Message, name: &str, reason: &str) -> zbus::Result<Message> {
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
