//! Session sequence numbers, received and sent (IPMI v2.0 §6.12.13, §13.28.2).

/// How far ahead of the highest number seen a packet may be.
const AHEAD: u32 = 15;
/// How far behind it may be, if its number was not seen before.
const BEHIND: u32 = 16;

/// The sliding window of received numbers: each is accepted once, and none far from the last.
///
/// Width as in OpenIPMI's client and server. A session has two: one for authenticated packets, one
/// for the others. [`check`](Self::check) before the packet is verified, [`accept`](Self::accept) after:
/// a forged packet must not move the window.
#[derive(Clone, Copy, Debug)]
pub struct SequenceWindow {
    highest: u32,
    /// Bit n: the number `highest - 1 - n` was seen.
    seen: u16,
}

impl SequenceWindow {
    /// A window that begins with number 1.
    pub const START: Self = Self { highest: 0, seen: u16::MAX };

    /// A window that begins with the number after `last`.
    #[must_use]
    pub const fn after(last: u32) -> Self {
        Self { highest: last, seen: u16::MAX }
    }

    /// Whether a packet with `number` may be accepted. Zero is for packets outside a session.
    #[must_use]
    pub const fn check(&self, number: u32) -> bool {
        if number == 0 {
            return false;
        }
        let ahead = number.wrapping_sub(self.highest);
        let behind = self.highest.wrapping_sub(number);
        match (ahead, behind) {
            (1..=AHEAD, _) => true,
            (_, 1..=BEHIND) => self.seen >> (behind - 1) & 1 == 0,
            _ => false,
        }
    }

    /// Records that `number` was received; `false`, and no change, if [`check`](Self::check) refuses it.
    pub const fn accept(&mut self, number: u32) -> bool {
        if !self.check(number) {
            return false;
        }
        let ahead = number.wrapping_sub(self.highest);
        if ahead <= AHEAD {
            // The old highest becomes a seen number `ahead` behind the new one.
            self.seen = (self.seen << 1 | 1) << (ahead - 1);
            self.highest = number;
        } else {
            self.seen |= 1 << (self.highest.wrapping_sub(number) - 1);
        }
        true
    }
}

/// The numbers given to packets sent: 1 first, never 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct SequenceCounter(u32);

impl SequenceCounter {
    /// A counter that goes on after `last`.
    #[must_use]
    pub const fn after(last: u32) -> Self {
        Self(last)
    }

    /// The next number.
    pub const fn next(&mut self) -> u32 {
        self.0 = match self.0.wrapping_add(1) {
            0 => 1,
            number => number,
        };
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_number_is_taken_once() {
        let mut window = SequenceWindow::START;
        for number in [1, 2, 5, 3, 4, 20, 6, 19] {
            assert!(window.accept(number), "{number}");
            assert!(!window.accept(number), "{number} again");
        }
        assert!(!window.accept(0));
    }

    #[test]
    fn fifteen_ahead_and_sixteen_behind_are_the_limits() {
        let mut window = SequenceWindow::START;
        assert!(!window.check(16));
        assert!(window.accept(15));
        assert!(window.accept(30));
        assert!(!window.check(46));
        assert!(window.check(45));
        assert!(window.check(14));
        assert!(!window.check(13));
        assert!(!window.check(15));
    }

    #[test]
    fn nothing_before_the_first_number_is_taken() {
        let window = SequenceWindow::START;
        for number in [0, u32::MAX, u32::MAX - 5] {
            assert!(!window.check(number));
        }
    }

    #[test]
    fn numbers_wrap_past_zero() {
        let mut window = SequenceWindow::after(u32::MAX - 1);
        let mut counter = SequenceCounter::after(u32::MAX - 1);
        for wanted in [u32::MAX, 1, 2] {
            assert_eq!(counter.next(), wanted);
            assert!(window.accept(wanted));
        }
        assert!(!window.check(u32::MAX));
    }

    proptest! {
        #[test]
        fn a_number_is_never_taken_twice(start: u32, steps in prop::collection::vec(-20i32..20, 1..200)) {
            let mut window = SequenceWindow::after(start);
            let mut taken = HashSet::new();
            let mut number = start;
            for step in steps {
                number = number.wrapping_add_signed(step);
                if window.accept(number) {
                    prop_assert!(taken.insert(number));
                }
            }
        }
    }
}
