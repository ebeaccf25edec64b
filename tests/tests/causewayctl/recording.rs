//! `record` and `trace`: what bridges and ipmid record of requests.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};
use tests::host_device::{HostDevice, Kind};
use tests::process::Process;
use tests::satellite::Satellites;
use tests::spellings::spellings;
use tests::suite::Suite;
use tests::terminal::Terminal;
use tests::tracer::{self, Tracer};
use tests::{ctl, wait};

/// The recorded requests of a command.
fn of_command(recorded: &Value, netfn: u8, command: u8) -> Vec<&Value> {
    let all = recorded.as_array().expect("a list").iter();
    all.filter(|one| one["netfn"] == netfn && one["command"] == command).collect()
}

/// A KCS bridge, with its host.
fn host(suite: &Suite) -> (Process, HostDevice) {
    let path = suite.dir().join(Kind::Kcs.channel());
    let device = path.display().to_string();
    let bridge = suite.bridge(Kind::Kcs.bridge(), Kind::Kcs.channel(), ["--device", &device]);
    (bridge, HostDevice::plug(Kind::Kcs, &path))
}

#[test]
fn recorded_requests_have_their_sender_their_response_and_their_time() {
    let suite = Suite::start();
    let (_bridge, mut host) = host(&suite);
    assert_eq!(host.request(0x06, 0x01)[0], 0);
    suite.administrator().ipmitool("raw 6 1").ok();
    let recorded = ctl::json_on(&suite.bus, "record");
    let devices = of_command(&recorded, 0x06, 0x01);
    let of = |channel: &str| {
        let is = |one: &&&Value| one["channel"] == channel;
        *devices.iter().find(is).unwrap_or_else(|| panic!("none of {channel}: {recorded}"))
    };
    let (lan, kcs) = (of("lan0"), of(Kind::Kcs.channel()));
    for one in [lan, kcs] {
        assert_eq!(one["name"], "Get Device ID");
        assert_eq!(one["completion"]["code"], 0);
        assert_eq!(one["state"], "answered");
        assert_eq!(one["response"].as_str().map(str::len), Some(30), "{one}");
        assert!(one["duration-us"].as_u64().is_some_and(|micros| micros < 4_000_000), "{one}");
    }
    assert_eq!(
        (&lan["origin"], &lan["user"], &lan["number"]),
        (&json!("session"), &json!(2), &json!(1))
    );
    assert_eq!((&kcs["origin"], &kcs["number"]), (&json!("system"), &json!(15)));
    assert!(kcs.get("user").is_none(), "{kcs}");
    // What the bridge answers by itself too: the session's privilege, and its end.
    for command in [0x3b, 0x3c] {
        assert_eq!(of_command(&recorded, 0x06, command).len(), 1, "{command:02x} {recorded}");
    }
    let channels = |line: &str| {
        let recorded = ctl::json_on(&suite.bus, line);
        let channels = recorded.as_array().expect("a list").iter();
        let mut channels: Vec<_> = channels.map(|one| one["channel"].clone()).collect();
        channels.dedup();
        channels
    };
    assert_eq!(channels("record --channel lan0"), ["lan0"]);
    assert_eq!(channels("record --channel lan0 --ipmid"), ["lan0"]);
    ctl::on(&suite.bus, "raw 6 1").ok();
    let own = ctl::json_on(&suite.bus, "record --ipmid --channel INTRABMC");
    assert!(!of_command(&own, 0x06, 0x01).is_empty(), "{own}");
    let page = ctl::on(&suite.bus, "record --channel lan0");
    assert!(page.ok().contains("06h 01h Get Device ID"), "{page}");
    super::check("record-no-bridge", &ctl::on(&suite.bus, "record --channel lan7"));
}

#[test]
fn requests_are_not_recorded_where_the_configuration_says_so_and_still_counted() {
    let suite = Suite::with("[recorder]\nexchanges = 0\n");
    suite.administrator().ipmitool("raw 6 1").ok();
    for line in ["record", "record --ipmid", "trace"] {
        let output = ctl::on(&suite.bus, &format!("--json {line}"));
        assert!(["[]\n", ""].contains(&output.ok()), "{output}");
    }
    let counters = ctl::on(&suite.bus, "counters");
    assert!(counters.ok().contains("causeway_ipmi_requests_total"), "{counters}");
}

#[test]
fn bytes_that_are_not_recorded_are_counted() {
    let suite = Suite::with("[recorder]\nexchanges = 2\nbytes = 4\n");
    let login = suite.administrator();
    login.ipmitool("raw 6 1").ok();
    login.ipmitool("raw 6 1").ok();
    let recorded = ctl::json_on(&suite.bus, "record --ipmid --channel lan0");
    assert_eq!(recorded.as_array().map(Vec::len), Some(2), "{recorded}");
    let [device] = of_command(&recorded, 0x06, 0x01)[..] else { panic!("{recorded}") };
    assert_eq!(device["response-length"], 15);
    let response = device["response"].as_str().expect("a text");
    assert!(response.len() == 8 && response.starts_with("20"), "{device}");
}

#[test]
fn wireshark_reads_a_trace_of_sessions_and_of_a_host() {
    let suite = Suite::start();
    let (_bridge, mut host) = host(&suite);
    let tracer = Tracer::of_lan(&suite);
    let file = tracer.file().to_owned();
    let login = suite.administrator();
    login.ipmitool("event 1").ok();
    for line in ["sdr list", "sel list", "fru print 0", "sol info", "lan print 1", "user list 1"] {
        login.ipmitool(line).ok();
    }
    let mut terminal = Terminal::sol(&login);
    terminal.enter("n1\r");
    terminal.until_shows("n1: not found");
    terminal.enter("~.");
    terminal.until_ended();
    for (netfn, command) in [(0x06, 0x01), (0x06, 0x37), (0x00, 0x01), (0x0a, 0x40), (0x2c, 0x01)] {
        host.send_with(netfn, command, if netfn == 0x2c { &[0xdc, 1] } else { &[] });
        host.receive(netfn, command);
    }
    host.request(0x06, 0xfe);
    let bytes = tracer.end();
    assert_eq!(bytes[..4], 0xa1b2_c3d4_u32.to_le_bytes());
    let names = [
        "Get SDR",
        "Reserve SDR Repository",
        "Get Sensor Reading",
        "Get SEL Entry",
        "Get SEL Info",
        "Read FRU Data",
        "Get SOL Configuration Parameters",
        "Get LAN Configuration Parameters",
        "Get User Name",
        "Get Chassis Status",
        "Get Device ID",
        "Set Session Privilege Level",
        "Activate Payload",
        "Deactivate Payload",
        "Close Session",
    ];
    tracer::wireshark_reads(&file, &names, &["1", "15"]);
}

/// What the BMC sends to satellite controllers is recorded as what comes from them.
#[test]
fn requests_to_satellites_are_recorded_traced_and_measured() {
    let suite = Suite::start();
    let satellites = Satellites::start(suite.dir());
    let device = satellites.device().display().to_string();
    let _bridge = suite.bridge("ipmbbridged", "Ipmb", ["--device", &device]);
    // Get Device ID of a satellite, which the BMC answers.
    let ask = || satellites.request(0x26, 0x18, 0x04, &[0x01]);
    let tracer = Tracer::start(&suite, &["--channel", "Ipmb"], ask);
    let file = tracer.file().to_owned();
    let login = suite.administrator();
    login.ipmitool("-t 0x24 -b 0 raw 6 1").ok();
    // No satellite answers there.
    login.ipmitool("-t 0x30 -b 0 raw 6 1").failed();
    let recorded = ctl::json_on(&suite.bus, "record --channel Ipmb");
    let of = |origin: &str, address: u8| {
        let mut all = recorded.as_array().expect("a list").iter();
        let found = all.find(|one| one["origin"] == origin && one["address"] == address);
        found.unwrap_or_else(|| panic!("none of {origin} {address:02x}: {recorded}"))
    };
    let asked = of("bmc", 0x24);
    assert_eq!((&asked["name"], &asked["state"]), (&json!("Get Device ID"), &json!("answered")));
    assert_eq!(asked["completion"]["code"], 0);
    let silent = of("bmc", 0x30);
    assert_eq!(
        (&silent["state"], &silent["completion"]["code"]),
        (&json!("missed-deadline"), &json!(0xc3))
    );
    assert_eq!(of("satellite", 0x26)["command"], 1);
    let page = ctl::on(&suite.bus, "record --channel Ipmb");
    assert!(page.ok().contains("to 24h") && page.ok().contains("C3h late"), "{page}");
    let counters = ctl::json_on(&suite.bus, "counters");
    let value = |name: &str| {
        let counters = counters.as_array().expect("a list").iter();
        let values = counters.filter(|counter| counter["name"] == name);
        values.filter_map(|counter| counter["value"].as_u64()).sum::<u64>()
    };
    assert_eq!(value("causeway_ipmb_deadline_misses_total"), 1, "{counters}");
    assert!(value("causeway_ipmb_requests_total") >= 2, "{counters}");
    // It is no miss of the bridge's.
    assert_eq!(value("causeway_ipmi_deadline_misses_total"), 0, "{counters}");
    let _capture = tracer.end();
    let Some(frames) = tracer::tshark(
        &file,
        &["-T", "fields", "-e", "ipmi.header.target", "-e", "ipmi.header.source"],
    ) else {
        return;
    };
    for frame in ["0x24\t0x20", "0x20\t0x24", "0x20\t0x26"] {
        assert!(frames.contains(frame), "no {frame:?} in\n{frames}");
    }
    let malformed = tracer::tshark(&file, &["-Y", "_ws.malformed || _ws.short"]);
    assert_eq!(malformed.as_deref(), Some(""), "malformed packets");
}

#[test]
fn traces_are_decoded_and_end_after_a_number_or_with_their_reader() {
    let suite = Suite::start();
    let mut command = ctl::command();
    command.args(["--bus", &suite.bus.address(), "--json", "trace", "--follow", "--count", "1"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("causewayctl");
    wait::until_true("it has seen a request", || {
        suite.administrator().ipmitool("raw 6 1").ok();
        child.try_wait().expect("a process of ours").is_some()
    });
    let output = child.wait_with_output().expect("its output");
    assert!(output.status.success());
    let traced = serde_json::from_slice(&output.stdout).expect("JSON");
    tests::json_schema::check("trace", &traced).unwrap();
    assert_eq!(traced["exchange"]["channel"], "lan0", "{traced}");
    assert!(traced["layers"].as_array().is_some_and(|layers| layers.len() > 1), "{traced}");
    let page = ctl::on(&suite.bus, "trace --channel lan0");
    for text in ["Get Device ID", "IPMI request", "IPMI response", "Response data"] {
        assert!(page.ok().contains(text), "{page}");
    }
    let line = format!("--json trace --write {}", suite.dir().join("recorded.pcap").display());
    let output = ctl::on(&suite.bus, &line);
    let written = serde_json::from_str(output.ok()).expect("JSON");
    tests::json_schema::check("trace", &written).unwrap();
    assert!(written["exchanges"].as_u64() > Some(3), "{written}");
}

#[test]
fn bridges_that_start_later_are_traced_too() {
    let suite = Suite::start();
    let tracer = Tracer::of_lan(&suite);
    let before = fs::metadata(tracer.file()).expect("the capture").len();
    let (_bridge, mut host) = host(&suite);
    wait::until_true("the host's requests are traced", || {
        host.request(0x06, 0x37);
        // The request alone: block, network function and command, of channel 15.
        let bytes = fs::read(tracer.file()).expect("the capture");
        bytes.len() as u64 > before && bytes.windows(2).any(|two| two == [0x18, 0x37])
    });
    let _capture = tracer.end();
}

/// A password never appears in a dump, a trace or a capture, by whatever command it goes.
#[test]
fn secrets_are_in_no_record_and_no_trace() {
    let suite = Suite::start();
    let (_bridge, mut host) = host(&suite);
    let tracer = Tracer::of_lan(&suite);
    let file = tracer.file().to_owned();
    let secrets = ["rec-Mn8Bv3Cx-a", "rec-Ty6Ui1Op-b", "rec-Ed5Rf7Tg-KG2-abc", "rec-Comm5Gh8-cde"];
    let [_, by_host, kg, community] = secrets.map(str::as_bytes);
    let user = suite.add_user(3, "carol", secrets[0], 4);
    user.ipmitool("mc info").ok();
    let administrator = suite.administrator();
    administrator.ipmitool(&format!("user test 3 16 {}", secrets[0])).ok();
    administrator.ipmitool(&format!("lan set 1 snmp {}", secrets[3])).ok();
    assert!(administrator.ipmitool("lan print 1").ok().contains(secrets[3]));
    let padded = |secret: &[u8], size: usize| {
        let mut bytes = secret.to_vec();
        bytes.resize(size, 0);
        bytes
    };
    let set = [&[4, 2][..], &padded(by_host, 16)].concat();
    let frame = [&[0x20, 0x18, 0xc8, 0x81, 0, 0x47, 5, 2][..], &padded(by_host, 16), &[0]].concat();
    for (netfn, command, data) in [
        (0x06, 0x47, set),
        (0x06, 0x47, [&[4, 3][..], &padded(by_host, 16)].concat()),
        (0x06, 0x56, [&[1, 1, 1][..], &padded(kg, 20)].concat()),
        (0x06, 0x56, vec![1, 0, 1]),
        (0x06, 0x3a, [&[4, 4][..], &padded(by_host, 16), &[0; 4]].concat()),
        (0x06, 0x34, [&[0x00][..], &frame].concat()),
        (0x0c, 0x01, [&[1, 16][..], &padded(community, 18)].concat()),
        (0x0c, 0x02, vec![1, 16, 0, 0]),
    ] {
        host.send_with(netfn, command, &data);
        host.receive(netfn, command);
    }
    let capture = tracer.end();
    let mut texts = Vec::new();
    for line in [
        "record",
        "record --ipmid",
        "trace",
        "trace --ipmid",
        "--json record",
        "--json trace --ipmid",
    ] {
        texts.push(ctl::on(&suite.bus, line).ok().to_owned());
    }
    texts.push(ctl::on(&suite.bus, &format!("decode pcap --file {}", file.display())).to_string());
    assert!(
        texts[0].contains("Set User Password") && texts[0].contains("2a2a2a2a"),
        "{}",
        texts[0]
    );
    for secret in secrets {
        for spelling in spellings(secret.as_bytes()) {
            let found =
                texts.iter().flat_map(|text| text.lines()).find(|line| line.contains(&spelling));
            assert_eq!(found, None, "{spelling}");
        }
        let part = &secret.as_bytes()[..8];
        assert!(!capture.windows(8).any(|window| window == part), "{secret} in the capture");
    }
}

#[test]
fn a_missed_deadline_is_logged_with_the_requests_before_it() {
    let mut suite = Suite::start();
    suite.administrator().ipmitool("raw 6 1").ok();
    suite.ipmid.pause();
    let login = suite.administrator();
    // The login needs no ipmid; the request does.
    let mut command = login.ipmitool_command();
    let mut child = command
        .args(["raw", "6", "1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("ipmitool");
    wait::until_true("the miss is logged", || {
        suite.netipmid.log().contains("a request missed its deadline")
    });
    suite.ipmid.resume();
    child.kill().expect("a process of ours");
    child.wait().expect("a process of ours");
    let log = suite.netipmid.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("recorded request")).collect();
    assert!((1..=8).contains(&lines.len()), "{log}");
    assert!(lines.iter().any(|line| line.contains("06h") && line.contains("01h")), "{log}");
    wait::until_true("the late reply is counted", || {
        let counters = ctl::json_on(&suite.bus, "counters");
        let counters = counters.as_array().expect("a list");
        let is_counted = |name: &str| counters.iter().any(|counter| counter["name"] == name);
        is_counted("causeway_ipmi_deadline_misses_total")
            && is_counted("causeway_ipmi_late_replies_total")
    });
}
