//! What Linux itself does with its BMC: watchdog, power off, panic, events.

use std::fs;

use tests::bus::Property;
use tests::guest::Interface;
use tests::monitor::Monitor;
use tests::qmp::Qmp;
use tests::wait;

use super::{GuestSuite, RUN, Sections, clean_log};

const POWER: Property<'static> = Property {
    path: "/xyz/openbmc_project/state/chassis0",
    interface: "xyz.openbmc_project.State.Chassis",
    name: "CurrentPowerState",
};

/// A suite whose host is on.
fn powered() -> GuestSuite {
    let bmc = GuestSuite::new(Interface::Kcs);
    bmc.suite.administrator().ipmitool("chassis power on").ok();
    bmc.suite.bus.until_property(&POWER, "On");
    bmc
}

#[test]
#[ignore = "boots a guest"]
fn watchdog_that_starves_makes_the_platform_act() {
    let bmc = powered();
    // The expiry is an event, which ipmitool may read from the driver, and reports on standard error.
    let script = format!(
        "{RUN}
         run load modprobe ipmi_watchdog timeout=600 action=power_off start_now=1 nowayout=1
         run armed ipmitool -I open mc watchdog get
         echo 2 > /sys/module/ipmi_watchdog/parameters/timeout
         until ipmitool -I open mc watchdog get | grep -q Stopped; do sleep 0.5; done
         run expired sh -c 'ipmitool -I open raw 6 0x25 2>/dev/null'"
    );
    let output = bmc.run(&script);
    let sections = Sections::of(&output);
    let armed = sections.good("armed");
    assert!(armed.contains("Started/Running"), "{armed}");
    assert!(armed.contains("Power Down"), "{armed}");
    let expired: Vec<_> = sections.good("expired").split_whitespace().collect();
    assert_eq!(expired[3], "10", "the expiry flag of SMS/OS");
    bmc.suite.bus.until_property(&POWER, "Off");
}

#[test]
#[ignore = "boots a guest"]
fn watchdogs_pre_timeout_reaches_the_driver() {
    let bmc = GuestSuite::new(Interface::Kcs);
    // The driver's device returns a byte once the driver has seen the pre-timeout in the message flags.
    let script = format!(
        "{RUN}
         run load modprobe ipmi_watchdog timeout=120 pretimeout=110 preaction=pre_int \
             preop=preop_give_data action=reset start_now=1
         run given dd if=/dev/watchdog bs=1 count=1 of=/tmp/given
         run byte stat -c %s /tmp/given
         run flags ipmitool -I open raw 6 0x31
         run log dmesg"
    );
    let output = bmc.run(&script);
    let sections = Sections::of(&output);
    sections.good("given");
    assert_eq!(sections.good("byte").trim(), "1");
    assert_eq!(sections.good("flags").trim(), "00", "no flag is left");
}

/// The test passes the NMI that `ipmid` requests from the platform on to QEMU, as a board's NMI line would.
#[test]
#[ignore = "boots a guest"]
fn watchdogs_pre_timeout_as_nmi_panics_the_host() {
    const NMI: &str = "\"member\":\"NMI\"";
    let bmc = GuestSuite::new(Interface::Kcs);
    let dir = bmc.suite.dir();
    let monitor = Monitor::start(&bmc.suite.bus, dir);
    let (socket, console) = (dir.join("qmp"), dir.join("guest-console"));
    // The driver triggers one NMI to test whether it arrives; the other comes 2 s after the start.
    let script = "modprobe ipmi_watchdog timeout=120 pretimeout=118 preaction=pre_nmi \
                  preop=preop_panic action=reset start_now=1; sleep 300";
    let paths = [&socket, &console].map(|path| path.display().to_string());
    let running = bmc.start(script, &["--qmp", &paths[0], "--log", &paths[1]]);
    let mut machine = Qmp::connect(&socket);
    let mut given = 0;
    while !running.has_ended() {
        if given < monitor.heard(NMI) {
            machine.inject_nmi();
            given += 1;
        }
        wait::pause();
    }
    let log = fs::read_to_string(console).expect("the guest's console");
    assert_eq!(running.finish().status, Some(126), "{log}");
    assert!(log.contains("Kernel panic - not syncing: pre-timeout"), "{log}");
}

#[test]
#[ignore = "boots a guest"]
fn power_off_of_the_host_is_asked_of_the_platform() {
    let bmc = powered();
    // ACPI would be faster than ipmi_poweroff.
    let script = "modprobe ipmi_poweroff && echo loaded && sleep 1 && poweroff -f; sleep 60";
    let mut running = bmc.start(script, &["--append", "acpi=off"]);
    running.until_printed("loaded", 1);
    bmc.suite.bus.until_property(&POWER, "Off");
}

#[test]
#[ignore = "boots a guest"]
fn panic_leaves_its_records_in_the_log() {
    let bmc = GuestSuite::new(Interface::Kcs);
    let script = "echo string > /sys/module/ipmi_msghandler/parameters/panic_op; sync; \
                  echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger; sleep 60";
    let ran = bmc.start(script, &[]).finish();
    assert_eq!(ran.status, Some(126), "{}{}", ran.output, ran.errors);
    let login = bmc.suite.administrator();
    let list = login.ipmitool("sel list");
    let list = list.ok();
    assert!(list.contains("OS Stop") || list.contains("OS Critical Stop"), "{list}");
    // The message itself, 11 characters to an OEM record.
    let text: String = list
        .lines()
        .filter_map(|line| line.split_once("Linux kernel panic: "))
        .map(|(_, part)| part)
        .collect();
    assert_eq!(text, "sysrq triggered crash", "{list}");
}

#[test]
#[ignore = "boots a guest"]
fn event_of_a_console_reaches_a_program_in_the_guest() {
    let bmc = GuestSuite::new(Interface::Kcs);
    let script = format!(
        "{RUN}
         ipmi-receive event 300 || exit
         run flags ipmitool -I open raw 6 0x31
         run log dmesg"
    );
    let mut running = bmc.start_with("ipmi-receive", &script);
    running.until_printed("listening", 1);
    bmc.suite.administrator().ipmitool("event 1").ok();
    let ran = running.finish();
    // Read Event Message Buffer: the record as the log has it, of a console's software.
    let event = ran.ok().lines().nth(1).unwrap_or_default();
    assert!(event.starts_with("07 35: 01 00 02 "), "{}", ran.output);
    assert!(event.ends_with(" 81 10 04 01 30 01 09 ff ff"), "{}", ran.output);
    let sections = Sections::of(ran.ok());
    assert_eq!(sections.good("flags").trim(), "00", "no flag is left");
    clean_log(sections.good("log"));
}
