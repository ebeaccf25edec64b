//! Reloads of the configuration while sessions, the console and the host are busy, and what they change.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tests::bus::CHASSIS_STATE;
use tests::client::Output;
use tests::host_device::{HostDevice, Kind};
use tests::load::Work;
use tests::reload::{
    WRONG, configure, hang_up, in_force, misconfigure, refusal, reloaded, replace, value_in_force,
};
use tests::satellite::Satellites;
use tests::shell::Shell;
use tests::suite::Suite;
use tests::{ctl, everything, wait};

const APP: u8 = 0x06;
const GET_DEVICE_ID: u8 = 0x01;

/// Eight sessions over LAN, the console, the host and sixteen MCTP clients: nothing is lost, and no answer is late.
#[test]
fn reloads_under_load_lose_nothing_and_no_answer_is_late() {
    let suite = Suite::start();
    let path = suite.dir().join("device");
    let device = path.display().to_string();
    let bridge = suite.bridge("kcsbridged", "kcs0", ["--device", &device]);
    let mut host = HostDevice::plug(Kind::Kcs, &path);
    // It answers C3h until ipmid knows the bridge.
    let id = host.request(APP, GET_DEVICE_ID);
    let ask: Work<'_> = Box::new(move |_| {
        host.send(APP, GET_DEVICE_ID);
        assert_eq!(host.receive(APP, GET_DEVICE_ID), id);
    });
    everything::is_reloaded(suite, bridge, ask);
}

#[test]
fn a_storm_of_hangups_ends_nothing_and_the_last_configuration_is_in_force() {
    let mut suite = Suite::start();
    let mut shell = Shell::open(&suite.administrator());
    for number in 0..400 {
        if number % 40 == 0 {
            configure(&suite, &format!("[lan]\nidle-timeout = {}\n", 100 + number));
        }
        for process in [&mut suite.netipmid, &mut suite.ipmid, &mut suite.platformd] {
            process.signal(Signal::SIGHUP);
        }
        if number % 40 == 0 {
            assert!(shell.run("raw 6 1").trim_start().starts_with("20 "));
        }
    }
    wait::until_true("the last one is in force", || {
        value_in_force(&suite, "netipmid", "lan.idle-timeout").as_deref() == Some("460")
    });
    assert!(shell.run("raw 6 1").trim_start().starts_with("20 "));
}

#[test]
fn wrong_configurations_are_refused_with_their_line_and_the_old_one_stays() {
    let suite = Suite::configured("[sol]\nconsole = \"unix:{dir}/console\"\n", "");
    let before = in_force(&suite);
    let file = suite.dir().join("causeway.toml");
    let mut shell = Shell::open(&suite.administrator());
    for (daemon, text, line) in WRONG {
        let place = misconfigure(&suite, text, line);
        let answer = reloaded(&suite, daemon);
        let refused = &answer["refused"];
        assert_eq!(refused["line"], json!(line + 1), "{text}: {answer}");
        assert_eq!(refused["file"], json!(file.display().to_string()), "{text}: {answer}");
        let process = if daemon == "ipmid" { &suite.ipmid } else { &suite.netipmid };
        let log = process.log();
        assert!(log.contains(&place), "{text}: {log}");
        assert!(refusal(&suite, daemon).contains(&place), "{text}");
        assert_eq!(in_force(&suite), before, "{text}");
    }
    assert!(shell.run("raw 6 1").trim_start().starts_with("20 "));
    configure(&suite, "");
    assert_eq!(reloaded(&suite, "ipmid")["refused"], Value::Null);
    assert_eq!(refusal(&suite, "ipmid"), "");
}

/// The ids in Get Channel Cipher Suites' records.
fn cipher_suites(suite: &Suite) -> Vec<u8> {
    let (code, data) = suite.bus.execute(APP, 0x54, &[1, 0, 0x80]);
    assert_eq!(code, 0);
    let records = data.windows(2).filter(|pair| pair[0] == 0xc0);
    records.map(|pair| pair[1]).collect()
}

#[test]
fn cipher_suites_are_those_of_new_sessions() {
    let mut suite = Suite::start();
    let login = suite.administrator();
    let mut old = Shell::open(&login.suite(3));
    assert_eq!(cipher_suites(&suite), [3, 17]);
    configure(&suite, "[lan]\ncipher-suites = [17]\n");
    hang_up(&mut suite.netipmid);
    login.suite(3).ipmitool("mc info").failed();
    login.suite(17).ipmitool("mc info").ok();
    assert!(old.run("raw 6 1").trim_start().starts_with("20 "), "its session lives on");
    hang_up(&mut suite.ipmid);
    assert_eq!(cipher_suites(&suite), [17]);
}

#[test]
fn the_log_level_is_that_of_the_file() {
    let suite = Suite::start();
    let login = suite.administrator();
    let logins = || suite.netipmid.log().matches("info: login").count();
    for (level, count) in [("error", 0), ("info", 1), ("warn", 1)] {
        configure(&suite, &format!("[log]\nlevel = \"{level}\"\n"));
        assert_eq!(reloaded(&suite, "netipmid")["refused"], Value::Null);
        login.ipmitool("mc info").ok();
        assert_eq!(logins(), count, "{level}");
    }
}

fn host_bridge_applies_its_limits(kind: Kind) {
    let mut suite = Suite::start();
    let path = suite.dir().join("device");
    let path_text = path.display().to_string();
    let mut bridge = suite.bridge(kind.bridge(), kind.channel(), ["--device", &path_text]);
    let mut device = HostDevice::plug(kind, &path);
    device.request(APP, GET_DEVICE_ID);
    configure(&suite, "[host]\nrunning = 1\n");
    hang_up(&mut bridge);
    suite.ipmid.pause();
    // The host gives the first one up, and it still runs.
    device.send(APP, GET_DEVICE_ID);
    wait::until_true("the second one is refused", || {
        device.send(APP, 0x04);
        device.receive(APP, 0x04)[0] == 0xc0
    });
    suite.ipmid.resume();
    wait::until_true("the first one has ended", || device.request(APP, GET_DEVICE_ID)[0] == 0);
}

#[test]
fn kcsbridged_applies_its_limits() {
    host_bridge_applies_its_limits(Kind::Kcs);
}

#[test]
fn btbridged_applies_its_limits() {
    host_bridge_applies_its_limits(Kind::Bt);
}

#[test]
fn ssifbridged_applies_its_limits() {
    host_bridge_applies_its_limits(Kind::Ssif);
}

#[test]
fn ipmbbridged_applies_its_number_of_tries_and_its_satellites() {
    let suite = Suite::start();
    let satellites = Satellites::start(suite.dir());
    let device = satellites.device().display().to_string();
    let mut bridge = suite.bridge("ipmbbridged", "Ipmb", ["--device", &device]);
    let login = suite.administrator();
    let target = "[[ipmb.target]]\nchannel = 9\naddress = 0x24\n";
    configure(&suite, &format!("[ipmb]\ntries = 2\n{target}"));
    hang_up(&mut bridge);
    login.ipmitool("-t 0x30 -b 0 raw 6 1").failed();
    assert_eq!(satellites.requests_for(0x30), 2);
    let object = [
        "call",
        "xyz.openbmc_project.Ipmi.Channel.Ipmb",
        "/xyz/openbmc_project/Ipmi/Channel/Ipmb",
        "org.openbmc.Ipmb",
        "sendRequest",
        "yyyyay",
    ];
    let reply = suite.bus.busctl(&[&object[..], &["9", "6", "0", "1", "0"]].concat());
    assert!(reply.ok().contains(r#""data":[[0,7,"#), "{reply}");
}

#[test]
fn platformd_applies_how_the_host_behaves() {
    let mut suite = Suite::start();
    let login = suite.administrator();
    let file = suite.dir().join("platform.toml");
    let platform = fs::read_to_string(&file).expect("the platform");
    let status = || login.ipmitool("chassis power status").ok().to_owned();
    login.ipmitool("chassis power off").ok();
    wait::until_true("off", || status().contains("is off"));
    replace(&file, &platform.replace("[chassis]", "[chassis]\nfault = \"never-on\""));
    let answer = reloaded(&suite, "platformd");
    assert_eq!(answer["refused"], Value::Null, "{answer}");
    assert!(answer["applied"].to_string().contains("chassis.fault"), "{answer}");
    login.ipmitool("chassis power on").ok();
    // Power has come up in vain.
    suite.bus.until_property(&CHASSIS_STATE, "Off");
    replace(&file, &platform);
    hang_up(&mut suite.platformd);
    wait::until_true("on", || {
        login.ipmitool("chassis power on").ok();
        status().contains("is on")
    });
    replace(&file, "[host]\n\nboots = 1\n");
    let answer = reloaded(&suite, "platformd");
    let refused = (&answer["refused"]["file"], &answer["refused"]["line"]);
    assert_eq!(refused, (&json!(file.display().to_string()), &json!(3)), "{answer}");
}

/// What needs a restart is named at each reload until there was one.
#[test]
fn what_needs_a_restart_is_named_until_then() {
    let mut suite = Suite::start();
    configure(&suite, "[sel]\ncapacity = 100\nlog-clears = true\n");
    let answer = reloaded(&suite, "ipmid");
    assert_eq!(answer["applied"], json!(["sel.log-clears"]), "{answer}");
    assert_eq!(answer["restart-needed"], json!(["sel.capacity"]), "{answer}");
    assert!(suite.ipmid.log().contains("take effect when the daemon is restarted"));
    let answer = reloaded(&suite, "ipmid");
    assert_eq!(answer["applied"], json!([]), "{answer}");
    assert_eq!(answer["restart-needed"], json!(["sel.capacity"]), "{answer}");
    suite.ipmid.terminate();
    suite.restart_ipmid();
    let on_bus = || ctl::on(&suite.bus, "config reload ipmid").code == Some(0);
    wait::until_true("it is on the bus", on_bus);
    assert_eq!(reloaded(&suite, "ipmid")["restart-needed"], json!([]));
    let Output { stdout, .. } = ctl::on(&suite.bus, "config diff ipmid");
    assert_eq!(stdout, "nothing differs from what is in force\n");
}
