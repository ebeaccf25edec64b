//! What the bridge measures beside requests: sessions, refused logins, Serial over LAN.

use std::sync::atomic::{AtomicU64, Ordering};

use daemon::metrics::{Counter, Metrics};
use rmcp_proto::server::Reason;
use rmcp_proto::sol::Counts;

/// The measures of one bridge.
#[derive(Debug)]
pub struct Measures {
    channel: String,
    /// Sessions that there may be.
    limit: usize,
    sessions: AtomicU64,
    peak: AtomicU64,
    /// Refused logins, by reason.
    refusals: Vec<Counter>,
    sol_instances: AtomicU64,
    to_console: Counter,
    from_console: Counter,
    retries: Counter,
    overruns: Counter,
}

impl Measures {
    /// Of the bridge of `channel`, which has at most `limit` sessions.
    #[must_use]
    pub fn new(channel: &str, limit: usize) -> Self {
        Self {
            channel: channel.to_owned(),
            limit,
            sessions: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            refusals: Reason::ALL.iter().map(|_| Counter::new()).collect(),
            sol_instances: AtomicU64::new(0),
            to_console: Counter::new(),
            from_console: Counter::new(),
            retries: Counter::new(),
            overruns: Counter::new(),
        }
    }

    /// A session was opened or closed; there are so many now.
    pub fn set_sessions(&self, count: usize) {
        let count = count as u64;
        self.sessions.store(count, Ordering::Relaxed);
        self.peak.fetch_max(count, Ordering::Relaxed);
    }

    /// A login was refused.
    pub fn count_refusal(&self, reason: Reason) {
        if let Some(counter) = self.refusals.get(reason as usize) {
            counter.add(1);
        }
    }

    /// What each active instance of SOL has counted.
    pub fn count_sol(&self, counts: impl Iterator<Item = Counts>) {
        let mut active = 0;
        for counts in counts {
            active += 1;
            self.to_console.add(counts.to_console);
            self.from_console.add(counts.from_console);
            self.retries.add(counts.retries);
            self.overruns.add(counts.overruns);
        }
        self.sol_instances.store(active, Ordering::Relaxed);
    }

    /// Adds all of them to `metrics`.
    pub fn measure(&self, metrics: &mut Metrics) {
        let channel = ("channel", self.channel.as_str());
        let mut number = |name: &str, value: u64| metrics.number(name, &[channel], value);
        number("causeway_rmcp_sessions", self.sessions.load(Ordering::Relaxed));
        number("causeway_rmcp_sessions_peak", self.peak.load(Ordering::Relaxed));
        number("causeway_rmcp_sessions_limit", self.limit as u64);
        number("causeway_sol_instances", self.sol_instances.load(Ordering::Relaxed));
        number("causeway_sol_retries_total", self.retries.get());
        number("causeway_sol_overruns_total", self.overruns.get());
        for (reason, count) in Reason::ALL.iter().zip(&self.refusals) {
            // Most reasons are no reasons to refuse a login.
            if count.get() > 0 {
                let labels = [channel, ("reason", reason.as_str())];
                metrics.number("causeway_rmcp_login_refusals_total", &labels, count.get());
            }
        }
        for (direction, count) in
            [("to-console", &self.to_console), ("from-console", &self.from_console)]
        {
            let labels = [channel, ("direction", direction)];
            metrics.number("causeway_sol_bytes_total", &labels, count.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_stays_and_refusals_are_by_reason() {
        let measures = Measures::new("lan0", 62);
        for sessions in [1, 2, 3, 2] {
            measures.set_sessions(sessions);
        }
        measures.count_refusal(Reason::WrongPassword);
        let counts = Counts { to_console: 80, from_console: 3, retries: 2, overruns: 1 };
        measures.count_sol([counts, counts].into_iter());
        measures.count_sol([counts].into_iter());
        let mut metrics = Metrics::default();
        measures.measure(&mut metrics);
        let value = |name: &str, label: &str| {
            let is = |sample: &&daemon::metrics::Sample<u64>| {
                let labels = &sample.labels;
                sample.name == name && (label.is_empty() || labels.values().any(|of| of == label))
            };
            metrics.numbers.iter().find(is).map(|sample| sample.value)
        };
        assert_eq!(value("causeway_rmcp_sessions", ""), Some(2));
        assert_eq!(value("causeway_rmcp_sessions_peak", ""), Some(3));
        assert_eq!(value("causeway_rmcp_sessions_limit", ""), Some(62));
        assert_eq!(value("causeway_rmcp_login_refusals_total", "wrong-password"), Some(1));
        assert_eq!(value("causeway_rmcp_login_refusals_total", "unknown-user"), None);
        assert_eq!(value("causeway_sol_bytes_total", "to-console"), Some(240));
        assert_eq!(value("causeway_sol_retries_total", ""), Some(6));
        assert_eq!(value("causeway_sol_instances", ""), Some(1));
    }
}
