//! A counter that another program keeps in a file of eight bytes, such as the instructions that a guest has executed
//! (`tests/bench/instructions.c`).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

/// How long the counter is watched while nothing is requested.
const IDLE: Duration = Duration::from_secs(4);

/// The counter, and how fast it counts while nothing is requested.
#[derive(Debug)]
pub struct Counter {
    file: File,
    idle: f64,
}

/// A point in time, and what the counter was then.
#[derive(Clone, Copy, Debug)]
pub struct Reading(Instant, u64);

impl Counter {
    /// Opens the counter, and watches it for four seconds, in which nothing may be requested.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or is shorter than eight bytes.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        let mut counter = Self { file, idle: 0.0 };
        let before = counter.read()?;
        std::thread::sleep(IDLE);
        counter.idle = counter.since(before)? / before.0.elapsed().as_secs_f64();
        Ok(counter)
    }

    /// What it is now.
    ///
    /// # Errors
    ///
    /// A file that has become shorter.
    pub fn read(&self) -> anyhow::Result<Reading> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, 0).context("--counter")?;
        Ok(Reading(Instant::now(), u64::from_ne_bytes(bytes)))
    }

    /// By how much it has grown since `earlier`, without what it grows by while nothing is requested.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn since(&self, earlier: Reading) -> anyhow::Result<f64> {
        Ok(self.read()?.growth(earlier, self.idle))
    }
}

impl Reading {
    /// Growth since `earlier`, without `idle` a second.
    fn growth(self, earlier: Self, idle: f64) -> f64 {
        let time = self.0.duration_since(earlier.0).as_secs_f64();
        self.1.saturating_sub(earlier.1) as f64 - idle * time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_of_an_idle_counter_is_taken_off() {
        let earlier = Reading(Instant::now(), 100);
        let now = Reading(earlier.0 + Duration::from_secs(2), 5100);
        assert!((now.growth(earlier, 1000.0) - 3000.0).abs() < 1e-9);
    }

    #[test]
    fn a_short_file_is_an_error() {
        assert!(Counter::open(Path::new("/dev/null")).is_err());
    }
}
