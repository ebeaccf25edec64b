//! `mctp`, and `config check`.

use std::fs;

use serde_json::json;
use tests::bus::Bus;
use tests::client::Output;
use tests::process::Process;
use tests::programs::program;
use tests::{ctl, daemons, wait};

const NAME: &str = "xyz.openbmc_project.MCTP.Demux";

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
    let missing = ctl::run("config check /nonexistent/causeway.toml");
    assert!(missing.stdout.contains("/nonexistent/causeway.toml"), "{missing}");
}
