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
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use daemon::RateLimit;
use openbmc_dbus::bus::{self, METHOD_TIMEOUT};
use openbmc_dbus::client::{CallError, Client, Member, ObjectAt, Properties};
use openbmc_dbus::interface::{Method, Property, PropertyValue};
use tokio::time::sleep;
use tracing::warn;
use zbus::{Connection, Message};

pub use self::accounts::{DbusAccounts, follow_accounts};
use self::bmc::Firmware;
pub use self::bridges::Bridges;
pub use self::event_log::EventLog;
pub use self::host_control::HostControl;
use self::locate::{Located, Target};
use self::sensors::SensorFeed;
use self::signals::Signals;
use super::{PlatformError, PlatformResult};
use crate::model::persistent::lock;
use crate::model::sensors::SensorStore;

/// Time between two attempts to follow signals.
const RETRY: Duration = Duration::from_secs(1);
/// A failure that lasts is logged once a minute.
static NOT_FOLLOWED: RateLimit = RateLimit::new(1, Duration::from_secs(60));
/// The error of every call while there is no connection; made once, because requests may be many.
static NOT_CONNECTED: LazyLock<PlatformError> =
    LazyLock::new(|| PlatformError::absent(&"there is no connection to the bus"));

/// The machine's services, over a bus connection that may be lost and made again.
#[derive(Debug, Default)]
pub struct DbusPlatform {
    connected: Mutex<Option<Arc<Connected>>>,
    sensors: SensorFeed,
    signals: Signals,
    bridges: Bridges,
}

/// The client of one connection, with the caches that are valid for as long as the connection.
#[derive(Debug)]
struct Connected {
    client: Client,
    located: Mutex<Located>,
    firmware: Firmware,
}

impl DbusPlatform {
    /// A platform without a connection yet. `sensors` holds the sensors and their saved settings.
    #[must_use]
    pub fn new(sensors: Arc<SensorStore>, bridges: Bridges) -> Self {
        Self {
            connected: Mutex::default(),
            sensors: SensorFeed::new(sensors),
            signals: Signals::default(),
            bridges,
        }
    }

    /// Uses `connection` from now on, with empty caches: services may have moved since the one before.
    pub async fn attach(&self, connection: &Connection) -> zbus::Result<()> {
        let client = Client::new(connection.clone(), METHOD_TIMEOUT);
        let firmware = Firmware::follow(connection).await?;
        let connected = Connected { client, located: Mutex::default(), firmware };
        *lock(&self.connected) = Some(Arc::new(connected));
        self.signals.service_started();
        Ok(())
    }

    /// Drops the connection: every call fails with [`PlatformError::Absent`] until the next [`attach`](Self::attach).
    pub fn detach(&self) {
        *lock(&self.connected) = None;
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

    fn connected(&self) -> PlatformResult<Arc<Connected>> {
        lock(&self.connected).clone().ok_or_else(|| NOT_CONNECTED.clone())
    }

    async fn get<T: PropertyValue>(
        &self,
        target: Target,
        property: Property<T>,
    ) -> PlatformResult<T> {
        let connected = self.connected()?;
        let client = &connected.client;
        let member = Member::Get(property.interface, property.name);
        let get = |object| async move { client.get(&object, property).await };
        connected.at(target, member, get).await
    }

    /// Reads all properties of the target's interface, and makes a value of them.
    async fn read<T>(
        &self,
        target: Target,
        read: impl Fn(&Properties) -> Result<T, CallError>,
    ) -> PlatformResult<T> {
        let connected = self.connected()?;
        let (client, read, interface) = (&connected.client, &read, target.interface());
        let read = |object| async move { client.read(&object, interface, read).await };
        connected.at(target, Member::GetAll(interface), read).await
    }

    async fn set<T: PropertyValue + Clone>(
        &self,
        target: Target,
        property: Property<T>,
        value: T,
    ) -> PlatformResult<()> {
        let connected = self.connected()?;
        let (client, value) = (&connected.client, &value);
        let member = Member::Set(property.interface, property.name);
        let set = |object| async move { client.set(&object, property, value.clone()).await };
        connected.at(target, member, set).await
    }

    async fn call(&self, target: Target, method: Method) -> PlatformResult<()> {
        let connected = self.connected()?;
        let client = &connected.client;
        let call = |object| async move { client.call(&object, method, &()).await };
        connected.at(target, method.into(), call).await
    }
}

impl Connected {
    /// Calls `act`, which calls `member`, with the object of `target`. Asks the mapper once more if the service that had
    /// it left or moved.
    async fn at<T, F>(
        &self,
        target: Target,
        member: Member<'_>,
        act: impl Fn(ObjectAt) -> F,
    ) -> PlatformResult<T>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let remembered = lock(&self.located).get(target);
        if let Some(object) = remembered {
            match act(object).await {
                Err(error) if error.is_absent() => lock(&self.located).forget(target),
                result => return Ok(result?),
            }
        }
        let object = locate::find(&self.client, target).await;
        let object = object.map_err(|error| error.wanted_for(member))?;
        lock(&self.located).remember(target, object.clone());
        Ok(act(object).await?)
    }
}

/// The namespace of the services whose starts and ends are followed.
const SERVICES: &str = "xyz.openbmc_project";

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
