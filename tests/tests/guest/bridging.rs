//! Messages between the host, satellites and consoles.

use tests::guest::Interface;
use tests::satellite::Satellites;
use tests::wait;

use super::{GuestSuite, RUN, Sections};

#[test]
#[ignore = "boots a guest"]
fn host_reaches_a_satellite() {
    let bmc = GuestSuite::new(Interface::Kcs);
    let satellites = Satellites::start(bmc.suite.dir());
    let device = satellites.device().display().to_string();
    let _ipmb = bmc.suite.bridge("ipmbbridged", "Ipmb", ["--device", &device]);
    let script = format!(
        "{RUN}
         run direct ipmitool -I open -t 0x24 -b 0 raw 6 1
         run silent ipmitool -I open -t 0x30 -b 0 raw 6 1
         run again ipmitool -I open -t 0x24 -b 0 raw 6 1"
    );
    let output = bmc.run(&script);
    let sections = Sections::of(&output);
    for name in ["direct", "again"] {
        assert!(sections.good(name).contains(" 24 81 01 02"), "{output}");
    }
    assert!(sections.failed("silent").contains("rsp=0xc3"), "{output}");
}

#[test]
#[ignore = "boots a guest"]
fn request_of_a_satellite_to_the_hosts_software_is_answered() {
    let bmc = GuestSuite::new(Interface::Kcs);
    let satellites = Satellites::start(bmc.suite.dir());
    let device = satellites.device().display().to_string();
    let _ipmb = bmc.suite.bridge("ipmbbridged", "Ipmb", ["--device", &device]);
    let mut running = bmc.start_with("ipmi-receive", "ipmi-receive 0x30 0x01 300");
    running.until_printed("listening", 1);
    // No program in the guest handles command 02h, so that Linux's driver refuses it.
    satellites.request(0x24, 0xc2, 0x2c, &[0x02]);
    let refusal = wait::until("Linux's response", || satellites.frames_for(0x24).pop());
    assert_eq!(refusal[1] >> 2, 0x31, "{refusal:02x?}");
    assert_eq!(refusal[4] >> 2, 0x2c >> 2, "{refusal:02x?}");
    assert_eq!(refusal[5..7], [0x02, 0xc1], "{refusal:02x?}");
    satellites.request(0x24, 0xc2, 0x30, &[0x01, 0x55]);
    let ran = running.finish();
    assert_eq!(ran.ok().trim(), "listening\n30 01: 55");
}

#[test]
#[ignore = "boots a guest"]
fn message_from_a_console_reaches_a_program_in_the_guest() {
    let bmc = GuestSuite::new(Interface::Kcs);
    let mut running = bmc.start_with("ipmi-receive", "ipmi-receive 0x30 0x01 300");
    running.until_printed("listening", 1);
    // OEM command 30h/01h for the host's software, on the system interface's channel.
    let sent = "raw 6 0x34 0x4f 0x41 0xc0 0xff 0x81 0x04 0x01 0x55 0x25";
    bmc.suite.administrator().ipmitool(sent).ok();
    let ran = running.finish();
    assert_eq!(ran.ok().trim(), "listening\n30 01: 55");
}
