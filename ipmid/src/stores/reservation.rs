//! Reservations: a client's claim that what it reads or erases in parts has not changed meanwhile
//! (IPMI v2.0 §31.4, §33.11).

/// The one reservation that a repository has at a time.
#[derive(Debug, Default)]
pub struct Reservation {
    last: u16,
    valid: bool,
}

impl Reservation {
    /// A new reservation, which cancels the one before. Never 0, which requests use for "none".
    pub const fn reserve(&mut self) -> u16 {
        self.last = match self.last.checked_add(1) {
            Some(next) => next,
            None => 1,
        };
        self.valid = true;
        self.last
    }

    /// Ends the reservation: what it was for has changed.
    pub const fn cancel(&mut self) {
        self.valid = false;
    }

    /// Whether `id` is the reservation that holds.
    #[must_use]
    pub const fn holds(&self, id: u16) -> bool {
        self.valid && id == self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_reservation_or_change_cancels() {
        let mut reservation = Reservation::default();
        assert!(!reservation.holds(0));
        let first = reservation.reserve();
        assert!(reservation.holds(first));
        let second = reservation.reserve();
        assert!(!reservation.holds(first) && reservation.holds(second));
        reservation.cancel();
        assert!(!reservation.holds(second));
    }

    #[test]
    fn numbers_wrap_past_zero() {
        let mut reservation = Reservation {
            last: u16::MAX,
            valid: true,
        };
        assert_eq!(reservation.reserve(), 1);
    }
}
