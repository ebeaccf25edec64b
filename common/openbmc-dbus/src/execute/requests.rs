//! `ipmid`'s connection for requests, which owns its name.

use zbus::{Connection, MessageStream};

use super::SERVICE;
use crate::bus::{self, OwnNameError, OwnedName};

/// A connection that owns `ipmid`'s name, and the calls that arrived since then.
///
/// Calls wait from the moment the name is owned until [`serve`](super::serve) handles them, so that
/// `ipmid` can own the name before it opens its state.
pub struct Requests {
    pub(super) connection: Connection,
    pub(super) calls: MessageStream,
    pub(super) name: OwnedName,
}

impl std::fmt::Debug for Requests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Requests").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl Requests {
    /// Owns the name on `connection`, for a daemon that starts; see [`OwnedName::request_at_start`].
    ///
    /// # Errors
    ///
    /// [`OwnNameError::Taken`] when another `ipmid` runs.
    pub async fn at_start(connection: Connection) -> Result<Self, OwnNameError> {
        let calls = bus::messages(&connection);
        let name = OwnedName::request_at_start(&connection, SERVICE).await?;
        Ok(Self { connection, calls, name })
    }

    /// As [`at_start`](Self::at_start), for a daemon that served before.
    ///
    /// # Errors
    ///
    /// When the name cannot be owned.
    pub async fn again(connection: Connection) -> Result<Self, OwnNameError> {
        let calls = bus::messages(&connection);
        let name = OwnedName::request(&connection, SERVICE).await?;
        Ok(Self { connection, calls, name })
    }
}
