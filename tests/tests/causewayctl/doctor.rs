//! `doctor`: nothing on a healthy BMC, and each of the faults that these tests make.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;
use tests::process::Process;
use tests::programs::program;
use tests::suite::Suite;
use tests::{ctl, daemons, wait};

const DEVICE: [&str; 2] = ["--device", "/nonexistent/device"];

/// What is found: `check: problem`. Each has a remedy.
#[track_caller]
fn findings(suite: &Suite) -> Vec<String> {
    findings_with(suite, &suite.dir().join("causeway.toml"))
}

#[track_caller]
fn findings_with(suite: &Suite, config: &Path) -> Vec<String> {
    let (config, state) = (config.display(), suite.state().display().to_string());
    let line = format!("doctor --config {config} --state-dir {state}");
    let output = ctl::on(&suite.bus, &format!("--json {line}"));
    let findings = ctl::json_of(&output, "doctor");
    let findings = findings.as_array().expect("a list");
    assert_eq!(output.code, Some(i32::from(!findings.is_empty())), "{output}");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let finding = |finding: &Value| {
        assert!(!text(&finding["remedy"]).is_empty(), "{finding}");
        format!("{}: {}", text(&finding["check"]), text(&finding["problem"]))
    };
    findings.iter().map(finding).collect()
}

/// Asserts that one finding has all of `words`.
#[track_caller]
fn finds(findings: &[String], words: &[&str]) {
    let has = |finding: &&String| words.iter().all(|word| finding.contains(word));
    assert!(findings.iter().any(|finding| has(&finding)), "no {words:?} in {findings:#?}");
}

/// Asserts that one finding has all of `words`, and that there is no other.
#[track_caller]
fn finds_only(findings: &[String], words: &[&str]) {
    finds(findings, words);
    assert_eq!(findings.len(), 1, "{findings:#?}");
}

#[test]
fn healthy_bmc_has_nothing_wrong() {
    let suite = Suite::start();
    assert_eq!(findings(&suite), [""; 0]);
    let (config, state) = (suite.dir().join("causeway.toml"), suite.state());
    let line = format!("doctor --config {} --state-dir {}", config.display(), state.display());
    super::check("doctor-healthy", &ctl::on(&suite.bus, &line));
    ctl::on(&suite.bus, "user access root --enabled off").ok();
    super::check("doctor-no-user", &ctl::on(&suite.bus, &line));
}

#[test]
fn faults_of_users_and_channels_are_found() {
    let suite = Suite::start();
    let set = |line: &str| {
        ctl::on(&suite.bus, line).ok();
    };
    // 1: nobody may log in, in each of three ways.
    for (broken, mended) in [
        ("--enabled off", "--enabled on"),
        ("--privilege none", "--privilege administrator"),
        ("--messaging off", "--messaging on"),
    ] {
        set(&format!("user access root {broken}"));
        finds_only(&findings(&suite), &["users", "no user may log in"]);
        set(&format!("user access root {mended}"));
    }
    // 2: the null user may.
    set("raw 6 0x47 1 2 0x73 0x65 0x63 0x72 0x65 0x74 0 0 0 0 0 0 0 0 0 0");
    set("user access 1 --privilege user --messaging on --enabled on");
    finds_only(&findings(&suite), &["users", "user 1 has no name"]);
    set("user access 1 --enabled off");
    // 3 and 4: the channel is closed, now or after a restart.
    set("channel set 1 --mode disabled --volatile");
    finds_only(&findings(&suite), &["channel 1 takes no messages now", "disabled"]);
    set("channel set 1 --mode always");
    set("channel set 1 --mode disabled --persistent");
    finds_only(&findings(&suite), &["channel 1 takes no messages after a restart"]);
    set("channel set 1 --mode always");
    // 5: messages are not authenticated.
    set("raw 6 0x40 1 0xb2 0");
    finds_only(&findings(&suite), &["channels", "does not authenticate every message"]);
    set("raw 6 0x40 1 0xa2 0");
    // 6: a command is refused.
    let administrator = suite.administrator();
    administrator.ipmitool("firewall disable channel 1 lun 0 netfn 0xa command 0x40 force").ok();
    finds_only(&findings(&suite), &["firewall", "Get SEL Info"]);
    administrator.ipmitool("firewall enable channel 1 lun 0 netfn 0xa command 0x40").ok();
    // 7: the clock of the event log.
    set("raw 0x0a 0x49 0 0 0 0x30");
    finds_only(&findings(&suite), &["clock of the event log"]);
}

#[test]
fn faults_of_the_configuration_are_found() {
    // 8, 9: suites that encrypt nothing, sessions of IPMI 1.5.
    let suite = Suite::with("[lan]\ncipher-suites = [2, 17]\nipmi-15 = [\"md5\"]\n");
    let found = findings(&suite);
    finds(&found, &["cipher suites", "encrypt nothing: 2"]);
    finds(&found, &["IPMI 1.5"]);
    assert_eq!(found.len(), 2, "{found:#?}");
    // 10: a line that is wrong.
    let file = suite.dir().join("wrong.toml");
    fs::write(&file, "[lan]\nsessions = 0\n").expect("a file");
    finds(&findings_with(&suite, &file), &["configuration", "wrong.toml:2: "]);
    // 11: a file that is missing.
    finds(&findings_with(&suite, &suite.dir().join("none.toml")), &["configuration", "none.toml"]);
    // 12, 13: a bridge of a channel that is not configured, and a LAN channel without one.
    let table = "[[channel]]\nnumber = 1\nname = \"eth0\"\nmedium = \"lan\"\n\
                 protocol = \"ipmb-1.0\"\nsessions = \"multi-session\"\n";
    fs::write(&file, table).expect("a file");
    let found = findings_with(&suite, &file);
    finds(&found, &["channels", "the bridge of lan0, which is not configured"]);
    finds(&found, &["channels", "LAN channel eth0 has no bridge"]);
}

#[test]
fn no_cipher_suite_that_may_be_used_is_found() {
    // 14.
    let suite = Suite::with("[lan]\ncipher-suites = [3]\n");
    assert_eq!(findings(&suite), [""; 0]);
    ctl::on(&suite.bus, "raw 0x0c 1 1 24 0 0 0 0 0 0 0 0 0").ok();
    finds_only(&findings(&suite), &["no cipher suite of channel 1"]);
}

#[test]
fn faults_of_the_state_folder_are_found() {
    let suite = Suite::start();
    let access = suite.state().join("access");
    let mode = |path: &Path| fs::metadata(path).expect("its state").permissions().mode();
    let set = |path: &Path, mode: u32| {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("our own file");
    };
    // 15: open to all.
    let before = mode(&access);
    set(&access, 0o755);
    finds_only(&findings(&suite), &["state", "open to every user"]);
    set(&access, before);
    // 16: a file in it is.
    let files = fs::read_dir(&access).expect("a folder").map(|entry| entry.expect("a file").path());
    let file = files.into_iter().find(|path| path.is_file()).expect("a file");
    let before = mode(&file);
    set(&file, 0o644);
    finds_only(&findings(&suite), &["state", &file.display().to_string()]);
    set(&file, before);
    // 17: a damaged file was set aside.
    let damaged = suite.state().join("ipmid/lan.json.corrupt");
    fs::write(&damaged, "{").expect("a file");
    finds_only(&findings(&suite), &["state", "lan.json.corrupt", "damaged"]);
    fs::remove_file(&damaged).expect("our own file");
    // 18: no state folder at all.
    let moved = suite.dir().join("moved");
    fs::rename(suite.state(), &moved).expect("our own folder");
    finds_only(&findings(&suite), &["state", "does not exist"]);
    fs::rename(moved, suite.state()).expect("our own folder");
    assert_eq!(findings(&suite), [""; 0]);
}

#[test]
fn faults_of_daemons_are_found() {
    let mut suite = Suite::start();
    // 19: a daemon hangs.
    suite.netipmid.pause();
    finds_only(&findings(&suite), &["daemons", "netipmid", "does not answer"]);
    suite.netipmid.resume();
    // 20: nobody answers on the network.
    suite.netipmid.kill();
    wait::until_true("the name is free", || {
        !suite.bus.has_name("xyz.openbmc_project.Ipmi.Channel.lan0")
    });
    finds_only(&findings(&suite), &["channels", "lan0 has no bridge"]);
    suite.restart_netipmid();
    // 21: the services of the platform are missing.
    suite.platformd.kill();
    wait::until_true("they are gone", || !suite.bus.has_name("xyz.openbmc_project.ObjectMapper"));
    finds(&findings(&suite), &["services", "no object mapper"]);
    suite.restart_platformd();
    // 22: the device of a bridge is missing.
    let bridge = suite.bridge("kcsbridged", "kcs0", DEVICE);
    finds_only(&findings(&suite), &["devices", "kcsbridged", "/nonexistent/device"]);
    drop(bridge);
    // 23: the device of an MCTP binding is.
    let arguments = daemons::arguments("mctp-demuxd", suite.dir());
    let environment = [("DBUS_SYSTEM_BUS_ADDRESS", suite.bus.address())];
    let path = program("mctp-demuxd");
    let mctp = Process::start("mctp-demuxd", suite.dir(), &path, &arguments, &environment);
    wait::until_true("it is there", || suite.bus.has_name("xyz.openbmc_project.MCTP.Demux"));
    finds_only(&findings(&suite), &["devices", "MCTP", "serial:/nonexistent/tty"]);
    drop(mctp);
    // 24: ipmid is not running.
    suite.ipmid.kill();
    finds(&findings(&suite), &["daemons", "ipmid", "does not run"]);
}

/// 25: a program of another name has ipmid's.
#[test]
fn name_that_another_program_owns_is_found() {
    let mut suite = Suite::start();
    suite.ipmid.kill();
    let name = "xyz.openbmc_project.Ipmi.Host";
    wait::until_true("the name is free", || !suite.bus.has_name(name));
    // Not in the suite's folder, from which no program may be started everywhere.
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("impostor");
    fs::copy(program("ipmid"), &copy).expect("a copy");
    let arguments =
        ["--config", "causeway.toml", "--state-dir", "state"].map(|word| match word.as_bytes() {
            [b'-', ..] => word.to_owned(),
            _ => suite.dir().join(word).display().to_string(),
        });
    let environment = [("DBUS_SYSTEM_BUS_ADDRESS", suite.bus.address())];
    let _other = Process::start_ready("impostor", suite.dir(), &copy, &arguments, &environment);
    finds_only(&findings(&suite), &["names", name, "impostor"]);
}
