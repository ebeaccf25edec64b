//! The SDR repository (IPMI v2.0 §33): records of sensors and units, which the BMC builds itself, and
//! records that clients added.
//!
//! A client cannot add a second record of something that the BMC describes itself: the repository returns the id of
//! its own record of that sensor, FRU device or controller.

mod added;
mod fixed;
mod repository;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

pub use added::MAX_LENGTH;
use durable::Folder;
pub use fixed::{DeviceSupport, OwnSource};
use ipmi_proto::sdr::SdrBody;
pub use repository::{Changes, Encoded, Part, Repository, record_id};
use serde::{Deserialize, Serialize};

use self::added::{Added, Raw};
use self::repository::Settled;
use super::StoreError;
use super::fru::FruDevices;
use super::sensors::SensorStore;
use crate::model::health::{Fault, Health};
use crate::model::persistent::{Persistent, lock};

/// The records that do not come from sensors on the bus, by id, 0001h to 00FFh.
pub type FixedRecords = BTreeMap<u8, SdrBody>;

/// The times of the last changes, and the records they belong to. A restart with the same records is no change, so that
/// clients' SDR caches stay valid.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct History {
    changes: Changes,
    records: BTreeMap<u16, Raw>,
}

/// The repository, built anew from sensors, FRU devices and added records whenever they have changed.
#[derive(Debug)]
pub struct SdrService {
    repository: Mutex<Repository>,
    fixed: Mutex<Arc<FixedRecords>>,
    added: Mutex<Arc<Added>>,
    history: Persistent<History>,
    added_file: Persistent<Added>,
    /// Overflow: whether a record was refused for lack of space since records were erased last.
    overflow: AtomicBool,
    /// Whether the units of the inventory are known.
    units: AtomicBool,
    support: DeviceSupport,
    health: OnceLock<Arc<Health>>,
}

/// How much of the room for added records there is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Room {
    /// Records in all, those of the BMC itself included.
    pub records: usize,
    /// Records that can still be added.
    pub free: usize,
    /// Overflow: whether a record was refused for lack of space since records were erased last.
    pub overflow: bool,
}

impl SdrService {
    /// With its history and what was added in files of `folder`, and a record for a BMC that can do what
    /// `support` says.
    #[must_use]
    pub fn open(folder: &Folder, support: DeviceSupport) -> Self {
        Self::new(
            Persistent::open(folder.clone(), "sdr.json"),
            Persistent::open(folder.clone(), "sdr-added.json"),
            support,
        )
    }

    /// In memory only.
    #[must_use]
    pub fn volatile() -> Self {
        let support = DeviceSupport::default();
        Self::new(Persistent::volatile(), Persistent::volatile(), support)
    }

    fn new(
        history: Persistent<History>,
        added_file: Persistent<Added>,
        support: DeviceSupport,
    ) -> Self {
        Self {
            repository: Mutex::default(),
            fixed: Mutex::new(Arc::new(fixed::records(support, &FruDevices::new()))),
            added: Mutex::new(Arc::new(added_file.get())),
            history,
            added_file,
            overflow: AtomicBool::new(false),
            units: AtomicBool::new(false),
            support,
            health: OnceLock::new(),
        }
    }

    /// From now on reports to `health` whether the repository can be written.
    pub fn report_to(&self, health: Arc<Health>) {
        self.health.get_or_init(|| health);
    }

    /// Sets the FRU devices that are present, for their locator records; `all` when they are all there.
    pub fn set_frus(&self, frus: &FruDevices, all: bool) {
        let records = fixed::records(self.support, frus);
        let mut fixed = lock(&self.fixed);
        if **fixed != records {
            *fixed = Arc::new(records);
        }
        drop(fixed);
        self.units.fetch_or(all, Ordering::Relaxed);
    }

    /// Looks at the repository of `sensors` as they are at `now`; `look` must not wait.
    pub fn with<R>(
        &self,
        sensors: &SensorStore,
        now: u32,
        look: impl FnOnce(&mut Repository) -> R,
    ) -> R {
        let fixed = Arc::clone(&lock(&self.fixed));
        let added = Arc::clone(&lock(&self.added));
        let mut repository = lock(&self.repository);
        if !repository.is_built() {
            repository.resume(self.history.get());
        }
        let settled =
            Settled { sensors: sensors.is_settled(), units: self.units.load(Ordering::Relaxed) };
        sensors.with(|table| repository.build(table, &fixed, &added, settled, now));
        look(&mut repository)
    }

    /// How much room there is beside the `records` of the repository.
    #[must_use]
    pub fn room(&self, records: usize) -> Room {
        Room {
            records,
            free: lock(&self.added).room(),
            overflow: self.overflow.load(Ordering::Relaxed),
        }
    }

    /// The id that the next record to be added will have, for one that comes in parts.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSpace`] when the repository is full.
    pub fn next_id(&self) -> Result<u16, StoreError> {
        let next = lock(&self.added).next_id();
        next.ok_or_else(|| self.note_overflow())
    }

    /// Adds `record`, under the id `wanted` if that is free, and gives its id once it is on the medium.
    ///
    /// # Errors
    ///
    /// - [`StoreError::LengthMismatch`], [`StoreError::TooLong`] or [`StoreError::InvalidRecord`] for a record that
    ///   is not valid.
    /// - [`StoreError::NoSpace`] when the repository is full.
    /// - Those of [`Persistent::update`].
    pub async fn add(
        &self,
        sensors: &SensorStore,
        now: u32,
        record: &[u8],
        wanted: Option<u16>,
    ) -> Result<u16, StoreError> {
        let record = Raw::parse(record)?;
        let own = self.with(sensors, now, |repository| {
            record.subject().and_then(|subject| repository.own(subject))
        });
        if let Some(id) = own {
            return Ok(id);
        }
        let id = self.change(|added| added.add(record, wanted)).await?;
        match id {
            Ok(_) => self.with(sensors, now, |_| ()),
            Err(_) => drop(self.note_overflow()),
        }
        id
    }

    /// Deletes the record `id` that a client added.
    ///
    /// # Errors
    ///
    /// - [`StoreError::NotFound`] when there is no such record, [`StoreError::BuiltIn`] when the BMC builds it itself.
    /// - Those of [`Persistent::update`].
    pub async fn delete(&self, sensors: &SensorStore, now: u32, id: u16) -> Result<(), StoreError> {
        self.with(sensors, now, |repository| repository.may_delete(id))?;
        if !self.change(|added| added.delete(id)).await? {
            return Err(StoreError::NotFound);
        }
        self.overflow.store(false, Ordering::Relaxed);
        self.with(sensors, now, |_| ());
        Ok(())
    }

    /// Deletes all records that clients added. Those that the BMC makes itself stay.
    ///
    /// # Errors
    ///
    /// Those of [`Persistent::update`].
    pub async fn clear(&self, sensors: &SensorStore, now: u32) -> Result<(), StoreError> {
        self.change(Added::clear).await?;
        self.overflow.store(false, Ordering::Relaxed);
        self.with(sensors, now, |repository| repository.note_erasure(now));
        Ok(())
    }

    /// Saves the times of changes, if the repository has changed since they were saved last.
    pub async fn save_history(&self) {
        let now = || lock(&self.repository).history();
        if now() != self.history.get() {
            // A failure is in the log; clients then read all records once more than they need to.
            let saved = self.history.update(|saved| *saved = now()).await;
            self.report(saved.is_err());
        }
    }

    /// Changes the added records, in the file first.
    async fn change<R>(&self, change: impl FnOnce(&mut Added) -> R) -> Result<R, StoreError> {
        let changed = self.added_file.update(change).await;
        self.report(changed.is_err());
        let mut added = lock(&self.added);
        self.added_file.look(|saved| {
            if **added != *saved {
                *added = Arc::new(saved.clone());
            }
        });
        changed
    }

    fn report(&self, failed: bool) {
        if let Some(health) = self.health.get() {
            health.report(Fault::Sdr, failed);
        }
    }

    fn note_overflow(&self) -> StoreError {
        self.overflow.store(true, Ordering::Relaxed);
        StoreError::NoSpace
    }
}

#[cfg(test)]
mod tests;
