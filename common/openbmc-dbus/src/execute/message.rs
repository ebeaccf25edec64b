//! The messages of `execute()`: a request as a call, a response as its reply.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use ipmi_proto::{CompletionCode, Privilege, Request, ResponseBody};
use tracing::warn;
use zbus::{Message, Variant, message};

use super::{INTERFACE, METHOD, PATH, SERVICE};

/// The origin of a request, as the bridge states it in the `options` of the call.
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
    /// A console outside of any session: user and session 0, Callback privilege.
    Outside,
    /// A satellite controller on an IPMB.
    Ipmb {
        /// Requester's slave address in its 7-bit form.
        rq_sa: u8,
        /// Host or device index of the bus.
        host_id: u8,
    },
}

/// The value of an option.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum OptionValue {
    /// D-Bus type `i`.
    Signed(i32),
    /// D-Bus type `u`.
    Unsigned(u32),
}

const USER_ID: &str = "userId";
const PRIVILEGE: &str = "privilege";
const SESSION_ID: &str = "currentSessionId";
const RQ_SA: &str = "rqSA";
const HOST_ID: &str = "hostId";

impl Caller {
    /// The options that state it, in the order of their names.
    pub(super) fn options(self) -> impl Iterator<Item = (&'static str, OptionValue)> {
        use OptionValue::{Signed, Unsigned};
        let session = |user: u8, privilege: Privilege, id| {
            let privilege = Signed(privilege.value().into());
            [
                Some((SESSION_ID, Unsigned(id))),
                Some((PRIVILEGE, privilege)),
                Some((USER_ID, Signed(user.into()))),
            ]
        };
        let options = match self {
            Self::System => [None; 3],
            Self::Session { user_id, privilege, session_id } => {
                session(user_id, privilege, session_id)
            }
            Self::Outside => session(0, Privilege::Callback, 0),
            Self::Ipmb { rq_sa, host_id } => {
                let host = (HOST_ID, Signed(host_id.into()));
                [Some(host), Some((RQ_SA, Signed(rq_sa.into()))), None]
            }
        };
        options.into_iter().flatten()
    }
}

/// The call for `request`.
pub(super) fn call_message(request: &Request, caller: Caller) -> zbus::Result<Message> {
    let options: BTreeMap<&str, Variant<'_>> = caller
        .options()
        .map(|(name, value)| match value {
            OptionValue::Signed(value) => (name, value.into()),
            OptionValue::Unsigned(value) => (name, value.into()),
        })
        .collect();
    Message::method_call(PATH, METHOD).destination(SERVICE).interface(INTERFACE).build(&(
        request.netfn.value(),
        request.lun.value(),
        request.command,
        request.data.as_slice(),
        options,
    ))
}

/// The response in a reply, or the completion code that the requester gets instead.
pub(super) fn read_reply(reply: &Message) -> Result<(CompletionCode, Vec<u8>), CompletionCode> {
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

/// The completion code for an error that the bus returns in `ipmid`'s place.
fn completion_of_error(reply: &Message) -> CompletionCode {
    let header = reply.header();
    match header.error_name().map(|name| name.as_str()) {
        Some(
            "org.freedesktop.DBus.Error.ServiceUnknown"
            | "org.freedesktop.DBus.Error.NameHasNoOwner",
        ) => CompletionCode::INITIALIZING,
        // ipmid ended after it got the call, and may have executed it.
        Some("org.freedesktop.DBus.Error.NoReply") => CompletionCode::TIMEOUT,
        name => {
            warn!(name, "execute() failed on the bus; responding FFh");
            CompletionCode::UNSPECIFIED
        }
    }
}

/// One `execute()` call as it arrived; nothing in it is checked beyond its D-Bus types.
pub struct Call {
    /// Unique bus name of the caller, as the bus vouches for it.
    pub sender: Arc<str>,
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

impl fmt::Debug for Call {
    /// Without the data, which may hold a password (Set User Password) or a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sender, netfn, lun, command, data, options } = self;
        f.debug_struct("Call")
            .field("sender", sender)
            .field("netfn", netfn)
            .field("lun", lun)
            .field("command", command)
            .field("data", &format_args!("{} bytes", data.len()))
            .field("options", options)
            .finish()
    }
}

/// The known options. One that is absent or of another type is `None`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
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
    /// Whether any option of a session is present, of any type.
    pub names_session: bool,
    /// Whether any option of a satellite is present, of any type.
    pub names_satellite: bool,
    /// Whether any other option is present.
    pub has_unknown: bool,
    /// Not an option: the most data of a response, for a bridge that takes less than others.
    pub room: Option<u8>,
}

impl Call {
    /// Reads a method call's arguments.
    ///
    /// # Errors
    ///
    /// When they are not `y y y ay a{sv}`.
    pub fn parse(message: &Message) -> zbus::Result<Self> {
        let body = message.body();
        let (netfn, lun, command, data, options): (
            u8,
            u8,
            u8,
            Vec<u8>,
            HashMap<&str, Variant<'_>>,
        ) = body.deserialize()?;
        let mut known = CallOptions::default();
        for (name, value) in &options {
            known.add(
                name,
                match value {
                    Variant::I32(value) => Some(OptionValue::Signed(*value)),
                    Variant::U32(value) => Some(OptionValue::Unsigned(*value)),
                    _ => None,
                },
            );
        }
        let (sender, options) = (sender_of(message).into(), known);
        Ok(Self { sender, netfn, lun, command, data, options })
    }
}

impl CallOptions {
    /// Adds an option; `None` for a value of a type that no known option has.
    pub(super) fn add(&mut self, name: &str, value: Option<OptionValue>) {
        let signed = match value {
            Some(OptionValue::Signed(value)) => Some(value),
            _ => None,
        };
        match name {
            USER_ID => self.user_id = signed,
            PRIVILEGE => self.privilege = signed,
            SESSION_ID => {
                self.session_id = match value {
                    Some(OptionValue::Unsigned(value)) => Some(value),
                    _ => None,
                }
            }
            RQ_SA => self.rq_sa = signed,
            HOST_ID => self.host_id = signed,
            _ => {}
        }
        match name {
            USER_ID | PRIVILEGE | SESSION_ID => self.names_session = true,
            RQ_SA | HOST_ID => self.names_satellite = true,
            _ => self.has_unknown = true,
        }
    }
}

/// The unique bus name of a message's sender; empty on a direct link.
pub(super) fn sender_of(message: &Message) -> String {
    let header = message.header();
    let sender = header.sender().map(|name| name.as_str().to_owned());
    sender.unwrap_or_default()
}

/// The reply to `call`.
pub(super) fn reply_message(
    call: &Message,
    netfn: u8,
    lun: u8,
    command: u8,
    reply: &ResponseBody,
) -> zbus::Result<Message> {
    // One struct, not five values: hence the tuple in a tuple.
    let response = (netfn | 1, lun, command, reply.completion.0, reply.data.as_slice());
    Message::method_return(&call.header()).build(&(response,))
}

#[cfg(test)]
mod tests {
    use ipmi_proto::{Lun, NetFn};

    use super::*;

    #[test]
    fn call_has_the_contracts_signature_and_no_sender() {
        let request =
            Request { netfn: NetFn::APP, lun: Lun::BMC, command: 0x01, data: vec![1, 2, 3] };
        let caller = Caller::Session {
            user_id: 2,
            privilege: Privilege::Administrator,
            session_id: 0x8000_0001,
        };
        let message = call_message(&request, caller).unwrap();
        assert_eq!(message.body().signature().to_string_no_parens(), "yyyaya{sv}");
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
