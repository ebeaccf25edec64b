//! What a daemon measures about itself: counters and histograms of times, cheap enough for the path of a request.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The connections to the bus that this process has made anew after one was lost.
pub static BUS_RECONNECTS: Counter = Counter::new();

/// Replies that came after the request that they belong to had ended.
pub static LATE_REPLIES: Counter = Counter::new();

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// A counter at 0.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Counts `more`.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The upper bounds of a histogram's buckets, in microseconds; one more bucket has no bound.
pub const BOUNDS: [u64; 15] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000,
];

/// How long something took, by buckets ([`BOUNDS`]).
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [Counter; BOUNDS.len() + 1],
    sum: Counter,
}

impl Histogram {
    /// Counts one that took `time`.
    pub fn record(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(bucket_of(micros)) {
            bucket.add(1);
        }
        self.sum.add(micros);
    }

    /// The counts now.
    #[must_use]
    pub fn read(&self) -> Times {
        Times { buckets: self.buckets.each_ref().map(Counter::get), sum: self.sum.get() }
    }
}

/// The bucket of a time in microseconds.
fn bucket_of(micros: u64) -> usize {
    BOUNDS.partition_point(|bound| *bound < micros)
}

/// The counts of a [`Histogram`], or a histogram of one owner.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Times {
    /// How many fell into each bucket, not into those before it.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// All times together, in microseconds.
    pub sum: u64,
}

impl Times {
    /// Counts one that took so many microseconds.
    pub fn add(&mut self, micros: u64) {
        if let Some(bucket) = self.buckets.get_mut(bucket_of(micros)) {
            *bucket += 1;
        }
        self.sum = self.sum.saturating_add(micros);
    }

    /// Adds those of another.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket += more;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }
}

/// What a sample says of its value: names and texts.
pub type Labels = BTreeMap<String, String>;

/// One value under a name of Prometheus's form. A name that ends in `_total` is a counter's, any other a gauge's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sample<V> {
    /// The name.
    pub name: String,
    /// What is counted.
    pub labels: Labels,
    /// How much.
    pub value: V,
}

/// All that one daemon measures.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Metrics {
    /// Counters and gauges.
    pub numbers: Vec<Sample<u64>>,
    /// Histograms of times.
    pub times: Vec<Sample<Times>>,
}

impl Metrics {
    /// Adds a number.
    pub fn number(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.numbers.push(Sample { name: name.to_owned(), labels: owned(labels), value });
    }

    /// Adds a histogram.
    pub fn times(&mut self, name: &str, labels: &[(&str, &str)], value: Times) {
        self.times.push(Sample { name: name.to_owned(), labels: owned(labels), value });
    }

    /// Adds what every daemon of the suite counts.
    pub fn of_process(&mut self, daemon: &str) {
        let labels = [("daemon", daemon)];
        self.number("causeway_bus_reconnects_total", &labels, BUS_RECONNECTS.get());
    }
}

fn owned(labels: &[(&str, &str)]) -> Labels {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let histogram = Histogram::default();
        for micros in [0, 50, 51, 2_500_000, 2_500_001, 3_600_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        let times = histogram.read();
        assert_eq!(times.buckets.iter().sum::<u64>(), 6);
        assert_eq!((times.buckets[0], times.buckets[1]), (2, 1));
        assert_eq!((times.buckets[14], times.buckets[15]), (1, 2));
        assert_eq!(times.sum, 3_605_000_102);
        let mut own = Times::default();
        for micros in [0, 50, 51, 2_500_000, 2_500_001, 3_600_000_000] {
            own.add(micros);
        }
        assert_eq!(own, times);
        own.merge(&times);
        assert_eq!((own.buckets[0], own.sum), (4, 2 * times.sum));
    }
}
