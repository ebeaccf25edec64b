//! Reservations: a client's claim that what it reads or erases in parts has not changed meanwhile
//! (IPMI v2.0 §31.4, §33.11).

/// The reservations of a repository.
///
/// The specification has one at a time, a new one cancelling the one before. Erasing needs that
/// one ([`is_latest`](Self::is_latest)); reading accepts any since the last change
/// ([`holds`](Self::holds)), so that two clients that list at once do not cancel each other's reservations for ever.
#[derive(Debug, Default)]
pub struct Reservation {
    latest: u16,
    /// How many of the latest numbers were given out since the last change.
    given: u16,
}

impl Reservation {
    /// A new reservation. Never 0, which requests use for "none".
    pub const fn reserve(&mut self) -> u16 {
        self.latest = match self.latest.checked_add(1) {
            Some(next) => next,
            None => 1,
        };
        self.given = self.given.saturating_add(1);
        self.latest
    }

    /// Ends all reservations: what they were for has changed.
    pub const fn cancel(&mut self) {
        self.given = 0;
    }

    /// Whether nothing has changed since `id` was given.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_ends_every_reservation_and_a_newer_one_ends_the_claim_to_erase() {
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
    fn numbers_wrap_past_zero() {
        let mut reservation = Reservation { latest: u16::MAX - 1, given: 0 };
        let last = reservation.reserve();
        let next = reservation.reserve();
        assert_eq!((last, next), (u16::MAX, 1));
        assert!(reservation.holds(last) && reservation.holds(next));
        assert!(!reservation.holds(u16::MAX - 1) && !reservation.holds(0));
    }
}
