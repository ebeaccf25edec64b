//! `mctp`, and `config check`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;

use serde_json::json;
use tests::bus::Bus;
use tests::client::{self, Output};
use tests::mctp::{Endpoints, Handler, NAME};
use tests::process::Process;
use tests::programs::{self, program};
use tests::serial_line::SerialLine;
use tests::suite::Suite;
use tests::{ctl, daemons, wait};

#[test]
fn what_mctp_demuxd_sees_is_listed() {
    let dir = tempfile::tempdir().expect("a folder");
    let bus = Bus::start(dir.path());
    super::check("mctp-not-running", &ctl::on(&bus, "mctp endpoints"));
    let arguments = daemons::arguments("mctp-demuxd", dir.path());
    let environment = [("DBUS_SYSTEM_BUS_ADDRESS", bus.address())];
    let path = program("mctp-demuxd");
    let _daemon = Process::start("mctp-demuxd", dir.path(), &path, &arguments, &environment);
    wait::until_true("it is on the bus", || bus.has_name(NAME));
    let endpoints = ctl::json_on(&bus, "mctp endpoints");
    let uuid = endpoints[0]["uuid"].as_str().expect("a UUID");
    let output = ctl::on(&bus, "mctp endpoints");
    let stdout = output.stdout.replace(uuid, "ITS-UUID");
    super::check("mctp-endpoints", &Output { stdout, ..output });
    assert_eq!((&endpoints[0]["eid"], &endpoints[0]["is-own"]), (&json!(8), &json!(true)));
    // Its device is missing.
    super::check("mctp-bindings", &ctl::on(&bus, "mctp bindings"));
    let output = ctl::on(&bus, "--json mctp bindings");
    assert_eq!(ctl::json_of(&output, "mctp")[0]["name"], "serial:/nonexistent/tty");
    super::check("mctp-clients", &ctl::on(&bus, "mctp clients"));
    assert_eq!(ctl::json_on(&bus, "mctp clients"), json!([]));
    assert!(ctl::on(&bus, "counters --all").ok().contains("causeway_mctp_binding_total"));
}

/// An mctp-demuxd with this id at a serial line, and its socket's name.
fn demuxd(name: &str, dir: &Path, bus: &Bus, eid: &str, device: &str) -> (Process, String) {
    let socket = format!("causeway-ctl-{}-{name}", std::process::id());
    let state = dir.join(name).display().to_string();
    let binding = format!("serial:{device}");
    let words = ["--eid", eid, "--socket", &socket, "--state-dir", &state, &binding];
    let words = words.map(str::to_owned);
    let environment = [("DBUS_SYSTEM_BUS_ADDRESS", bus.address())];
    fs::create_dir(dir.join(name)).expect("a folder");
    (Process::start(name, dir, &program("mctp-demuxd"), &words, &environment), socket)
}

/// The output with times as words.
fn timeless(output: Output) -> Output {
    let words = output.stdout.split(' ').collect::<Vec<_>>();
    let is_time = |at: usize| words.get(at + 1).is_some_and(|next| next.starts_with("ms"));
    let word = |(at, word): (usize, &&str)| {
        if is_time(at) { "TIME".to_owned() } else { (*word).to_owned() }
    };
    let stdout = words.iter().enumerate().map(word).collect::<Vec<_>>().join(" ");
    Output { stdout, ..output }
}

#[test]
fn endpoints_are_pinged_and_sent_messages() {
    let dir = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    for folder in [&ours, &theirs] {
        fs::create_dir(folder).expect("a folder");
    }
    let (bus, other_bus) = (Bus::start(&ours), Bus::start(&theirs));
    super::check("mctp-ping-not-running", &ctl::on(&bus, "mctp ping 9"));
    let line = SerialLine::new();
    let (_own, socket) = demuxd("own", dir.path(), &bus, "8", &line.devices[0]);
    let (_far, far_socket) = demuxd("far", dir.path(), &other_bus, "9", &line.devices[1]);
    wait::until_true("both are on their bus", || bus.has_name(NAME) && other_bus.has_name(NAME));
    wait::until_true("it answers", || ctl::on(&bus, "mctp ping 9").code == Some(0));
    super::check("mctp-ping", &timeless(ctl::on(&bus, "mctp ping 9 --count 2")));
    let pongs = ctl::json_on(&bus, "mctp ping 9");
    assert_eq!((&pongs[0]["reported-eid"], &pongs[0]["is-bridge"]), (&json!(9), &json!(false)));
    let own = ctl::on(&bus, "mctp ping 8");
    super::check("mctp-ping-own", &own);
    // The far end answers in the name of any id, but nothing answers for this one.
    let lost = ctl::on(&bus, "mctp ping 10");
    super::check("mctp-ping-lost", &lost);
    super::check("mctp-ping-control", &ctl::on(&bus, "mctp send 9 0 80 02"));

    // A handler of PLDM that sends a request of its own before it answers, and one of a vendor's messages.
    let pldm = Handler::register_on(&other_bus, &far_socket, 1);
    thread::spawn(move || {
        while let Ok((eid, request)) = pldm.receive() {
            let answer = [&[request[0] & 0x1f], &request[1..], &[0, 0x2a]].concat();
            let own = [0x9f, 2, 1];
            pldm.send(eid, &own).and_then(|()| pldm.send(eid, &answer)).expect("the line");
        }
    });
    let vendor = Handler::register_on(&other_bus, &far_socket, 0x7e);
    thread::spawn(move || {
        while let Ok((eid, request)) = vendor.receive() {
            if request != b"\x1a\x03quiet" {
                vendor.send(eid, &request).expect("the line");
            }
        }
    });
    let send = |words: &str| ctl::run(&format!("mctp send 9 {words} --socket {socket}"));
    super::check("mctp-send", &timeless(send("1 85 00 02")));
    let json = ctl::json_of(
        &ctl::run(&format!("--json mctp send 9 7Eh 1a03 41 --socket {socket}")),
        "mctp",
    );
    assert_eq!((&json["request"], &json["response"]), (&json!("7e1a0341"), &json!("7e1a0341")));
    let quiet = "7Eh 1a037175696574";
    super::check("mctp-send-no-answer", &send(&format!("{quiet} --timeout 1")));
    let json = ctl::run(&format!("--json mctp send 9 {quiet} --timeout 0 --socket {socket}"));
    assert_eq!(ctl::json_of(&json, "mctp")["response"], json!(null));
    let missing = ctl::run("mctp send 9 1 80 --socket causeway-no-such-socket");
    super::check("mctp-send-no-socket", &missing);
}

#[test]
fn configuration_is_checked_by_every_daemon_and_errors_have_their_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("causeway.toml");
    let check = |text: &str| {
        fs::write(&file, text).expect("a file");
        let output = ctl::run(&format!("config check {}", file.display()));
        let stdout = output.stdout.replace(&file.display().to_string(), "FILE");
        Output { stdout, ..output }
    };
    super::check("config-good", &check("[lan]\ncipher-suites = [17]\n"));
    let bad = "[lan]\ncipher-suites = [17]\nsessions = 0\n";
    let output = check(bad);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stdout.contains("FILE:3: "), "{output}");
    let json = ctl::run(&format!("--json config check {}", file.display()));
    let verdicts = ctl::json_of(&json, "config");
    let netipmid = verdicts.as_array().expect("a list").iter().find(|v| v["daemon"] == "netipmid");
    let netipmid = netipmid.expect("netipmid");
    assert_eq!((&netipmid["result"], &netipmid["line"]), (&json!("refused"), &json!(3)));
    let every = check("[chanel]\nnumber = 1\n");
    assert_eq!(every.stdout.matches("refused").count(), daemons::DAEMONS.len(), "{every}");
    // Its LAN channel is not the built-in one.
    let installed = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/config/installed.toml");
    let output = ctl::run(&format!("config check {installed}"));
    assert_eq!(output.stdout.matches("accepted").count(), daemons::DAEMONS.len(), "{output}");
    let missing = ctl::run("config check /nonexistent/causeway.toml");
    assert!(missing.stderr.contains("/nonexistent/causeway.toml does not exist"), "{missing}");
}

/// What tshark prints of a capture of MCTP, by its own dissector or, where it has none, by ours; `None` if it is not
/// installed.
fn tshark(file: &Path, options: &[&str]) -> Option<String> {
    let Some(program) = programs::installed("tshark") else {
        eprintln!("skipped: tshark is not installed");
        return None;
    };
    let mut command = Command::new(program);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../mctp-demuxd/mctp.lua");
    command.args(["-X", &format!("lua_script:{script}")]);
    command.arg("-r").arg(file).args(options);
    Some(client::run(&mut command).ok().to_owned())
}

/// `trace --mctp` with these options, and the file that has its output.
fn packet_tracer(suite: &Suite, name: &str, options: &[&str]) -> (Child, PathBuf) {
    let output = suite.dir().join(name);
    let mut command = ctl::command();
    command.args(["--bus", &suite.bus.address(), "trace", "--mctp"]).args(options);
    // Not a pipe, which would be full before anybody reads it.
    command.stdout(File::create(&output).expect("a file"));
    (command.spawn().expect("causewayctl"), output)
}

#[test]
fn packets_are_traced_decoded_and_captured_for_wireshark() {
    let suite = Suite::start();
    super::check("trace-mctp-not-running", &ctl::on(&suite.bus, "trace --mctp"));
    let endpoints = Endpoints::start(&suite);
    let client = endpoints.client(1);
    let file = suite.dir().join("packets.pcap");
    let path = file.display().to_string();
    let mut tracers = [
        packet_tracer(&suite, "written", &["--count", "100", "--write", &path]),
        packet_tracer(&suite, "page", &["--count", "100"]),
        packet_tracer(&suite, "json", &["--count", "1", "--json"]),
    ];
    let mut number = 0;
    wait::until_true("there were enough packets", || {
        ctl::on(&suite.bus, "mctp ping 9").ok();
        // Of up to 299 bytes, in several packets.
        for _ in 0..8 {
            client.ask(number);
            number += 17;
        }
        let has_ended =
            |(child, _): &mut (Child, PathBuf)| child.try_wait().expect("a process").is_some();
        tracers.iter_mut().all(has_ended)
    });
    let [written, page, json] = tracers.map(|(mut child, output)| {
        assert!(child.wait().expect("a process of ours").success());
        fs::read_to_string(output).expect("text")
    });
    assert_eq!(written, format!("100 packets written to {path}, 0 lost\n"));
    for text in ["serial:", "Get Endpoint ID", "First part of a message", "PLDM", " out", " in"] {
        assert!(page.contains(text), "no {text} in\n{page}");
    }
    let traced = serde_json::from_str(&json).expect("JSON");
    tests::json_schema::check("trace", &traced).unwrap();
    let decoded = ctl::run(&format!("decode pcap --file {path}"));
    assert_eq!(decoded.ok().matches("MCTP packet").count(), 100);
    let Some(summary) = tshark(&file, &[]) else { return };
    assert_eq!(summary.lines().count(), 100, "{summary}");
    assert!(summary.contains("MCTP") && summary.contains("PLDM"), "{summary}");
    let malformed = tshark(&file, &["-Y", "_ws.malformed || _ws.short || _ws.lua"]);
    assert_eq!(malformed.as_deref(), Some(""), "malformed packets");
}
