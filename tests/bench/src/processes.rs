//! The CPU time of processes, as Linux counts it per thread (`/proc/<pid>/task/<tid>/schedstat`).

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// The CPU time that some processes have used.
#[derive(Clone, Debug, Default)]
pub struct Usage(Vec<(String, Duration)>);

impl Usage {
    /// The CPU time that the processes have used so far.
    ///
    /// # Errors
    ///
    /// A process that does not exist.
    pub fn of(processes: &[(String, u32)]) -> anyhow::Result<Self> {
        let each = processes.iter().map(|(name, id)| {
            let time = cpu_time(*id).with_context(|| format!("process {name} ({id})"))?;
            Ok((name.clone(), time))
        });
        each.collect::<anyhow::Result<_>>().map(Self)
    }

    /// The CPU time used between `earlier` and this.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let pairs = self.0.iter().zip(&earlier.0);
        Self(
            pairs
                .map(|((name, now), (_, then))| (name.clone(), now.saturating_sub(*then)))
                .collect(),
        )
    }

    /// Names and times.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Duration)> {
        self.0.iter().map(|(name, time)| (name.as_str(), *time))
    }
}

/// The time that all threads of a process have run.
fn cpu_time(id: u32) -> anyhow::Result<Duration> {
    let mut total = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{id}/task"))? {
        // A thread may end meanwhile; its time is lost, which is little.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else {
            continue;
        };
        let nanoseconds = text.split_whitespace().next().and_then(|word| word.parse().ok());
        total += Duration::from_nanos(nanoseconds.context("no number in schedstat")?);
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_time_grows() {
        let us = [("us".to_owned(), std::process::id())];
        let before = Usage::of(&us).unwrap();
        let mut sum = 0u64;
        for number in 0..20_000_000u64 {
            sum = std::hint::black_box(sum.wrapping_add(number));
        }
        let used = Usage::of(&us).unwrap().since(&before);
        assert!(used.iter().all(|(name, time)| name == "us" && time > Duration::ZERO));
        assert!(Usage::of(&[("nobody".to_owned(), u32::MAX)]).is_err());
    }
}
