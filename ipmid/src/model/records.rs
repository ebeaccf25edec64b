//! Event log, sensors, SDR repository and FRU inventory, opened together in the state directory.

use std::sync::Arc;

use durable::Folder;
use ipmi_proto::sel::SelRecordId;
use serde::Deserialize;

use super::Clock;
use super::events::{Events, HostSide};
use super::fru::FruStore;
use super::health::Health;
use super::persistent::Persistent;
use super::sdr::{DeviceSupport, SdrService};
use super::sel::SelStore;
use super::sensors::SensorStore;

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
    /// Whether they can be written, for the self test.
    pub health: Arc<Health>,
    /// Whether a cleared log begins with an event that says so.
    pub tell_clears: bool,
}

impl Records {
    /// Opens them in `folder`; events go to the host's buffer too, by its enables.
    #[must_use]
    pub fn open(folder: &Folder, sel: SelConfig, host: HostSide) -> Self {
        let clock = Persistent::open(folder.clone(), "clock.json");
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
            health,
            tell_clears: sel.tell_clears,
        }
    }
}
