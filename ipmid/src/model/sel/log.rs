//! The event log in memory: a bounded ring of records, each found by its id in constant time.

use std::collections::HashMap;

use ipmi_proto::sel::{SelRecord, SelRecordId};

/// A change to the log, as it is journalled and replayed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    /// A record was added, at this time; a full log drops the oldest.
    Add {
        /// With its id.
        record: SelRecord,
        /// Seconds since 1970.
        at: u32,
    },
    /// A record was deleted.
    Delete {
        /// Its id.
        id: SelRecordId,
        /// Seconds since 1970.
        at: u32,
    },
    /// The log was erased.
    Clear {
        /// Seconds since 1970.
        at: u32,
    },
    /// All but the records, ahead of a compacted journal.
    Head(Head),
}

/// What the log knows beside its records.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Head {
    /// The id given out last; 0 for none.
    pub(super) last_id: u16,
    /// Whether a record was lost to a newer one since the log was erased.
    pub(super) overflow: bool,
    /// When a record was added last, seconds since 1970; 0 for never.
    pub(super) last_add: u32,
    /// When records were deleted or erased last; 0 for never.
    pub(super) last_erase: u32,
}

/// A record and its neighbours by age; 0 is no neighbour.
#[derive(Clone, Copy, Debug)]
struct Node {
    record: SelRecord,
    older: u16,
    newer: u16,
}

/// The records in the order in which they were added.
#[derive(Debug)]
pub(super) struct Log {
    nodes: HashMap<u16, Node>,
    oldest: u16,
    newest: u16,
    capacity: usize,
    head: Head,
    /// How often the log was erased since the daemon started.
    clears: u64,
}

/// How many ids there are.
const IDS: i32 = SelRecordId::MAX.value() as i32;

impl Log {
    /// An empty log of at most `capacity` records, which is at least one and leaves an id free.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            nodes: HashMap::new(),
            oldest: 0,
            newest: 0,
            capacity: capacity.clamp(1, usize::from(SelRecordId::MAX.value()) - 1),
            head: Head::default(),
            clears: 0,
        }
    }

    /// Applies `change`. A change to a record that does not exist does nothing.
    pub(super) fn apply(&mut self, change: &Change) {
        match *change {
            Change::Add { record, at } => self.add(record, at),
            Change::Delete { id, at } => {
                if self.unlink(id.value()).is_some() {
                    self.head.last_erase = at;
                }
            }
            Change::Clear { at } => {
                self.clears += 1;
                self.nodes = HashMap::new();
                (self.oldest, self.newest) = (0, 0);
                self.head =
                    Head { last_add: self.head.last_add, last_erase: at, ..Head::default() };
            }
            Change::Head(head) => self.head = head,
        }
    }

    /// The changes that make an empty log into this one.
    pub(super) fn changes(&self) -> impl Iterator<Item = Change> {
        let at = self.head.last_add;
        let records = self.iter().map(move |record| Change::Add { record: *record, at });
        // Last, since adding sets what it holds.
        records.chain([Change::Head(self.head)])
    }

    /// The ids that the next records get, in turn; none of them is in use.
    pub(super) fn next_ids(&self) -> impl Iterator<Item = SelRecordId> {
        let first = SelRecordId::new(self.head.last_id).map_or(SelRecordId::MIN, SelRecordId::next);
        std::iter::successors(Some(first), |id| Some(id.next()))
            .filter(|id| !self.nodes.contains_key(&id.value()))
    }

    /// The record `id`, and the id of the one that came after it; both 0000h (oldest) and FFFFh (newest)
    /// can be asked for.
    pub(super) fn get(&self, id: u16) -> Option<(&SelRecord, Option<u16>)> {
        let id = match id {
            0 => self.oldest,
            0xffff => self.newest,
            id => id,
        };
        let node = self.nodes.get(&id)?;
        Some((&node.record, (node.newer != 0).then_some(node.newer)))
    }

    /// The oldest record that came after the one of `id`, which may be gone; all come after 0.
    pub(super) fn after(&self, id: u16) -> Option<&SelRecord> {
        let next = match self.nodes.get(&id) {
            _ if id == 0 => self.oldest,
            Some(node) => node.newer,
            None => {
                // Ids go round, so that one given out long ago is the further behind the last.
                let behind =
                    |id: u16| (i32::from(self.head.last_id) - i32::from(id)).rem_euclid(IDS);
                let from_newest = std::iter::successors(self.nodes.get(&self.newest), |node| {
                    self.nodes.get(&node.older)
                });
                let later = from_newest.take_while(|node| behind(node.record.id) < behind(id));
                later.last().map_or(0, |node| node.record.id)
            }
        };
        self.nodes.get(&next).map(|node| &node.record)
    }

    pub(super) const fn clears(&self) -> u64 {
        self.clears
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) const fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) const fn head(&self) -> Head {
        self.head
    }

    fn iter(&self) -> impl Iterator<Item = &SelRecord> {
        std::iter::successors(self.nodes.get(&self.oldest), |node| self.nodes.get(&node.newer))
            .map(|node| &node.record)
    }

    fn add(&mut self, record: SelRecord, at: u32) {
        let Some(id) = SelRecordId::new(record.id) else {
            return;
        };
        self.unlink(id.value());
        while self.nodes.len() >= self.capacity {
            self.unlink(self.oldest);
            self.head.overflow = true;
        }
        let node = Node { record, older: self.newest, newer: 0 };
        match self.nodes.get_mut(&self.newest) {
            Some(newest) => newest.newer = id.value(),
            None => self.oldest = id.value(),
        }
        self.newest = id.value();
        self.nodes.insert(id.value(), node);
        self.head.last_id = id.value();
        self.head.last_add = at;
    }

    fn unlink(&mut self, id: u16) -> Option<Node> {
        let node = self.nodes.remove(&id)?;
        match self.nodes.get_mut(&node.older) {
            Some(older) => older.newer = node.newer,
            None => self.oldest = node.newer,
        }
        match self.nodes.get_mut(&node.newer) {
            Some(newer) => newer.older = node.older,
            None => self.newest = node.older,
        }
        Some(node)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(id: u16) -> SelRecord {
        let [low, high] = id.to_le_bytes();
        SelRecord::from_bytes([low, high, 0xe0, low, high, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    }

    fn add(log: &mut Log, at: u32) -> u16 {
        let id = log.next_ids().next().unwrap();
        let record = record(id.value());
        log.apply(&Change::Add { record, at });
        id.value()
    }

    fn ids(log: &Log) -> Vec<u16> {
        log.iter().map(|record| record.id).collect()
    }

    #[test]
    fn full_log_loses_its_oldest_record_and_says_so() {
        let mut log = Log::new(3);
        for at in 1..=3 {
            add(&mut log, at);
        }
        assert!(!log.head().overflow);
        add(&mut log, 4);
        assert_eq!(ids(&log), [2, 3, 4]);
        assert!(log.head().overflow);
        assert_eq!(log.get(0).unwrap().0.id, 2);
        assert_eq!(log.get(0xffff).unwrap(), (&record(4), None));
        assert_eq!(log.get(2).unwrap().1, Some(3));
        assert!(log.get(1).is_none());
    }

    #[test]
    fn deleted_record_leaves_its_neighbours_linked() {
        let mut log = Log::new(9);
        for at in 1..=3 {
            add(&mut log, at);
        }
        let id = SelRecordId::new(2).unwrap();
        log.apply(&Change::Delete { id, at: 9 });
        log.apply(&Change::Delete { id, at: 10 });
        assert_eq!(log.get(1).unwrap().1, Some(3));
        assert_eq!((log.head().last_add, log.head().last_erase), (3, 9));
        log.apply(&Change::Clear { at: 11 });
        assert_eq!(log.len(), 0);
        assert!(log.get(0).is_none() && log.get(0xffff).is_none());
        assert_eq!(add(&mut log, 12), 1);
    }

    #[test]
    fn ids_wrap_and_pass_over_records_that_are_still_there() {
        let mut log = Log::new(4);
        let first = add(&mut log, 1);
        log.apply(&Change::Head(Head { last_id: SelRecordId::MAX.value(), ..Head::default() }));
        assert_eq!((first, add(&mut log, 2)), (1, 2));
    }

    #[test]
    fn what_came_after_a_record_is_found_when_that_is_gone() {
        let mut log = Log::new(4);
        let after = |log: &Log, id| log.after(id).map(|record| record.id);
        assert_eq!((after(&log, 0), after(&log, 7), after(&log, 0xffff)), (None, None, None));
        for at in 1..=6 {
            add(&mut log, at);
        }
        let delete = |log: &mut Log, id| {
            let id = SelRecordId::new(id).unwrap();
            log.apply(&Change::Delete { id, at: 9 });
        };
        assert_eq!((after(&log, 0), after(&log, 2), after(&log, 3)), (Some(3), Some(3), Some(4)));
        delete(&mut log, 4);
        assert_eq!(after(&log, 4), Some(5), "deleted");
        delete(&mut log, 6);
        assert_eq!((after(&log, 5), after(&log, 6)), (None, None), "the last is gone");
        assert_eq!(add(&mut log, 7), 7);
        assert_eq!(after(&log, 6), Some(7));
    }

    #[test]
    fn what_came_after_a_record_is_found_where_ids_begin_again() {
        let mut log = Log::new(3);
        let last_id = SelRecordId::MAX.value() - 1;
        log.apply(&Change::Head(Head { last_id, ..Head::default() }));
        assert_eq!([1, 2, 3].map(|at| add(&mut log, at)), [0xfffe, 1, 2]);
        log.apply(&Change::Delete { id: SelRecordId::MIN, at: 9 });
        let after = |id| log.after(id).map(|record| record.id);
        assert_eq!([0xfffd, 0xfffe, 1, 2].map(after), [Some(0xfffe), Some(2), Some(2), None]);
    }

    proptest! {
        #[test]
        fn compacted_changes_make_the_same_log(
            steps in prop::collection::vec((0u8..10, 1u16..40), 0..200), capacity in 1usize..20,
        ) {
            let mut log = Log::new(capacity);
            for (at, (step, id)) in (1..).zip(steps) {
                match step {
                    0 => log.apply(&Change::Clear { at }),
                    1..=3 => log.apply(&Change::Delete { id: SelRecordId::new(id).unwrap(), at }),
                    _ => { add(&mut log, at); }
                }
                prop_assert!(log.len() <= capacity);
            }
            let mut again = Log::new(capacity);
            for change in log.changes() {
                again.apply(&change);
            }
            prop_assert_eq!(ids(&again), ids(&log));
            prop_assert_eq!(again.head(), log.head());
        }
    }
}
