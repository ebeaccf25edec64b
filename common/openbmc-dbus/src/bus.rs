//! Connections to the system bus, names on it, and subscriptions.
//!
//! A daemon that is up while the bus is not must neither end nor spin: [`connect`] retries with a
//! bounded pace and logs once that the bus is absent and once that it is back.

mod name;
mod owned;
pub(crate) mod socket;
mod user;
mod watch;

use std::env;
use std::num::NonZeroUsize;
use std::time::Duration;

use daemon::Outage;
use tokio::net::UnixStream;
use tracing::{info, warn};
use zbus::connection::{AuthMechanism, Builder};
use zbus::{Connection, MessageStream};

pub use self::name::{NameEnd, OwnNameError, OwnedName, maintain_name, own_name};
pub use self::owned::serve_owned;
use self::socket::BufferedStream;
pub use self::user::user_of;
pub use self::watch::{
    OwnerChange, add_match, owner_rule, owners_rule, properties_rule, watch_owner, watch_owners,
    watch_properties,
};

/// The time between two attempts to connect.
const RETRY: Duration = Duration::from_millis(250);

/// The longest any plain method call on our connections may take. Shorter than what a host driver
/// (5 s) or `ipmid` itself (2.5 s) may wait, so that a hung service costs one C3h and no more.
pub const METHOD_TIMEOUT: Duration = Duration::from_secs(2);

/// Messages that the stream of [`messages`] may hold before reading pauses.
const QUEUE: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// The address of the system bus unless the environment has another.
const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";

/// Connects to the system bus (or to `DBUS_SYSTEM_BUS_ADDRESS`), however long it takes.
///
/// Logs one line when the bus is absent and one when it is back, however many connections the process
/// wants.
pub async fn connect() -> Connection {
    // One for the process, whose connections all fail together.
    static OUTAGE: Outage = Outage::new();
    let log = |error: &zbus::Error| match user::explanation(&address(), error) {
        Some(why) => warn!(%error, why, "cannot connect to the bus; retrying"),
        None => warn!(%error, "cannot connect to the bus; retrying"),
    };
    let connection = OUTAGE.retry(RETRY, try_connect, log).await;
    if OUTAGE.end() {
        info!("the bus is back");
    }
    connection
}

/// Connects to the system bus once.
///
/// # Errors
///
/// What the address, the socket or the handshake failed with.
pub async fn try_connect() -> zbus::Result<Connection> {
    connect_to(&address(), METHOD_TIMEOUT).await
}

/// Connects to the bus at `address` once. Calls on the connection may take `timeout`.
///
/// A bus that takes anonymous connections only gets one; see [`user_of`].
///
/// # Errors
///
/// What the address, the socket or the handshake failed with.
pub async fn connect_to(address: &str, timeout: Duration) -> zbus::Result<Connection> {
    match connect_as(AuthMechanism::External, address, timeout).await {
        Err(refused @ zbus::Error::Handshake(_)) => {
            connect_as(AuthMechanism::Anonymous, address, timeout).await.map_err(|_| refused)
        }
        other => other,
    }
}

async fn connect_as(
    mechanism: AuthMechanism,
    address: &str,
    timeout: Duration,
) -> zbus::Result<Connection> {
    let builder = match unix_socket(address) {
        Some(path) => Builder::socket(BufferedStream::new(
            UnixStream::connect(path).await?.into_std()?.into(),
        )?),
        None => Builder::address(address),
    };
    builder.auth_mechanism(mechanism).method_timeout(timeout).build().await
}

/// All messages that `connection` receives from now on.
///
/// The stream holds more of them than that of a connection which is for calls alone: whoever reads it may wait for a
/// reply on the same connection, which comes after them.
pub fn messages(connection: &Connection) -> MessageStream {
    let mut messages = MessageStream::from(connection);
    messages.set_max_queued(QUEUE);
    messages
}

/// The address of the system bus: what `DBUS_SYSTEM_BUS_ADDRESS` says, or the well-known one.
#[must_use]
pub fn address() -> String {
    env::var("DBUS_SYSTEM_BUS_ADDRESS").unwrap_or_else(|_| SYSTEM_BUS.to_owned())
}

/// The socket of the first unix address in a D-Bus address list, in the form `connect` takes (a
/// leading NUL for an abstract one); `None` where escapes or other transports are used, which the
/// library's own connector handles.
fn unix_socket(address: &str) -> Option<String> {
    let options = address.split(';').next()?.strip_prefix("unix:")?;
    let socket = options.split(',').find_map(|option| {
        let (key, value) = option.split_once('=')?;
        match key {
            "path" => Some(value.to_owned()),
            "abstract" => Some(format!("\0{value}")),
            _ => None,
        }
    })?;
    (!socket.contains('%')).then_some(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_addresses_become_socket_names() {
        for (address, socket) in [
            ("unix:path=/run/bus", Some("/run/bus")),
            ("unix:guid=00,path=/run/bus", Some("/run/bus")),
            ("unix:abstract=causeway,guid=00", Some("\0causeway")),
            ("unix:path=/run/bus;tcp:host=localhost,port=1", Some("/run/bus")),
            ("unix:path=/run/with%20space", None),
            ("tcp:host=localhost,port=1", None),
        ] {
            assert_eq!(unix_socket(address).as_deref(), socket, "{address}");
        }
    }
}
