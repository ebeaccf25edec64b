//! How long a process that ended waits for its next start.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);
/// A process that has run for so long is not one that fails at its start.
const STABLE: Duration = Duration::from_secs(10);

/// The pauses between the starts of one process: each is twice as long as the one before.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self { next: SHORTEST }
    }

    /// The pause after the end of a process that has run for `up`.
    pub(crate) fn pause(&mut self, up: Duration) -> Duration {
        if up >= STABLE {
            self.next = SHORTEST;
        }
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_begin_anew_after_a_stable_run() {
        let mut backoff = Backoff::new();
        let mut pause = |up| backoff.pause(Duration::from_secs(up)).as_millis();
        let first: Vec<_> = (0..9).map(|_| pause(0)).collect();
        assert_eq!(first, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(pause(9), 10_000);
        assert_eq!(pause(10), 100);
        assert_eq!(pause(0), 200);
    }
}
