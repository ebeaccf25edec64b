//! When the server wants to be woken.

use std::time::Instant;

/// The moment at which the server wants to be woken: the earliest deadline it has heard of.
///
/// A deadline that moves later, as every packet does to its session's, leaves it alone: the timer
/// fires once too early and is then set anew, which costs less than moving it for every packet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timer(Option<Instant>);

impl Timer {
    /// Wakes no later than `deadline`.
    pub(super) fn no_later_than(&mut self, deadline: Instant) {
        self.0 = Some(self.0.map_or(deadline, |earlier| earlier.min(deadline)));
    }

    /// Wakes at the earliest of `deadlines`, whatever was set before.
    pub(super) fn reset(&mut self, deadlines: impl Iterator<Item = Instant>) {
        self.0 = deadlines.min();
    }

    pub(super) const fn get(self) -> Option<Instant> {
        self.0
    }
}
