//! Owning a well-known name, and why that fails.

use zbus::Connection;
use zbus::fdo::{self, RequestNameFlags};

/// Why a well-known name is not ours.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OwnNameError {
    /// The bus policy (`/usr/share/dbus-1/system.d`) does not let this user own the name.
    #[error("the bus policy forbids it to this user: {0}")]
    Forbidden(String),
    /// Another connection owns the name; it keeps it.
    #[error("another process owns it")]
    Taken,
    /// The bus did not answer, or the name is invalid.
    #[error(transparent)]
    Bus(zbus::Error),
}

impl From<zbus::Error> for OwnNameError {
    fn from(error: zbus::Error) -> Self {
        let forbidden = "org.freedesktop.DBus.Error.AccessDenied";
        match error {
            zbus::Error::NameTaken => Self::Taken,
            zbus::Error::FDO(error) => match *error {
                fdo::Error::AccessDenied(text) => Self::Forbidden(text),
                fdo::Error::ZBus(error) => error.into(),
                other => Self::Bus(zbus::Error::FDO(Box::new(other))),
            },
            zbus::Error::MethodError(ref name, ref text, _) if name.as_str() == forbidden => {
                Self::Forbidden(text.clone().unwrap_or_default())
            }
            other => Self::Bus(other),
        }
    }
}

impl From<OwnNameError> for zbus::Error {
    fn from(error: OwnNameError) -> Self {
        match error {
            OwnNameError::Forbidden(text) => fdo::Error::AccessDenied(text).into(),
            OwnNameError::Taken => Self::NameTaken,
            OwnNameError::Bus(error) => error,
        }
    }
}

/// Owns `name` on `connection`. A connection that owns it already keeps it, and neither does this one
/// give it up for another.
///
/// # Errors
///
/// [`OwnNameError`], which says whether the policy or another process is in the way.
pub async fn own_name(connection: &Connection, name: &str) -> Result<(), OwnNameError> {
    let requested = connection.request_name_with_flags(name, RequestNameFlags::DO_NOT_QUEUE).await;
    Ok(requested.map(drop)?)
}
