//! The thread that writes the journal: one at a time, gone when there is nothing to write.

use std::collections::VecDeque;
use std::mem;

use durable::{Journal, Limits, Storage};
use ipmi_proto::sel::{SelRecord, SelRecordId};
use tokio::sync::oneshot;
use tracing::error;

use super::log::{Change, Log};
use super::{SelError, Shared, entry};
use crate::model::persistent::lock;

/// Changes that may wait; more are refused.
const MAX_WAITING: usize = 256;
/// Changes that are written at once. A power loss can tear one such batch, so the fewer it has, the more
/// damage at the end of the journal is distinguished from a torn one.
const MAX_BATCH: usize = 16;
/// Entries beyond what is alive that the journal may hold before it is compacted.
const SLACK: u64 = 1024;

/// A change that waits to be written, and who waits for it.
pub(super) enum Operation {
    Add {
        record: SelRecord,
        at: u32,
        done: oneshot::Sender<Result<SelRecordId, SelError>>,
    },
    Delete {
        id: SelRecordId,
        at: u32,
        reservation: Option<u16>,
        done: oneshot::Sender<Result<SelRecordId, SelError>>,
    },
    Clear {
        at: u32,
        reservation: Option<u16>,
        done: oneshot::Sender<Result<(), SelError>>,
    },
}

/// The changes that wait.
#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<Operation>,
    draining: bool,
}

impl Queue {
    /// Takes `operation`; true when the caller has to start a thread that drains the queue.
    pub(super) fn push(&mut self, operation: Operation) -> Result<bool, SelError> {
        if self.waiting.len() >= MAX_WAITING {
            return Err(SelError::Busy);
        }
        self.waiting.push_back(operation);
        Ok(!mem::replace(&mut self.draining, true))
    }

    /// What waits, or none and the end of the draining.
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

/// Writes what waits, until nothing does.
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
                    let deleted = admit(shared, reservation)
                        .and_then(|()| delete(shared, &mut journal, id, at));
                    // Who asked may have given up; the change stands all the same.
                    let _gone = done.send(deleted);
                }
                Operation::Clear { at, reservation, done } => {
                    let cleared =
                        admit(shared, reservation).and_then(|()| clear(shared, &mut journal, at));
                    let _gone = done.send(cleared);
                }
            }
        }
        shared.changed.notify_one();
        compact(&shared.log, &mut journal);
    }
}

type Addition = (SelRecord, u32, oneshot::Sender<Result<SelRecordId, SelError>>);

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
        let mut log = shared.log();
        for change in &changes {
            log.apply(change);
        }
    }
    shared.added.notify_one();
    for ((_, _, done), change) in batch.into_iter().zip(changes) {
        let id = match change {
            Change::Add { record, .. } => SelRecordId::new(record.id),
            _ => None,
        };
        let _gone = done.send(written.and(id.ok_or(SelError::Storage)));
    }
}

/// Whether a reservation, where one is asked for, allows to erase: only here is anything erased.
fn admit<S>(shared: &Shared<S>, reservation: Option<u16>) -> Result<(), SelError> {
    let allows = reservation.is_none_or(|id| lock(&shared.reservation).is_latest(id));
    if allows { Ok(()) } else { Err(SelError::Cancelled) }
}

fn clear<S: Storage>(
    shared: &Shared<S>,
    journal: &mut Journal<S>,
    at: u32,
) -> Result<(), SelError> {
    write(journal, &[Change::Clear { at }])?;
    shared.log().apply(&Change::Clear { at });
    lock(&shared.reservation).cancel();
    shared.cleared.notify_one();
    Ok(())
}

fn delete<S: Storage>(
    shared: &Shared<S>,
    journal: &mut Journal<S>,
    id: SelRecordId,
    at: u32,
) -> Result<SelRecordId, SelError> {
    if shared.log().get(id.value()).is_none() {
        return Err(SelError::Absent);
    }
    let change = Change::Delete { id, at };
    write(journal, &[change])?;
    shared.log().apply(&change);
    lock(&shared.reservation).cancel();
    Ok(id)
}

fn write<S: Storage>(journal: &mut Journal<S>, changes: &[Change]) -> Result<(), SelError> {
    let entries: Vec<Vec<u8>> = changes.iter().map(entry::encode).collect();
    journal.append(&entries).map_err(|error| {
        error!(%error, "the event log cannot be written");
        SelError::Storage
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
        error!(%error, "the event log cannot be compacted");
    }
}
