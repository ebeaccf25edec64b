//! `ipmid`'s end: every call in its own task, replies written in batches.

use std::collections::HashMap;
use std::future::{self, Future};
use std::sync::Arc;

use ipmi_proto::{CompletionCode, ResponseBody};
use tokio::sync::{Semaphore, mpsc};
use tokio::task;
use tracing::{debug, warn};
use zbus::{Connection, Message, message};

use super::commands::{COMMANDS, CommandInfo, LIST};
use super::direct::{self, DIRECT, OPEN};
use super::message::{Call, reply_message, sender_of};
use super::owners::{self, OwnerChange};
use super::requests::Requests;
use super::signal::{self, Signalled};
use super::transport::{Incoming, Outgoing};
use super::{AbortOnDrop, INTERFACE, MAX_IN_FLIGHT, METHOD, PATH};
use crate::bus::NameEnd;

/// Requests from the bus under way in all; as many as four full bridges. More are answered C0h at
/// once.
const FROM_THE_BUS: usize = 4 * MAX_IN_FLIGHT;

/// Requests of a direct link under way: as many as a bridge has.
const FROM_A_LINK: usize = MAX_IN_FLIGHT;

/// Direct links in all; two for each channel there can be.
const MAX_LINKS: usize = 32;

const ACCESS_DENIED: &str = "org.freedesktop.DBus.Error.AccessDenied";
const LIMITS_EXCEEDED: &str = "org.freedesktop.DBus.Error.LimitsExceeded";
const NOT_SUPPORTED: &str = "org.freedesktop.DBus.Error.NotSupported";

/// The reason of errors whose name says all.
pub(super) const NO_LINK: &str = "no direct link";

/// What answers calls.
pub trait Execute: Send + Sync + 'static {
    /// Answers one call. This function itself, but not its future, runs between the changes of owners that came
    /// before the call and those that came after it.
    fn execute(self: Arc<Self>, call: Call) -> impl Future<Output = ResponseBody> + Send;

    /// Whether `caller`, a unique bus name, is given a direct link. It runs as [`execute`](Self::execute) does.
    fn may_link(
        self: Arc<Self>,
        caller: String,
    ) -> impl Future<Output = Result<(), LinkRefusal>> + Send;

    /// The commands, for operators.
    fn commands(&self) -> Vec<CommandInfo> {
        Vec::new()
    }

    /// Callers are from now on those of `connection`.
    fn attached(&self, connection: &Connection);

    /// There are no callers any more, and the connection has to be let go.
    fn detached(&self);

    /// A bridge's name has another owner.
    fn owner_changed(&self, change: &OwnerChange);

    /// Bridges' names and their owners, asked for since the first change that may have been seen. Once on a
    /// connection; calls may have come before.
    fn owners_listed(&self, owners: Vec<(String, String)>);
}

/// Why a caller is given no direct link.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LinkRefusal {
    /// Nobody is given one.
    NotOffered,
    /// The caller may not call, for this reason.
    Caller(String),
}

/// Serves `execute()` on the connection of `requests`, and on the direct links that are asked for there,
/// and the requests of OpenBMC's btbridge, until the bus goes or does not say who owns the bridges' names, or the
/// service's name is lost.
///
/// Each call runs in a task of its own, so that none waits for another. The connection's stream is
/// drained here and nowhere else.
pub async fn serve<E: Execute>(requests: Requests, executor: Arc<E>) -> NameEnd {
    let Requests { connection, calls, name } = requests;
    let server = Server::new(executor, FROM_THE_BUS);
    let replies = Outgoing::Bus(connection.clone());
    // Beside the stream, which has to be drained meanwhile.
    let _follower = AbortOnDrop::spawn(signal::follow(connection.clone()));
    let _attached = Attached::enter(&*server.executor, &connection);
    let owners = async {
        match owners::follow(&connection, &*server.executor).await {
            Ok(()) => future::pending().await,
            Err(error) => warn!(%error, "the bus does not say who owns the bridges' names"),
        }
    };
    tokio::select! {
        () = server.answer(calls, replies, Asker::Bus(Links::default())) => NameEnd::BusClosed,
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

/// What answers the calls of one connection. Each has room of its own, so that a peer that never
/// reads an answer uses up nobody else's.
pub(super) struct Server<E> {
    executor: Arc<E>,
    places: Arc<Semaphore>,
    room: usize,
}

/// Who is at the other end.
enum Asker {
    /// Anybody on the bus, which says who; with the links that have been given.
    Bus(Links),
    /// The caller that was given this link.
    Link(String),
}

impl<E: Execute> Server<E> {
    /// With room for so many requests under way.
    pub(super) fn new(executor: Arc<E>, room: usize) -> Self {
        let places = Arc::new(Semaphore::new(room));
        Self { executor, places, room }
    }

    /// Answers `caller` on its direct link until that ends.
    pub(super) async fn answer_link(&self, calls: Incoming, answers: Outgoing, caller: String) {
        self.answer(calls, answers, Asker::Link(caller)).await;
    }

    /// Answers what comes from `asker` until there is no more of it.
    async fn answer(&self, mut calls: Incoming, answers: Outgoing, mut asker: Asker) {
        let (replies, queue) = mpsc::channel(self.room);
        let _writer = AbortOnDrop::spawn(answers.write_queued(queue));
        while let Some(message) = calls.next().await {
            let answer = match (asked(&message), &mut asker) {
                (Asked::Nothing, _)
                | (Asked::Signalled(_) | Asked::OwnerChanged(_), Asker::Link(_)) => None,
                (Asked::OwnerChanged(change), Asker::Bus(_)) => {
                    self.executor.owner_changed(&change);
                    None
                }
                (Asked::Execute(call), Asker::Bus(_)) => self.call(message, call, &replies),
                (Asked::Execute(call), Asker::Link(caller)) => {
                    let sender = caller.clone();
                    self.call(message, Call { sender, ..call }, &replies)
                }
                (Asked::Signalled(request), Asker::Bus(_)) => {
                    let (call, answer) = request.split();
                    self.execute(call, answer, &replies)
                }
                (Asked::Link, Asker::Bus(links)) => links.open(&self.executor, message, &replies),
                (Asked::Commands, Asker::Bus(_)) => {
                    let reply = Message::method_return(&message.header());
                    Some(reply.build(&(self.executor.commands(),)))
                }
                (Asked::Commands, Asker::Link(_)) => Some(refusal(&message, NOT_SUPPORTED, LIST)),
                (Asked::Link, Asker::Link(_)) => Some(refusal(&message, NOT_SUPPORTED, NO_LINK)),
                (Asked::Other(answer), _) => Some(answer),
            };
            if let Some(answer) = answer {
                send(&replies, answer).await;
            }
        }
    }

    /// Has the `call` in `message` carried out.
    fn call(
        &self,
        message: Message,
        call: Call,
        replies: &mpsc::Sender<Message>,
    ) -> Option<zbus::Result<Message>> {
        let (netfn, lun, command) = (call.netfn, call.lun, call.command);
        let answer =
            move |reply: &ResponseBody| reply_message(&message, netfn, lun, command, reply);
        self.execute(call, answer, replies)
    }

    /// Has `call` carried out in a task of its own, or says that there is too much under way; `answer`
    /// makes a message of the reply.
    fn execute(
        &self,
        call: Call,
        answer: impl FnOnce(&ResponseBody) -> zbus::Result<Message> + Send + 'static,
        replies: &mpsc::Sender<Message>,
    ) -> Option<zbus::Result<Message>> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let busy = ResponseBody::from(CompletionCode::BUSY);
            return Some(answer(&busy));
        };
        let work = Arc::clone(&self.executor).execute(call);
        let replies = replies.clone();
        task::spawn(async move {
            let reply = answer(&work.await);
            send(&replies, reply).await;
            drop(place);
        });
        None
    }
}

/// The direct links that have been given, by the unique bus name of the caller.
#[derive(Default)]
struct Links(HashMap<String, AbortOnDrop>);

impl Links {
    /// Gives the sender of `request` a link, in a task that then serves it, in place of any that it
    /// had.
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
        let server = Server::new(Arc::clone(executor), FROM_A_LINK);
        let allowed = Arc::clone(executor).may_link(caller.clone());
        let link = serve_link(server, caller.clone(), allowed, request, replies.clone());
        self.0.insert(caller, AbortOnDrop::spawn(link));
        None
    }
}

/// Answers `request` with a link, if its sender may have one, and serves that until it ends.
async fn serve_link<E: Execute>(
    server: Server<E>,
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
        Ok((answer, stream)) => {
            send(&replies, Ok(answer)).await;
            debug!(caller, "a direct link");
            let (calls, answers) = stream.halves();
            let (calls, answers) = (Incoming::Direct(calls), Outgoing::Direct(answers));
            server.answer_link(calls, answers, caller).await;
        }
        Err(error) => {
            warn!(%error, "no direct link to be had");
            send(&replies, refusal(&request, LIMITS_EXCEEDED, NO_LINK)).await;
        }
    }
}

async fn send(replies: &mpsc::Sender<Message>, reply: zbus::Result<Message>) {
    match reply {
        // The queue is gone only when the connection is.
        Ok(reply) => drop(replies.send(reply).await),
        Err(error) => debug!(%error, "a reply could not be built"),
    }
}

/// What a message asks for.
enum Asked {
    Nothing,
    Execute(Call),
    Signalled(Signalled),
    OwnerChanged(OwnerChange),
    Link,
    Commands,
    /// This is the answer.
    Other(zbus::Result<Message>),
}

fn asked(message: &Message) -> Asked {
    match message.message_type() {
        message::Type::MethodCall => asked_by_call(message),
        message::Type::Signal => match Signalled::parse(message) {
            Some(request) => Asked::Signalled(request),
            None => OwnerChange::parse(message).map_or(Asked::Nothing, Asked::OwnerChanged),
        },
        _ => Asked::Nothing,
    }
}

fn asked_by_call(message: &Message) -> Asked {
    let header = message.header();
    let interface = header.interface().map(|name| name.as_str());
    let member = header.member().map(|name| name.as_str()).unwrap_or_default();
    let path = header.path().map(|path| path.as_str()).unwrap_or_default();
    Asked::Other(match (interface, member) {
        (Some(INTERFACE) | None, METHOD) if path == PATH => match Call::parse(message) {
            Ok(call) => return Asked::Execute(call),
            Err(error) => Message::error(&header, "org.freedesktop.DBus.Error.InvalidArgs")
                .build(&error.to_string()),
        },
        (Some(DIRECT), OPEN) if path == PATH => return Asked::Link,
        (Some(COMMANDS), LIST) if path == PATH => return Asked::Commands,
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
