//! The times at which values that move are measured: a fixed interval apart.

use std::time::Duration;

/// The number of a measurement, from 0 at the start.
pub(super) type Tick = u64;

/// When each measurement is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticks {
    interval: Duration,
    /// A measurement, and its uptime; those before it may have been at another interval.
    known: (Tick, Duration),
}

impl Ticks {
    /// Measurements from `start` on.
    pub(super) const fn new(start: Duration, interval: Duration) -> Self {
        Self { interval, known: (0, start) }
    }

    /// The last measurement until `uptime`.
    pub(super) fn at(&self, uptime: Duration) -> Tick {
        let (tick, since) = self.known;
        let passed = uptime.saturating_sub(since).as_nanos() / self.interval.as_nanos().max(1);
        tick.saturating_add(Tick::try_from(passed).unwrap_or(Tick::MAX))
    }

    /// The uptime of a measurement.
    pub(super) fn time(&self, tick: Tick) -> Duration {
        let (known, since) = self.known;
        let nanos = self.interval.as_nanos().saturating_mul(tick.saturating_sub(known).into());
        let passed = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        since.saturating_add(passed)
    }

    /// Another interval, from the last measurement until `uptime` on.
    pub(super) fn change(&mut self, uptime: Duration, interval: Duration) {
        let tick = self.at(uptime);
        *self = Self { interval, known: (tick, self.time(tick)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_measurement_is_the_last_until_the_next() {
        let ticks = Ticks::new(SECOND / 2, SECOND);
        for (millis, tick) in [(0, 0), (500, 0), (1499, 0), (1500, 1), (11_499, 10)] {
            assert_eq!(ticks.at(Duration::from_millis(millis)), tick, "{millis}");
        }
        assert_eq!(ticks.time(10), Duration::from_millis(10_500));
    }

    #[test]
    fn another_interval_counts_from_the_last_measurement() {
        let mut ticks = Ticks::new(Duration::ZERO, SECOND);
        ticks.change(Duration::from_millis(2900), SECOND * 10);
        assert_eq!((ticks.at(SECOND * 11), ticks.at(SECOND * 12)), (2, 3));
        assert_eq!(ticks.time(4), SECOND * 22);
    }
}
