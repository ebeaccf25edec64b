//! What the daemons measure (`org.causeway.Metrics`), and how histograms are printed.

use std::fmt;
use std::time::Duration;

use daemon::metrics::BOUNDS;
use openbmc_dbus::client::ObjectAt;
use openbmc_dbus::recorder::object::{METRICS, Number, READ, Timing};
use serde::Serialize;

use super::{Counter, Labels};
use crate::bus::Bus;
use crate::error::Error;
use crate::output::Page;

/// What a metric counts, for its help text.
pub(super) const HELP: [(&str, &str); 28] = [
    ("causeway_bus_reconnects_total", "Connections to the bus that were made anew"),
    (
        "causeway_ipmb_deadline_misses_total",
        "Requests to a satellite controller that it did not answer",
    ),
    (
        "causeway_ipmb_request_duration_seconds",
        "Time from a request to a satellite controller to its response",
    ),
    ("causeway_ipmb_requests_total", "Requests to satellite controllers"),
    (
        "causeway_ipmi_deadline_misses_total",
        "Requests that a bridge answered C3h at their deadline",
    ),
    ("causeway_ipmi_late_replies_total", "Replies to a bridge that came after the deadline"),
    ("causeway_ipmi_rejections_total", "Requests and datagrams that a LAN bridge refused"),
    ("causeway_ipmi_request_duration_seconds", "Time from a request to its response, by a bridge"),
    ("causeway_ipmi_requests_total", "Requests, by a bridge"),
    ("causeway_ipmid_deadline_misses_total", "Requests that ipmid answered C3h at their deadline"),
    ("causeway_ipmid_handler_duration_seconds", "Time that a handler of ipmid took"),
    ("causeway_ipmid_request_duration_seconds", "Time from a request to its response, by ipmid"),
    ("causeway_ipmid_requests_total", "Requests, by ipmid"),
    ("causeway_mctp_binding_drops_total", "MCTP packets of a binding that were dropped"),
    ("causeway_mctp_binding_total", "MCTP packets and messages of a binding"),
    ("causeway_mctp_messages_total", "MCTP messages by type"),
    ("causeway_mctp_refusals_total", "MCTP messages that were dropped"),
    ("causeway_rmcp_login_refusals_total", "Logins that a LAN bridge refused"),
    ("causeway_rmcp_sessions", "Sessions now"),
    ("causeway_rmcp_sessions_limit", "Sessions that there may be"),
    ("causeway_rmcp_sessions_peak", "The most sessions that there were"),
    ("causeway_sol_bytes_total", "Characters of Serial over LAN"),
    ("causeway_sol_instances", "SOL payloads that are active now"),
    ("causeway_sol_overruns_total", "Times that a SOL client was too slow and lost characters"),
    ("causeway_sol_retries_total", "SOL packets that were sent again"),
    ("causeway_state_writes_total", "Writes to state files"),
    ("causeway_state_written_bytes_total", "Bytes written to state files"),
    ("causeway_up", "Whether the bus of a BMC answers"),
];

/// A number, or times by their buckets.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Value {
    Number(u64),
    Times(Times),
}

/// A histogram.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Times {
    /// How many fell into each bucket.
    buckets: Vec<u64>,
    /// In microseconds.
    sum: u64,
}

impl Value {
    /// The number, or how many times there are.
    pub(super) fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            Self::Times(times) => times.count(),
        }
    }

    pub(super) const fn is_times(&self) -> bool {
        matches!(self, Self::Times(_))
    }
}

impl Times {
    fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    fn mean(&self) -> Duration {
        Duration::from_micros(self.sum.checked_div(self.count()).unwrap_or_default())
    }

    /// The bound that so many of 100 do not exceed; `None` if it is above all bounds.
    fn percentile(&self, percent: u64) -> Option<Duration> {
        let wanted = (self.count() * percent).div_ceil(100);
        let mut count = 0;
        let bucket = self.buckets.iter().position(|bucket| {
            count += bucket;
            count >= wanted
        });
        BOUNDS.get(bucket?).map(|micros| Duration::from_micros(*micros))
    }
}

/// One line of Prometheus's text, and as JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) labels: Labels,
    pub(super) value: Figure,
}

/// A whole number, or seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Figure {
    Whole(u64),
    Seconds(f64),
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => number.fmt(f),
            Self::Seconds(seconds) => seconds.fmt(f),
        }
    }
}

/// The counters as samples: a histogram has one for each bucket, which counts those before it too, a sum and a count.
pub(super) fn samples(counters: &[Counter]) -> Vec<Sample> {
    counters.iter().flat_map(of_counter).collect()
}

fn of_counter(counter: &Counter) -> Vec<Sample> {
    let Counter { name, labels, value } = counter;
    let sample = |end: &str, value: Figure| Sample {
        name: format!("{name}{end}"),
        labels: labels.clone(),
        value,
    };
    let times = match value {
        Value::Number(number) => return vec![sample("", Figure::Whole(*number))],
        Value::Times(times) => times,
    };
    let seconds = |micros: u64| Duration::from_micros(micros).as_secs_f64();
    let bounds = BOUNDS.iter().map(|micros| seconds(*micros).to_string());
    let bounds = bounds.chain(std::iter::once("+Inf".to_owned()));
    let mut count = 0;
    let buckets = bounds.zip(&times.buckets).map(|(bound, bucket)| {
        count += bucket;
        let mut sample = sample("_bucket", Figure::Whole(count));
        sample.labels.insert("le".to_owned(), bound);
        sample
    });
    let mut samples: Vec<_> = buckets.collect();
    samples.push(sample("_sum", Figure::Seconds(seconds(times.sum))));
    samples.push(sample("_count", Figure::Whole(times.count())));
    samples
}

/// Adds a table of histograms.
pub(super) fn table(page: &mut Page, counters: &[&Counter]) {
    if counters.is_empty() {
        return;
    }
    let rows = counters.iter().filter_map(|counter| {
        let Value::Times(times) = &counter.value else { return None };
        let bound = |percent| match times.percentile(percent) {
            Some(bound) => format!("{bound:?}"),
            None => "more".to_owned(),
        };
        Some(vec![
            counter.name.as_str().into(),
            counter.text().into(),
            times.count().to_string().into(),
            format!("{:?}", times.mean()).into(),
            bound(50).into(),
            bound(99).into(),
        ])
    });
    let rows = rows.collect();
    page.line("");
    page.table(&["TIMES", "OF", "COUNT", "MEAN", "50 % WITHIN", "99 % WITHIN"], rows);
}

/// What the daemon of an object measures; nothing where it is another's, or older.
pub(super) async fn read(bus: &Bus, object: &ObjectAt) -> Result<Vec<Counter>, Error> {
    let read = bus.call_if_there(&object.service, &object.path, METRICS, READ, &()).await?;
    let (numbers, times): (Vec<Number>, Vec<Timing>) = read.unwrap_or_default();
    let numbers = numbers.into_iter().map(|number| {
        let Number { name, labels, value } = number;
        Counter { name, labels, value: Value::Number(value) }
    });
    let times = times.into_iter().map(|timing| {
        let Timing { name, labels, buckets, sum } = timing;
        Counter { name, labels, value: Value::Times(Times { buckets, sum }) }
    });
    Ok(numbers.chain(times).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn histogram() -> Counter {
        let mut buckets = vec![0; BOUNDS.len() + 1];
        (buckets[0], buckets[3], buckets[15]) = (50, 49, 1);
        let value = Value::Times(Times { buckets, sum: 1_500_000 });
        Counter { name: "x_seconds".to_owned(), labels: Labels::new(), value }
    }

    #[test]
    fn buckets_are_cumulative_and_end_with_all() {
        let samples = samples(&[histogram()]);
        assert_eq!(samples.len(), BOUNDS.len() + 3);
        let bucket = |at: usize| (samples[at].labels["le"].as_str(), samples[at].value);
        assert_eq!(bucket(0), ("0.00005", Figure::Whole(50)));
        assert_eq!(bucket(3), ("0.0005", Figure::Whole(99)));
        assert_eq!(bucket(15), ("+Inf", Figure::Whole(100)));
        assert_eq!(
            (samples[16].name.as_str(), samples[16].value),
            ("x_seconds_sum", Figure::Seconds(1.5))
        );
        assert_eq!(
            (samples[17].name.as_str(), samples[17].value),
            ("x_seconds_count", Figure::Whole(100))
        );
    }

    #[test]
    fn percentiles_are_bounds_of_buckets() {
        let Value::Times(times) = histogram().value else { panic!("a histogram") };
        assert_eq!(times.percentile(50), Some(Duration::from_micros(50)));
        assert_eq!(times.percentile(99), Some(Duration::from_micros(500)));
        assert_eq!(times.percentile(100), None);
        assert_eq!(times.mean(), Duration::from_millis(15));
    }

    #[test]
    fn helps_are_in_order_and_of_the_metrics_that_are_documented() {
        assert!(HELP.is_sorted());
        let text = include_str!("../../../../docs/dbus.md");
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let documented: BTreeSet<_> = words.filter(|word| is_metric(word)).collect();
        let helps: BTreeSet<_> = HELP.iter().map(|(name, _)| *name).collect();
        assert_eq!(helps, documented);
    }

    /// A name in the documentation, which has places where a name goes on with `...` too.
    fn is_metric(word: &str) -> bool {
        word.starts_with("causeway_") && !word.ends_with('_')
    }
}
