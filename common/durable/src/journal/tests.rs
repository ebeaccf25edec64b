//! What a journal survives.

use proptest::prelude::*;

use super::*;
use crate::simulated::Disk;

const LIMIT: Limits = Limits { journal: 100_000, record: 1000 };

fn open(disk: &Disk) -> (Journal<Disk>, Vec<Vec<u8>>) {
    Journal::open(disk.clone(), "sel", LIMIT)
}

fn records(disk: &Disk) -> Vec<Vec<u8>> {
    open(disk).1
}

/// A record that differs from all others.
fn record(number: u8) -> Vec<u8> {
    vec![number; 5 + usize::from(number)]
}

fn batch(range: std::ops::Range<u8>) -> Vec<Vec<u8>> {
    range.map(record).collect()
}

/// A journal with three batches: 3, 1 and 4 records.
fn three_batches() -> Disk {
    let disk = Disk::new();
    let (mut journal, _) = open(&disk);
    for range in [0..3, 3..4, 4..8] {
        journal.append(&batch(range)).unwrap();
    }
    disk
}

#[test]
fn records_are_there_at_the_next_start() {
    let disk = three_batches();
    let (journal, found) = open(&disk);
    assert_eq!(found, batch(0..8));
    assert_eq!(journal.length(), disk.read("sel").unwrap().unwrap().len() as u64);
    assert_eq!(disk.names(), ["sel"]);
}

/// Runs `work` on a journal of three batches, cut off after each of its operations; what many a
/// medium holds then is one of `allowed`, and the journal goes on from there.
fn cut_everywhere(
    work: impl Fn(&mut Journal<Disk>) -> Result<(), Error>,
    allowed: &[Vec<Vec<u8>>],
    done: &[Vec<u8>],
) {
    for cut in 0.. {
        let disk = three_batches();
        let (mut journal, _) = open(&disk);
        disk.cut_after(cut);
        let outcome = work(&mut journal);
        for seed in 0..200 {
            let survivor = disk.after_power_loss(seed);
            let (mut journal, found) = open(&survivor);
            let fits = if outcome.is_ok() { found == done } else { allowed.contains(&found) };
            assert!(fits, "cut {cut}, seed {seed}: {found:?}");
            assert!(!survivor.names().contains(&"sel.corrupt".to_owned()), "cut {cut} seed {seed}");
            journal.append(&[b"next"]).unwrap();
            let mut expected = found;
            expected.push(b"next".to_vec());
            assert_eq!(records(&survivor.after_power_loss(0)), expected, "cut {cut} seed {seed}");
        }
        if outcome.is_ok() {
            assert!(cut >= 2);
            return;
        }
    }
}

#[test]
fn power_loss_in_an_append_leaves_all_of_the_batch_or_nothing() {
    let (old, new) = (batch(0..8), batch(0..20));
    cut_everywhere(|journal| journal.append(&batch(8..20)), &[old, new.clone()], &new);
}

#[test]
fn power_loss_in_a_rewrite_leaves_the_old_journal_or_the_new() {
    let (old, new) = (batch(0..8), batch(2..6));
    cut_everywhere(|journal| journal.rewrite(&batch(2..6)), &[old, new.clone()], &new);
}

#[test]
fn power_loss_in_the_first_append_leaves_nothing_or_the_batch() {
    for cut in 0..=3 {
        let disk = Disk::new();
        let (mut journal, _) = open(&disk);
        disk.cut_after(cut);
        let outcome = journal.append(&batch(0..4));
        for seed in 0..200 {
            let found = records(&disk.after_power_loss(seed));
            let nothing = found.is_empty() && outcome.is_err();
            assert!(nothing || found == batch(0..4), "cut {cut}, seed {seed}");
        }
    }
}

#[test]
fn torn_end_is_cut_off_at_any_length() {
    let whole = three_batches().read("sel").unwrap().unwrap();
    let two = usize::try_from(
        batch(0..4).iter().map(|r| Journal::<Disk>::space_for(r.len())).sum::<u64>(),
    );
    let two = two.unwrap();
    for cut in two..whole.len() {
        let disk = three_batches();
        disk.tamper("sel", |bytes| bytes.truncate(cut));
        let (mut journal, found) = open(&disk);
        assert_eq!(found, batch(0..4), "cut at {cut}");
        journal.append(&batch(4..5)).unwrap();
        assert_eq!(records(&disk), batch(0..5), "cut at {cut}");
        assert_eq!(disk.names(), ["sel"]);
    }
}

#[test]
fn damage_in_the_middle_costs_one_record() {
    let length = three_batches().read("sel").unwrap().unwrap().len();
    let first_two =
        usize::try_from(Journal::<Disk>::space_for(5) + Journal::<Disk>::space_for(6)).unwrap();
    for at in 0..length {
        let disk = three_batches();
        disk.tamper("sel", |bytes| bytes[at] ^= 0x10);
        let found = records(&disk);
        let mut before_last = found.clone();
        before_last.retain(|record| batch(0..4).contains(record));
        if found.len() == 4 && before_last.len() == 4 {
            continue; // the last batch, which looks torn
        }
        assert_eq!(found.len(), 7, "damage at {at}");
        assert!(found.iter().all(|record| batch(0..8).contains(record)), "damage at {at}");
        if at < first_two {
            assert!(found.ends_with(&batch(2..8)));
        }
        assert!(disk.names().contains(&"sel.corrupt".to_owned()), "damage at {at}");
        let (mut journal, again) = open(&disk);
        assert_eq!(again, found);
        journal.append(&[b"next"]).unwrap();
        assert_eq!(records(&disk).len(), 8);
    }
}

#[test]
fn limit_holds_until_the_journal_is_compacted() {
    let disk = Disk::new();
    let (mut journal, _) = Journal::open(
        disk,
        "sel",
        Limits { journal: 3 * Journal::<Disk>::space_for(16), record: 16 },
    );
    for _ in 0..3 {
        journal.append(&[[7; 16]]).unwrap();
    }
    assert!(journal.append(&[[8; 16]]).unwrap_err().is_full());
    journal.rewrite(&[[7; 16]]).unwrap();
    journal.append(&[[8; 16], [9; 16]]).unwrap();
    assert!(matches!(journal.append(&[[0; 17]]), Err(Error::RecordTooLarge { .. })));
}

#[test]
fn full_disk_keeps_what_there_is() {
    let disk = three_batches();
    let (mut journal, _) = open(&disk);
    for room in 0..40 {
        disk.set_capacity(Some(usize::try_from(journal.length()).unwrap() + room));
        assert!(journal.append(&batch(40..42)).unwrap_err().is_full());
        assert_eq!(records(&disk.after_power_loss(1)), batch(0..8));
        disk.set_capacity(None);
        journal.append::<Vec<u8>>(&[]).unwrap();
    }
    journal.append(&batch(8..9)).unwrap();
    assert_eq!(records(&disk), batch(0..9));
}

#[test]
fn real_folder_behaves_as_the_simulated_one() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::open(root.path(), crate::Modes::PRIVATE).unwrap();
    let (mut journal, _) = Journal::open(folder.clone(), "sel", LIMIT);
    journal.append(&batch(0..3)).unwrap();
    journal.rewrite(&batch(1..3)).unwrap();
    journal.append(&batch(3..5)).unwrap();
    assert_eq!(Journal::open(folder, "sel", LIMIT).1, batch(1..5));
}

fn any_batches() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
    let record = prop::collection::vec(any::<u8>(), 0..40);
    prop::collection::vec(prop::collection::vec(record, 0..10), 0..10)
}

proptest! {
    #[test]
    fn any_bytes_are_opened_and_go_on(bytes in prop::collection::vec(prop_oneof![Just(0xc5), any::<u8>()], 0..200)) {
        let disk = Disk::new();
        disk.write("sel", &bytes).unwrap();
        let (mut journal, found) = open(&disk);
        journal.append(&[b"next"]).unwrap();
        prop_assert_eq!(records(&disk).len(), found.len() + 1);
    }

    #[test]
    fn any_records_survive(batches in any_batches()) {
        let disk = Disk::new();
        let (mut journal, _) = open(&disk);
        for batch in &batches {
            journal.append(batch).unwrap();
        }
        let flat: Vec<Vec<u8>> = batches.into_iter().flatten().collect();
        prop_assert_eq!(records(&disk), flat);
    }
}
