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
use super::watchdog::WatchdogExpiries;

/// One less than there are record ids, so that one is always free (IPMI v2.0 §31.5).
const MAX_CAPACITY: i64 = SelRecordId::MAX.value() as i64 - 1;

/// `[sel]`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SelConfig {
    /// The most records the log holds; a record added to a full log replaces the oldest.
    #[serde(deserialize_with = "daemon::range::number::<1, MAX_CAPACITY, _, _>")]
    pub capacity: u16,
    /// Whether clearing the log adds an event "log cleared".
    pub log_clears: bool,
}

impl Default for SelConfig {
    fn default() -> Self {
        Self { capacity: 16_000, log_clears: false }
    }
}

/// The stores and the log's clock, shared by command handlers and background tasks.
#[derive(Clone, Debug)]
pub struct ModelStores {
    /// The event log.
    pub sel: Arc<SelStore<Folder>>,
    /// Logs event messages and buffers them for the host.
    pub events: Arc<Events>,
    /// The sensors.
    pub sensors: Arc<SensorStore>,
    /// The SDR repository.
    pub sdr: Arc<SdrService>,
    /// The FRU images.
    pub fru: Arc<FruStore>,
    /// The log's clock.
    pub clock: Arc<Clock>,
    /// Faults for Get Self Test Results.
    pub health: Arc<Health>,
    /// Expiries of the watchdog timer.
    pub watchdog: Arc<WatchdogExpiries>,
}

impl ModelStores {
    /// Opens all stores in `folder`; events go to the host's event message buffer too, if BMC Global Enables has it on.
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
        let sensors = SensorStore::open(folder);
        fru.number_when(sensors.settled());
        Self {
            sel: store,
            events: Arc::new(events),
            sensors: Arc::new(sensors),
            sdr: Arc::new(sdr),
            fru: Arc::new(fru),
            clock,
            health,
            watchdog: Arc::new(WatchdogExpiries::open(folder)),
        }
    }
}
