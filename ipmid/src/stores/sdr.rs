//! The SDR repository: every record encoded once per change, a read being a slice (IPMI v2.0 §33).

use std::collections::BTreeMap;
use std::sync::Arc;

use ipmi_proto::sdr::{SdrBody, SdrRecord};

use super::Reservation;
use super::sensors::SensorTable;

/// Records that are not sensors' have ids below this.
const FIRST_SENSOR: u16 = 0x0100;

/// The records that do not come from sensors on the bus, by id, 0001h to 00FFh.
pub type FixedRecords = BTreeMap<u8, SdrBody>;

/// A record as clients read it.
pub type Encoded = Arc<[u8]>;

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
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    /// When a record came or became another.
    pub added: u32,
    /// When a record went.
    pub erased: u32,
    /// How many times either happened.
    pub count: u32,
}

impl Repository {
    /// Makes the repository one of `table`'s sensors and the `fixed` records, at `now`. Costs a
    /// comparison where nothing has changed.
    pub fn build(&mut self, table: &SensorTable, fixed: &Arc<FixedRecords>, now: u32) {
        let current = (table.generation(), fixed);
        if let Some((generation, of)) = &self.built_from
            && (*generation, of) == current
        {
            return;
        }
        let sensors = table.iter().map(|sensor| {
            let id = FIRST_SENSOR + sensor.listing.index.value();
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

    #[test]
    fn change_cancels_reservations_and_no_change_does_not() {
        let (mut table, mut directory) = (SensorTable::default(), Directory::default());
        add(&mut table, &mut directory, "A");
        let mut repository = Repository::default();
        repository.build(&table, &fixed(), 7);
        let reservation = repository.reserve();
        repository.build(&table, &fixed(), 8);
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
        repository.build(&table, &fixed(), 9);
        assert!(!repository.holds(reservation));
        table.remove("/xyz/openbmc_project/sensors/temperature/A");
        repository.build(&table, &fixed(), 10);
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
