//! A bound on how often something is logged.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::lock;

/// Lets at most so many log lines through per interval, and counts those that it swallowed.
///
/// What a peer can cause at will is logged through one of these, so that a flood of bad packets
/// does not become a flood of log lines (and of flash writes).
///
/// ```
/// use std::time::Duration;
///
/// static BAD_PACKETS: daemon::RateLimit = daemon::RateLimit::new(5, Duration::from_secs(10));
///
/// if let Some(pass) = BAD_PACKETS.admit() {
///     tracing::warn!(swallowed = pass.swallowed, "packet refused: bad checksum");
/// }
/// ```
#[derive(Debug)]
pub struct RateLimit {
    limit: u32,
    interval: Duration,
    window: Mutex<Window>,
}

/// Permission to log one line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pass {
    /// How many lines were swallowed since the last one let through; `None` if none was, so that the
    /// `tracing` field is left out of the line.
    pub swallowed: Option<u64>,
}

#[derive(Debug)]
struct Window {
    start: Option<Instant>,
    admitted: u32,
    swallowed: u64,
}

impl RateLimit {
    /// At most `limit` lines in each `interval`.
    #[must_use]
    pub const fn new(limit: u32, interval: Duration) -> Self {
        let window = Window { start: None, admitted: 0, swallowed: 0 };
        Self { limit, interval, window: Mutex::new(window) }
    }

    /// Whether a line may be logged now.
    pub fn admit(&self) -> Option<Pass> {
        self.admit_at(Instant::now())
    }

    /// Whether a line may be logged at `now`, for state machines whose caller gives the time.
    pub fn admit_at(&self, now: Instant) -> Option<Pass> {
        let mut window = lock(&self.window);
        let over =
            window.start.is_none_or(|start| now.saturating_duration_since(start) >= self.interval);
        if over {
            window.start = Some(now);
            window.admitted = 0;
        }
        if window.admitted < self.limit {
            window.admitted += 1;
            let swallowed = std::mem::take(&mut window.swallowed);
            Some(Pass { swallowed: (swallowed > 0).then_some(swallowed) })
        } else {
            window.swallowed += 1;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_limit_are_swallowed_and_counted() {
        let limit = RateLimit::new(2, Duration::from_secs(10));
        let start = Instant::now();
        let free = Some(Pass { swallowed: None });
        assert_eq!(limit.admit_at(start), free);
        assert_eq!(limit.admit_at(start), free);
        for _ in 0..1000 {
            assert_eq!(limit.admit_at(start + Duration::from_secs(9)), None);
        }
        let next = start + Duration::from_secs(10);
        assert_eq!(limit.admit_at(next), Some(Pass { swallowed: Some(1000) }));
        assert_eq!(limit.admit_at(next), free);
        assert_eq!(limit.admit_at(next), None);
    }
}
