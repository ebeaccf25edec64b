//! Objects of our own under a well-known name that another process may have in our place.

use std::convert::Infallible;
use std::time::Duration;

use openbmc_dbus::bus;
use tokio::time;
use tracing::info;
use zbus::Connection;
use zbus::fdo::RequestNameFlags;

/// How long between two attempts to own the name.
const RETRY: Duration = Duration::from_secs(30);

/// Has `place` put the objects on a connection of their own, which owns `name`, for as long as the daemon
/// lives, whatever the bus does. A process that has the name already keeps it.
pub(super) async fn serve<F: Future<Output = zbus::Result<()>>>(
    name: &'static str,
    place: impl Fn(Connection) -> F,
) -> Infallible {
    let mut refused = false;
    loop {
        let connection = bus::connect().await;
        let owned = async {
            place(connection.clone()).await?;
            let flags = RequestNameFlags::DO_NOT_QUEUE;
            connection.request_name_with_flags(name, flags).await
        };
        match owned.await {
            Ok(_) => {
                refused = false;
                connection.closed().await;
            }
            Err(error) => {
                if !std::mem::replace(&mut refused, true) {
                    info!(%error, name, "another process has this name");
                }
                time::sleep(RETRY).await;
            }
        }
    }
}
