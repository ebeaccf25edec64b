//! What administrators do and see, as unusual as it is legitimate: the event log under reservations, boot options,
//! the watchdog's flags, identify, the asset tag, power-on hours.

use tests::clients::Login;
use tests::suite::Suite;
use tests::wait;

/// Add SEL Entry: an event of an unknown sensor.
const ADD_EVENT: &str = "raw 0x0a 0x44 0 0 2 0 0 0 0 0x20 0 4 1 0x30 1 0x59 0x66 0x64";

/// What a raw request is answered, without the line break.
#[track_caller]
fn raw(login: &Login, request: &str) -> String {
    let reply = login.ipmitool(&format!("raw {request}"));
    reply.ok().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// That a raw request is refused with `code`.
#[track_caller]
fn refused(login: &Login, request: &str, code: &str) {
    let refusal = login.ipmitool(&format!("raw {request}")).failed();
    assert!(refusal.contains(&format!("rsp={code}")), "{refusal}");
}

#[test]
fn many_entries_are_deleted_by_one_command_and_no_event_is_cleared_unseen() {
    let suite = Suite::start();
    let login = suite.administrator();
    login.ipmitool("sel clear").ok();
    for _ in 0..5 {
        login.ipmitool(ADD_EVENT).ok();
    }
    let info = login.ipmitool("sel info");
    assert!(info.ok().contains("Free Space       : 65534 bytes"), "{info}");
    login.ipmitool("sel delete 1 2 3").ok();
    let list = login.ipmitool("sel list");
    let ids: Vec<_> = list.ok().lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(ids, ["4", "5"], "{list}");

    let reservation = raw(&login, "0x0a 0x42").replace(' ', " 0x");
    login.ipmitool(ADD_EVENT).ok();
    refused(&login, &format!("0x0a 0x47 0x{reservation} 0x43 0x4c 0x52 0xaa"), "0xc5");
    let list = login.ipmitool("sel list");
    assert_eq!(list.ok().lines().count(), 3, "{list}");
    login.ipmitool("sel clear").ok();
    assert!(login.ipmitool("sel info").ok().contains("Entries          : 0"));
}

#[test]
fn boot_device_reads_back_as_it_was_set_and_cleared() {
    let suite = Suite::start();
    let login = suite.administrator();
    for (device, shown) in [
        ("diag", "Force Boot from Diagnostic Partition"),
        ("floppy", "Force Boot from Floppy/primary removable media"),
        ("cdrom", "Force Boot from CD/DVD"),
    ] {
        login.ipmitool(&format!("chassis bootdev {device} options=persistent,efiboot")).ok();
        let read = login.ipmitool("chassis bootparam get 5");
        for line in [shown, "Options apply to all future boots", "BIOS EFI boot", "Boot Flag Valid"]
        {
            assert!(read.ok().contains(line), "{line}: {read}");
        }
    }
    let key = "Chassis_Boot_Flags:Boot_Device";
    for device in ["REMOTE-FLOPPY", "PRIMARY-REMOTE-MEDIA", "REMOTE-CD-DVD", "REMOTE-HARD-DRIVE"] {
        let pair = format!("--category=chassis --commit --key-pair={key}={device}");
        login.freeipmi("ipmi-config", &pair).ok();
        let checkout = format!("--category=chassis --checkout --key-pair={key}");
        let read = login.freeipmi("ipmi-config", &checkout);
        let line = read.ok().lines().find(|line| line.trim_start().starts_with("Boot_Device "));
        assert!(line.is_some_and(|line| line.ends_with(&format!(" {device}"))), "{read}");
    }
    // As pyghmi sets its default device.
    login.ipmitool("raw 0 8 5 0 0 0 0 0").ok();
    assert_eq!(raw(&login, "0 9 5 0 0"), "01 05 00 00 00 00 00");
}

#[test]
fn watchdog_flags_accumulate_and_the_countdown_is_the_one_that_was_set() {
    let suite = Suite::start();
    let login = suite.administrator();
    let state = || raw(&login, "6 0x25");
    // 10 s in OS Load; not started.
    login.ipmitool("raw 6 0x24 3 0 0 0x3e 100 0").ok();
    assert_eq!(state(), "03 00 00 00 64 00 64 00");
    for (timer_use, flags) in [("4", "10"), ("0x83", "18")] {
        login.ipmitool(&format!("raw 6 0x24 {timer_use} 0 0 0 1 0")).ok();
        login.ipmitool("raw 6 0x22").ok();
        wait::until_true("the timer expires", || state().split(' ').nth(3) == Some(flags));
    }
    // "Don't log" was for one expiry, and 0 remains of the countdown.
    wait::until_true("the next expiry is logged", || state() == "03 00 00 18 01 00 00 00");
    login.ipmitool("raw 6 0x24 4 0 0 0x10 100 0").ok();
    assert_eq!(state(), "04 00 00 08 64 00 64 00");
}

#[test]
fn identify_led_goes_off_in_time_though_ipmid_is_killed() {
    let mut suite = Suite::start();
    let login = suite.administrator();
    // Chassis Identify state, bits 5:4 of the third byte: 0 off, 1 for a time, 2 on.
    let identify = || {
        let status = login.ipmitool("raw 0 1").stdout;
        let third = status.split_whitespace().nth(2).map(str::to_owned);
        third.and_then(|byte| u8::from_str_radix(&byte, 16).ok()).map(|byte| byte >> 4 & 3)
    };
    login.ipmitool("chassis identify 3").ok();
    assert_eq!(identify(), Some(1));
    suite.ipmid.kill();
    suite.restart_ipmid();
    wait::until_true("the LED goes off", || identify() == Some(0));

    login.ipmitool("chassis identify force").ok();
    suite.ipmid.kill();
    suite.restart_ipmid();
    wait::until_true("ipmid serves", || identify().is_some());
    assert_eq!(identify(), Some(2), "forced");
}

#[test]
fn asset_tag_may_have_a_character_over_two_parts_and_latin_1() {
    let suite = Suite::start();
    let login = suite.administrator();
    // The sixteenth byte begins the letter ü.
    let tag = "Gestell-7-xxxx-\u{fc}ber";
    login.ipmitool(&format!("dcmi set_asset_tag {tag}")).ok();
    let read = login.freeipmi("ipmi-dcmi", "--get-asset-tag");
    assert!(read.ok().contains(tag), "{read}");
    let capabilities = login.freeipmi("ipmi-dcmi", "--get-dcmi-capability-info");
    assert!(!capabilities.ok().to_lowercase().contains("asset tag : not"), "{capabilities}");
    let discovered = login.ipmitool("dcmi get_mc_id_string");
    assert!(discovered.ok().contains("Get Management Controller Identifier String"));
    login.ipmitool("raw 0x2c 8 0xdc 0 3 0x53 0xfc 0x64").ok();
    assert_eq!(raw(&login, "0x2c 6 0xdc 0 3"), "dc 03 53 fc 64");
}

#[test]
fn power_on_hours_are_the_same_for_both_clients() {
    let suite = Suite::start();
    let login = suite.administrator();
    let hours = login.ipmitool("chassis poh");
    assert!(hours.ok().contains("196 days, 7 hours"), "{hours}");
    let hours = login.freeipmi("ipmi-chassis", "--get-power-on-hours-counter");
    assert!(hours.ok().contains("4711 Hours 0 Minutes"), "{hours}");
}

#[test]
fn system_firmware_version_is_what_was_set() {
    let suite = Suite::start();
    let login = suite.administrator();
    login.ipmitool("mc setsysinfo system_fw_version 7.7.1-test").ok();
    let read = login.ipmitool("mc getsysinfo system_fw_version");
    assert_eq!(read.ok().trim(), "7.7.1-test");
}
