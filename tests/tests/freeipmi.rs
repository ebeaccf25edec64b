//! FreeIPMI's programs over RMCP+, without any of their workaround flags.

use tests::bus::{HOST_STATE, LAST_CHANGE};
use tests::clients::{CIPHER_SUITES, Login};
use tests::suite::Suite;
use tests::wait;

/// Runs `test` with each cipher suite, on one BMC.
fn with_each_suite(test: fn(&Suite, &Login)) {
    let suite = Suite::start();
    for cipher_suite in CIPHER_SUITES {
        test(&suite, &suite.administrator().suite(cipher_suite));
    }
}

/// Asserts that the program succeeds without a word of complaint and prints all of `expected`,
/// blanks counted as one.
#[track_caller]
fn prints(login: &Login, program: &str, arguments: &str, expected: &[&str]) {
    let output = login.freeipmi(program, arguments);
    let squeezed = output.ok().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.stderr, "", "{output}");
    for expected in expected {
        assert!(squeezed.contains(expected), "no {expected:?} in\n{output}");
    }
}

#[test]
fn bmc_info_shows_the_controller() {
    with_each_suite(|_, login| {
        prints(login, "bmc-info", "", &["Device ID", "System GUID", "Channel Information"]);
        prints(login, "bmc-info", "--get-device-id", &["IPMI Version : 2.0"]);
        prints(login, "bmc-info", "--get-system-guid", &["-"]);
        prints(login, "bmc-info", "--get-channel-info", &["802.3 LAN"]);
    });
}

#[test]
fn bmc_device_reads_tests_power_and_enables() {
    with_each_suite(|_, login| {
        let admin = login.level("ADMIN");
        prints(&admin, "bmc-device", "--get-self-test-results", &["No Error"]);
        let expected = ["System Power State", "Device Power State"];
        prints(&admin, "bmc-device", "--get-acpi-power-state", &expected);
        let expected = ["System Event Logging"];
        prints(&admin, "bmc-device", "--get-bmc-global-enables", &expected);
    });
}

#[test]
fn ipmi_chassis_reads_and_sets() {
    with_each_suite(|_, login| {
        let admin = login.level("ADMIN");
        prints(&admin, "ipmi-chassis", "--get-chassis-status", &["System Power : off"]);
        let expected = ["Intrusion sensor : provided", "Diagnostic Interrupt : provided"];
        prints(&admin, "ipmi-chassis", "--get-chassis-capabilities", &expected);
        prints(&admin, "ipmi-chassis", "--get-system-restart-cause", &["Restart cause"]);
        prints(&admin, "ipmi-chassis", "--get-power-on-hours-counter", &["Power on hours :"]);
        prints(&admin, "ipmi-chassis", "--chassis-identify=TURN-OFF", &[]);
        prints(&admin, "ipmi-chassis", "--chassis-identify=FORCE", &[]);
        prints(&admin, "ipmi-chassis", "--chassis-identify=TURN-OFF", &[]);
        prints(&admin, "ipmi-chassis", "--set-power-restore-policy=ALWAYS-OFF", &[]);
        let expected = ["Power restore policy : Always off"];
        prints(&admin, "ipmi-chassis", "--get-chassis-status", &expected);
    });
}

#[test]
fn ipmi_power_moves_the_host() {
    with_each_suite(|suite, login| {
        let power = |argument: &str, expected: &[&str]| {
            prints(login, "ipmi-power", argument, expected);
        };
        power("--stat", &["off"]);
        power("--on", &["ok"]);
        suite.bus.until_property(&HOST_STATE, "Running");
        power("--stat", &["on"]);
        let before = suite.bus.property(&LAST_CHANGE);
        power("--cycle", &["ok"]);
        wait::until_true("the power has cycled", || suite.bus.property(&LAST_CHANGE) != before);
        suite.bus.until_property(&HOST_STATE, "Running");
        power("--soft", &["ok"]);
        suite.bus.until_property(&HOST_STATE, "Off");
        power("--on --wait-until-on", &["ok"]);
        suite.bus.until_property(&HOST_STATE, "Running");
        power("--off --wait-until-off", &["ok"]);
        power("--stat", &["off"]);
        suite.bus.until_property(&HOST_STATE, "Off");
    });
}

#[test]
fn ipmi_config_checks_out_chassis_users_and_lan_channel() {
    with_each_suite(|_, login| {
        let admin = login.level("ADMIN");
        let checkout = "--checkout --category=chassis";
        prints(&admin, "ipmi-config", checkout, &["Section Chassis_Power_Conf"]);
        for section in ["User1", "User2", "User15", "Lan_Channel"] {
            let arguments = format!("--checkout --category=core --section={section}");
            prints(&admin, "ipmi-config", &arguments, &[&format!("Section {section}")]);
        }
    });
}
