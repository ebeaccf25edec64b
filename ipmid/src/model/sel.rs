//! The system event log: a bounded ring that survives power loss (IPMI v2.0 §31).
//!
//! Reads are from memory and never wait. A change is journalled by one thread, which exists only
//! while there are changes to write; it is made in memory, and acknowledged, once the journal is on
//! the medium. Changes that wait meanwhile go into the next batch together.

mod entry;
mod log;
mod writer;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use durable::{Journal, Storage};
use ipmi_proto::sel::{SelRecord, SelRecordId};
use tokio::sync::{Notify, oneshot};

use self::log::{Head, Log};
use self::writer::{Operation, Queue};
use super::{Reservation, StoreError, at_most_fffeh};
use crate::model::health::{Fault, Health};
use crate::model::persistent::lock;

/// The journal's name in the state folder.
const FILE: &str = "sel";

/// The response of Get SEL Info (§31.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SelInfo {
    /// Records in the log.
    pub entries: usize,
    /// Records that still fit without losing one.
    pub free: usize,
    /// When a record was added last, seconds since 1970; 0 for never.
    pub last_add: u32,
    /// When records were erased last; 0 for never.
    pub last_erase: u32,
    /// Overflow: whether a record was dropped for a newer one since the log was erased.
    pub overflow: bool,
}

impl SelInfo {
    /// Operation support: delete, partial add, reserve, allocation info.
    const SUPPORT: u8 = 0x0f;
    /// Operation support, bit 7: overflow.
    const OVERFLOW: u8 = 0x80;

    /// Free bytes, at most FFFEh: FFFFh means "unspecified" (IPMI v2.0 §31.2).
    #[must_use]
    pub fn free_bytes(&self) -> u16 {
        at_most_fffeh(self.free.saturating_mul(SelRecord::LENGTH))
    }

    /// The byte "operation support" with the overflow flag.
    #[must_use]
    pub const fn support(&self) -> u8 {
        if self.overflow { Self::SUPPORT | Self::OVERFLOW } else { Self::SUPPORT }
    }
}

/// The event log.
pub struct SelStore<S> {
    shared: Arc<Shared<S>>,
}

impl<S> std::fmt::Debug for SelStore<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SelStore of {} records", self.shared.log().len())
    }
}

struct Shared<S> {
    log: Mutex<Log>,
    reservation: Mutex<Reservation>,
    queue: Mutex<Queue>,
    journal: Mutex<Journal<S>>,
    added: Notify,
    /// Notified when records were added or deleted; when the log was erased.
    changed: Notify,
    cleared: Notify,
    health: OnceLock<Arc<Health>>,
}

impl<S> Shared<S> {
    fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }
}

impl<S: Storage + 'static> SelStore<S> {
    /// Opens the log in `storage`, of at most `capacity` records.
    ///
    /// The journal sets damaged entries aside; the intact records are used.
    pub fn open(storage: S, capacity: usize) -> Self {
        let mut log = Log::new(capacity);
        let limits = writer::limits(log.capacity());
        let (journal, entries) = Journal::open(storage, FILE, limits);
        for change in entries.iter().filter_map(|entry| entry::decode(entry)) {
            log.apply(&change);
        }
        Self {
            shared: Arc::new(Shared {
                log: Mutex::new(log),
                reservation: Mutex::default(),
                queue: Mutex::default(),
                journal: Mutex::new(journal),
                added: Notify::new(),
                changed: Notify::new(),
                cleared: Notify::new(),
                health: OnceLock::new(),
            }),
        }
    }

    /// Adds `record` under a new id, at `now` (seconds since 1970). The id is given once the record is on
    /// the medium.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] when too many changes wait, [`StoreError::Storage`] when the journal cannot be written;
    /// nothing is added then.
    pub async fn add(&self, record: SelRecord, now: u32) -> Result<SelRecordId, StoreError> {
        let (done, written) = oneshot::channel();
        self.submit(Operation::Add { record, at: now, done })?;
        self.outcome(written.await.unwrap_or(Err(StoreError::Storage)))
    }

    /// Deletes the record `id`, 0000h for the oldest and FFFFh for the newest, if `reservation`, if there is one, is
    /// valid when the change is made.
    ///
    /// # Errors
    ///
    /// [`StoreError::Cancelled`] without a valid reservation, [`StoreError::NotFound`] when there is no such record, and
    /// those of [`Self::add`].
    pub async fn delete(
        &self,
        id: u16,
        now: u32,
        reservation: Option<u16>,
    ) -> Result<SelRecordId, StoreError> {
        let (done, written) = oneshot::channel();
        self.submit(Operation::Delete { id, at: now, reservation, done })?;
        self.outcome(written.await.unwrap_or(Err(StoreError::Storage)))
    }

    /// Erases the log, if `reservation`, if there is one, is valid when the change is made and no record was added
    /// since it was given. Ids begin at 1 again.
    ///
    /// # Errors
    ///
    /// [`StoreError::Cancelled`] without a valid reservation, and those of [`Self::add`].
    pub async fn clear(&self, now: u32, reservation: Option<u16>) -> Result<(), StoreError> {
        let (done, written) = oneshot::channel();
        self.submit(Operation::Clear { at: now, reservation, done })?;
        self.outcome(written.await.unwrap_or(Err(StoreError::Storage)))
    }

    /// From now on reports to `health` whether the log can be written.
    pub fn report_to(&self, health: Arc<Health>) {
        self.shared.health.get_or_init(|| health);
    }

    /// Reports the outcome of a change to the controller's self test, and returns it.
    fn outcome<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Some(health) = self.shared.health.get() {
            match outcome {
                Ok(_) => health.report(Fault::Sel, false),
                Err(StoreError::Storage) => health.report(Fault::Sel, true),
                // The medium was not written.
                Err(_) => {}
            }
        }
        outcome
    }

    fn submit(&self, operation: Operation) -> Result<(), StoreError> {
        if lock(&self.shared.queue).push(operation)? {
            let shared = Arc::clone(&self.shared);
            tokio::task::spawn_blocking(move || writer::drain(&shared));
        }
        Ok(())
    }
}

impl<S> SelStore<S> {
    /// The record `id`, 0000h for the oldest and FFFFh for the newest, and the id of the record after
    /// it.
    #[must_use]
    pub fn get(&self, id: u16) -> Option<(SelRecord, Option<u16>)> {
        let log = self.shared.log();
        log.get(id).map(|(record, next)| (*record, next))
    }

    /// The oldest record that came after the one of `id`, which may be gone; all come after 0000h.
    #[must_use]
    pub fn after(&self, id: u16) -> Option<SelRecord> {
        self.shared.log().after(id).copied()
    }

    /// How often the log was erased. Record ids begin again after each time.
    #[must_use]
    pub fn clears(&self) -> u64 {
        self.shared.log().clears()
    }

    /// How full the log is and when it changed.
    #[must_use]
    pub fn info(&self) -> SelInfo {
        let log = self.shared.log();
        let Head { last_add, last_erase, overflow, .. } = log.head();
        SelInfo {
            entries: log.len(),
            free: log.capacity() - log.len(),
            last_add,
            last_erase,
            overflow,
        }
    }

    /// The most records it holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.log().capacity()
    }

    /// A new reservation.
    #[must_use]
    pub fn reserve(&self) -> u16 {
        lock(&self.shared.reservation).reserve()
    }

    /// Whether the log was not erased since `reservation` was given.
    #[must_use]
    pub fn holds(&self, reservation: u16) -> bool {
        lock(&self.shared.reservation).holds(reservation)
    }

    /// Waits until records have been added since it was last waited for.
    pub async fn added(&self) {
        self.shared.added.notified().await;
    }

    /// Waits until records have come or gone since it was last waited for.
    pub async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    /// Waits until the log was erased since it was last waited for.
    pub async fn cleared(&self) {
        self.shared.cleared.notified().await;
    }
}

#[cfg(test)]
mod tests;
