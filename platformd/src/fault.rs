//! The D-Bus errors with which calls are answered.

use openbmc_dbus::common::error;
use openbmc_dbus::interface::ValueError;

/// A D-Bus error reply: its name, and a text for people.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{name}: {text}")]
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) text: String,
}

impl Fault {
    pub(crate) fn unknown_object(path: &str) -> Self {
        let text = format!("no object {path}");
        Self { name: "org.freedesktop.DBus.Error.UnknownObject", text }
    }

    pub(crate) fn unknown_interface(path: &str, interface: &str) -> Self {
        let text = format!("{path} has no interface {interface}");
        Self { name: "org.freedesktop.DBus.Error.UnknownInterface", text }
    }

    pub(crate) fn unknown_property(interface: &str, property: &str) -> Self {
        let text = format!("{interface} has no property {property}");
        Self { name: "org.freedesktop.DBus.Error.UnknownProperty", text }
    }

    pub(crate) fn unknown_method(interface: &str, method: &str) -> Self {
        let text = format!("no method {interface}.{method}");
        Self { name: "org.freedesktop.DBus.Error.UnknownMethod", text }
    }

    pub(crate) fn access_denied() -> Self {
        let text = "this user may change nothing here".to_owned();
        Self { name: "org.freedesktop.DBus.Error.AccessDenied", text }
    }

    pub(crate) fn overload() -> Self {
        let text = "too many calls wait".to_owned();
        Self { name: "org.freedesktop.DBus.Error.LimitsExceeded", text }
    }

    pub(crate) fn read_only(interface: &str, property: &str) -> Self {
        let text = format!("{interface}.{property} is read-only");
        Self { name: "org.freedesktop.DBus.Error.PropertyReadOnly", text }
    }

    pub(crate) fn arguments(want: &str) -> Self {
        let text = format!("arguments of type ({want}) are expected");
        Self { name: "org.freedesktop.DBus.Error.InvalidArgs", text }
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self { name: error::RESOURCE_NOT_FOUND, text: format!("nothing such: {what}") }
    }

    pub(crate) fn user_exists(name: &str) -> Self {
        Self {
            name: "xyz.openbmc_project.User.Common.Error.UserNameExists",
            text: format!("there is a user {name:?}"),
        }
    }

    pub(crate) fn no_user(name: &str) -> Self {
        Self {
            name: "xyz.openbmc_project.User.Common.Error.UserNameDoesNotExist",
            text: format!("there is no user {name:?}"),
        }
    }

    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self { name: error::INVALID_ARGUMENT, text: text.into() }
    }

    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self { name: error::INTERNAL_FAILURE, text: text.into() }
    }

    pub(crate) fn unavailable(text: impl Into<String>) -> Self {
        Self { name: error::UNAVAILABLE, text: text.into() }
    }

    pub(crate) fn not_allowed(text: impl Into<String>) -> Self {
        Self { name: error::NOT_ALLOWED, text: text.into() }
    }
}

impl From<ValueError> for Fault {
    fn from(error: ValueError) -> Self {
        Self::invalid(error.to_string())
    }
}
