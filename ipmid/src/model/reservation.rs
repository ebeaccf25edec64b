//! Reservations: a client's claim that what it reads or erases in parts has not changed meanwhile
//! (IPMI v2.0 §31.4, §33.11).

/// The reservations of a repository, and what happened since they were given.
///
/// Record ids never move, so that an addition or a deletion takes nothing from who reads or deletes by id. Three
/// things end a claim:
///
/// - Erasure, or another record under an id in use, ends all ([`cancel`](Self::cancel)).
/// - A newer reservation ends the claim to delete and erase ([`is_latest`](Self::is_latest)). Reading goes on
///   ([`holds`](Self::holds)), so that two clients that list at once do not cancel each other's for ever.
/// - An addition ends the claim to erase all ([`has_seen_all`](Self::has_seen_all)): the client has not seen the
///   new record. The first and the last record are others after an addition or a deletion
///   ([`knows_ends`](Self::knows_ends)).
#[derive(Debug, Default)]
pub struct Reservation {
    latest: u16,
    /// How many of the latest numbers were given out since all were cancelled.
    given: u16,
    /// Whether records were added since the latest was given.
    added: bool,
    /// Whether others than its holder deleted records since the latest was given.
    deleted: bool,
}

impl Reservation {
    /// A new reservation. Never 0, which requests use for "none".
    pub const fn reserve(&mut self) -> u16 {
        self.latest = match self.latest.checked_add(1) {
            Some(next) => next,
            None => 1,
        };
        self.given = self.given.saturating_add(1);
        self.added = false;
        self.deleted = false;
        self.latest
    }

    /// Ends all reservations: the ids may stand for other records now.
    pub const fn cancel(&mut self) {
        self.given = 0;
    }

    /// Notes that a record was added.
    pub const fn note_addition(&mut self) {
        self.added = true;
    }

    /// Notes that a record was deleted, under a reservation or by the BMC itself.
    pub fn note_deletion(&mut self, reservation: Option<u16>) {
        self.deleted |= reservation != Some(self.latest);
    }

    /// Whether every id stands for the record that it stood for when `id` was given.
    #[must_use]
    pub fn holds(&self, id: u16) -> bool {
        // Numbers go from FFFFh to 1, so one that is greater than the latest is from before the wrap.
        let age = if id <= self.latest {
            self.latest - id
        } else {
            self.latest.wrapping_sub(id).wrapping_sub(1)
        };
        id != 0 && age < self.given
    }

    /// Whether `id` holds and no newer one was given.
    #[must_use]
    pub fn is_latest(&self, id: u16) -> bool {
        id == self.latest && self.holds(id)
    }

    /// Whether `id` is the latest and no record was added since.
    #[must_use]
    pub fn has_seen_all(&self, id: u16) -> bool {
        self.is_latest(id) && !self.added
    }

    /// Whether `id` is the latest and its holder knows which records are the first and the last.
    #[must_use]
    pub fn knows_ends(&self, id: u16) -> bool {
        self.has_seen_all(id) && !self.deleted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancelling_ends_all_and_a_newer_one_ends_the_claim_to_erase() {
        let mut reservation = Reservation::default();
        assert!(!reservation.holds(0));
        let first = reservation.reserve();
        assert!(reservation.is_latest(first));
        let second = reservation.reserve();
        assert!(!reservation.is_latest(first) && reservation.is_latest(second));
        assert!(reservation.holds(first) && reservation.holds(second));
        reservation.cancel();
        assert!(!reservation.holds(first) && !reservation.is_latest(second));
        let third = reservation.reserve();
        assert!(reservation.holds(third) && !reservation.holds(second));
    }

    #[test]
    fn addition_ends_the_claim_to_erase_all_and_a_deletion_by_others_that_to_the_ends() {
        let mut reservation = Reservation::default();
        let id = reservation.reserve();
        reservation.note_deletion(Some(id));
        assert!(reservation.knows_ends(id));
        reservation.note_deletion(None);
        assert!(!reservation.knows_ends(id) && reservation.has_seen_all(id));
        reservation.note_addition();
        assert!(!reservation.has_seen_all(id) && reservation.is_latest(id));
        let id = reservation.reserve();
        assert!(reservation.knows_ends(id));
    }

    #[test]
    fn numbers_wrap_past_zero() {
        let mut reservation = Reservation { latest: u16::MAX - 1, ..Reservation::default() };
        let last = reservation.reserve();
        let next = reservation.reserve();
        assert_eq!((last, next), (u16::MAX, 1));
        assert!(reservation.holds(last) && reservation.holds(next));
        assert!(!reservation.holds(u16::MAX - 1) && !reservation.holds(0));
    }
}
