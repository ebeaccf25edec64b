//! `ipmid`'s end: every call in its own task, replies written in batches.

use std::{collections::HashMap, future::Future, sync::Arc};

use futures_util::StreamExt;
use ipmi_proto::CompletionCode;
use tokio::{
    sync::{Semaphore, mpsc},
    task,
};
use tracing::debug;
use zbus::{Connection, Message, MessageStream, Variant, message};

use super::{INTERFACE, METHOD, PATH};

/// Requests under way in all; as many as four full bridges. More are answered C0h at once.
const MAX_UNDER_WAY: usize = 4 * super::MAX_IN_FLIGHT;

/// One `execute()` call as it arrived; nothing in it is checked beyond its D-Bus types.
#[derive(Debug)]
pub struct Call {
    /// Unique bus name of the caller, as the bus vouches for it.
    pub sender: String,
    /// Network function; anything from 0 to FFh.
    pub netfn: u8,
    /// Logical unit; anything from 0 to FFh.
    pub lun: u8,
    /// Command number.
    pub command: u8,
    /// The bytes after the command.
    pub data: Vec<u8>,
    /// What the bridge says of the requester.
    pub options: CallOptions,
}

/// The options that have a meaning. One that is absent or of another type than the contract's is
/// `None`; unknown ones are passed over.
#[derive(Debug, Default)]
pub struct CallOptions {
    /// `userId` (i): IPMI user id of the session.
    pub user_id: Option<i32>,
    /// `privilege` (i): the session's present privilege, 1 to 5.
    pub privilege: Option<i32>,
    /// `currentSessionId` (u): the managed system's session id.
    pub session_id: Option<u32>,
    /// `rqSA` (i): requester's address in its 7-bit form.
    pub rq_sa: Option<i32>,
    /// `hostId` (i): host or device index.
    pub host_id: Option<i32>,
}

/// What goes back for a [`Call`].
#[derive(Debug, Eq, PartialEq)]
pub struct Reply {
    /// How the request ended.
    pub completion: CompletionCode,
    /// The bytes after the completion code.
    pub data: Vec<u8>,
}

impl Call {
    /// Reads a method call's arguments.
    ///
    /// # Errors
    ///
    /// When they are not `y y y ay a{sv}`.
    pub fn parse(message: &Message) -> zbus::Result<Self> {
        let header = message.header();
        let body = message.body();
        let (netfn, lun, command, data, options): (
            u8,
            u8,
            u8,
            Vec<u8>,
            HashMap<&str, Variant<'_>>,
        ) = body.deserialize()?;
        let signed = |key: &str| match options.get(key) {
            Some(Variant::I32(value)) => Some(*value),
            _ => None,
        };
        Ok(Self {
            sender: header
                .sender()
                .map(|name| name.as_str().to_owned())
                .unwrap_or_default(),
            netfn,
            lun,
            command,
            data,
            options: CallOptions {
                user_id: signed("userId"),
                privilege: signed("privilege"),
                session_id: match options.get("currentSessionId") {
                    Some(Variant::U32(value)) => Some(*value),
                    _ => None,
                },
                rq_sa: signed("rqSA"),
                host_id: signed("hostId"),
            },
        })
    }
}

/// Serves `execute()` on `connection` until the bus goes.
///
/// Each call runs `handle` in a task of its own, so that none waits for another. The connection's
/// stream is drained here and nowhere else; own the service's name after this has been started.
pub async fn serve<H, F>(connection: &Connection, handle: H)
where
    H: Fn(Call) -> F,
    F: Future<Output = Reply> + Send + 'static,
{
    let mut messages = MessageStream::from(connection);
    let (replies, queue) = mpsc::channel(MAX_UNDER_WAY);
    let writer = task::spawn(write_batched(connection.clone(), queue));
    let places = Arc::new(Semaphore::new(MAX_UNDER_WAY));
    while let Some(Ok(message)) = messages.next().await {
        if message.message_type() != message::Type::MethodCall {
            continue;
        }
        let call = match incoming(&message) {
            Incoming::Execute(call) => call,
            Incoming::Answered(answer) => {
                send(&replies, answer).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            let busy = Reply {
                completion: CompletionCode::BUSY,
                data: Vec::new(),
            };
            send(
                &replies,
                reply_message(&message, call.netfn, call.lun, call.command, &busy),
            )
            .await;
            continue;
        };
        let (netfn, lun, command) = (call.netfn, call.lun, call.command);
        let work = handle(call);
        let replies = replies.clone();
        task::spawn(async move {
            let reply = work.await;
            send(
                &replies,
                reply_message(&message, netfn, lun, command, &reply),
            )
            .await;
            drop(place);
        });
    }
    writer.abort();
}

async fn send(replies: &mpsc::Sender<Message>, reply: zbus::Result<Message>) {
    match reply {
        // The queue is gone only when the connection is.
        Ok(reply) => drop(replies.send(reply).await),
        Err(error) => debug!(%error, "a reply could not be built"),
    }
}

/// Writes what is queued, as many messages in one system call as are there.
pub(super) async fn write_batched(connection: Connection, mut queue: mpsc::Receiver<Message>) {
    let mut batch = Vec::with_capacity(super::MAX_IN_FLIGHT);
    while queue.recv_many(&mut batch, super::MAX_IN_FLIGHT).await > 0 {
        if let Err(error) = connection.send_all(&batch).await {
            debug!(%error, "the bus does not take messages any more");
            return;
        }
        batch.clear();
    }
}

enum Incoming {
    Execute(Call),
    Answered(zbus::Result<Message>),
}

fn incoming(message: &Message) -> Incoming {
    let header = message.header();
    let interface = header.interface().map(|name| name.as_str());
    let member = header
        .member()
        .map(|name| name.as_str())
        .unwrap_or_default();
    let path = header.path().map(|path| path.as_str()).unwrap_or_default();
    let answered = match (interface, member) {
        (Some(INTERFACE) | None, METHOD) if path == PATH => match Call::parse(message) {
            Ok(call) => return Incoming::Execute(call),
            Err(error) => Message::error(&header, "org.freedesktop.DBus.Error.InvalidArgs")
                .build(&error.to_string()),
        },
        (Some("org.freedesktop.DBus.Peer"), "Ping") => Message::method_return(&header).build(&()),
        (Some("org.freedesktop.DBus.Introspectable"), "Introspect") => {
            Message::method_return(&header).build(&introspection(path))
        }
        _ => Message::error(&header, "org.freedesktop.DBus.Error.UnknownMethod")
            .build(&"this object has execute() alone"),
    };
    Incoming::Answered(answered)
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

fn reply_message(
    call: &Message,
    netfn: u8,
    lun: u8,
    command: u8,
    reply: &Reply,
) -> zbus::Result<Message> {
    // One struct, not five values: hence the tuple in a tuple.
    let answer = (
        netfn | 1,
        lun,
        command,
        reply.completion.0,
        reply.data.as_slice(),
    );
    Message::method_return(&call.header()).build(&(answer,))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn introspection_leads_down_to_the_method() {
        assert_eq!(introspection("/"), "<node><node name=\"xyz\"/></node>");
        assert_eq!(
            introspection("/xyz/openbmc_project"),
            "<node><node name=\"Ipmi\"/></node>"
        );
        assert!(introspection(PATH).contains("(yyyyay)"));
        assert_eq!(introspection("/elsewhere"), "<node></node>");
    }
}
