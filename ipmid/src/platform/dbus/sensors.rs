//! Sensors, kept current by signals for as long as somebody reads them.
//!
//! The first reader starts a follower, which has a connection of its own: a flood of readings does
//! not delay a request, and what hangs there delays no other call. It ends when nobody has read for
//! a while, and the next reader starts it again.

mod follow;
mod news;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use ipmi_proto::sdr::Threshold;
use openbmc_dbus::{
    client::ObjectAt,
    interface::Property,
    sensor::{critical, hard_shutdown, value, warning},
};
use tokio::{
    sync::watch,
    task::{self, AbortHandle},
    time,
};

use self::follow::Follower;
use super::{DbusPlatform, failed};
use crate::{
    platform::{PlatformError, PlatformResult, Sensors},
    state::lock,
    stores::sensors::SensorStore,
};

/// How long after the last reader the sensors are followed.
const UNREAD: Duration = Duration::from_secs(300);
/// How long a reader waits for the first list of sensors.
const FIRST: Duration = Duration::from_millis(1500);

/// The sensors and who follows them.
#[derive(Debug)]
pub(super) struct Followed {
    store: Arc<SensorStore>,
    read: Arc<Mutex<Instant>>,
    follower: Mutex<Option<Running>>,
}

/// A follower that was started.
#[derive(Debug)]
struct Running {
    task: AbortHandle,
    /// Whether all services that were there have been asked.
    listed: watch::Receiver<bool>,
}

impl Default for Followed {
    fn default() -> Self {
        Self::new(Arc::new(SensorStore::volatile()))
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        if let Some(running) = lock(&self.follower).take() {
            running.task.abort();
        }
    }
}

impl Followed {
    pub(super) fn new(store: Arc<SensorStore>) -> Self {
        let read = Arc::new(Mutex::new(Instant::now()));
        Self {
            store,
            read,
            follower: Mutex::default(),
        }
    }

    /// Notes that somebody reads, and sees to it that there is a follower.
    fn read(&self) -> watch::Receiver<bool> {
        *lock(&self.read) = Instant::now();
        let mut follower = lock(&self.follower);
        if let Some(running) = &*follower
            && !running.task.is_finished()
        {
            return running.listed.clone();
        }
        let (told, listed) = watch::channel(false);
        let (store, read) = (Arc::clone(&self.store), Arc::clone(&self.read));
        let task = task::spawn(Follower::new(store, told).run(read, UNREAD));
        let task = task.abort_handle();
        *follower = Some(Running {
            task,
            listed: listed.clone(),
        });
        listed
    }
}

impl Sensors for DbusPlatform {
    async fn sensors(&self) -> Arc<SensorStore> {
        let mut listed = self.sensors.read();
        // Late or not, what is known by then is what there is.
        let _late = time::timeout(FIRST, listed.wait_for(|listed| *listed)).await;
        Arc::clone(&self.sensors.store)
    }

    async fn set_limit(&self, path: &str, threshold: Threshold, limit: f64) -> PlatformResult<()> {
        self.write(path, limit_of(threshold), limit).await
    }

    async fn set_reading(&self, path: &str, reading: f64) -> PlatformResult<()> {
        self.write(path, value::VALUE, reading).await
    }
}

impl DbusPlatform {
    async fn write(&self, path: &str, property: Property<f64>, to: f64) -> PlatformResult<()> {
        let client = &self.link()?.client;
        let owners = client.object_owners(path, &[property.interface]).await;
        let service = owners.map_err(failed)?.into_keys().next();
        let object = ObjectAt::new(service.ok_or(PlatformError::Absent)?, path);
        client.set(&object, property, to).await.map_err(failed)
    }
}

/// The property that holds a limit.
const fn limit_of(threshold: Threshold) -> Property<f64> {
    match threshold {
        Threshold::LowerNonCritical => warning::LOW,
        Threshold::UpperNonCritical => warning::HIGH,
        Threshold::LowerCritical => critical::LOW,
        Threshold::UpperCritical => critical::HIGH,
        Threshold::LowerNonRecoverable => hard_shutdown::LOW,
        Threshold::UpperNonRecoverable => hard_shutdown::HIGH,
    }
}
