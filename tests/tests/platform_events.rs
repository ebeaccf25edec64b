//! Platform events and discrete sensors: they are logged in the SEL, under the names of their SDRs.

use std::fs;

use tests::bus::Property;
use tests::suite::Suite;
use tests::wait;

/// A power supply and a chassis intrusion sensor, on an otherwise empty platform.
const PLATFORM: &str = r#"
[[inventory]]
kind = "power-supply"
path = "system/PSU1"

[[sensor]]
kind = "intrusion"
name = "Chassis_Intrusion"
"#;

fn suite() -> Suite {
    Suite::configured(
        "[sol]\nconsole = \"unix:{dir}/console\"\n",
        &format!("{PLATFORM}\n[host]\nstart-ms = 100\n[chassis]\npower-on-ms = 100\n"),
    )
}

/// Waits until a line of the log has all of `words`.
#[track_caller]
fn until_logged(suite: &Suite, words: &[&str]) {
    let login = suite.administrator();
    wait::until_true(&format!("{words:?} is logged"), || {
        let list = login.ipmitool("sel elist");
        list.stdout.lines().any(|line| words.iter().all(|word| line.contains(word)))
    });
}

#[test]
fn watchdog_and_buttons_are_logged() {
    let suite = suite();
    let login = suite.administrator();
    // Used by SMS/OS, no action, 200 ms; started.
    login.ipmitool("raw 0x06 0x24 0x04 0x00 0x00 0x10 0x02 0x00").ok();
    login.ipmitool("raw 0x06 0x22").ok();
    until_logged(&suite, &["Watchdog2 Watchdog", "Timer expired"]);
    let button = "/xyz/openbmc_project/Chassis/Buttons/Power0";
    let interface = "xyz.openbmc_project.Chassis.Buttons.Power";
    let service = "xyz.openbmc_project.Chassis.Buttons";
    let press = ["call", service, button, interface, "simPress"];
    suite.bus.busctl(&press).ok();
    until_logged(&suite, &["Button Buttons", "Power Button pressed", "Asserted"]);
}

#[test]
fn fill_level_and_clearing_of_the_sel_are_logged() {
    let suite = Suite::with("[sel]\ncapacity = 20\nlog-clears = true");
    let login = suite.administrator();
    // 90 % of the capacity is "almost full".
    for _ in 0..18 {
        login.ipmitool("event 1").ok();
    }
    let log = "Event Logging Disabled Event Log";
    until_logged(&suite, &[log, "Log almost full", "Asserted"]);
    login.ipmitool("event 1").ok();
    until_logged(&suite, &[log, "Log full", "Asserted"]);
    login.ipmitool("sel clear").ok();
    until_logged(&suite, &["1 |", log, "Log area reset/cleared", "Asserted"]);
}

#[test]
fn firmware_that_changed_is_logged() {
    let mut suite = Suite::start();
    let seen = suite.state().join("ipmid/versions.json");
    wait::until_true("the firmware is seen for the first time", || {
        fs::read_to_string(&seen).is_ok_and(|versions| versions.contains("1.4.2"))
    });
    let path = suite.dir().join("platform.toml");
    let platform = fs::read_to_string(&path).expect("the platform");
    suite.platformd.terminate();
    fs::write(&path, platform.replace("1.4.2", "1.5.0")).expect("the platform");
    suite.restart_platformd();
    let change = "Firmware or software change detected, BIOS/EFI change";
    until_logged(&suite, &["Version Change", change, "Asserted"]);
    let login = suite.administrator();
    let output = login.freeipmi("bmc-info", "--get-system-info");
    assert!(output.ok().contains("1.5.0"), "{output}");
}

#[test]
fn states_of_the_platform_are_discrete_sensors() {
    let suite = suite();
    let login = suite.administrator();
    let shows = |words: &[&str]| {
        let list = login.ipmitool("sdr elist compact");
        let has = |line: &str| words.iter().all(|word| line.contains(word));
        list.stdout.lines().any(has)
    };
    wait::until_true("the power supply is present", || shows(&["PSU1", "Presence detected"]));
    wait::until_true("there is no chassis intrusion", || shows(&["ChassisIntrusion", "ok"]));
    wait::until_true("the power is off", || shows(&["Power Unit", "Power off/down"]));
    login.ipmitool("chassis power on").ok();
    wait::until_true("the power is on", || {
        shows(&["Power Unit"]) && !shows(&["Power Unit", "Power off/down"])
    });
    let path = "/xyz/openbmc_project/inventory/system/PSU1";
    let interface = "xyz.openbmc_project.Inventory.Item";
    let service = "xyz.openbmc_project.Inventory.Manager";
    let pull = ["set-property", service, path, interface, "Present", "b", "false"];
    suite.bus.busctl(&pull).ok();
    until_logged(&suite, &["Power Supply PSU1", "Presence detected", "Deasserted"]);
    assert!(!shows(&["PSU1", "Presence detected"]));
}

#[test]
fn boot_progress_of_the_firmware_is_published() {
    const STAGE: Property<'static> = Property {
        path: "/xyz/openbmc_project/state/host0",
        interface: "xyz.openbmc_project.State.Boot.Progress",
        name: "BootProgress",
    };
    let suite = suite();
    // Exit Boot Services: the firmware hands over to the operating system.
    let code = [0xae, 1, 0, 0, 0, 0x19, 0x10, 0x10, 3, 0];
    let sent = suite.bus.execute(0x2c, 0x02, &code);
    assert_eq!(sent, (0, vec![0xae]));
    suite.bus.until_property(&STAGE, "OSRunning");
    let login = suite.administrator();
    let output = login.ipmitool("raw 0x2c 3 0xae");
    assert_eq!(output.ok().trim(), "ae 01 00 00 00 19 10 10 03 00");
    let refused = login.ipmitool("raw 0x2c 2 0xae 1 0 0 0 0x19 0x10 0x10 3 0");
    assert!(refused.stderr.contains("rsp=0xd5"), "{refused}");
}
