//! The commands of an operator who is logged in on the host.

use tests::clients;
use tests::guest::Interface;

use super::{GuestSuite, RUN, Sections, clean_log};

/// ipmitool enables events at the driver, and mistakes a waiting event for the response to its first
/// request. So a program for events reads the event before the next command.
const EVERYDAY: &str = r#"
tool() { ipmitool -I open "$@"; }
until_it_says() { until grep -q "$1" /tmp/taken; do sleep 0.1; done; }
run mc-info tool mc info
run chassis-status tool chassis status
ipmi-receive event 300 > /tmp/taken &
until_it_says listening
run event tool event 1
wait $!
run taken cat /tmp/taken
echo '0x04 0x09 0x01 0x6f 0x01 0xff 0xff # Power Unit' > /tmp/record
run sel-add tool sel add /tmp/record
run sel-list tool sel list
run sdr-elist tool sdr elist
run fru-print tool fru print
run user-list tool user list 1
run lan-print tool lan print 1
run mc-watchdog tool mc watchdog get
run acpi-set tool raw 0x06 0x06 0x80 0x83
run acpi-get tool raw 0x06 0x07
run log dmesg
"#;

fn everyday(interface: Interface) {
    let bmc = GuestSuite::new(interface);
    let output = bmc.start_with("ipmi-receive", &format!("{RUN}{EVERYDAY}")).finish();
    let output = output.ok();
    let sections = Sections::of(output);
    for (name, text) in [
        ("mc-info", "IPMI Version              : 2.0"),
        ("chassis-status", "System Power"),
        ("taken", "07 35: "),
        ("sel-list", "Temperature"),
        ("sdr-elist", "MBTemp"),
        ("fru-print", "Test Server"),
        ("user-list", clients::USER),
        ("lan-print", "IP Address"),
        ("mc-watchdog", "Watchdog Timer Use"),
        ("acpi-get", "00 03"),
    ] {
        assert!(sections.good(name).contains(text), "{name}:\n{output}");
        assert_no_complaint(sections.good(name));
    }
    for name in ["event", "sel-add", "acpi-set"] {
        assert_no_complaint(sections.good(name));
    }
    clean_log(sections.good("log"));
    // The same log over LAN.
    let from_host = sections.good("sel-list").trim();
    let over_lan = bmc.suite.administrator().ipmitool("sel list");
    assert_eq!(over_lan.ok().trim(), from_host);
}

/// Asserts that ipmitool found no fault in any response, its own probes' included.
#[track_caller]
fn assert_no_complaint(output: &str) {
    for complaint in ["failed", "unexpected ID", "No data available", "Error", "Unable"] {
        assert!(!output.contains(complaint), "{output}");
    }
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

/// Data bytes of the longest request and the longest response that pass QEMU's devices.
const LONGEST: u8 = 250;

/// Writes and reads FRU data in the longest messages there are, with every byte value that the link
/// escapes in them.
fn longest_messages(interface: Interface) {
    let bmc = GuestSuite::new(interface);
    // Three bytes are the FRU device id and the offset.
    let written: Vec<u8> = (0..LONGEST - 3).collect();
    let words: String = written.iter().map(|byte| format!(" {byte:#04x}")).collect();
    let script = format!(
        "{RUN}
         run write ipmitool -I open raw 0x0a 0x12 0 0 0{words}
         run read ipmitool -I open raw 0x0a 0x11 0 0 0 {}
         run refused ipmitool -I open raw 0x06 0x01{words} 1 2 3
         run after ipmitool -I open raw 0x06 0x01
         run log dmesg",
        LONGEST - 1
    );
    let output = bmc.run(&script);
    let sections = Sections::of(&output);
    assert_eq!(sections.good("write").trim(), "f7");
    let read: Vec<u8> = sections
        .good("read")
        .split_whitespace()
        .map(|word| u8::from_str_radix(word, 16).expect("a byte"))
        .collect();
    assert_eq!(read.len(), usize::from(LONGEST), "{output}");
    assert_eq!(read[0], LONGEST - 1);
    assert_eq!(read[1..=written.len()], written);
    // ipmid answers that the request is too long for this command, which shows that it arrived whole.
    assert!(sections.failed("refused").contains("rsp=0xc7"), "{output}");
    sections.good("after");
    clean_log(sections.good("log"));
}

#[test]
#[ignore = "boots a guest"]
fn longest_messages_pass_kcs() {
    longest_messages(Interface::Kcs);
}

#[test]
#[ignore = "boots a guest"]
fn longest_messages_pass_bt() {
    longest_messages(Interface::Bt);
}

#[test]
#[ignore = "boots a guest"]
fn longest_messages_pass_ssif() {
    longest_messages(Interface::Ssif);
}
