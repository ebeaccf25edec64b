//! Failed calls: what was called, and why there is no result.

use std::fmt;

use zbus::fdo;

use super::ObjectAt;
use crate::common::error;
use crate::interface::Method;

/// The most bytes of a cause, whose text is the service's; the rest is cut.
const MAX_CAUSE: usize = 256;

/// What a call wants of an object: one of its methods, or its properties.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Member<'a> {
    /// A call of the method of an interface.
    Method(&'a str, &'a str),
    /// A read of the property of an interface.
    Get(&'a str, &'a str),
    /// A write of the property of an interface.
    Set(&'a str, &'a str),
    /// A read of all properties of an interface.
    GetAll(&'a str),
}

impl From<Method> for Member<'static> {
    fn from(method: Method) -> Self {
        Self::Method(method.interface, method.name)
    }
}

impl fmt::Display for Member<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(interface, name) => write!(f, "{interface}.{name}"),
            Self::Get(interface, name) => write!(f, "Get {interface}.{name}"),
            Self::Set(interface, name) => write!(f, "Set {interface}.{name}"),
            Self::GetAll(interface) => write!(f, "GetAll {interface}"),
        }
    }
}

/// A call without a result. A field that is not known is empty.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FailedCall {
    /// The bus name that was called.
    pub service: String,
    /// The path of the object.
    pub path: String,
    /// The member that was called, as [`Member`] writes it.
    pub member: String,
    /// Why: the D-Bus error's name and text, of at most 256 bytes.
    pub cause: String,
}

impl FailedCall {
    /// A call of `member` of `object` that failed by `cause`.
    #[must_use]
    pub fn new(object: &ObjectAt, member: Member<'_>, cause: &impl fmt::Display) -> Self {
        Self {
            service: object.service.clone(),
            path: object.path.clone(),
            ..Self::of(member, cause)
        }
    }

    /// The same, where the object is not known.
    #[must_use]
    pub fn of(member: Member<'_>, cause: &impl fmt::Display) -> Self {
        Self { member: member.to_string(), ..Self::because(cause) }
    }

    /// A failure before any call.
    #[must_use]
    pub fn because(cause: &impl fmt::Display) -> Self {
        let mut cause = cause.to_string();
        if cause.len() > MAX_CAUSE {
            cause.truncate(cause.floor_char_boundary(MAX_CAUSE - "...".len()));
            cause.push_str("...");
        }
        Self { cause, ..Self::default() }
    }
}

impl fmt::Display for FailedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.member.is_empty() {
            f.write_str(&self.member)?;
            if !self.path.is_empty() {
                write!(f, " of {}", self.path)?;
            }
            if !self.service.is_empty() {
                write!(f, " at {}", self.service)?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.cause)
    }
}

/// Why a call to a service gave no result.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The service did not reply in time.
    #[error("{0}")]
    Deadline(Box<FailedCall>),
    /// No such service is on the bus, or it left before it replied.
    #[error("{0}")]
    Gone(Box<FailedCall>),
    /// The service, or the mapper, knows no such object, interface, method or property.
    #[error("{0}")]
    NotFound(Box<FailedCall>),
    /// The service refused.
    #[error("{0}")]
    Refused(Box<FailedCall>),
    /// The reply has another type or value than the interface defines.
    #[error("{0}")]
    InvalidReply(Box<FailedCall>),
    /// The connection failed.
    #[error("{0}")]
    Bus(Box<FailedCall>),
}

impl CallError {
    /// The error of a call of `member` of `object` that the bus library reports as `error`.
    pub(super) fn new(object: &ObjectAt, member: Member<'_>, error: &zbus::Error) -> Self {
        use zbus::DBusError as _;
        let call = |cause: &dyn fmt::Display| Box::new(FailedCall::new(object, member, &cause));
        match error {
            zbus::Error::FDO(error) => {
                let call = call(&reply(&error.name(), error.description()));
                match **error {
                    fdo::Error::ServiceUnknown(_)
                    | fdo::Error::NameHasNoOwner(_)
                    | fdo::Error::NoReply(_)
                    | fdo::Error::Disconnected(_) => Self::Gone(call),
                    fdo::Error::UnknownObject(_)
                    | fdo::Error::UnknownInterface(_)
                    | fdo::Error::UnknownMethod(_)
                    | fdo::Error::UnknownProperty(_) => Self::NotFound(call),
                    _ => Self::Refused(call),
                }
            }
            zbus::Error::MethodError(name, text, _) => {
                let call = call(&reply(name, text.as_deref()));
                match name.as_str() {
                    error::RESOURCE_NOT_FOUND => Self::NotFound(call),
                    _ => Self::Refused(call),
                }
            }
            error => Self::Bus(call(error)),
        }
    }

    /// The error of a call of `member` of `object` whose reply is invalid by `cause`.
    #[must_use]
    pub fn invalid(object: &ObjectAt, member: Member<'_>, cause: &impl fmt::Display) -> Self {
        Self::InvalidReply(Box::new(FailedCall::new(object, member, cause)))
    }

    /// The error where no service has an object at or below `path` whose `member` could be called.
    #[must_use]
    pub fn no_object(path: &str, member: Member<'_>) -> Self {
        let call = FailedCall::of(member, &"no service has such an object");
        Self::NotFound(Box::new(FailedCall { path: path.to_owned(), ..call }))
    }

    /// Whether the service, the object or the member does not exist.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Gone(_) | Self::NotFound(_))
    }

    /// The call that failed.
    #[must_use]
    pub fn call(&self) -> &FailedCall {
        match self {
            Self::Deadline(call)
            | Self::Gone(call)
            | Self::NotFound(call)
            | Self::Refused(call)
            | Self::InvalidReply(call)
            | Self::Bus(call) => call,
        }
    }

    /// The error of a property ([`Properties::get`](super::Properties::get)), with the object that has the property.
    #[must_use]
    pub fn of_object(mut self, object: &ObjectAt) -> Self {
        let call = self.call_mut();
        call.service.clone_from(&object.service);
        call.path.clone_from(&object.path);
        self
    }

    /// The error of the mapper, with the object that it was asked for instead of its own.
    #[must_use]
    pub fn of_wanted(mut self, path: &str) -> Self {
        path.clone_into(&mut self.call_mut().path);
        self
    }

    /// The error of the mapper, with the member that its caller wants of the object.
    #[must_use]
    pub fn wanted_for(mut self, member: Member<'_>) -> Self {
        self.call_mut().member = member.to_string();
        self
    }

    fn call_mut(&mut self) -> &mut FailedCall {
        match self {
            Self::Deadline(call)
            | Self::Gone(call)
            | Self::NotFound(call)
            | Self::Refused(call)
            | Self::InvalidReply(call)
            | Self::Bus(call) => call,
        }
    }
}

/// The name and the text of an error reply.
fn reply(name: &str, text: Option<&str>) -> String {
    match text {
        Some(text) if !text.is_empty() => format!("{name}: {text}"),
        _ => name.to_owned(),
    }
}
