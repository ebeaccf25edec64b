//! When the server's next time-out is.

use std::time::Instant;

/// The time of the next time-out: the earliest deadline.
///
/// A deadline that moves later, as every packet does to its session's, leaves it alone: the timer
/// fires once too early and is then set anew, which costs less than moving it for every packet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timer(Option<Instant>);

impl Timer {
    /// Sets the time-out to `deadline` if that is earlier.
    pub(super) fn no_later_than(&mut self, deadline: Instant) {
        self.0 = Some(self.0.map_or(deadline, |earlier| earlier.min(deadline)));
    }

    /// Sets the time-out to the earliest of `deadlines`.
    pub(super) fn reset(&mut self, deadlines: impl Iterator<Item = Instant>) {
        self.0 = deadlines.min();
    }

    pub(super) const fn get(self) -> Option<Instant> {
        self.0
    }
}
