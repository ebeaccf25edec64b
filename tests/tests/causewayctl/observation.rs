//! `session`, `counters` and `metrics`.

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tests::client::Output;
use tests::shell::Shell;
use tests::suite::Suite;
use tests::{ctl, wait};

/// The page with the session's own id, port and address as words.
fn stable(suite: &Suite, output: &Output) -> Output {
    let mut stdout = String::new();
    let sessions = ctl::json_on(&suite.bus, "session list");
    for line in output.stdout.lines() {
        let words = line.split_whitespace().map(|word| {
            let is_id = sessions.as_array().expect("a list").iter().any(|s| s["id"] == word);
            let is_address = word.split(':').nth(1).is_some_and(|port| port.parse::<u16>().is_ok());
            let is_time = word.contains('T') && word.ends_with('Z');
            match (is_id, is_time, is_address) {
                (true, ..) => "ID",
                (_, true, _) => "TIME",
                (.., true) => "ADDRESS",
                _ => word,
            }
        });
        stdout += &(words.collect::<Vec<_>>().join(" ") + "\n");
    }
    Output { stdout, ..output.clone() }
}

#[test]
fn sessions_are_listed_shown_and_closed() {
    let suite = Suite::start();
    super::check("session-none", &ctl::on(&suite.bus, "session list"));
    let mut shell = Shell::open(&suite.administrator());
    let output = ctl::on(&suite.bus, "session list");
    super::check("session-list", &stable(&suite, &output));
    let sessions = ctl::json_on(&suite.bus, "session list");
    let [session] = sessions.as_array().expect("a list").as_slice() else { panic!("{sessions}") };
    let address = shell.address();
    assert_eq!(session["address"], json!(address.ip().to_string()));
    assert_eq!((&session["user"], &session["port"]), (&json!("root"), &json!(address.port())));
    assert_eq!(session["suite"], json!(17));
    assert!(session["since"].as_str().is_some_and(|time| time.ends_with('Z')), "{session}");
    let handle = session["handle"].as_u64().expect("a number");
    let id = session["id"].as_str().expect("an id");
    for which in [handle.to_string(), id.to_owned(), format!("0x{id}")] {
        let mut shown = ctl::json_on(&suite.bus, &format!("session show {which}"));
        let requests = shown[0].as_object_mut().expect("a session").remove("requests");
        assert_eq!(shown, sessions);
        // What it did: its login's last request, and its own.
        let requests = requests.expect("what it did");
        let names = requests.as_array().expect("a list").iter().map(|request| &request["name"]);
        let names: Vec<_> = names.filter_map(Value::as_str).collect();
        for name in ["Set Session Privilege Level", "Get Device ID"] {
            assert!(names.contains(&name), "{requests}");
        }
    }
    let closed = ctl::json_on(&suite.bus, &format!("session close {handle}"));
    assert_eq!(closed[0]["state"], "closed");
    assert_eq!(ctl::json_on(&suite.bus, "session list"), json!([]));
    // The client finds that its session is gone.
    assert!(!shell.run("raw 6 1").contains("20 01"), "a closed session still answers");
    super::check("session-missing", &ctl::on(&suite.bus, "session close 200"));
    super::check("session-which", &ctl::on(&suite.bus, "session close"));
}

#[test]
fn sessions_of_a_user_are_closed_and_others_stay() {
    let suite = Suite::start();
    let bob = suite.add_user(3, "bob", "bobs-password", 4);
    let shells = [Shell::open(&bob), Shell::open(&bob)];
    let mut other = Shell::open(&suite.administrator());
    let closed = ctl::json_on(&suite.bus, "session close --user bob");
    assert_eq!(closed.as_array().map(Vec::len), Some(2), "{closed}");
    let left = ctl::json_on(&suite.bus, "session list");
    assert_eq!(left.as_array().map(Vec::len), Some(1), "{left}");
    assert!(other.run("raw 6 1").contains("20 "), "the administrator's session");
    drop(shells);
    ctl::on(&suite.bus, "session close --all").ok();
    assert_eq!(ctl::json_on(&suite.bus, "session list"), json!([]));
}

/// The value of a counter.
fn value(counters: &Value, name: &str, label: &str, of: &str) -> Option<u64> {
    let is = |counter: &&Value| counter["name"] == name && counter["labels"][label] == of;
    counters.as_array().expect("a list").iter().find(is)?["value"].as_u64()
}

/// Sends a datagram of no protocol.
fn send_nonsense(suite: &Suite) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.send_to(b"nonsense", suite.address).expect("a datagram");
}

#[test]
fn counters_are_those_of_the_daemons() {
    let suite = Suite::start();
    send_nonsense(&suite);
    wait::until_true("it is counted", || suite.rejections().values().any(|count| *count > 0));
    let counters = ctl::json_on(&suite.bus, "counters");
    let expected = suite.rejections();
    let refused: Vec<_> = expected.iter().filter(|(_, count)| **count > 0).collect();
    assert!(!refused.is_empty());
    for (reason, count) in refused {
        let name = "causeway_ipmi_rejections_total";
        assert_eq!(value(&counters, name, "reason", reason), Some(*count), "{reason}: {counters}");
    }
    let names = |line: &str| {
        let samples = ctl::json_on(&suite.bus, line);
        let samples = samples.as_array().expect("a list").iter();
        let samples =
            samples.map(|sample| (sample["name"].to_string(), sample["labels"].to_string()));
        samples.collect::<Vec<_>>()
    };
    assert_eq!(names("counters --all"), names("metrics"));
    let all = ctl::json_on(&suite.bus, "counters --all");
    for (reason, count) in expected {
        let name = "causeway_ipmi_rejections_total";
        assert_eq!(value(&all, name, "reason", &reason), Some(count), "{reason}");
    }
}

/// The sum of the values of a metric.
fn sum(samples: &Value, name: &str) -> f64 {
    let all = samples.as_array().expect("a list").iter();
    all.filter(|sample| sample["name"] == name).filter_map(|sample| sample["value"].as_f64()).sum()
}

#[test]
fn requests_sessions_handlers_and_state_files_are_measured() {
    let suite = Suite::start();
    let login = suite.administrator();
    let mut shell = Shell::open(&login);
    shell.run("raw 6 1");
    login.user("root", "wrong-password").ipmitool("mc info").failed();
    login.ipmitool("event 1").ok();
    let refused = "causeway_rmcp_login_refusals_total";
    // A client that sees from RAKP 2 that its password is wrong may send nothing more.
    let metrics = wait::until("the refused login is counted", || {
        let metrics = ctl::json_on(&suite.bus, "metrics");
        (value(&metrics, refused, "reason", "wrong-password") == Some(1)).then_some(metrics)
    });
    let device = |sample: &&Value| {
        sample["name"] == "causeway_ipmid_handler_duration_seconds_count"
            && sample["labels"]["name"] == "Get Device ID"
    };
    assert!(metrics.as_array().expect("a list").iter().any(|sample| device(&sample)), "{metrics}");
    for name in [
        "causeway_ipmi_requests_total",
        "causeway_ipmid_requests_total",
        "causeway_ipmi_request_duration_seconds_count",
        "causeway_ipmi_request_duration_seconds_sum",
        "causeway_ipmid_request_duration_seconds_count",
        "causeway_rmcp_sessions",
        "causeway_rmcp_sessions_peak",
        "causeway_rmcp_login_refusals_total",
        "causeway_state_writes_total",
        "causeway_state_written_bytes_total",
    ] {
        assert!(sum(&metrics, name) > 0.0, "{name}: {metrics}");
    }
    for name in ["causeway_ipmi_deadline_misses_total", "causeway_bus_reconnects_total"] {
        assert!(sum(&metrics, name).abs() < 0.5, "{name}");
    }
    // A bucket counts those before it too, and the last one all.
    let counts = sum(&metrics, "causeway_ipmi_request_duration_seconds_count");
    let is_last = |sample: &&Value| {
        sample["name"] == "causeway_ipmi_request_duration_seconds_bucket"
            && sample["labels"]["le"] == "+Inf"
    };
    let all = metrics.as_array().expect("a list").iter().filter(is_last);
    let buckets: f64 = all.filter_map(|sample| sample["value"].as_f64()).sum();
    assert!((counts - buckets).abs() < 0.5, "{metrics}");
    let page = ctl::on(&suite.bus, "counters");
    assert!(page.ok().contains("99 % WITHIN"), "{page}");
}

#[test]
fn metrics_are_prometheus_text_on_standard_output_or_in_a_file() {
    let suite = Suite::start();
    suite.administrator().ipmitool("raw 6 1").ok();
    let output = ctl::on(&suite.bus, "metrics");
    let text = output.ok();
    let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(samples.len() > suite.rejections().len(), "{text}");
    for line in &samples {
        let (name, value) = line.rsplit_once(' ').expect("a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let known = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let mut known = known.filter_map(|line| line.split(' ').next());
        assert!(known.any(|known| name.starts_with(known)), "{line}");
        assert!(name.starts_with("causeway_"), "{line}");
    }
    let kinds = ["requests_total counter", "request_duration_seconds histogram"];
    for kind in kinds {
        assert_eq!(text.matches(&format!("# TYPE causeway_ipmi_{kind}\n")).count(), 1, "{text}");
    }
    assert_eq!(text.matches("# TYPE causeway_ipmi_rejections_total counter\n").count(), 1);
    let file = suite.dir().join("causeway.prom");
    let line = format!("metrics --output {}", file.display());
    assert_eq!(ctl::on(&suite.bus, &line).ok(), "");
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), text);
    let missing = ctl::on(&suite.bus, "metrics --output /nonexistent/folder/file");
    assert!(missing.failed().contains("/nonexistent/folder/file"), "{missing}");
}

#[test]
fn watched_counters_are_printed_when_they_change() {
    let suite = Suite::start();
    let mut command = ctl::command();
    command.arg("--bus").arg(suite.bus.address()).args(["counters", "--watch", "1"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("causewayctl");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let (sender, seen) = std::sync::mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    // Whenever it has read the counters for the first time, some datagram is refused after that.
    let line = wait::until("a counter changes", || {
        send_nonsense(&suite);
        seen.recv_timeout(Duration::from_millis(100)).ok()
    });
    assert!(line.contains("causeway_ipmi_rejections_total") && line.contains("(+"), "{line}");
    child.kill().expect("a process of ours");
    child.wait().expect("a process of ours");
}
