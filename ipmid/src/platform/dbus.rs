//! The platform as the D-Bus services of the machine, OpenBMC's or `platformd`'s.

mod accounts;
mod bmc;
mod boot;
mod boot_progress;
mod bridges;
mod chassis;
mod dcmi;
mod event_log;
mod fru;
mod host_control;
mod locate;
mod network;
mod owned;
mod power;
#[cfg(test)]
pub(crate) mod private_bus;
mod remembered;
mod sensors;
mod sessions;
mod signals;
mod sol;
mod time;
mod watchdog;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use daemon::RateLimit;
use openbmc_dbus::bus::{self, METHOD_TIMEOUT};
use openbmc_dbus::client::{CallError, Client, ObjectAt, Properties};
use openbmc_dbus::interface::{Method, Property, PropertyValue};
use tokio::time::sleep;
use tracing::{debug, warn};
use zbus::{Connection, Message};

pub use self::accounts::{DbusAccounts, follow_accounts};
use self::bmc::Firmware;
pub use self::bridges::Bridges;
pub use self::event_log::EventLog;
pub use self::host_control::HostControl;
use self::locate::{Located, Place};
use self::sensors::SensorFeed;
use self::signals::Signals;
use super::{PlatformError, PlatformResult};
use crate::model::persistent::lock;
use crate::model::sensors::SensorStore;

/// How long between two attempts to follow signals.
const RETRY: Duration = Duration::from_secs(1);
/// A failure that lasts is logged once a minute.
static NOT_FOLLOWED: RateLimit = RateLimit::new(1, Duration::from_secs(60));

/// The machine's services, over a connection that may come and go.
#[derive(Debug, Default)]
pub struct DbusPlatform {
    link: Mutex<Option<Arc<Link>>>,
    sensors: SensorFeed,
    signals: Signals,
    bridges: Bridges,
}

/// What holds while one connection lasts.
#[derive(Debug)]
struct Link {
    client: Client,
    located: Mutex<Located>,
    firmware: Firmware,
}

impl DbusPlatform {
    /// With the sensors in `sensors`, which keeps what of them outlives the daemon.
    #[must_use]
    pub fn new(sensors: Arc<SensorStore>, bridges: Bridges) -> Self {
        Self {
            link: Mutex::default(),
            sensors: SensorFeed::new(sensors),
            signals: Signals::default(),
            bridges,
        }
    }

    /// Uses `connection` from now on; what was known over the one before is forgotten.
    pub async fn attach(&self, connection: &Connection) -> zbus::Result<()> {
        let client = Client::new(connection.clone(), METHOD_TIMEOUT);
        let firmware = Firmware::follow(connection).await?;
        let link = Link { client, located: Mutex::default(), firmware };
        *lock(&self.link) = Some(Arc::new(link));
        self.signals.service_started();
        Ok(())
    }

    /// There is no bus: every call ends with "absent" until there is one again.
    pub fn detach(&self) {
        *lock(&self.link) = None;
    }

    /// Follows the signals of the machine's services on a connection of their own, which is always drained.
    pub async fn follow_signals(&self) -> Infallible {
        loop {
            let connection = bus::connect().await;
            let followed = tokio::try_join!(
                self.sensors.follow(&connection),
                self.signals.follow(&connection)
            );
            if let Err(error) = followed
                && let Some(pass) = NOT_FOLLOWED.admit()
            {
                let swallowed = pass.swallowed;
                warn!(%error, swallowed, "cannot follow the signals of services; retrying");
            }
            self.sensors.set_current(false);
            sleep(RETRY).await;
        }
    }

    fn link(&self) -> PlatformResult<Arc<Link>> {
        lock(&self.link).clone().ok_or(PlatformError::Absent)
    }

    async fn get<T: PropertyValue>(
        &self,
        place: Place,
        property: Property<T>,
    ) -> PlatformResult<T> {
        let link = self.link()?;
        let client = &link.client;
        link.at(place, |object| async move { client.get(&object, property).await }).await
    }

    async fn get_all(&self, place: Place) -> PlatformResult<Properties> {
        let link = self.link()?;
        let client = &link.client;
        link.at(place, |object| async move { client.get_all(&object, place.interface()).await })
            .await
    }

    async fn set<T: PropertyValue + Clone>(
        &self,
        place: Place,
        property: Property<T>,
        value: T,
    ) -> PlatformResult<()> {
        let link = self.link()?;
        let (client, value) = (&link.client, &value);
        link.at(place, |object| async move { client.set(&object, property, value.clone()).await })
            .await
    }

    async fn call(&self, place: Place, method: Method) -> PlatformResult<()> {
        let link = self.link()?;
        let client = &link.client;
        link.at(place, |object| async move { client.call(&object, method, &()).await }).await
    }
}

impl Link {
    /// Does `act` on the object at `place`. A service that left or moved is looked for once more.
    async fn at<T, F>(&self, place: Place, act: impl Fn(ObjectAt) -> F) -> PlatformResult<T>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let remembered = lock(&self.located).get(place);
        if let Some(object) = remembered {
            match act(object).await {
                Err(CallError::Gone { .. } | CallError::NotFound { .. }) => {
                    lock(&self.located).forget(place);
                }
                result => return result.map_err(failed),
            }
        }
        let object = locate::find(&self.client, place).await.map_err(failed)?;
        lock(&self.located).remember(place, object.clone());
        act(object).await.map_err(failed)
    }
}

/// Subscribes to signals without waiting for the bus, whose reply the connection's readers ignore.
async fn add_match(connection: &Connection, rule: &str) -> zbus::Result<()> {
    call_bus(connection, "AddMatch", rule).await
}

/// Ends a subscription as [`add_match`] begins one.
async fn remove_match(connection: &Connection, rule: &str) -> zbus::Result<()> {
    call_bus(connection, "RemoveMatch", rule).await
}

async fn call_bus(connection: &Connection, member: &str, rule: &str) -> zbus::Result<()> {
    let bus = "org.freedesktop.DBus";
    let message = Message::method_call("/org/freedesktop/DBus", member)
        .destination(bus)
        .interface(bus)
        .build(&rule)?;
    connection.send(&message).await
}

/// What a handler is told of a call that failed.
fn failed(error: CallError) -> PlatformError {
    debug!(%error, "a service did not do what it was asked");
    match error {
        CallError::Deadline { .. } | CallError::Bus(_) => PlatformError::Timeout,
        CallError::Gone { .. } | CallError::NotFound { .. } => PlatformError::Absent,
        CallError::Refused { .. } | CallError::Answer(_) => PlatformError::Refused,
    }
}
