//! A warning for a QEMU whose power nobody controls: `platformd` simulates its own host in place of it.

use std::sync::Arc;
use std::time::Duration;

use openbmc_dbus::client::{Client, ObjectAt};
use openbmc_dbus::execute::LinkState;
use openbmc_dbus::simulation;
use openbmc_dbus::state::host;
use tokio::sync::Notify;
use tracing::{debug, warn};

/// How long `platformd` may take to answer.
const DEADLINE: Duration = Duration::from_secs(2);

/// Logs once that power is simulated while a QEMU is connected. Asks at each time that QEMU connects.
pub(crate) async fn warn_if_simulated(connected: Arc<Notify>, link: LinkState) {
    loop {
        connected.notified().await;
        let Some(bus) = link.borrow().clone() else { continue };
        let object = ObjectAt::new(host::SERVICE, host::PATH);
        match Client::new(bus, DEADLINE).get(&object, simulation::BACKEND).await {
            Ok(backend) if backend == simulation::SIMULATED => {
                warn!(
                    "QEMU is connected, but its power is simulated: power commands do not reach it, and it is not seen \
                     to go off; set the backend of platformd's [host] to \"qemu\""
                );
                return;
            }
            Ok(_) => {}
            // A BMC's own services have no such property.
            Err(error) => debug!(%error, "it is not known whether power is simulated"),
        }
    }
}
