//! ipmitool's everyday commands over LAN, and the properties that they change on the bus.

use tests::bus::{CHASSIS_STATE, HOST_STATE, LAST_CHANGE, Property};
use tests::clients::{CIPHER_SUITES, Login};
use tests::suite::Suite;
use tests::wait;

/// The override for the next boot.
const BOOT_SOURCE: Property<'static> = Property {
    path: "/xyz/openbmc_project/control/host0/boot/one_time",
    interface: "xyz.openbmc_project.Control.Boot.Source",
    name: "BootSource",
};

/// What the host does when power returns.
const RESTORE_POLICY: Property<'static> = Property {
    path: "/xyz/openbmc_project/control/host0/power_restore_policy",
    interface: "xyz.openbmc_project.Control.Power.RestorePolicy",
    name: "PowerRestorePolicy",
};

/// The identify light.
const IDENTIFY: Property<'static> = Property {
    path: "/xyz/openbmc_project/led/groups/enclosure_identify",
    interface: "xyz.openbmc_project.Led.Group",
    name: "Asserted",
};

/// Runs `test` as administrator with each cipher suite, on one BMC.
fn as_administrator(test: fn(&Suite, &Login)) {
    let suite = Suite::start();
    for cipher_suite in CIPHER_SUITES {
        test(&suite, &suite.administrator().suite(cipher_suite));
    }
}

/// Asserts that `ipmitool arguments` succeeds and prints all of `expected`, blanks counted as one.
#[track_caller]
fn prints(login: &Login, arguments: &str, expected: &[&str]) -> String {
    let output = login.ipmitool(arguments);
    let squeezed = output.ok().split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in expected {
        assert!(squeezed.contains(expected), "no {expected:?} in\n{output}");
    }
    squeezed
}

/// Waits until the login works: netipmid learns of a change a moment after it is made.
#[track_caller]
fn wait_for_login(login: &Login) {
    wait::until_true("the login works", || login.ipmitool("mc info").code == Some(0));
}

#[test]
fn chassis_power_moves_the_host() {
    as_administrator(|suite, login| {
        prints(login, "chassis power on", &["Chassis Power Control: Up/On"]);
        suite.bus.until_property(&HOST_STATE, "Running");
        suite.bus.until_property(&CHASSIS_STATE, "On");
        prints(login, "chassis status", &["System Power : on"]);
        prints(login, "chassis power status", &["Chassis Power is on"]);

        let before = suite.bus.property(&LAST_CHANGE);
        prints(login, "chassis power cycle", &["Chassis Power Control: Cycle"]);
        wait::until_true("the power has cycled", || suite.bus.property(&LAST_CHANGE) != before);
        suite.bus.until_property(&HOST_STATE, "Running");
        prints(login, "chassis restart_cause", &["System restart cause: chassis power control"]);

        prints(login, "chassis power soft", &["Chassis Power Control: Soft"]);
        suite.bus.until_property(&HOST_STATE, "Off");
        prints(login, "chassis power on", &[]);
        suite.bus.until_property(&HOST_STATE, "Running");
        prints(login, "chassis power off", &["Chassis Power Control: Down/Off"]);
        suite.bus.until_property(&HOST_STATE, "Off");
        suite.bus.until_property(&CHASSIS_STATE, "Off");
        prints(login, "chassis status", &["System Power : off"]);
    });
}

#[test]
fn boot_device_is_read_back_and_on_the_bus() {
    as_administrator(|suite, login| {
        prints(login, "chassis bootdev pxe", &["Set Boot Device to pxe"]);
        let expected = ["Boot Flag Valid", "Boot Device Selector : Force PXE"];
        prints(login, "chassis bootparam get 5", &expected);
        suite.bus.until_property(&BOOT_SOURCE, "Network");
        prints(login, "chassis bootdev disk options=efiboot", &["Set Boot Device to disk"]);
        let expected = ["BIOS EFI boot", "Force Boot from default Hard-Drive"];
        prints(login, "chassis bootparam get 5", &expected);
        suite.bus.until_property(&BOOT_SOURCE, "Disk");
        prints(login, "chassis bootdev none", &["Set Boot Device to none"]);
        prints(login, "chassis bootparam get 5", &["Boot Device Selector : No override"]);
    });
}

#[test]
fn restore_policy_is_stored() {
    as_administrator(|suite, login| {
        for (policy, value) in
            [("always-on", "AlwaysOn"), ("previous", "Restore"), ("always-off", "AlwaysOff")]
        {
            let expected = format!("Set chassis power restore policy to {policy}");
            prints(login, &format!("chassis policy {policy}"), &[&expected]);
            suite.bus.until_property(&RESTORE_POLICY, value);
            let expected = format!("Power Restore Policy : {policy}");
            prints(login, "chassis status", &[&expected]);
        }
    });
}

#[test]
fn identify_switches_the_enclosure_led_on() {
    as_administrator(|suite, login| {
        let lit = || suite.bus.property(&IDENTIFY);
        prints(login, "chassis identify force", &["Chassis identify interval: indefinite"]);
        wait::until_true("the light is on", || lit() == Some(true.into()));
        prints(login, "chassis identify 0", &["Chassis identify interval: off"]);
        wait::until_true("the light is off", || lit() == Some(false.into()));
        prints(login, "chassis identify", &["Chassis identify interval: default (15 seconds)"]);
        wait::until_true("the light is on", || lit() == Some(true.into()));
        prints(login, "chassis identify 1", &["Chassis identify interval: 1 seconds"]);
        wait::until_true("the light goes off by itself", || lit() == Some(false.into()));
    });
}

#[test]
fn the_controller_reports_its_identity() {
    as_administrator(|_, login| {
        let expected = ["IPMI Version : 2.0", "Device Available : yes", "Chassis Device"];
        prints(login, "mc info", &expected);
        let guid = prints(login, "mc guid", &["System GUID : "]);
        assert!(!guid.contains("00000000-0000-0000-0000-000000000000"), "{guid}");
        assert_eq!(guid, prints(login, "mc guid", &[]), "the same each time");
        prints(login, "mc selftest", &["Selftest: passed"]);
    });
}

#[test]
fn watchdog_starts_and_stops() {
    as_administrator(|_, login| {
        prints(login, "mc watchdog off", &["Watchdog Timer Shutoff successful"]);
        prints(login, "mc watchdog get", &["Stopped"]);
        let set = "mc watchdog set timeout=100 use=sms action=none";
        prints(login, set, &[]);
        prints(login, "mc watchdog get", &["SMS/OS", "Initial Countdown: 100.0 sec", "Stopped"]);
        prints(login, "mc watchdog reset", &["countdown restarted"]);
        prints(login, "mc watchdog get", &["Started"]);
        prints(login, "mc watchdog off", &["Watchdog Timer Shutoff successful"]);
        prints(login, "mc watchdog get", &["Stopped"]);
    });
}

#[test]
fn users_are_made_and_log_in() {
    as_administrator(|_, login| {
        prints(login, "user list 1", &["root", "ADMINISTRATOR"]);
        prints(login, "user set name 3 bob", &[]);
        prints(login, "user set password 3 secret16", &["successful"]);
        prints(login, "channel setaccess 1 3 link=on ipmi=on privilege=3", &["successful"]);
        prints(login, "user enable 3", &[]);
        prints(login, "user priv 3 4 1", &["successful"]);
        prints(login, "user test 3 16 secret16", &["Success"]);
        login.ipmitool("user test 3 16 another").failed();
        prints(login, "user list 1", &["3 bob", "ADMINISTRATOR"]);
        let bob = login.user("bob", "secret16");
        wait_for_login(&bob);
        prints(login, "user set password 3 a-secret-of-20-bytes 20", &["successful"]);
        prints(login, "user test 3 20 a-secret-of-20-bytes", &["Success"]);
        prints(&login.user("bob", "a-secret-of-20-bytes"), "mc info", &["IPMI Version"]);
        bob.ipmitool("mc info").failed();
        prints(login, "user priv 3 2 1", &["successful"]);
        prints(login, "channel getaccess 1 3", &["User Name : bob", "Privilege Level : USER"]);
        prints(login, "user disable 3", &[]);
        login.user("bob", "a-secret-of-20-bytes").level("USER").ipmitool("mc info").failed();
        prints(login, "user set name 3 joe", &[]);
        prints(login, "user list 1", &["3 joe"]);
    });
}

#[test]
fn channels_and_sessions_are_shown() {
    as_administrator(|_, login| {
        let expected = ["Channel Medium Type : 802.3 LAN", "Session Support : multi-session"];
        prints(login, "channel info", &expected);
        prints(login, "channel info 1", &expected);
        prints(login, "channel getaccess 1 2", &["User Name : root", "Fixed Name : No"]);
        prints(login, "channel getaccess 1", &["User Name : root"]);
        let ciphers = prints(login, "channel getciphers ipmi", &["3 ", "17 "]);
        assert!(!ciphers.contains(" 0 N/A none"), "{ciphers}");
        wait::until_true("the session is found", || {
            let shown = login.ipmitool("session info all").ok().to_owned();
            let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
            let expected = ["user id : 2", "ADMINISTRATOR", "channel number : 0x01"];
            expected.iter().all(|text| shown.contains(text))
        });
        prints(login, "session info active", &["user id : 2"]);
    });
}

#[test]
fn a_user_session_is_refused_what_needs_more() {
    let suite = Suite::start();
    for cipher_suite in CIPHER_SUITES {
        let administrator = suite.administrator().suite(cipher_suite);
        let user = administrator.level("USER");
        prints(&user, "mc info", &["IPMI Version"]);
        prints(&user, "chassis power status", &["Chassis Power is off"]);
        let state = || {
            let shown = ["chassis status", "chassis bootparam get 5", "user list 1"];
            shown.map(|command| administrator.ipmitool(command).ok().to_owned())
        };
        let before = state();
        for command in [
            "chassis power on",
            "chassis power cycle",
            "chassis power soft",
            "chassis identify",
            "chassis policy always-on",
            "chassis bootdev pxe",
            // `mc reset cold` reports success whatever the completion code.
            "raw 6 2",
            "mc watchdog off",
            "user set name 4 eve",
            "user set password 2 taken",
            "user enable 4",
            "user priv 4 4 1",
            "channel setaccess 1 4 privilege=4",
        ] {
            // Not the exit code: ipmitool's bootdev has 0 all the same.
            let output = user.ipmitool(command);
            let refusal = format!("{}{}", output.stdout, output.stderr).to_lowercase();
            let reasons = ["insufficient privilege", "0xd4", "privilege level"];
            assert!(reasons.iter().any(|text| refusal.contains(text)), "{command}: {refusal}");
        }
        assert_eq!(state(), before, "nothing has changed");
        suite.bus.until_property(&HOST_STATE, "Off");
    }
}
