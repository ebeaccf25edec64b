//! What the event log survives.

use durable::simulated::Disk;
use futures_util::future::join_all;
use ipmi_proto::sel::{SelBody, SelRecord, SelRecordId};

use super::*;

/// A record that differs from all others.
fn record(mark: u32) -> SelRecord {
    let [a, b, c, d] = mark.to_le_bytes();
    let data = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    SelRecord { id: 0, body: SelBody::Plain { kind: 0xe0, data } }
}

fn mark(record: &SelRecord) -> u32 {
    let [_, _, _, a, b, c, d, ..] = record.to_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// The whole log as a client lists it.
fn list<S>(store: &SelStore<S>) -> Vec<(u16, u32)> {
    let mut all = Vec::new();
    let mut id = 0;
    while let Some((record, next)) = store.get(id) {
        all.push((record.id, mark(&record)));
        match next {
            Some(next) => id = next,
            None => break,
        }
    }
    all
}

#[tokio::test]
async fn log_that_cannot_be_written_fails_the_self_test_until_it_can() {
    let disk = Disk::new();
    let store = SelStore::open(disk.clone(), 100);
    let health = Arc::<Health>::default();
    store.report_to(Arc::clone(&health));
    store.add(record(1), 1).await.unwrap();
    assert_eq!(health.faults(), 0);
    disk.set_capacity(Some(0));
    assert_eq!(store.add(record(2), 2).await, Err(StoreError::Storage));
    assert_eq!(health.faults(), Fault::Sel as u8);
    disk.set_capacity(None);
    store.add(record(3), 3).await.unwrap();
    assert_eq!(health.faults(), 0);
}

#[tokio::test]
async fn records_are_there_at_the_next_start() {
    let disk = Disk::new();
    let store = SelStore::open(disk.clone(), 100);
    for at in 1..=5 {
        assert_eq!(store.add(record(at), at).await.unwrap().value(), u16::try_from(at).unwrap());
    }
    let third = SelRecordId::new(3).unwrap();
    assert_eq!(store.delete(3, 9, None).await, Ok(third));
    assert_eq!(store.delete(3, 10, None).await, Err(StoreError::NotFound));
    let again = SelStore::open(disk.after_power_loss(0), 100);
    assert_eq!(list(&again), [(1, 1), (2, 2), (4, 4), (5, 5)]);
    let info = SelInfo { entries: 4, free: 96, last_add: 5, last_erase: 9, overflow: false };
    assert_eq!(again.info(), info);
    assert_eq!(again.add(record(6), 11).await.unwrap().value(), 6);
}

#[tokio::test]
async fn full_log_goes_on_with_new_ids_over_restarts_and_compaction() {
    let disk = Disk::new();
    let mut store = SelStore::open(disk.clone(), 10);
    for round in 0..40 {
        join_all((0..100).map(|n| store.add(record(round * 100 + n), 1))).await;
        if round % 7 == 0 {
            store = SelStore::open(disk.clone(), 10);
        }
    }
    let expected: Vec<(u16, u32)> =
        (3990..4000).map(|n| (u16::try_from(n).unwrap() + 1, n)).collect();
    assert_eq!(list(&store), expected);
    assert!(store.info().overflow);
    let size = lock(&store.shared.journal).length();
    assert!(size < writer::limits(10).journal, "{size}");
}

#[tokio::test]
async fn waiting_records_share_a_flush() {
    let disk = Disk::new();
    let store = SelStore::open(disk.clone(), 1000);
    store.add(record(0), 1).await.unwrap();
    let before = disk.operations();
    // All records wait before the medium takes the first.
    let stopped = disk.stop();
    let adding = join_all((1..=200).map(|n| store.add(record(n), 1)));
    let (added, ()) = tokio::join!(adding, async move { drop(stopped) });
    assert!(added.iter().all(Result::is_ok));
    assert!(disk.operations() - before < 100, "{}", disk.operations() - before);
}

#[tokio::test]
async fn zeroed_end_of_the_log_is_set_aside_and_the_other_records_stay() {
    let disk = Disk::new();
    let store = SelStore::open(disk.clone(), 1000);
    for n in 1..=200 {
        store.add(record(n), 1).await.unwrap();
    }
    disk.tamper("sel", |bytes| {
        let half = bytes.len() / 2;
        bytes[half..].fill(0);
    });
    let damaged = disk.read("sel").unwrap();
    let store = SelStore::open(disk.clone(), 1000);
    let expected: Vec<(u16, u32)> = (1..=100).map(|n| (n, u32::from(n))).collect();
    assert_eq!(list(&store), expected);
    assert_eq!(disk.read("sel.corrupt").unwrap(), damaged);
    assert_eq!(store.add(record(7), 1).await.unwrap().value(), 101);
}

#[tokio::test]
async fn too_many_waiting_changes_are_refused() {
    let store = SelStore::open(Disk::new(), 10_000);
    let added = join_all((0..1000).map(|n| store.add(record(n), 1))).await;
    let accepted = added.iter().filter(|result| result.is_ok()).count();
    assert!(accepted >= 256, "{accepted}");
    assert!(added.iter().all(|result| matches!(result, Ok(_) | Err(StoreError::Busy))));
    assert_eq!(store.info().entries, accepted);
}

#[tokio::test]
async fn log_stays_what_it_was_when_the_medium_refuses() {
    let disk = Disk::new();
    let store = SelStore::open(disk.clone(), 100);
    store.add(record(1), 1).await.unwrap();
    disk.set_capacity(Some(0));
    assert_eq!(store.add(record(2), 1).await, Err(StoreError::Storage));
    assert_eq!(list(&store), [(1, 1)]);
    disk.set_capacity(None);
    assert_eq!(store.add(record(3), 1).await.unwrap().value(), 2);
    assert_eq!(list(&SelStore::open(disk, 100)), [(1, 1), (2, 3)]);
}

#[tokio::test]
async fn reservation_deletes_many_and_clears_what_its_holder_has_seen() {
    let store = SelStore::open(Disk::new(), 100);
    for at in 1..=5 {
        store.add(record(at), at).await.unwrap();
    }
    let first = store.reserve();
    let reserved = Some(store.reserve());
    assert_eq!(store.delete(1, 9, Some(first)).await, Err(StoreError::Cancelled), "not the latest");
    for id in [2, 3] {
        assert_eq!(store.delete(id, 9, reserved).await.unwrap().value(), id);
    }
    assert_eq!(store.delete(0xffff, 9, reserved).await.unwrap().value(), 5);
    assert!(store.holds(first));

    store.delete(4, 9, None).await.unwrap();
    let ends = [0, 0xffff];
    for id in ends {
        assert_eq!(
            store.delete(id, 9, reserved).await,
            Err(StoreError::Cancelled),
            "others deleted"
        );
    }
    store.add(record(6), 6).await.unwrap();
    assert_eq!(store.clear(9, reserved).await, Err(StoreError::Cancelled), "an event came");
    let reserved = Some(store.reserve());
    store.add(record(7), 7).await.unwrap();
    for id in ends {
        assert_eq!(
            store.delete(id, 9, reserved).await,
            Err(StoreError::Cancelled),
            "an event came"
        );
    }
    assert_eq!(store.delete(1, 9, reserved).await.unwrap().value(), 1);
    let reserved = Some(store.reserve());
    store.delete(6, 9, None).await.unwrap();
    store.clear(10, reserved).await.unwrap();
    assert_eq!((list(&store), store.info().last_erase), (vec![], 10));
    assert!(!reserved.is_some_and(|id| store.holds(id)));
}

/// Adds, deletes and erases until the power goes; what was acknowledged is what the next start finds,
/// the change that was under way being there or not.
#[tokio::test]
async fn power_loss_after_any_operation_loses_nothing_acknowledged() {
    for cut in 0..120 {
        let disk = Disk::new();
        let store = SelStore::open(disk.clone(), 8);
        disk.cut_after(cut);
        // The states the log may be in: as acknowledged, or one change further.
        let mut acknowledged: Vec<(u16, u32)> = Vec::new();
        let mut started = acknowledged.clone();
        for n in 0..60_u32 {
            started.clone_from(&acknowledged);
            let done = match n % 20 {
                19 => {
                    started.clear();
                    store.clear(n, None).await.is_ok()
                }
                5 | 11 => {
                    let (id, _) = started.remove(started.len() / 2);
                    store.delete(id, n, None).await.is_ok()
                }
                _ => {
                    let next = list(&store).last().map_or(1, |(id, _)| id + 1);
                    started.push((next, n));
                    if started.len() > 8 {
                        started.remove(0);
                    }
                    store.add(record(n), n).await.is_ok()
                }
            };
            if !done {
                break;
            }
            acknowledged.clone_from(&started);
        }
        for seed in 0..12 {
            let found = list(&SelStore::open(disk.after_power_loss(seed), 8));
            assert!(
                found == acknowledged || found == started,
                "cut {cut}, seed {seed}: {found:?}, not {acknowledged:?} or {started:?}"
            );
        }
    }
}
