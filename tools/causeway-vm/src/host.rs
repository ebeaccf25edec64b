//! The power of a BMC's host, over the BMC's bus.

use std::time::Duration;

use openbmc_dbus::bus;
use openbmc_dbus::client::{CallError, Client, ObjectAt};
use openbmc_dbus::state::chassis::{self, PowerState};
use openbmc_dbus::state::host::{self, Transition};

use crate::places::Place;

/// How long a call may take.
const LIMIT: Duration = Duration::from_secs(3);

/// Connects to the bus.
async fn connect(place: &Place) -> zbus::Result<Client> {
    Ok(Client::new(bus::connect_to(&place.bus_address(), LIMIT).await?, LIMIT))
}

/// Whether power is on: `on`, `off`, `switching`, or `unknown`.
pub(crate) async fn power(place: &Place) -> &'static str {
    let object = ObjectAt::new(chassis::SERVICE, chassis::PATH);
    let read =
        async { connect(place).await.ok()?.get(&object, chassis::CURRENT_POWER_STATE).await.ok() };
    match tokio::time::timeout(LIMIT, read).await.ok().flatten() {
        Some(PowerState::On) => "on",
        Some(PowerState::Off) => "off",
        Some(PowerState::TransitioningToOff | PowerState::TransitioningToOn) => "switching",
        None => "unknown",
    }
}

/// Switches the host on.
///
/// # Errors
///
/// A text that says why it stays off.
pub(crate) async fn switch_on(place: &Place) -> Result<(), String> {
    let client = connect(place).await.map_err(|error| format!("no bus: {error}"))?;
    let object = ObjectAt::new(host::SERVICE, host::PATH);
    let set = client.set(&object, host::REQUESTED_HOST_TRANSITION, Transition::On).await;
    set.map_err(|error: CallError| {
        // The name of the D-Bus error says nothing that its text does not.
        let cause = &error.call().cause;
        cause.rsplit_once("InternalFailure: ").map_or(cause.as_str(), |(_, text)| text).to_owned()
    })
}
