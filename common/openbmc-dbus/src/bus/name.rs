//! Ownership of a well-known name, and its loss.
//!
//! All names of the suite are requested here: no process can replace the owner of a name, and none queues for it
//!  (D-Bus specification, `org.freedesktop.DBus.RequestName`).

use std::num::NonZeroUsize;
use std::time::Duration;

use daemon::Outage;
use futures_util::StreamExt;
use tokio::time::{self, Instant};
use tracing::{info, warn};
use zbus::fdo::{self, RequestNameFlags, RequestNameReply};
use zbus::{Connection, MessageStream};

use super::watch::bus_rule;

/// The bus daemon's name, which is its interface's too.
pub(super) const BUS: &str = "org.freedesktop.DBus";
/// The bus daemon's object.
pub(super) const BUS_PATH: &str = "/org/freedesktop/DBus";

/// How long the name of a predecessor that was killed may still be taken when a daemon starts.
const PREDECESSOR: Duration = Duration::from_secs(2);
/// The time between two requests during [`PREDECESSOR`].
const SOON: Duration = Duration::from_millis(50);
/// The time between two requests for a name that another process owns.
const RETRY: Duration = Duration::from_secs(30);

/// Why a well-known name cannot be owned.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OwnNameError {
    /// The bus policy (`/usr/share/dbus-1/system.d`) does not let this user own the name.
    #[error("the bus policy forbids it to this user: {0}")]
    Forbidden(String),
    /// Another connection owns the name.
    #[error("another process owns it")]
    Taken,
    /// The bus did not reply, or the name is invalid.
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

/// Owns `name` on `connection`. No connection replaces the owner of a name.
///
/// # Errors
///
/// [`OwnNameError`], which distinguishes the policy and another owner.
pub async fn own_name(connection: &Connection, name: &str) -> Result<(), OwnNameError> {
    let body = (name, RequestNameFlags::DO_NOT_QUEUE);
    let reply =
        connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "RequestName", &body).await?;
    match reply.body().deserialize()? {
        RequestNameReply::PrimaryOwner | RequestNameReply::AlreadyOwner => Ok(()),
        RequestNameReply::InQueue | RequestNameReply::Exists => Err(OwnNameError::Taken),
    }
}

/// Owns `name` as long as `connection` is open: requests it again while another process owns it, and
/// when it is lost. Logs each change once.
pub async fn maintain_name(connection: &Connection, name: &str) {
    let outage = Outage::new();
    let log = |error: &OwnNameError| warn!(name, %error, "cannot own the bus name; retrying");
    loop {
        let request = || OwnedName::request(connection, name);
        let owned = tokio::select! {
            () = connection.closed() => return,
            owned = outage.retry(RETRY, request, log) => owned,
        };
        if outage.end() {
            info!(name, "owns the bus name now");
        }
        if owned.ended().await == NameEnd::BusClosed {
            return;
        }
        warn!(name, "lost the bus name; requesting it again");
    }
}

/// A well-known name that a connection owns.
#[derive(Debug)]
pub struct OwnedName {
    connection: Connection,
    losses: MessageStream,
}

/// Why a connection no longer owns a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NameEnd {
    /// The connection is closed: the bus went away.
    BusClosed,
    /// The bus says that the connection lost the name, and still serves the connection.
    Lost,
}

impl OwnedName {
    /// Owns `name` on `connection`, as [`own_name`] does, and watches for its loss.
    ///
    /// # Errors
    ///
    /// As [`own_name`].
    pub async fn request(connection: &Connection, name: &str) -> Result<Self, OwnNameError> {
        // Owned, because a copy has no room for the 64 arguments that a builder reserves.
        let rule = bus_rule("NameLost").arg(0, name).build()?.to_owned();
        // Before the request, so that no loss is missed in between.
        let losses =
            MessageStream::for_match_rule(rule, connection, Some(NonZeroUsize::MIN)).await?;
        own_name(connection, name).await?;
        Ok(Self { connection: connection.clone(), losses })
    }

    /// As [`request`](Self::request), for a daemon that starts: waits a moment for the end of a
    /// predecessor which was killed, and whose connection the bus has not closed yet.
    ///
    /// # Errors
    ///
    /// As [`own_name`]; [`OwnNameError::Taken`] when a running process owns the name.
    pub async fn request_at_start(
        connection: &Connection,
        name: &str,
    ) -> Result<Self, OwnNameError> {
        let end = Instant::now() + PREDECESSOR;
        loop {
            match Self::request(connection, name).await {
                Err(OwnNameError::Taken) if Instant::now() < end => time::sleep(SOON).await,
                result => return result,
            }
        }
    }

    /// Waits until the connection no longer owns the name.
    pub async fn ended(mut self) -> NameEnd {
        tokio::select! {
            biased;
            () = self.connection.closed() => NameEnd::BusClosed,
            lost = self.losses.next() => match lost {
                Some(Ok(_)) => NameEnd::Lost,
                Some(Err(_)) | None => NameEnd::BusClosed,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bus;

    const NAME: &str = "xyz.openbmc_project.Ipmi.Host";

    async fn owner(connection: &Connection) -> String {
        let asked = connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "GetNameOwner", &NAME);
        asked.await.unwrap().body().deserialize().unwrap()
    }

    fn unique(connection: &Connection) -> String {
        connection.unique_name().unwrap().to_string()
    }

    async fn release(connection: &Connection) {
        let called = connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "ReleaseName", &NAME);
        called.await.unwrap();
    }

    #[tokio::test]
    async fn a_name_is_neither_taken_from_its_owner_nor_given_up() {
        let bus = Bus::start();
        let (first, second) = (bus.connect().await, bus.connect().await);
        own_name(&first, NAME).await.unwrap();
        own_name(&first, NAME).await.unwrap();
        let refused = own_name(&second, NAME).await;
        assert!(matches!(refused, Err(OwnNameError::Taken)), "{refused:?}");
        // Not even to one that asks to replace the owner.
        let flags = RequestNameFlags::REPLACE_EXISTING | RequestNameFlags::DO_NOT_QUEUE;
        assert!(second.request_name_with_flags(NAME, flags).await.is_err());
        assert_eq!(owner(&second).await, unique(&first));
        // None queues: once the name is free it stays free.
        release(&first).await;
        own_name(&first, NAME).await.unwrap();
        assert_eq!(owner(&second).await, unique(&first));
    }

    #[tokio::test]
    async fn a_loss_and_a_closed_bus_are_noticed() {
        let mut bus = Bus::start();
        let connection = bus.connect().await;
        let owned = OwnedName::request(&connection, NAME).await.unwrap();
        release(&connection).await;
        assert_eq!(owned.ended().await, NameEnd::Lost);
        let owned = OwnedName::request(&connection, NAME).await.unwrap();
        bus.kill();
        assert_eq!(owned.ended().await, NameEnd::BusClosed);
    }

    #[tokio::test]
    async fn a_name_that_is_lost_is_taken_back() {
        let bus = Bus::start();
        let (connection, other) = (bus.connect().await, bus.connect().await);
        let keeper = connection.clone();
        let keeping = tokio::spawn(async move { maintain_name(&keeper, NAME).await });
        for _ in 0..3 {
            while other
                .call_method(Some(BUS), BUS_PATH, Some(BUS), "GetNameOwner", &NAME)
                .await
                .is_err()
            {
                tokio::task::yield_now().await;
            }
            assert_eq!(owner(&other).await, unique(&connection));
            release(&connection).await;
        }
        connection.close().await.unwrap();
        keeping.await.unwrap();
    }

    #[tokio::test]
    async fn a_predecessor_that_ends_is_waited_for_at_the_start() {
        let bus = Bus::start();
        let (first, second) = (bus.connect().await, bus.connect().await);
        own_name(&first, NAME).await.unwrap();
        let requested = OwnedName::request_at_start(&second, NAME);
        let (owned, ()) = tokio::join!(requested, async {
            first.close().await.unwrap();
        });
        owned.unwrap();
        assert_eq!(owner(&second).await, unique(&second));
    }
}
