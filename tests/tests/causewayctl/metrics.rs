//! `metrics` for Prometheus: served, in a file, and as the dashboard and the alerts use them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tests::process::Process;
use tests::programs::{self, program};
use tests::satellite::Satellites;
use tests::serial_line::SerialLine;
use tests::shell::Shell;
use tests::suite::Suite;
use tests::terminal::Terminal;
use tests::{ctl, daemons, wait};

/// `causewayctl metrics --listen`, until it is dropped.
struct Exporter {
    child: Child,
    address: SocketAddr,
}

impl Exporter {
    fn start(suite: &Suite) -> Self {
        let mut command = ctl::command();
        command.arg("--bus").arg(suite.bus.address());
        command.args(["metrics", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("causewayctl");
        let mut line = String::new();
        let output = child.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let url = line.trim().strip_prefix("serving http://").expect("a URL");
        let address = url.strip_suffix("/metrics").expect("a path").parse().expect("an address");
        Self { child, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a server");
        stream.set_read_timeout(Some(wait::LIMIT)).expect("a limit");
        stream
    }

    /// What is answered to these bytes.
    fn ask(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        // A server that answers early may have closed the connection.
        let _closed = stream.write_all(request);
        let _closed = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer);
        String::from_utf8(answer).expect("text")
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

const GET: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: bmc\r\n\r\n";

#[test]
fn metrics_are_served_to_prometheus() {
    let suite = Suite::start();
    let exporter = Exporter::start(&suite);
    let answer = exporter.ask(GET);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("Content-Type: text/plain; version=0.0.4"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    assert!(body.contains("# TYPE causeway_ipmi_rejections_total counter\n"), "{body}");
    let head = exporter.ask(b"HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.ends_with("\r\n\r\n"), "{head}");
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "404"),
        ("POST /metrics HTTP/1.1\r\n\r\n", "405"),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let answer = exporter.ask(request.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
    }
}

#[test]
fn metrics_of_many_bmcs_have_its_name() {
    let suites = [Suite::start(), Suite::start()];
    let folder = tempfile::tempdir().expect("a folder");
    let links = ["vm1", "vm2", "gone"].iter().zip(suites.iter().chain([&suites[0]]));
    for (name, suite) in links {
        let place = folder.path().join(name);
        fs::create_dir(&place).expect("a folder");
        match *name {
            "gone" => fs::write(place.join("bus"), "").expect("a file"),
            _ => std::os::unix::fs::symlink(suite.dir().join("bus"), place.join("bus"))
                .expect("a link"),
        }
    }
    let output = ctl::run(&format!("metrics --each {}", folder.path().display()));
    for line in [
        "causeway_up{bmc=\"gone\"} 0",
        "causeway_up{bmc=\"vm1\"} 1",
        "causeway_up{bmc=\"vm2\"} 1",
        "causeway_rmcp_sessions{bmc=\"vm2\",channel=\"lan0\"} 0",
    ] {
        assert!(output.ok().lines().any(|printed| printed == line), "no {line} in\n{output}");
    }
    assert_eq!(output.stdout.matches("# TYPE causeway_rmcp_sessions gauge").count(), 1, "{output}");
}

#[test]
fn long_slow_and_many_clients_do_not_stop_the_server() {
    let suite = Suite::start();
    let exporter = Exporter::start(&suite);
    let long = [b"GET /metrics HTTP/1.1\r\n".to_vec(), vec![b'x'; 100_000]].concat();
    let answer = exporter.ask(&long);
    // The rest of the request may have broken the connection before the answer was read.
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    // More than are served at a time say nothing, and end.
    let silent: Vec<_> = (0..20).map(|_| exporter.connect()).collect();
    drop(silent);
    assert!(exporter.ask(GET).starts_with("HTTP/1.1 200 "));
    // Those that stay are ended by their limit, so that the next is served.
    let _silent: Vec<_> = (0..8).map(|_| exporter.connect()).collect();
    assert!(exporter.ask(GET).starts_with("HTTP/1.1 200 "));
}

#[test]
fn without_the_bus_metrics_are_unavailable_and_come_back() {
    let mut suite = Suite::start();
    let exporter = Exporter::start(&suite);
    suite.bus.kill();
    assert!(exporter.ask(GET).starts_with("HTTP/1.1 503 "));
    suite.bus.restart();
    wait::until_true("the metrics are there again", || {
        exporter.ask(GET).contains("causeway_ipmi_rejections_total{")
    });
}

#[test]
fn only_loopback_addresses_are_served_unless_public() {
    super::check("metrics-not-loopback", &ctl::run("metrics --listen 192.0.2.1:9623"));
    for line in
        ["metrics --listen 0.0.0.0:0", "metrics --listen [::]:0", "metrics --listen nowhere"]
    {
        let output = ctl::run(line);
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{output}");
    }
    // Refused by the system alone: this machine has no such address.
    let public = ctl::run("metrics --listen 192.0.2.1:9623 --public");
    assert!(public.failed().contains("cannot listen at 192.0.2.1:9623"), "{public}");
    assert_eq!(ctl::run("metrics --public").code, Some(2));
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/metrics")
}

/// The names of metrics with the names and values of their labels.
type Metrics = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// The metrics of Prometheus text.
fn metrics(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (sample, _) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
        let known = metrics.entry(name.to_owned()).or_default();
        for label in labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()) {
            let (label, value) = label.split_once('=').expect("a label");
            known.entry(label.to_owned()).or_default().insert(value.trim_matches('"').to_owned());
        }
    }
    metrics
}

/// The metrics of a suite that has done a little of everything.
fn metrics_of_a_busy_bmc() -> Metrics {
    let suite = Suite::start();
    let line = SerialLine::new();
    let mut arguments = daemons::arguments("mctp-demuxd", suite.dir());
    for argument in &mut arguments {
        if argument.starts_with("serial:") {
            *argument = format!("serial:{}", line.devices[0]);
        }
    }
    let environment = [("DBUS_SYSTEM_BUS_ADDRESS", suite.bus.address())];
    let path = program("mctp-demuxd");
    let _mctp = Process::start("mctp-demuxd", suite.dir(), &path, &arguments, &environment);
    wait::until_true("it is on the bus", || suite.bus.has_name("xyz.openbmc_project.MCTP.Demux"));
    // Nothing answers; the message is counted.
    ctl::on(&suite.bus, "mctp ping 9").failed();
    let administrator = suite.administrator();
    let satellites = Satellites::start(suite.dir());
    let device = satellites.device().display().to_string();
    let _ipmb = suite.bridge("ipmbbridged", "Ipmb", ["--device", &device]);
    administrator.ipmitool("-t 0x24 -b 0 raw 6 1").ok();
    let mut shell = Shell::open(&administrator);
    shell.run("raw 6 1");
    shell.run("raw 6 0xff");
    administrator.user("root", "wrong-password").ipmitool("mc info").failed();
    let mut terminal = Terminal::sol(&administrator);
    terminal.enter("hello\r");
    terminal.until_shows("hello from the host");
    // A client that sees from RAKP 2 that its password is wrong may send nothing more.
    wait::until("the refused login is counted", || {
        let metrics = metrics(ctl::on(&suite.bus, "metrics").ok());
        metrics.contains_key("causeway_rmcp_login_refusals_total").then_some(metrics)
    })
}

/// A metric in an expression, with its matchers: label and values.
type Use = (String, Vec<(String, Vec<String>)>);

/// Every `causeway_` name of an expression, with the matchers in the braces after it.
fn uses(expression: &str) -> Vec<Use> {
    let mut uses = Vec::new();
    for (at, _) in expression.match_indices("causeway_") {
        let rest = &expression[at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let matchers = after.strip_prefix('{').and_then(|after| after.split_once('}'));
        let matchers = matchers.map_or("", |(matchers, _)| matchers);
        let matcher = |text: &str| {
            let (label, value) = text.split_once('=')?;
            let label = label.trim_end_matches('!');
            let values = value.trim_start_matches('~').trim_matches('"').split('|');
            Some((label.to_owned(), values.map(str::to_owned).collect()))
        };
        uses.push((name.to_owned(), matchers.split(',').filter_map(matcher).collect()));
    }
    uses
}

/// The expressions of the dashboard and of the alerts.
fn expressions() -> Vec<String> {
    let dashboard = fs::read_to_string(folder().join("dashboard.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut ids = BTreeSet::new();
    let mut expressions = Vec::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64()), "two panels of one id: {panel}");
        assert!(panel["title"].is_string() && panel["gridPos"]["h"].is_u64(), "{panel}");
        for target in panel["targets"].as_array().into_iter().flatten() {
            expressions.push(target["expr"].as_str().expect("an expression").to_owned());
        }
    }
    assert!(expressions.len() > 10);
    let alerts = fs::read_to_string(folder().join("alerts.yml")).expect("the alerts");
    let mut lines = alerts.lines();
    let before = expressions.len();
    while let Some(line) = lines.next() {
        match line.trim().strip_prefix("expr: ") {
            Some(">-") => expressions.push(lines.next().expect("a line").trim().to_owned()),
            Some(expression) => expressions.push(expression.to_owned()),
            None => {}
        }
    }
    assert_eq!(expressions.len() - before, alerts.matches("- alert: ").count());
    expressions
}

#[test]
fn dashboard_and_alerts_use_metrics_and_labels_that_exist() {
    let metrics = metrics_of_a_busy_bmc();
    // Prometheus itself adds this label.
    let is_added = |label: &str| label == "instance";
    let mut used = BTreeSet::new();
    for expression in expressions() {
        for (name, matchers) in uses(&expression) {
            let known = metrics.get(&name);
            let known = known.unwrap_or_else(|| panic!("no metric {name}, for: {expression}"));
            for (label, values) in matchers.iter().filter(|(label, _)| !is_added(label)) {
                let all =
                    known.get(label).unwrap_or_else(|| panic!("no label {label}: {expression}"));
                // These have every reason, counted or not.
                if label == "reason" && name != "causeway_rmcp_login_refusals_total" {
                    let missing = values.iter().find(|value| !all.contains(*value));
                    assert_eq!(missing, None, "{name}: {expression}");
                }
            }
            used.insert(name);
        }
        if let Some((_, grouped)) = expression.split_once(" by (") {
            let labels = grouped.split(')').next().expect("labels").split(", ");
            let name = &uses(&expression)[0].0;
            for label in labels.filter(|label| !is_added(label)) {
                assert!(
                    metrics[name].contains_key(label),
                    "{name} has no label {label}: {expression}"
                );
            }
        }
    }
    let families = |names: &mut dyn Iterator<Item = &String>| -> BTreeSet<String> {
        let ends = ["_bucket", "_sum", "_count"];
        let family = |name: &String| {
            ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
        };
        names.map(family).collect()
    };
    let unused: Vec<_> =
        families(&mut metrics.keys()).difference(&families(&mut used.iter())).cloned().collect();
    // The bridges have the same of each request.
    let others = ["causeway_ipmid_request_duration_seconds", "causeway_ipmid_requests_total"];
    assert_eq!(unused, others, "metrics that the dashboard does not show");
}

#[test]
fn prometheus_takes_the_alerts() {
    let Some(promtool) = programs::installed("promtool") else {
        eprintln!("skipped: no promtool (Debian's package prometheus)");
        return;
    };
    let mut command = Command::new(promtool);
    let output =
        tests::client::run(command.args(["check", "rules"]).arg(folder().join("alerts.yml")));
    assert!(output.ok().contains("SUCCESS"), "{output}");
}
