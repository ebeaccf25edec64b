//! Power loss, damage and limits of a journal.

use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::simulated::Disk;

const LIMIT: Limits = Limits { journal: 100_000, batch: 600, record: 1000 };

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

fn batch(range: Range<u8>) -> Vec<Vec<u8>> {
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

/// Runs `work` on a journal of three batches, cut off after each of its operations. What the medium
/// then holds is one of `allowed`, and more can be appended.
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
            continue; // damage to the last batch, which looks torn
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
        Limits { journal: 3 * Journal::<Disk>::space_for(16), batch: 100, record: 16 },
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

#[test]
fn batch_beyond_its_limit_is_refused() {
    let disk = three_batches();
    let (mut journal, _) = open(&disk);
    let refused = journal.append(&[[1; 588], [2; 588]]);
    assert!(matches!(refused, Err(Error::BatchTooLarge { length: 1200, .. })));
    journal.append(&[[1; 588]]).unwrap();
    assert_eq!(records(&disk).len(), 9);
}

/// 200 batches of one record, of which the last `lost` are zeroed.
fn zeroed_at_the_end(lost: usize) -> Disk {
    let disk = Disk::new();
    let (mut journal, _) = open(&disk);
    for number in 0..200_u8 {
        journal.append(&[[number; 21]]).unwrap();
    }
    let size = usize::try_from(Journal::<Disk>::space_for(21)).unwrap();
    disk.tamper("sel", |bytes| bytes[(200 - lost) * size..].fill(0));
    disk
}

#[test]
fn zeroed_end_beyond_one_batch_is_set_aside() {
    for lost in [1, 10, 18, 19, 20, 100, 199, 200] {
        let disk = zeroed_at_the_end(lost);
        let damaged = disk.read("sel").unwrap();
        let expected: Vec<Vec<u8>> =
            (0..200 - lost).map(|n| vec![u8::try_from(n).unwrap(); 21]).collect();
        assert_eq!(records(&disk), expected, "{lost} lost");
        // 18 records of 33 bytes are a batch of 600 bytes at the most.
        let aside = disk.read("sel.corrupt").unwrap();
        assert_eq!(aside, damaged.filter(|_| lost > 18), "{lost} lost");
        assert_eq!(records(&disk), expected, "{lost} lost");
    }
}

#[test]
fn damaged_journal_is_copied_where_there_are_no_hard_links() {
    let disk = zeroed_at_the_end(100);
    let damaged = disk.read("sel").unwrap();
    disk.refuse_links();
    assert_eq!(records(&disk).len(), 100);
    assert_eq!(disk.read("sel.corrupt").unwrap(), damaged);
    assert_ne!(disk.read("sel").unwrap(), damaged);
}

#[test]
fn damaged_journal_that_cannot_be_copied_stays() {
    let disk = zeroed_at_the_end(100);
    let damaged = disk.read("sel").unwrap();
    disk.cut_after(0);
    assert_eq!(records(&disk).len(), 100);
    assert_eq!(disk.read("sel").unwrap(), damaged);
}

/// What happens to a range of a journal's bytes.
#[derive(Clone, Debug)]
enum Damage {
    Zeroed,
    Garbage(u64),
    Truncated,
}

fn any_damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        Just(Damage::Zeroed),
        any::<u64>().prop_map(Damage::Garbage),
        Just(Damage::Truncated),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>, range: Range<usize>) {
        match self {
            Self::Zeroed => bytes[range].fill(0),
            Self::Garbage(seed) => {
                let mut random = fastrand::Rng::with_seed(*seed);
                for byte in &mut bytes[range] {
                    // Not 0, which would leave the byte as it is.
                    *byte ^= random.u8(1..);
                }
            }
            Self::Truncated => bytes.truncate(range.start),
        }
    }
}

/// Where a record's frame is, and the record.
type Framed = (Range<usize>, Vec<u8>);

/// A journal of `batches`, and its records in order.
fn journal_of(batches: &[Vec<Vec<u8>>]) -> (Disk, Vec<Framed>) {
    let disk = Disk::new();
    let (mut journal, _) = open(&disk);
    let mut frames = Vec::new();
    let mut at = 0;
    for (index, batch) in (0_u32..).zip(batches) {
        // Each record has its number in it, so that it differs from all others.
        let batch: Vec<Vec<u8>> = (0_u8..)
            .zip(batch)
            .map(|(n, record)| [&index.to_be_bytes()[..], &[n], record].concat())
            .collect();
        journal.append(&batch).unwrap();
        for record in batch {
            let end = at + usize::try_from(Journal::<Disk>::space_for(record.len())).unwrap();
            frames.push((at..end, record));
            at = end;
        }
    }
    (disk, frames)
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

    /// After any damage to a range of the file, no record is invented, and either all good records are
    /// returned and the damaged file is set aside, or what is lost is an end that one torn batch explains.
    #[test]
    fn damage_costs_what_it_hits_and_is_set_aside(
        batches in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..5), 1..40),
        damage in any_damage(),
        from in 0.0..1.0_f64,
        part in prop_oneof![Just(1.0), 0.0..1.0_f64],
    ) {
        let (disk, frames) = journal_of(&batches);
        let good = disk.read("sel").unwrap().unwrap();
        let (from, part) = (position(good.len(), from), part);
        let range = from..from + 1 + position(good.len() - from, part).min(good.len() - from - 1);
        disk.tamper("sel", |bytes| damage.apply(bytes, range.clone()));
        let damaged = disk.read("sel").unwrap().unwrap();
        let found = records(&disk);

        let mut original = frames.iter().map(|(_, record)| record);
        prop_assert!(found.iter().all(|record| original.any(|other| other == record)));
        let untouched: Vec<&Vec<u8>> = frames
            .iter()
            .filter(|(frame, _)| match damage {
                Damage::Truncated => frame.end <= range.start,
                _ => frame.end <= range.start || frame.start >= range.end,
            })
            .map(|(_, record)| record)
            .collect();
        match disk.read("sel.corrupt").unwrap() {
            Some(aside) => {
                prop_assert_eq!(aside, damaged);
                prop_assert!(untouched.into_iter().all(|record| found.contains(record)));
            }
            None => {
                let count = found.len();
                prop_assert!(frames.iter().map(|(_, record)| record).take(count).eq(&found));
                let end = frames.get(..count).and_then(<[_]>::last).map_or(0, |(frame, _)| frame.end);
                prop_assert!(damaged.len().saturating_sub(end) <= 600, "{} lost", damaged.len() - end);
                // Whole batches only.
                let sizes = batches.iter().scan(0, |sum, batch| { *sum += batch.len(); Some(*sum) });
                prop_assert!(count == 0 || sizes.into_iter().any(|sum| sum == count));
            }
        }
        let (mut journal, again) = open(&disk);
        prop_assert_eq!(&again, &found);
        journal.append(&[b"next"]).unwrap();
        prop_assert_eq!(records(&disk).len(), found.len() + 1);
    }
}

/// A position in `length` bytes.
fn position(length: usize, part: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "small"
    )]
    let at = (length as f64 * part) as usize;
    at.min(length - 1)
}
