//! Sensors, followed on a connection of their own.
//!
//! What sensors there are, their limits and alarms are followed as long as the daemon runs, because
//! alarms go to the log. Readings change all the time and are followed only while somebody reads
//! them, or while a limit has to be compared with them here.

mod follow;
mod messages;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ipmi_proto::sdr::Threshold;
use openbmc_dbus::client::{Client, ObjectAt};
use openbmc_dbus::interface::{Access, Property};
use openbmc_dbus::sensor::value;
use tokio::sync::{Notify, watch};
use tokio::time::{self, Instant};
use zbus::Connection;

use super::{DbusPlatform, failed};
use crate::model::persistent::lock;
use crate::model::sensors::{SensorStore, SensorTable, limit_property};
use crate::platform::{PlatformError, PlatformResult, Sensors};

/// For how long readings are followed after they were read last.
const UNREAD: Duration = Duration::from_secs(300);
/// How long a reader waits for the sensors' services to tell their readings.
const PATIENCE: Duration = Duration::from_secs(1);

/// The sensors and how they are kept current.
#[derive(Debug)]
pub(super) struct SensorFeed {
    store: Arc<SensorStore>,
    /// Whether the readings are those of now.
    current: watch::Sender<bool>,
    /// When readings were wanted last.
    wanted: Mutex<Option<Instant>>,
    asked: Notify,
}

impl Default for SensorFeed {
    fn default() -> Self {
        Self::new(Arc::new(SensorStore::volatile()))
    }
}

impl SensorFeed {
    pub(super) fn new(store: Arc<SensorStore>) -> Self {
        Self {
            store,
            current: watch::Sender::new(false),
            wanted: Mutex::default(),
            asked: Notify::new(),
        }
    }

    /// Follows the sensors until the connection ends.
    pub(super) async fn follow(&self, connection: &Connection) -> zbus::Result<()> {
        follow::follow(self, connection).await
    }

    /// Until when readings are followed; `None` when nobody wants them, far off when they have to be
    /// compared with limits.
    fn wanted_until(&self) -> Option<Instant> {
        if self.store.with(SensorTable::judges_readings) {
            return Some(Instant::now() + UNREAD);
        }
        let until = lock(&self.wanted).map(|at| at + UNREAD);
        until.filter(|until| *until > Instant::now())
    }

    /// Whether the readings are those of now.
    pub(super) fn set_current(&self, current: bool) {
        self.store.set_stale(!current);
        self.current.send_replace(current);
    }

    /// The store, once its readings are those of now, or nobody told them in time.
    async fn read(&self) -> Arc<SensorStore> {
        *lock(&self.wanted) = Some(Instant::now());
        if !*self.current.borrow() {
            self.asked.notify_one();
            let mut current = self.current.subscribe();
            let told = current.wait_for(|current| *current);
            // Late ones are shown as unavailable; the next reader has them.
            let _late = time::timeout(PATIENCE, told).await;
        }
        Arc::clone(&self.store)
    }
}

impl DbusPlatform {
    /// Writes a number of the object at `path`, whichever service has it.
    async fn write_number(
        &self,
        path: &str,
        interface: &'static str,
        name: &'static str,
        number: f64,
    ) -> PlatformResult<()> {
        let link = self.link()?;
        let service = owner(&link.client, path, interface).await?;
        let property: Property<f64> = Property::new(interface, name, Access::ReadWrite);
        let object = ObjectAt::new(service, path);
        link.client.set(&object, property, number).await.map_err(failed)
    }
}

async fn owner(client: &Client, path: &str, interface: &str) -> PlatformResult<String> {
    let owners = client.object_owners(path, &[interface]).await.map_err(failed)?;
    owners.into_keys().next().ok_or(PlatformError::Absent)
}

impl Sensors for DbusPlatform {
    async fn sensors(&self) -> Arc<SensorStore> {
        self.sensors.read().await
    }

    async fn set_limit(&self, path: &str, threshold: Threshold, limit: f64) -> PlatformResult<()> {
        let (interface, property) = limit_property(threshold);
        self.write_number(path, interface, property, limit).await
    }

    async fn set_reading(&self, path: &str, reading: f64) -> PlatformResult<()> {
        self.write_number(path, value::NAME, value::VALUE.name, reading).await
    }
}
