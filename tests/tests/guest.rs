//! Linux's own host drivers, in guests, against the running suite.
//!
//! Ignored unless asked for: `cargo test -p tests --test guest -- --ignored`.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use tests::bus::Property;
use tests::guest::{self, Interface};
use tests::process::Process;
use tests::satellite::Satellites;
use tests::suite::Suite;

/// A suite with the bridge of one host interface.
struct Rig {
    suite: Suite,
    bridge: Process,
    interface: Interface,
}

impl Rig {
    fn new(interface: Interface) -> Self {
        let suite = Suite::start();
        let bridge = start_bridge(&suite, interface);
        Self {
            suite,
            bridge,
            interface,
        }
    }

    fn socket(&self) -> PathBuf {
        socket(&self.suite, self.interface)
    }

    fn start(&self, script: &str, options: &[&str]) -> guest::Running {
        let dir = self.suite.dir();
        guest::start(self.interface, &self.socket(), dir, script, options)
    }

    /// Runs `script` in the guest to its good end.
    fn run(&self, script: &str) -> String {
        self.start(script, &[]).finish().ok().to_owned()
    }
}

fn socket(suite: &Suite, interface: Interface) -> PathBuf {
    suite.dir().join(format!("{}.socket", interface.name()))
}

fn start_bridge(suite: &Suite, interface: Interface) -> Process {
    let place = format!("unix:{}", socket(suite, interface).display());
    suite.bridge(
        &interface.bridge(),
        &interface.channel(),
        ["--qemu", &place],
    )
}

/// What the script's function `run NAME COMMAND...` printed: `=== NAME`, output, `=== STATUS`.
fn sections(output: &str) -> Vec<(&str, &str, bool)> {
    let mut parts = output.split("\n=== end ");
    let mut found = Vec::new();
    let mut text = parts.next().unwrap_or_default();
    for rest in parts {
        let (status, next) = rest.split_once('\n').unwrap_or((rest, ""));
        let section = text.rsplit("=== begin ").next().unwrap_or_default();
        let (name, body) = section.split_once('\n').unwrap_or((section, ""));
        found.push((name, body, status == "0"));
        text = next;
    }
    found
}

/// For scripts: `run NAME COMMAND...` prints what [`sections`] reads.
const RUN: &str = r#"
run() {
    name=$1; shift
    printf '=== begin %s\n' "$name"
    "$@" 2>&1
    printf '\n=== end %s\n' $?
}
"#;

/// Commands of the everyday, by name.
///
/// QEMU 7.2's SSIF device gives a host that reads before the BMC has answered the last response once
/// more, which Linux's driver, reading after 20 ms, tells as FFh: commands are tried again there.
const EVERYDAY: &str = r#"
tool() {
    tries=0
    while ! ipmitool -I open "$@"; do
        tries=$((tries + 1))
        [ "$guest_iface" = ssif ] && [ $tries -lt 8 ] || return 1
    done
}
run mc-info tool mc info
run chassis-status tool chassis status
run sel-add tool event 1
run sel-list tool sel list
run sdr-elist tool sdr elist
run fru-print tool fru print
run user-list tool user list 1
run lan-print tool lan print 1
run mc-watchdog tool mc watchdog get
run log dmesg
"#;

/// Asserts that every command ended well, and gives the sections.
#[track_caller]
fn all_good(output: &str) -> Vec<(&str, &str, bool)> {
    let sections = sections(output);
    for (name, body, good) in &sections {
        assert!(good, "{name}:\n{body}");
    }
    sections
}

/// Asserts that the kernel's log has no complaint about the BMC.
#[track_caller]
fn clean_log(log: &str) {
    for line in log
        .lines()
        .filter(|line| line.to_lowercase().contains("ipmi"))
    {
        let line = line.to_lowercase();
        for complaint in [
            "needs to be fixed",
            "error",
            "fail",
            "retry",
            "timeout",
            "incorrect",
        ] {
            assert!(!line.contains(complaint), "{line}");
        }
    }
}

fn everyday(interface: Interface) {
    let rig = Rig::new(interface);
    let output = rig.run(&format!("{RUN}{EVERYDAY}"));
    let sections = all_good(&output);
    let body = |wanted: &str| {
        let section = sections.iter().find(|(name, ..)| *name == wanted);
        section
            .unwrap_or_else(|| panic!("no {wanted} in:\n{output}"))
            .1
    };
    assert!(
        body("mc-info").contains("IPMI Version              : 2.0"),
        "{output}"
    );
    assert!(body("chassis-status").contains("System Power"), "{output}");
    assert!(body("sel-list").contains("Temperature"), "{output}");
    let from_host = body("sel-list").lines().last().unwrap_or_default().trim();
    if interface != Interface::Ssif {
        clean_log(body("log"));
    }
    // The same log over LAN.
    let over_lan = rig.suite.administrator().ipmitool("sel list");
    let last = over_lan.ok().lines().last().unwrap_or_default().trim();
    assert_eq!(last, from_host);
}

#[test]
#[ignore = "boots a guest"]
fn everyday_commands_over_kcs() {
    everyday(Interface::Kcs);
}

#[test]
#[ignore = "boots a guest"]
fn everyday_commands_over_bt() {
    everyday(Interface::Bt);
}

#[test]
#[ignore = "boots a guest"]
fn everyday_commands_over_ssif() {
    everyday(Interface::Ssif);
}

/// The longest request that fits: Set System Info Parameters is answered whatever its length.
fn largest_messages(interface: Interface, request: usize) {
    let rig = Rig::new(interface);
    let data = "0x55 ".repeat(request);
    let script = format!(
        "{RUN}\nrun longest ipmitool -I open raw 0x06 0x01 {data}\n\
         run after ipmitool -I open raw 0x06 0x01"
    );
    let output = rig.run(&script);
    let sections = sections(&output);
    let (_, body, good) = sections[0];
    // Too long for this command, which only ipmid can tell: the request got there whole.
    assert!(!good && body.contains("rsp=0xc7"), "{output}");
    assert!(sections[1].2, "{output}");
}

#[test]
#[ignore = "boots a guest"]
fn largest_request_passes_kcs() {
    largest_messages(Interface::Kcs, 250);
}

#[test]
#[ignore = "boots a guest"]
fn largest_request_passes_bt() {
    largest_messages(Interface::Bt, 250);
}

#[test]
#[ignore = "boots a guest"]
fn largest_request_passes_ssif() {
    largest_messages(Interface::Ssif, 250);
}

#[test]
#[ignore = "boots a guest"]
fn watchdog_that_starves_makes_the_platform_act() {
    let rig = Rig::new(Interface::Kcs);
    let login = rig.suite.administrator();
    login.ipmitool("chassis power on").ok();
    let power = Property {
        path: "/xyz/openbmc_project/state/chassis0",
        interface: "xyz.openbmc_project.State.Chassis",
        name: "CurrentPowerState",
    };
    rig.suite.bus.until_property(&power, "On");
    let script = "modprobe ipmi_watchdog timeout=3 action=power_off start_now=1 nowayout=1 && \
                  ipmitool -I open mc watchdog get && sleep 6 && ipmitool -I open mc watchdog get";
    let output = rig.run(script);
    assert!(output.contains("Started/Running"), "{output}");
    assert!(output.contains("Power Down"), "{output}");
    rig.suite.bus.until_property(&power, "Off");
}

#[test]
#[ignore = "boots a guest"]
fn panic_leaves_its_records_in_the_log() {
    let rig = Rig::new(Interface::Kcs);
    let script = "echo string > /sys/module/ipmi_msghandler/parameters/panic_op; sync; \
                  echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger; sleep 30";
    let ran = rig.start(script, &[]).finish();
    assert_eq!(ran.status, Some(126), "{}{}", ran.output, ran.errors);
    let list = rig.suite.administrator().ipmitool("sel list");
    let list = list.ok();
    assert!(
        list.contains("OS Stop") || list.contains("OS Critical Stop"),
        "{list}"
    );
    assert!(list.contains("Linux kernel panic: "), "{list}");
}

/// Asks twice a second and prints `good` or `bad`.
const ASKING: &str = r#"
i=0
while [ $i -lt 60 ]; do
    if timeout 8 ipmitool -I open raw 6 1 >/dev/null 2>&1; then echo good; else echo bad; fi
    i=$((i + 1))
    sleep 0.3
done
"#;

fn survives(interface: Interface) {
    let mut rig = Rig::new(interface);
    let mut running = rig.start(ASKING, &["-v"]);
    running.until_printed("good", 3);
    rig.suite.ipmid.kill();
    thread::sleep(Duration::from_secs(1));
    rig.suite.restart_ipmid();
    thread::sleep(Duration::from_secs(2));
    rig.bridge.kill();
    thread::sleep(Duration::from_secs(1));
    rig.bridge = start_bridge(&rig.suite, interface);
    thread::sleep(Duration::from_secs(2));
    rig.suite.ipmid.pause();
    thread::sleep(Duration::from_secs(10));
    rig.suite.ipmid.resume();
    let ran = running.finish();
    let lines: Vec<_> = ran.ok().lines().collect();
    let bad = lines.iter().filter(|line| **line == "bad").count();
    assert!(bad > 0, "nothing was noticed: {}", ran.output);
    let end = &lines[lines.len() - 10..];
    assert!(end.iter().all(|line| *line == "good"), "{}", ran.output);
}

#[test]
#[ignore = "boots a guest"]
fn kcs_driver_survives_restarts_of_what_answers_it() {
    survives(Interface::Kcs);
}

#[test]
#[ignore = "boots a guest"]
fn bt_driver_survives_restarts_of_what_answers_it() {
    survives(Interface::Bt);
}

#[test]
#[ignore = "boots a guest"]
fn host_reaches_a_satellite() {
    let rig = Rig::new(Interface::Kcs);
    let satellites = Satellites::start(rig.suite.dir());
    let device = satellites.device().display().to_string();
    let _ipmb = rig
        .suite
        .bridge("ipmbbridged", "Ipmb", ["--device", &device]);
    let script = format!(
        "{RUN}\nrun direct ipmitool -I open -t 0x24 -b 0 raw 6 1\n\
         run silent ipmitool -I open -t 0x30 -b 0 raw 6 1\n\
         run again ipmitool -I open -t 0x24 -b 0 raw 6 1\nrun log dmesg"
    );
    let output = rig.run(&script);
    let sections = sections(&output);
    for at in [0, 2] {
        assert!(
            sections[at].2 && sections[at].1.contains(" 24 81 01 02"),
            "{output}"
        );
    }
    assert!(
        !sections[1].2 && sections[1].1.contains("rsp=0xc3"),
        "{output}"
    );
}

#[test]
#[ignore = "boots a guest"]
fn message_from_a_console_reaches_a_program_in_the_guest() {
    let rig = Rig::new(Interface::Kcs);
    let script = "ipmi-receive 0x30 0x01 60";
    let helper = guest::helper("ipmi-receive", rig.suite.dir());
    let file = format!("{}:/bin/ipmi-receive", helper.display());
    let mut running = rig.start(script, &["--file", &file]);
    running.until_printed("listening", 1);
    // OEM command 30h/01h for the host's software, on the system interface's channel.
    let sent = "raw 6 0x34 0x4f 0x41 0xc0 0xff 0x81 0x04 0x01 0x55 0x25";
    rig.suite.administrator().ipmitool(sent).ok();
    let ran = running.finish();
    assert_eq!(ran.ok().trim(), "listening\n30 01: 55");
}

#[test]
#[ignore = "boots a guest"]
fn event_of_a_console_reaches_a_program_in_the_guest() {
    let rig = Rig::new(Interface::Kcs);
    let script = format!(
        "{RUN}\nipmi-receive event 60 && run enables ipmitool -I open mc getenables && \
         run flags ipmitool -I open raw 6 0x31 && run log dmesg"
    );
    let helper = guest::helper("ipmi-receive", rig.suite.dir());
    let file = format!("{}:/bin/ipmi-receive", helper.display());
    let mut running = rig.start(&script, &["--file", &file]);
    running.until_printed("listening", 1);
    rig.suite.administrator().ipmitool("event 1").ok();
    let ran = running.finish();
    let (event, rest) = ran.ok().split_once("\n=== begin").unwrap_or_default();
    // Read Event Message Buffer: the record as the log has it, of a console's software.
    let event = event.trim_start_matches("listening\n").trim();
    let golden = "07 35: 01 00 02 ";
    assert!(event.starts_with(golden), "{}", ran.output);
    assert!(
        event.ends_with(" 81 10 04 01 30 01 09 ff ff"),
        "{}",
        ran.output
    );
    let rest = format!("=== begin{rest}");
    let sections = all_good(&rest);
    assert_eq!(sections[1].1.trim(), "00", "no flag is left");
    clean_log(sections[2].1);
}
