//! The stores of events, sensors and units, opened together, and what goes on between them without
//! a command: a sensor's events go to the log.

use std::convert::Infallible;
use std::sync::Arc;

use durable::Folder;
use ipmi_proto::sel::GeneratorId;
use serde::Deserialize;
use tracing::warn;

use super::log_watch;
use super::sensor::{self, SensorProvider};
use super::storage::{self, AuxiliaryLogs, StorageProvider};
use super::versions::Versions;
use crate::command::Registrar;
use crate::events::{Events, HostSide, Source};
use crate::health::Health;
use crate::state::Persistent;
use crate::stores::Clock;
use crate::stores::fru::FruStore;
use crate::stores::sdr::{DeviceSupport, SdrService};
use crate::stores::sel::SelStore;
use crate::stores::sensors::{SensorEvent, SensorStore};
use ipmi_proto::sel::SelRecordId;

/// One less than there are record ids, so that one is always free (IPMI v2.0 §31.5).
const MAX_CAPACITY: i64 = SelRecordId::MAX.value() as i64 - 1;

/// `[sel]`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SelConfig {
    /// The most records the log holds; after that the oldest makes place.
    #[serde(deserialize_with = "daemon::range::number::<1, MAX_CAPACITY, _, _>")]
    pub capacity: u16,
    /// Whether a log that was cleared begins with an event that says so.
    pub tell_clears: bool,
}

impl Default for SelConfig {
    fn default() -> Self {
        Self { capacity: 16_000, tell_clears: false }
    }
}

/// The stores.
#[derive(Clone, Debug)]
pub struct Records {
    /// The event log.
    pub sel: Arc<SelStore<Folder>>,
    /// Where events go.
    pub events: Arc<Events>,
    /// The machine's sensors.
    pub sensors: Arc<SensorStore>,
    /// Their records.
    pub sdr: Arc<SdrService>,
    /// The FRU images.
    pub fru: Arc<FruStore>,
    /// The log's clock.
    pub clock: Arc<Clock>,
    /// What is known of others' logs.
    pub auxiliary: Arc<Persistent<AuxiliaryLogs>>,
    /// The firmware that was seen last.
    pub versions: Arc<Persistent<Versions>>,
    /// Whether they can be written, for the self test.
    pub health: Arc<Health>,
    tell_clears: bool,
}

impl Records {
    /// Opens them in `folder`; events go to the host's buffer too, by its enables.
    #[must_use]
    pub fn open(folder: &Folder, sel: SelConfig, host: HostSide) -> Self {
        let clock = Persistent::open(folder.clone(), "clock.json");
        let versions = Persistent::open(folder.clone(), "versions.json");
        let auxiliary = Persistent::open(folder.clone(), "auxiliary-logs.json");
        let health = Arc::<Health>::default();
        let log = SelStore::open(folder.clone(), usize::from(sel.capacity));
        log.report_to(Arc::clone(&health));
        let (store, clock) = (Arc::new(log), Arc::new(Clock::new(clock)));
        let events = Events::new(Arc::clone(&store), Arc::clone(&clock), host);
        let sdr = SdrService::open(folder, DeviceSupport::default());
        sdr.report_to(Arc::clone(&health));
        let fru = FruStore::open(folder);
        fru.report_to(Arc::clone(&health));
        Self {
            sel: store,
            events: Arc::new(events),
            sensors: Arc::new(SensorStore::open(folder)),
            sdr: Arc::new(sdr),
            fru: Arc::new(fru),
            clock,
            auxiliary: Arc::new(auxiliary),
            versions: Arc::new(versions),
            health,
            tell_clears: sel.tell_clears,
        }
    }

    /// Adds the commands that are over them.
    pub fn register<P: storage::Platform>(&self, platform: &Arc<P>, table: &mut Registrar<'_>) {
        let sensor = sensor::Stores {
            events: Arc::clone(&self.events),
            sdr: Arc::clone(&self.sdr),
            clock: Arc::clone(&self.clock),
        };
        SensorProvider::new(Arc::clone(platform), sensor).register(table);
        let storage = storage::Stores {
            sel: Arc::clone(&self.sel),
            sdr: Arc::clone(&self.sdr),
            fru: Arc::clone(&self.fru),
            clock: Arc::clone(&self.clock),
            auxiliary: Arc::clone(&self.auxiliary),
        };
        StorageProvider::new(Arc::clone(platform), storage).register(table);
    }

    /// Has the log tell of itself.
    pub async fn watch_log(&self) -> Infallible {
        log_watch::watch(&self.sel, &self.events, self.tell_clears).await
    }

    /// Puts what sensors send where events go, once.
    pub async fn log_events(&self) -> Infallible {
        loop {
            for event in self.sensors.events().await {
                let (generator, event) = (generator_of(&event), event.event);
                let taken = self.events.take(Source::Other, generator, event).await;
                if let Err(error) = taken {
                    warn!(%error, "a sensor's event is lost");
                }
            }
            self.sensors.keep_states().await;
        }
    }
}

fn generator_of(sent: &SensorEvent) -> GeneratorId {
    let (lun, _) = sent.index.place();
    GeneratorId::bmc_sensor(lun)
}
