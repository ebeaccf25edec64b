//! Sensors, followed on a connection of their own.
//!
//! What sensors there are, their limits and alarms are followed as long as the daemon runs, because
//! alarms go to the log. Readings change all the time and are followed only while clients read
//! them, or while a limit has to be compared with them here.

mod follow;
mod messages;
mod numbering;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ipmi_proto::sdr::Threshold;
use openbmc_dbus::client::{CallError, Member, ObjectAt};
use openbmc_dbus::interface::{Access, Property};
use openbmc_dbus::sensor::value;
use tokio::sync::{Notify, watch};
use tokio::time::{self, Instant};
use zbus::Connection;

use super::DbusPlatform;
use crate::model::persistent::lock;
use crate::model::sensors::{SensorStore, SensorTable, limit_property};
use crate::platform::{PlatformResult, Sensors};

/// Readings are followed for so long after the last read.
const FOLLOWED_AFTER_READ: Duration = Duration::from_secs(300);
/// How long a reader waits for the replies of the sensor services, and until the first sensors have their numbers.
const READINGS_TIMEOUT: Duration = Duration::from_secs(1);

/// The sensors, and whether their readings are followed.
#[derive(Debug)]
pub(super) struct SensorFeed {
    store: Arc<SensorStore>,
    /// Whether the readings are current.
    current: watch::Sender<bool>,
    /// When readings were read last.
    last_read: Mutex<Option<Instant>>,
    readings_wanted: Notify,
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
            last_read: Mutex::default(),
            readings_wanted: Notify::new(),
        }
    }

    /// Follows the sensors until the connection ends.
    pub(super) async fn follow(&self, connection: &Connection) -> zbus::Result<()> {
        follow::follow(self, connection).await
    }

    /// Until when readings are followed; `None` when they are not followed; always in the future while they have to be
    /// compared with limits.
    fn followed_until(&self) -> Option<Instant> {
        if self.store.with(SensorTable::judges_readings) {
            return Some(Instant::now() + FOLLOWED_AFTER_READ);
        }
        let until = lock(&self.last_read).map(|at| at + FOLLOWED_AFTER_READ);
        until.filter(|until| *until > Instant::now())
    }

    /// Sets whether the readings are current.
    pub(super) fn set_current(&self, current: bool) {
        self.store.set_stale(!current);
        self.current.send_replace(current);
    }

    /// The store, once its readings are current or [`READINGS_TIMEOUT`] has passed.
    async fn read(&self) -> Arc<SensorStore> {
        *lock(&self.last_read) = Some(Instant::now());
        if !*self.current.borrow() {
            self.readings_wanted.notify_one();
            let mut current = self.current.subscribe();
            let updated = current.wait_for(|current| *current);
            // Sensors whose readings are late are unavailable in this read; the next one has them.
            let _late = time::timeout(READINGS_TIMEOUT, updated).await;
        }
        Arc::clone(&self.store)
    }
}

impl DbusPlatform {
    /// Writes a number of the object at `path`, of whichever service owns it.
    async fn write_number(
        &self,
        path: &str,
        interface: &'static str,
        name: &'static str,
        number: f64,
    ) -> PlatformResult<()> {
        let connected = self.connected()?;
        let member = Member::Set(interface, name);
        let owners = connected.client.object_owners(path, &[interface]).await;
        let owners = owners.map_err(|error| error.wanted_for(member))?;
        let service =
            owners.into_keys().next().ok_or_else(|| CallError::no_object(path, member))?;
        let property: Property<f64> = Property::new(interface, name, Access::ReadWrite);
        let object = ObjectAt::new(service, path);
        Ok(connected.client.set(&object, property, number).await?)
    }
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
