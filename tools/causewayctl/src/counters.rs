//! `counters` and `metrics`: what the daemons count, by the properties that they publish.

mod many;
mod measured;

use std::collections::BTreeMap;
use std::fmt::Write as _;
#[cfg(feature = "exporter")]
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use openbmc_dbus::client::{CallError, ObjectAt};
use openbmc_dbus::execute::CHANNEL_PREFIX;
use openbmc_dbus::ipmi::names::CHANNEL_PATH_PREFIX;
use openbmc_dbus::recorder::object::{IPMID_PATH, IPMID_SERVICE};
use zbus::wire::Variant;

use self::measured::{Sample, Value, samples};
use crate::bus::Bus;
use crate::cli::Global;
use crate::error::Error;
#[cfg(feature = "exporter")]
use crate::exporter;
use crate::output::{Cell, Report};
use crate::{file, mctp};

/// A bridge's refusals, by reason: property `Counts`.
const REJECTIONS: &str = "org.causeway.Ipmi.Channel.Rejections";

/// Show what the daemons have counted since they were started
///
/// Requests by channel, network function and completion code, and how long they took; sessions, refusals by reason,
/// and SOL of the LAN bridges; handlers and state files of ipmid; messages, packets and drops of mctp-demuxd.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Counters that are 0 too
    #[arg(long)]
    all: bool,
    /// Show again what has changed, every so many seconds, until it is interrupted
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    watch: Option<u32>,
}

/// Print the counters as Prometheus text
///
/// To standard output, to a file for the textfile collector of node_exporter, which is replaced as a whole, or to
/// Prometheus itself (http://ADDR/metrics), until the program is ended.
#[derive(Args, Debug)]
pub(crate) struct MetricsArguments {
    /// Write this file
    #[arg(long, visible_alias = "textfile", value_name = "FILE")]
    output: Option<PathBuf>,
    /// Those of many BMCs, each with the label `bmc`: of NAME, where the bus is FOLDER/NAME/bus
    #[arg(long, value_name = "FOLDER")]
    each: Option<PathBuf>,
    /// Serve them at this address and port, such as 127.0.0.1:9623
    #[cfg(feature = "exporter")]
    #[arg(long, value_name = "ADDR", conflicts_with = "output")]
    listen: Option<SocketAddr>,
    /// Serve them at an address that other machines reach too
    #[cfg(feature = "exporter")]
    #[arg(long, requires = "listen")]
    public: bool,
}

/// One counter, gauge or histogram.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Counter {
    name: String,
    labels: Labels,
    value: Value,
}

/// What is counted: names and texts.
type Labels = BTreeMap<String, String>;

impl Counter {
    fn row(&self, value: String) -> Vec<Cell> {
        vec![self.name.as_str().into(), self.text().into(), value.into()]
    }

    fn text(&self) -> String {
        let labels: Vec<_> =
            self.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        labels.join(" ")
    }
}

pub(crate) async fn run(arguments: &Arguments, global: &Global) -> Result<Report, Error> {
    let bus = Bus::connect(global).await?;
    let mut counters = read(&bus).await?;
    if let Some(seconds) = arguments.watch {
        return watch(&bus, counters, seconds, global.output.json).await;
    }
    counters.retain(|counter| arguments.all || counter.value.number() > 0);
    Ok(Report::new(&samples(&counters), |page| {
        let (times, numbers): (Vec<_>, Vec<_>) =
            counters.iter().partition(|counter| counter.value.is_times());
        let row = |counter: &&Counter| counter.row(counter.value.number().to_string());
        page.table(&["COUNTER", "OF", "VALUE"], numbers.iter().map(row).collect());
        measured::table(page, &times);
    }))
}

/// Prints what has changed, until the program is ended or its output is closed.
async fn watch(
    bus: &Bus,
    mut before: Vec<Counter>,
    seconds: u32,
    json: bool,
) -> Result<Report, Error> {
    loop {
        tokio::time::sleep(Duration::from_secs(seconds.into())).await;
        let now = read(bus).await?;
        let old = |counter: &Counter| {
            let same = before
                .iter()
                .find(|old| (&old.name, &old.labels) == (&counter.name, &counter.labels));
            same.map_or(0, |old| old.value.number())
        };
        let changed: Vec<_> =
            now.iter().filter(|counter| counter.value.number() != old(counter)).cloned().collect();
        let report = Report::new(&samples(&changed), |page| {
            let row = |counter: &Counter| {
                let value = counter.value.number();
                counter.row(match value.checked_sub(old(counter)) {
                    Some(more) => format!("{value} (+{more})"),
                    // The daemon was started anew.
                    None => value.to_string(),
                })
            };
            page.table(&[], changed.iter().map(row).collect());
        });
        if !changed.is_empty() && !report.write(json).map_err(Error::failed)? {
            return Ok(Report::nothing());
        }
        before = now;
    }
}

pub(crate) async fn metrics(
    arguments: &MetricsArguments,
    global: &Global,
) -> Result<Report, Error> {
    #[cfg(feature = "exporter")]
    if let Some(address) = arguments.listen {
        let source = (arguments.each.clone(), global.clone());
        return exporter::serve(address, arguments.public, source).await;
    }
    let counters = gather(arguments.each.as_deref(), global).await?;
    let text = prometheus(&counters);
    if let Some(path) = &arguments.output {
        file::replace(path, text.as_bytes(), 0o644)
            .map_err(|error| Error::failed(format_args!("{}: {error}", path.display())))?;
        return Ok(Report::new(&samples(&counters), |_| {}));
    }
    Ok(Report::new(&samples(&counters), |page| page.verbatim(&text)))
}

/// All counters as Prometheus reads them, of one BMC or of each.
#[cfg(feature = "exporter")]
pub(crate) async fn text(each: Option<&Path>, global: &Global) -> Result<String, Error> {
    Ok(prometheus(&gather(each, global).await?))
}

async fn gather(each: Option<&Path>, global: &Global) -> Result<Vec<Counter>, Error> {
    match each {
        Some(folder) => many::read(folder, global).await,
        None => read(&Bus::connect(global).await?).await,
    }
}

/// All counters, in the order of their names.
async fn read(bus: &Bus) -> Result<Vec<Counter>, Error> {
    let mut counters = Vec::new();
    for service in bus.names().await? {
        if let Some(channel) = service.strip_prefix(CHANNEL_PREFIX) {
            let path = format!("{CHANNEL_PATH_PREFIX}{}", channel.replace('-', "_"));
            let object = ObjectAt::new(service.as_str(), path);
            let labels = labels("channel", channel);
            let counts = property(bus, &object, REJECTIONS, "Counts").await?;
            counters.extend(by_reason("causeway_ipmi_rejections_total", "reason", &labels, counts));
            counters.extend(measured::read(bus, &object).await?);
        } else if service == IPMID_SERVICE {
            let object = ObjectAt::new(service.as_str(), IPMID_PATH);
            counters.extend(measured::read(bus, &object).await?);
        } else if service == mctp::SERVICE {
            counters.extend(of_mctp(bus).await?);
        }
    }
    counters.sort();
    Ok(counters)
}

async fn of_mctp(bus: &Bus) -> Result<Vec<Counter>, Error> {
    let root = ObjectAt::new(mctp::SERVICE, mctp::PATH);
    let objects = match bus.client().managed_objects(&root).await {
        Ok(objects) => objects,
        Err(CallError::Gone { .. } | CallError::NotFound { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(Error::failed(format_args!("mctp-demuxd: {error}"))),
    };
    let mut counters = Vec::new();
    let refusals = property(bus, &root, mctp::DEMUX, "Refusals").await?;
    let none = Labels::new();
    counters.extend(by_reason("causeway_mctp_refusals_total", "reason", &none, refusals));
    counters.extend(measured::read(bus, &root).await?);
    for interfaces in objects.values() {
        let Some(binding) = interfaces.get(mctp::BINDING) else { continue };
        let name = match binding.get("Name").map(|name| &**name) {
            Some(Variant::Str(name)) => name.to_string(),
            _ => continue,
        };
        let labels = labels("binding", &name);
        for (metric, label, property) in [
            ("causeway_mctp_binding_total", "counter", "Counters"),
            ("causeway_mctp_binding_drops_total", "reason", "Drops"),
        ] {
            let counts = binding.get(property).and_then(mctp::counts).unwrap_or_default();
            counters.extend(by_reason(metric, label, &labels, counts));
        }
        for (direction, property) in [("in", "MessagesIn"), ("out", "MessagesOut")] {
            let counts = binding.get(property).and_then(mctp::counts_by_type).unwrap_or_default();
            let mut labels = labels.clone();
            labels.insert("direction".to_owned(), direction.to_owned());
            counters.extend(by_reason("causeway_mctp_messages_total", "type", &labels, counts));
        }
    }
    Ok(counters)
}

type Counts = BTreeMap<String, u64>;

fn labels(name: &str, value: &str) -> Labels {
    Labels::from([(name.to_owned(), value.to_owned())])
}

/// A counter for each entry.
fn by_reason(name: &str, label: &str, labels: &Labels, counts: Counts) -> Vec<Counter> {
    let counter = |(reason, value): (String, u64)| {
        let mut labels = labels.clone();
        labels.insert(label.to_owned(), reason);
        Counter { name: name.to_owned(), labels, value: Value::Number(value) }
    };
    counts.into_iter().map(counter).collect()
}

/// A property with counts; empty where the service does not have it.
async fn property(
    bus: &Bus,
    object: &ObjectAt,
    interface: &str,
    name: &str,
) -> Result<Counts, Error> {
    let value = bus.property(object, interface, name).await?;
    Ok(value.as_ref().and_then(mctp::counts).unwrap_or_default())
}

/// The text that Prometheus reads (exposition format 0.0.4). `counters` are in the order of their names.
fn prometheus(counters: &[Counter]) -> String {
    let mut text = String::new();
    for of_name in counters.chunk_by(|a, b| a.name == b.name) {
        let Some(Counter { name, value, .. }) = of_name.first() else { continue };
        if let Some((_, help)) = measured::HELP.iter().find(|(known, _)| known == name) {
            let _ = writeln!(text, "# HELP {name} {help}.");
        }
        let kind = match value {
            Value::Times(_) => "histogram",
            Value::Number(_) if name.ends_with("_total") => "counter",
            Value::Number(_) => "gauge",
        };
        let _ = writeln!(text, "# TYPE {name} {kind}");
        for Sample { name, labels, value } in samples(of_name) {
            let labels: Vec<_> = labels
                .iter()
                .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
                .collect();
            let labels = labels.join(",");
            let _ = match labels.is_empty() {
                true => writeln!(text, "{name} {value}"),
                false => writeln!(text, "{name}{{{labels}}} {value}"),
            };
        }
    }
    text
}

/// A label's value.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_text_has_help_and_type_once_and_escaped_labels() {
        let counts = BTreeMap::from([("checksum".to_owned(), 3), ("a \"b\"\\".to_owned(), 0)]);
        let labels = labels("channel", "lan0");
        let counters = by_reason("causeway_ipmi_rejections_total", "reason", &labels, counts);
        assert_eq!(
            prometheus(&counters),
            "# HELP causeway_ipmi_rejections_total Requests and datagrams that a LAN bridge refused.\n\
             # TYPE causeway_ipmi_rejections_total counter\n\
             causeway_ipmi_rejections_total{channel=\"lan0\",reason=\"a \\\"b\\\"\\\\\"} 0\n\
             causeway_ipmi_rejections_total{channel=\"lan0\",reason=\"checksum\"} 3\n"
        );
    }
}
