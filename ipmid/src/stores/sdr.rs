//! The SDR repository: every record encoded once per change, a read being a slice (IPMI v2.0 §33).

mod fixed;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ipmi_proto::CompletionCode;
use ipmi_proto::sdr::{SdrBody, SdrRecord};
use serde::{Deserialize, Serialize};

use super::Reservation;
use super::fru::FruDevices;
use super::sensors::{SensorIndex, SensorStore, SensorTable};
use crate::state::{Persistent, lock};

pub use fixed::DeviceSupport;

/// Records that are not sensors' have ids below this.
const FIRST_SENSOR: u16 = 0x0100;

/// The records that do not come from sensors on the bus, by id, 0001h to 00FFh.
pub type FixedRecords = BTreeMap<u8, SdrBody>;

/// What follows the last record.
const NO_MORE: u16 = 0xffff;

/// A part of a record that a client asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Part {
    /// The reservation under which it reads, or 0.
    pub reservation: u16,
    /// The record's id.
    pub record: u16,
    /// Where the part begins.
    pub offset: u8,
    /// How long it is; FFh is up to the end.
    pub count: u8,
    /// The bytes that the reply has room for.
    pub room: usize,
}

/// A record as clients read it.
pub type Encoded = Arc<[u8]>;

/// When the repository became what it is, and what that was: a restart that finds the same records is
/// no change, so that clients' caches stay good.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct History {
    digest: u64,
    changes: Changes,
}

/// The repository, built anew from sensors and FRU devices whenever they have changed.
#[derive(Debug)]
pub struct SdrService {
    repository: Mutex<Repository>,
    fixed: Mutex<Arc<FixedRecords>>,
    history: Persistent<History>,
    support: DeviceSupport,
}

impl SdrService {
    /// With its history in `history`, and a record for a BMC that can do what `support` says.
    #[must_use]
    pub fn new(history: Persistent<History>, support: DeviceSupport) -> Self {
        Self {
            repository: Mutex::default(),
            fixed: Mutex::new(Arc::new(fixed::records(support, &FruDevices::new()))),
            history,
            support,
        }
    }

    /// Takes the FRU devices that are there, for their locator records.
    pub fn set_frus(&self, frus: &FruDevices) {
        let records = fixed::records(self.support, frus);
        let mut fixed = lock(&self.fixed);
        if **fixed != records {
            *fixed = Arc::new(records);
        }
    }

    /// Looks at the repository of `sensors` as they are at `now`; `look` must not wait.
    pub fn with<R>(
        &self,
        sensors: &SensorStore,
        now: u32,
        look: impl FnOnce(&mut Repository) -> R,
    ) -> R {
        let fixed = Arc::clone(&lock(&self.fixed));
        let mut repository = lock(&self.repository);
        let first = repository.built_from.is_none();
        sensors.with(|table| repository.build(table, &fixed, now));
        if first {
            repository.resume(self.history.get());
        }
        look(&mut repository)
    }

    /// Keeps when the repository changed, if it has since it was last kept.
    pub async fn keep_history(&self) {
        let history = lock(&self.repository).history();
        if history != self.history.get() {
            // A failure is in the log; clients then read all records once more than they need to.
            let _logged = self.history.update(|kept| *kept = history).await;
        }
    }
}

/// The repository.
#[derive(Debug, Default)]
pub struct Repository {
    records: BTreeMap<u16, Encoded>,
    reservation: Reservation,
    changed: Changes,
    /// The sensors' generation and the fixed records that it was built from.
    built_from: Option<(u64, Arc<FixedRecords>)>,
}

/// When the repository changed, seconds since 1970; 0 for never.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Changes {
    /// When a record came or became another.
    pub added: u32,
    /// When a record went.
    pub erased: u32,
    /// How many times either happened.
    pub count: u32,
}

/// The id of a sensor's record: the same as long as the sensor has its number.
#[must_use]
pub fn record_id(sensor: SensorIndex) -> u16 {
    FIRST_SENSOR + sensor.value()
}

impl Repository {
    /// Makes the repository one of `table`'s sensors and the `fixed` records, at `now`. Costs a
    /// comparison where nothing has changed.
    pub fn build(&mut self, table: &SensorTable, fixed: &Arc<FixedRecords>, now: u32) {
        if let Some((generation, of)) = &self.built_from
            && *generation == table.generation()
            && Arc::ptr_eq(of, fixed)
        {
            return;
        }
        let sensors = table.iter().map(|sensor| {
            let id = record_id(sensor.listing.index);
            (id, &sensor.body)
        });
        let others = fixed.iter().map(|(id, body)| (u16::from(*id), body));
        let records: BTreeMap<u16, Encoded> = others
            .chain(sensors)
            .map(|(id, body)| {
                let record = SdrRecord {
                    id,
                    body: body.clone(),
                };
                (id, record.to_bytes().into())
            })
            .collect();
        self.replace(records, now);
        self.built_from = Some((table.generation(), Arc::clone(fixed)));
    }

    /// The record `id`, 0000h for the first and FFFFh for the last, and the id of the one after it.
    #[must_use]
    pub fn get(&self, id: u16) -> Option<(Encoded, Option<u16>)> {
        let (id, record) = match id {
            0 => self.records.first_key_value()?,
            0xffff => self.records.last_key_value()?,
            id => self.records.get_key_value(&id)?,
        };
        let next = self.records.range(id + 1..).next();
        Some((Arc::clone(record), next.map(|(id, _)| *id)))
    }

    /// Reads a part of a record (Get SDR, §33.12; Get Device SDR, §35.3): the id of the record after it,
    /// FFFFh for none, and the bytes.
    ///
    /// # Errors
    ///
    /// - `C5h` when records have changed since the reservation, or for a part that is not the first
    ///   without one.
    /// - `CBh` when there is no such record, `C9h` when it ends before the part.
    /// - `CAh` when there is no room for the part.
    pub fn read(&self, part: Part) -> Result<(u16, Vec<u8>), CompletionCode> {
        // A whole record, or its first part, may be read without a reservation, that is with 0000h.
        let needs_reservation = part.reservation != 0 || part.offset > 0;
        if needs_reservation && !self.holds(part.reservation) {
            return Err(CompletionCode::RESERVATION_CANCELLED);
        }
        let (record, next) = self.get(part.record).ok_or(CompletionCode::NOT_PRESENT)?;
        let bytes = super::part(&record, part.offset, part.count)?;
        if bytes.len() + size_of::<u16>() > part.room {
            return Err(CompletionCode::CANNOT_RETURN_BYTES);
        }
        Ok((next.unwrap_or(NO_MORE), bytes.to_vec()))
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// When it changed.
    #[must_use]
    pub const fn changes(&self) -> Changes {
        self.changed
    }

    /// A new reservation.
    pub const fn reserve(&mut self) -> u16 {
        self.reservation.reserve()
    }

    /// Whether no record has changed since `reservation` was given.
    #[must_use]
    pub fn holds(&self, reservation: u16) -> bool {
        self.reservation.holds(reservation)
    }

    fn history(&self) -> History {
        History {
            digest: self.digest(),
            changes: self.changed,
        }
    }

    /// Goes on from what was kept, if it was of the same records.
    fn resume(&mut self, kept: History) {
        if kept.digest == self.digest() {
            self.changed = kept.changes;
        }
    }

    /// FNV-1a over all records.
    fn digest(&self) -> u64 {
        let bytes = self.records.values().flat_map(|record| record.iter());
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    fn replace(&mut self, records: BTreeMap<u16, Encoded>, now: u32) {
        let added = records
            .iter()
            .any(|(id, record)| self.records.get(id) != Some(record));
        let erased = self.records.keys().any(|id| !records.contains_key(id));
        if added {
            self.changed.added = now;
        }
        if erased {
            self.changed.erased = now;
        }
        if added || erased {
            self.changed.count = self.changed.count.wrapping_add(1);
            self.records = records;
            self.reservation.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use ipmi_proto::sdr::ThresholdSet;

    use super::*;
    use crate::stores::sensors::{Directory, Settings, Value};

    fn add(table: &mut SensorTable, directory: &mut Directory, name: &str) {
        let path = format!("/xyz/openbmc_project/sensors/temperature/{name}");
        let value = vec![("Value".to_owned(), Value::Number(20.0))];
        let object = vec![("xyz.openbmc_project.Sensor.Value".to_owned(), value)];
        table.add(&path, &object, directory, |_| {
            (Settings::default(), ThresholdSet::EMPTY)
        });
    }

    fn fixed() -> Arc<FixedRecords> {
        let other = SdrBody::Other {
            kind: 0x08,
            data: vec![1],
        };
        Arc::new(FixedRecords::from([(1, other)]))
    }

    #[test]
    fn records_chain_from_first_to_last() {
        let (mut table, mut directory) = (SensorTable::default(), Directory::default());
        add(&mut table, &mut directory, "A");
        add(&mut table, &mut directory, "B");
        let mut repository = Repository::default();
        repository.build(&table, &fixed(), 7);
        let mut seen = Vec::new();
        let mut next = Some(0);
        while let Some(id) = next {
            let (record, after) = repository.get(id).unwrap();
            seen.push(u16::from_le_bytes([record[0], record[1]]));
            next = after;
        }
        assert_eq!(seen, [0x0001, 0x0100, 0x0101]);
        assert_eq!(seen.len(), repository.len());
        assert_eq!(repository.get(0xffff).unwrap().0[0..2], [0x01, 0x01]);
        assert!(repository.get(0x0102).is_none());
    }

    #[tokio::test]
    async fn restart_that_finds_the_same_records_is_no_change() {
        let history = || Persistent::volatile();
        let service = SdrService::new(history(), DeviceSupport::default());
        let sensors = SensorStore::volatile();
        let first = service.with(&sensors, 100, |repository| repository.changes());
        assert_eq!(first.added, 100);
        service.keep_history().await;
        let kept = service.history.get();
        let again = SdrService::new(history(), DeviceSupport::default());
        again
            .history
            .update(|history| *history = kept)
            .await
            .unwrap();
        assert_eq!(
            again.with(&sensors, 200, |repository| repository.changes()),
            first
        );
    }

    #[test]
    fn change_cancels_reservations_and_no_change_does_not() {
        let (mut table, mut directory) = (SensorTable::default(), Directory::default());
        add(&mut table, &mut directory, "A");
        let fixed = fixed();
        let mut repository = Repository::default();
        repository.build(&table, &fixed, 7);
        let reservation = repository.reserve();
        repository.build(&table, &fixed, 8);
        assert!(repository.holds(reservation));
        assert_eq!(
            repository.changes(),
            Changes {
                added: 7,
                erased: 0,
                count: 1
            }
        );
        add(&mut table, &mut directory, "B");
        repository.build(&table, &fixed, 9);
        assert!(!repository.holds(reservation));
        table.remove("/xyz/openbmc_project/sensors/temperature/A");
        repository.build(&table, &fixed, 10);
        assert_eq!(
            repository.changes(),
            Changes {
                added: 9,
                erased: 10,
                count: 3
            }
        );
    }
}
