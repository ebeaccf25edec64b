//! Objects of our own under a well-known name that another process may own instead.

use std::convert::Infallible;
use std::mem;
use std::time::Duration;

use daemon::Outage;
use tokio::time;
use tracing::{info, warn};
use zbus::Connection;

use super::{NameEnd, OwnNameError, OwnedName, connect};

/// The time between two attempts to own the name.
const RETRY: Duration = Duration::from_secs(30);

/// Serves the objects that `publish` puts on a connection of their own, which owns `name`, as long as
/// the daemon runs, across restarts of the bus. If another process owns the name, it is not replaced.
pub async fn serve_owned<F: Future<Output = zbus::Result<()>>>(
    name: &str,
    publish: impl Fn(Connection) -> F,
) -> Infallible {
    let outage = Outage::new();
    loop {
        let connection = connect().await;
        let owned = async {
            publish(connection.clone()).await?;
            OwnedName::request(&connection, name).await
        };
        match owned.await {
            Ok(owned) => {
                if outage.end() {
                    info!(name, "owns the bus name now");
                }
                if owned.ended().await == NameEnd::Lost {
                    warn!(name, "lost the bus name; connecting again");
                }
            }
            Err(error) => {
                // Logged when the cause changes, not at every attempt.
                if outage.begin_for(mem::discriminant(&error)) {
                    log_refusal(name, &error);
                }
                time::sleep(RETRY).await;
            }
        }
    }
}

fn log_refusal(name: &str, error: &OwnNameError) {
    match error {
        // Another process serves the interface, as it should on such a platform.
        OwnNameError::Taken => info!(name, "not serving this bus name: {error}"),
        OwnNameError::Forbidden(_) | OwnNameError::Bus(_) => {
            warn!(name, %error, "cannot own this bus name; its objects are not served; retrying");
        }
    }
}
