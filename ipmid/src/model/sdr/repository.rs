//! The records as clients read them. Each is encoded once per change; a read is a slice of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use ipmi_proto::IdString;
use ipmi_proto::sdr::{SdrBody, SdrRecord};
use serde::{Deserialize, Serialize};

use super::added::{self, Added, Raw, Subject};
use super::{FixedRecords, History};
use crate::model::sensors::{SensorIndex, SensorTable};
use crate::model::{Reservation, StoreError, names, part};

/// Record ids of sensors begin here; the fixed records are below.
const FIRST_SENSOR: u16 = 0x0100;

/// Next record id in the response for the last record (IPMI v2.0 §33.12).
const NO_MORE: u16 = 0xffff;

/// A part of a record that a client asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Part {
    /// The reservation under which it reads, or 0.
    pub reservation: u16,
    /// The record's id.
    pub record: u16,
    /// Offset of its first byte.
    pub offset: u8,
    /// Its length; FFh is to the end of the record.
    pub count: u8,
    /// The most bytes that fit into the response.
    pub room: usize,
}

/// A record as clients read it.
pub type Encoded = Arc<[u8]>;

/// Which of the BMC's own records are all there: before, those of the last run stand in for what is missing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Settled {
    /// The sensors of the services that come up with the daemon.
    pub(super) sensors: bool,
    /// The units of the inventory.
    pub(super) units: bool,
}

impl Settled {
    /// Whether a record `id` that is missing is gone.
    const fn is_gone(self, id: u16) -> bool {
        if id >= FIRST_SENSOR { self.sensors } else { self.units }
    }
}

/// The repository.
#[derive(Debug, Default)]
pub struct Repository {
    records: BTreeMap<u16, Encoded>,
    /// Ids of records that were deleted: one that is used again ends the reservations.
    freed: BTreeSet<u16>,
    reservation: Reservation,
    /// Of the records of the BMC itself alone.
    own_reservation: Reservation,
    changed: Changes,
    /// What the records of the BMC itself describe, and their ids.
    own: HashMap<Subject, u16>,
    built_from: Option<Sources>,
}

/// What a repository was built from: the sensors' generation, the fixed and the added records, and which of these are
/// all there.
#[derive(Debug)]
struct Sources(u64, Arc<FixedRecords>, Arc<Added>, Settled);

/// When the repository changed, seconds since 1970; 0 for never.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Changes {
    /// When a record was added, also in place of another.
    pub added: u32,
    /// When a record was deleted.
    pub erased: u32,
    /// Number of changes.
    pub count: u32,
    /// Number of changes to records of the BMC itself.
    pub own: u32,
}

/// The id of a sensor's record: the same as long as the sensor has its number.
#[must_use]
pub fn record_id(sensor: SensorIndex) -> u16 {
    FIRST_SENSOR + sensor.value()
}

/// The record, a unit's with a name that no other record has: it is the unit that gives way.
fn with_own_name(body: &SdrBody, names: &mut BTreeSet<String>) -> SdrBody {
    let mut body = body.clone();
    if let SdrBody::Fru(locator) = &mut body {
        let is_used = |name: &str| names.contains(name) || names::RESERVED.contains(&name);
        let name = names::unique(&locator.id.to_text(), "FRU", is_used);
        locator.id = IdString::new(&name);
        names.insert(name);
    }
    body
}

impl Repository {
    /// Builds the repository from the sensors of `table` and the `fixed` and `added` records, at `now`. Does nothing if
    /// none of them has changed.
    pub(super) fn build(
        &mut self,
        table: &SensorTable,
        fixed: &Arc<FixedRecords>,
        added: &Arc<Added>,
        settled: Settled,
        now: u32,
    ) {
        if let Some(Sources(generation, of, with, were)) = &self.built_from
            && *generation == table.generation()
            && Arc::ptr_eq(of, fixed)
            && Arc::ptr_eq(with, added)
            && *were == settled
        {
            return;
        }
        let sensors = table.iter().map(|sensor| {
            let id = record_id(sensor.listing.index);
            (id, &sensor.body)
        });
        let others = fixed.iter().map(|(id, body)| (u16::from(*id), body));
        let mut own = HashMap::new();
        let mut names: BTreeSet<String> = table.iter().map(|of| of.listing.name.clone()).collect();
        let mut records = self.missing(settled);
        for (id, body) in others.chain(sensors) {
            own.extend(Subject::of(body).map(|subject| (subject, id)));
            let body = with_own_name(body, &mut names);
            records.insert(id, SdrRecord { id, body }.to_bytes().into());
        }
        for (id, record) in added.iter() {
            let shown = record.subject().is_none_or(|of| !own.contains_key(&of));
            if shown {
                records.insert(id, record.bytes().into());
            }
        }
        self.own = own;
        self.replace(records, now);
        let (fixed, added) = (Arc::clone(fixed), Arc::clone(added));
        self.built_from = Some(Sources(table.generation(), fixed, added, settled));
    }

    /// The BMC's own records that are there so far and whose sensors and units may still come.
    fn missing(&self, settled: Settled) -> BTreeMap<u16, Encoded> {
        let own = self.records.range(..added::FIRST).filter(|(id, _)| !settled.is_gone(**id));
        own.map(|(id, record)| (*id, Arc::clone(record))).collect()
    }

    pub(super) const fn is_built(&self) -> bool {
        self.built_from.is_some()
    }

    /// The record of the BMC itself that describes `subject`.
    pub(super) fn own(&self, subject: Subject) -> Option<u16> {
        self.own.get(&subject).copied()
    }

    /// Whether a client added the record `id`.
    pub(super) fn may_delete(&self, id: u16) -> Result<(), StoreError> {
        match &self.built_from {
            Some(Sources(_, _, added, _)) if added.iter().any(|(of, _)| of == id) => Ok(()),
            _ if self.records.contains_key(&id) => Err(StoreError::BuiltIn),
            _ => Err(StoreError::NotFound),
        }
    }

    /// Records were erased at `now`, if there were any.
    pub(super) const fn note_erasure(&mut self, now: u32) {
        self.changed.erased = now;
        self.reservation.cancel();
    }

    /// The record `id`, 0000h for the first and FFFFh for the last, and the id of the one after it.
    #[must_use]
    pub fn get(&self, id: u16) -> Option<(Encoded, Option<u16>)> {
        self.find(id, NO_MORE)
    }

    /// As [`Self::get`], of the records with ids below `end`.
    fn find(&self, id: u16, end: u16) -> Option<(Encoded, Option<u16>)> {
        let mut records = self.records.range(..end);
        let (id, record) = match id {
            0 => records.next()?,
            0xffff => records.next_back()?,
            id => self.records.get_key_value(&id).filter(|_| id < end)?,
        };
        let next = self.records.range(id + 1..end).next();
        Some((Arc::clone(record), next.map(|(id, _)| *id)))
    }

    /// Reads a part of a record (Get SDR, §33.12): the id of the record after it, FFFFh for none, and the
    /// bytes.
    ///
    /// # Errors
    ///
    /// - [`StoreError::Cancelled`] when an id in use got another record since the reservation, or for a part that is
    ///   not the first without one.
    /// - [`StoreError::NotFound`] when there is no such record, [`StoreError::OutOfRange`] when it ends before the
    ///   part.
    /// - [`StoreError::DoesNotFit`] when there is no room for the part.
    pub fn read(&self, wanted: Part) -> Result<(u16, Vec<u8>), StoreError> {
        self.read_below(wanted, NO_MORE, &self.reservation)
    }

    /// As [`Self::read`], of the records of the BMC itself, which its device SDRs are (Get Device SDR, §35.3).
    ///
    /// # Errors
    ///
    /// Those of [`Self::read`].
    pub fn read_own(&self, wanted: Part) -> Result<(u16, Vec<u8>), StoreError> {
        self.read_below(wanted, added::FIRST, &self.own_reservation)
    }

    fn read_below(
        &self,
        wanted: Part,
        end: u16,
        reservation: &Reservation,
    ) -> Result<(u16, Vec<u8>), StoreError> {
        // A whole record, or its first part, may be read without a reservation, that is with 0000h.
        let needs_reservation = wanted.reservation != 0 || wanted.offset > 0;
        if needs_reservation && !reservation.holds(wanted.reservation) {
            return Err(StoreError::Cancelled);
        }
        let found = self.find(wanted.record, end);
        let (record, next) = found.ok_or(StoreError::NotFound)?;
        let bytes = part(&record, wanted.offset, wanted.count)?;
        if bytes.len() + size_of::<u16>() > wanted.room {
            return Err(StoreError::DoesNotFit);
        }
        Ok((next.unwrap_or(NO_MORE), bytes.to_vec()))
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// How many there are of the BMC itself.
    #[must_use]
    pub fn own_len(&self) -> usize {
        self.records.range(..added::FIRST).count()
    }

    /// Whether the repository is empty.
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

    /// A new reservation of the BMC's own records.
    pub const fn reserve_own(&mut self) -> u16 {
        self.own_reservation.reserve()
    }

    /// Whether `reservation` allows to erase all: it allows to write, and no record was added since.
    #[must_use]
    pub fn may_clear(&self, reservation: u16) -> bool {
        self.reservation.has_seen_all(reservation)
    }

    /// Whether `reservation` allows to write: it holds, and no newer one was given.
    #[must_use]
    pub fn may_write(&self, reservation: u16) -> bool {
        self.reservation.is_latest(reservation)
    }

    /// Whether every id stands for the record that it stood for when `reservation` was given.
    #[must_use]
    pub fn holds(&self, reservation: u16) -> bool {
        self.reservation.holds(reservation)
    }

    /// The times of the last changes, and the records they belong to.
    pub(super) fn history(&self) -> History {
        let saved = |(id, record): (&u16, &Encoded)| Some((*id, Raw::parse(record).ok()?));
        History { changes: self.changed, records: self.records.iter().filter_map(saved).collect() }
    }

    /// Begins with the records and the times of the last run: what is the same again is no change.
    pub(super) fn resume(&mut self, saved: History) {
        self.changed = saved.changes;
        let records = saved.records.into_iter();
        self.records = records.map(|(id, record)| (id, record.bytes().into())).collect();
    }

    fn replace(&mut self, records: BTreeMap<u16, Encoded>, now: u32) {
        let added = records.iter().any(|(id, record)| self.records.get(id) != Some(record));
        let erased: Vec<u16> =
            self.records.keys().filter(|id| !records.contains_key(id)).copied().collect();
        let own = !records.range(..added::FIRST).eq(self.records.range(..added::FIRST));
        if own {
            self.changed.own = self.changed.own.wrapping_add(1);
        }
        self.note_changes(&records, &erased);
        if added {
            self.changed.added = now;
        }
        if !erased.is_empty() {
            self.changed.erased = now;
        }
        if added || !erased.is_empty() {
            self.changed.count = self.changed.count.wrapping_add(1);
            self.records = records;
        }
    }

    /// Ends what reservations claim of records that `records` replaces, without those of the ids `erased`.
    fn note_changes(&mut self, records: &BTreeMap<u16, Encoded>, erased: &[u16]) {
        self.freed.extend(erased);
        let (mut moved, mut own_moved) = (false, false);
        for (id, record) in records {
            let other = match self.records.get(id) {
                Some(before) => before != record,
                None => self.freed.remove(id),
            };
            moved |= other;
            own_moved |= other && *id < added::FIRST;
        }
        if own_moved {
            self.own_reservation.cancel();
        }
        if moved {
            self.reservation.cancel();
        }
        if records.keys().any(|id| !self.records.contains_key(id)) {
            self.reservation.note_addition();
        }
    }
}
