//! The thread that writes the journal: at most one, which ends when the queue is empty.

use std::collections::VecDeque;
use std::mem;

use durable::{Journal, Limits, Storage};
use ipmi_proto::sel::{SelRecord, SelRecordId};
use tokio::sync::oneshot;
use tracing::error;

use super::log::{Change, Log};
use super::{Shared, entry};
use crate::model::StoreError;
use crate::model::persistent::lock;

/// Changes that may wait; more are refused.
const MAX_WAITING: usize = 256;
/// Changes that are written at once. A power loss can tear one such batch, so the fewer it has, the more
/// damage at the end of the journal is distinguished from a torn one.
const MAX_BATCH: usize = 16;
/// Entries beyond what is alive that the journal may hold before it is compacted.
const SLACK: u64 = 1024;

/// A change that waits to be written, with the channel for its result.
pub(super) enum Operation {
    Add {
        record: SelRecord,
        at: u32,
        done: oneshot::Sender<Result<SelRecordId, StoreError>>,
    },
    Delete {
        id: u16,
        at: u32,
        reservation: Option<u16>,
        done: oneshot::Sender<Result<SelRecordId, StoreError>>,
    },
    Clear {
        at: u32,
        reservation: Option<u16>,
        done: oneshot::Sender<Result<(), StoreError>>,
    },
}

/// The queue of changes.
#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<Operation>,
    draining: bool,
}

impl Queue {
    /// Takes `operation`; true when the caller has to start a thread that drains the queue.
    pub(super) fn push(&mut self, operation: Operation) -> Result<bool, StoreError> {
        if self.waiting.len() >= MAX_WAITING {
            return Err(StoreError::Busy);
        }
        self.waiting.push_back(operation);
        Ok(!mem::replace(&mut self.draining, true))
    }

    /// The waiting changes; `None` ends the thread.
    fn take(&mut self) -> Option<VecDeque<Operation>> {
        let waiting = mem::take(&mut self.waiting);
        self.draining = !waiting.is_empty();
        self.draining.then_some(waiting)
    }
}

/// The bytes of one entry in the journal, at the most.
const ENTRY_SPACE: u64 = Journal::<durable::Folder>::space_for(entry::MAX_LENGTH as usize);

/// What a journal of a log of `capacity` records never exceeds.
pub(super) fn limits(capacity: usize) -> Limits {
    let most_waiting = MAX_WAITING as u64;
    let batch = u32::try_from(MAX_BATCH as u64 * ENTRY_SPACE).unwrap_or(u32::MAX);
    let journal = (2 * (capacity as u64 + 1) + SLACK + most_waiting) * ENTRY_SPACE;
    Limits { journal, batch, record: entry::MAX_LENGTH }
}

/// Writes the waiting changes until the queue is empty.
pub(super) fn drain<S: Storage>(shared: &Shared<S>) {
    let mut journal = lock(&shared.journal);
    loop {
        let taken = lock(&shared.queue).take();
        let Some(mut waiting) = taken else { return };
        while let Some(operation) = waiting.pop_front() {
            match operation {
                Operation::Add { record, at, done } => {
                    let mut batch = vec![(record, at, done)];
                    while batch.len() < MAX_BATCH
                        && let Some(Operation::Add { .. }) = waiting.front()
                    {
                        if let Some(Operation::Add { record, at, done }) = waiting.pop_front() {
                            batch.push((record, at, done));
                        }
                    }
                    add(shared, &mut journal, batch);
                }
                Operation::Delete { id, at, reservation, done } => {
                    let deleted = delete(shared, &mut journal, (id, at), reservation);
                    // The request may have timed out; the change is made all the same.
                    let _gone = done.send(deleted);
                }
                Operation::Clear { at, reservation, done } => {
                    let cleared = clear(shared, &mut journal, at, reservation);
                    let _gone = done.send(cleared);
                }
            }
        }
        shared.changed.notify_one();
        compact(&shared.log, &mut journal);
    }
}

type Addition = (SelRecord, u32, oneshot::Sender<Result<SelRecordId, StoreError>>);

fn add<S: Storage>(shared: &Shared<S>, journal: &mut Journal<S>, batch: Vec<Addition>) {
    let changes: Vec<Change> = {
        let log = shared.log();
        let ids = log.next_ids();
        batch
            .iter()
            .zip(ids)
            .map(|((record, at, _), id)| Change::Add {
                record: SelRecord { id: id.value(), body: record.body },
                at: *at,
            })
            .collect()
    };
    let written = write(journal, &changes);
    if written.is_ok() {
        let mut reservation = lock(&shared.reservation);
        let mut log = shared.log();
        for change in &changes {
            log.apply(change);
        }
        reservation.note_addition();
    }
    shared.added.notify_one();
    for ((_, _, done), change) in batch.into_iter().zip(changes) {
        let id = match change {
            Change::Add { record, .. } => SelRecordId::new(record.id),
            _ => None,
        };
        let _gone = done.send(written.and(id.ok_or(StoreError::Storage)));
    }
}

// Reservations are checked in the writer's thread, which makes all changes, so that none comes between the check and the
// erasure. Their lock is not held while the medium is written: requests take it.

fn clear<S: Storage>(
    shared: &Shared<S>,
    journal: &mut Journal<S>,
    at: u32,
    reservation: Option<u16>,
) -> Result<(), StoreError> {
    if !reservation.is_none_or(|id| lock(&shared.reservation).has_seen_all(id)) {
        return Err(StoreError::Cancelled);
    }
    write(journal, &[Change::Clear { at }])?;
    let mut reservations = lock(&shared.reservation);
    shared.log().apply(&Change::Clear { at });
    reservations.cancel();
    shared.cleared.notify_one();
    Ok(())
}

/// Deletes the record `id`, 0000h for the oldest and FFFFh for the newest, at the time `at`.
fn delete<S: Storage>(
    shared: &Shared<S>,
    journal: &mut Journal<S>,
    (id, at): (u16, u32),
    reservation: Option<u16>,
) -> Result<SelRecordId, StoreError> {
    let allowed = reservation.is_none_or(|reserved| {
        let reservations = lock(&shared.reservation);
        match id {
            0x0000 | 0xffff => reservations.knows_ends(reserved),
            _ => reservations.is_latest(reserved),
        }
    });
    if !allowed {
        return Err(StoreError::Cancelled);
    }
    let record = shared.log().get(id).and_then(|(record, _)| SelRecordId::new(record.id));
    let id = record.ok_or(StoreError::NotFound)?;
    let change = Change::Delete { id, at };
    write(journal, &[change])?;
    let mut reservations = lock(&shared.reservation);
    shared.log().apply(&change);
    reservations.note_deletion(reservation);
    Ok(id)
}

fn write<S: Storage>(journal: &mut Journal<S>, changes: &[Change]) -> Result<(), StoreError> {
    let entries: Vec<Vec<u8>> = changes.iter().map(entry::encode).collect();
    journal.append(&entries).map_err(|error| {
        error!(%error, "cannot write the SEL journal; the change is refused");
        StoreError::Storage
    })
}

/// Replaces the journal when it holds far more than the log.
fn compact<S: Storage>(log: &std::sync::Mutex<Log>, journal: &mut Journal<S>) {
    let changes: Vec<Change> = {
        let log = lock(log);
        if journal.length() < (2 * (log.len() as u64 + 1) + SLACK) * ENTRY_SPACE {
            return;
        }
        log.changes().collect()
    };
    let entries: Vec<Vec<u8>> = changes.iter().map(entry::encode).collect();
    if let Err(error) = journal.rewrite(&entries) {
        error!(%error, "cannot compact the SEL journal; it stays as it is, and the next change tries again");
    }
}
