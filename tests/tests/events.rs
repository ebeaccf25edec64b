//! An event from its sensor to the SEL, the trap receiver and the host's power.

use std::net::UdpSocket;
use std::time::Duration;

use tests::bus::HOST_STATE;
use tests::clients::Login;
use tests::suite::Suite;
use tests::wait;

/// Path and interface of the sensor that crosses its threshold.
const SENSOR: [&str; 2] =
    ["/xyz/openbmc_project/sensors/temperature/MBTemp", "xyz.openbmc_project.Sensor.Value"];

/// The system's GUID as a trap has it: that of `platform.toml`, in the order of its text.
const GUID: [u8; 16] = [
    0x8f, 0x0f, 0x3c, 0x5e, 0x6b, 0x1d, 0x4d, 0x0c, 0x9c, 0x36, 0x5a, 0x1f, 0x4e, 0x7b, 0x2d, 0x10,
];
/// 1.3.6.1.4.1.3183.1.1 (IPMI Platform Event Trap Format v1.0 §3.1).
const ENTERPRISE: [u8; 9] = [0x2b, 0x06, 0x01, 0x04, 0x01, 0x98, 0x6f, 0x01, 0x01];
/// The epoch of time stamps in traps: 1998-01-01.
const TRAP_EPOCH: u64 = 883_612_800;

/// A receiver of traps, and a BMC that sends traps to it.
fn receiver() -> (UdpSocket, Suite) {
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("a port for traps");
    let limit = Some(Duration::from_secs(30));
    receiver.set_read_timeout(limit).expect("a limit");
    let port = receiver.local_addr().expect("an address").port();
    let suite = Suite::with(&format!("[pef]\ntrap-port = {port}"));
    (receiver, suite)
}

/// Sets a sensor's value, as its service sees it.
fn set_sensor(suite: &Suite, value: &str) {
    let [path, interface] = SENSOR;
    let service = suite.bus.service(path, interface).expect("the sensor");
    let arguments = ["set-property", &service, path, interface, "Value", "d", value];
    suite.bus.busctl(&arguments).ok();
}

/// Has a temperature above its upper critical limit do `actions`, with alerts to 127.0.0.1; severity 10h.
fn arm(login: &Login, actions: u8, acknowledged: bool) {
    let acknowledged = u8::from(acknowledged) << 7;
    for command in [
        "lan set 1 snmp causeway".to_owned(),
        "lan alert set 1 1 ipaddr 127.0.0.1".to_owned(),
        // Three retries, one second apart.
        format!("raw 0x0c 0x01 1 18 1 {acknowledged} 1 3"),
        format!("raw 0x04 0x12 6 1 0x80 {actions} 1 0x10 0xff 0xff 1 0xff 1 0 2 0 0 0 0 0 0 0 0 0"),
        "raw 0x04 0x12 9 1 0x18 0x11 0".to_owned(),
        "raw 0x04 0x12 2 0x2f".to_owned(),
        "raw 0x04 0x12 1 1".to_owned(),
    ] {
        login.ipmitool(&command).ok();
    }
}

/// The fields of a trap (RFC 1157 §4.1.6), and its one variable.
struct Trap {
    community: Vec<u8>,
    enterprise: Vec<u8>,
    agent: Vec<u8>,
    generic: Vec<u8>,
    specific: Vec<u8>,
    variable: Vec<u8>,
}

/// Takes one value with this tag off the front: a length of one byte, or of more that are counted.
fn take<'a>(bytes: &mut &'a [u8], tag: u8) -> &'a [u8] {
    let (&[found, length], mut rest) = bytes.split_first_chunk().expect("a value");
    assert_eq!(found, tag, "in {bytes:x?}");
    let mut length = usize::from(length);
    if length > 0x7f {
        let (more, after) = rest.split_at(length & 0x7f);
        length = more.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        rest = after;
    }
    let (value, after) = rest.split_at(length);
    *bytes = after;
    value
}

/// Waits for a trap and parses it.
fn next_trap(receiver: &UdpSocket) -> Trap {
    let mut bytes = [0; 1500];
    let length = receiver.recv(&mut bytes).expect("a trap");
    let mut whole = &bytes[..length];
    let mut message = take(&mut whole, 0x30);
    assert_eq!(whole, [0_u8; 0], "bytes behind the trap");
    assert_eq!(take(&mut message, 0x02), [0], "SNMP version 1");
    let community = take(&mut message, 0x04).to_vec();
    let mut pdu = take(&mut message, 0xa4);
    let enterprise = take(&mut pdu, 0x06).to_vec();
    let agent = take(&mut pdu, 0x40).to_vec();
    let generic = take(&mut pdu, 0x02).to_vec();
    let specific = take(&mut pdu, 0x02).to_vec();
    take(&mut pdu, 0x43);
    let mut variables = take(&mut pdu, 0x30);
    let mut variable = take(&mut variables, 0x30);
    let name = take(&mut variable, 0x06);
    assert_eq!(name, [&ENTERPRISE[..], &[1]].concat());
    Trap {
        community,
        enterprise,
        agent,
        generic,
        specific,
        variable: take(&mut variable, 0x04).to_vec(),
    }
}

/// The records of the log about the sensor's upper critical limit, asserted.
fn logged(login: &Login) -> usize {
    let list = login.ipmitool("sel elist");
    let words = ["Temperature", "MBTemp", "Upper Critical going high", "Asserted"];
    let is_it = |line: &&str| words.iter().all(|word| line.contains(word));
    list.ok().lines().filter(is_it).count()
}

#[test]
fn a_threshold_crossed_is_logged_once_sent_in_a_trap_and_powers_the_host_off() {
    let (receiver, suite) = receiver();
    let login = suite.administrator();
    login.ipmitool("chassis power on").ok();
    suite.bus.until_property(&HOST_STATE, "Running");
    // Alert and power off.
    arm(&login, 0x03, false);
    set_sensor(&suite, "125");
    let trap = next_trap(&receiver);
    assert_eq!(trap.community, b"causeway");
    assert_eq!(trap.enterprise, ENTERPRISE);
    assert_eq!(trap.agent, [127, 0, 0, 1]);
    assert_eq!(trap.generic, [6], "specific to the enterprise");
    // Temperature; threshold event; assertion of offset 9, upper critical going high.
    assert_eq!(trap.specific, [0, 0x01, 0x01, 0x09]);
    let fields = &trap.variable;
    assert_eq!(fields.len(), 47);
    assert_eq!(fields[..16], GUID);
    assert_ne!(fields[16..18], [0, 0], "a sequence number");
    let seconds = u32::from_be_bytes([fields[18], fields[19], fields[20], fields[21]]);
    let now = std::time::UNIX_EPOCH.elapsed().expect("a time").as_secs();
    let age = now.abs_diff(u64::from(seconds) + TRAP_EPOCH);
    assert!(age < 3600, "an event of {age} seconds ago");
    assert_eq!(fields[22..24], [0, 0], "no offset from UTC");
    assert_eq!(fields[24..26], [0x20, 0x20], "trap and event source: IPMI");
    assert_eq!(fields[26], 0x10, "the filter's severity");
    assert_eq!(fields[27..29], [0x20, 0x04], "the BMC's sensor 4");
    // Offset 9, the limit in the third byte: 119.76 degrees. The trap has the reading only if it is the current one.
    assert_eq!(fields[31] & 0x3f, 0x19);
    assert!(fields[31] & 0xc0 == 0 || fields[32] >= fields[33], "{fields:x?}");
    assert_eq!(fields[33], 0xf0);
    assert_eq!(fields[34..39], [0; 5]);
    assert_eq!(fields[39], 0xff, "no language");
    assert_eq!(fields[40..44], [0x00, 0x00, 0xc2, 0xcf], "the manufacturer id");
    assert_eq!(fields[46], 0xc1, "the end");
    suite.bus.until_property(&HOST_STATE, "Off");
    assert_eq!(logged(&login), 1, "{}", login.ipmitool("sel elist"));
    // A reading that stays above the limit causes no second event.
    set_sensor(&suite, "126");
    login.ipmitool("chassis power on").ok();
    suite.bus.until_property(&HOST_STATE, "Running");
    assert_eq!(logged(&login), 1);
}

#[test]
fn alert_string_of_a_policy_is_in_the_trap() {
    let (receiver, suite) = receiver();
    let login = suite.administrator().level("ADMIN");
    arm(&login, 0x01, false);
    // String 2, in a block of 16 and one of the rest; it is that of filter 1 in set 3, which the policy names.
    let text = b"Tell the hall 3 crew";
    for (block, part) in (1..).zip(text.chunks(16)) {
        let bytes: Vec<String> = part.iter().map(u8::to_string).collect();
        let set = format!("raw 0x04 0x12 13 2 {block} {}", bytes.join(" "));
        login.ipmitool(&set).ok();
    }
    login.ipmitool("raw 0x04 0x12 12 2 1 3").ok();
    login.ipmitool("raw 0x04 0x12 9 1 0x18 0x11 0x83").ok();
    set_sensor(&suite, "125");
    let trap = next_trap(&receiver);
    let specific = trap.specific.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte));
    let bytes: Vec<String> = trap.variable.iter().map(|byte| format!("{byte:02x}")).collect();
    let arguments = format!("--verbose --quiet-cache {specific} {}", bytes.join(" "));
    let output = login.freeipmi("ipmi-pet", &arguments);
    for expected in ["MBTemp", "going high", "Tell the hall 3 crew"] {
        assert!(output.ok().contains(expected), "no {expected} in {output}");
    }
}

#[test]
fn a_trap_is_sent_again_until_it_is_acknowledged() {
    let (receiver, suite) = receiver();
    let login = suite.administrator();
    arm(&login, 0x01, true);
    set_sensor(&suite, "125");
    let first = next_trap(&receiver).variable;
    let again = next_trap(&receiver).variable;
    assert_eq!(first, again, "the same trap");
    let [high, low] = [first[16], first[17]];
    let acknowledge = format!("raw 0x04 0x17 {high} {low} 0 0 0 0 0x20 0x20 3 0x59 0 0");
    login.ipmitool(&acknowledge).ok();
    login.ipmitool("raw 0x04 0x16 1 0x01 0").ok();
    let other = loop {
        let trap = next_trap(&receiver).variable;
        if trap[16..18] != first[16..18] {
            break trap;
        }
    };
    assert_eq!(other[31], 0, "an alert of no event");
    let [high, low] = [other[16], other[17]];
    let acknowledge = format!("raw 0x04 0x17 {high} {low} 0 0 0 0 0x20 0x20 3 0 0 0");
    login.ipmitool(&acknowledge).ok();
    wait::until_true("Alert Immediate was acknowledged", || {
        login.ipmitool("raw 0x04 0x16 1 0x41 0").ok().trim() == "01"
    });
}

#[test]
fn a_channel_whose_alerts_are_disabled_sends_none() {
    let (receiver, suite) = receiver();
    let login = suite.administrator();
    arm(&login, 0x03, false);
    login.ipmitool("chassis power on").ok();
    suite.bus.until_property(&HOST_STATE, "Running");
    // Always available, with alerts disabled, in the volatile setting.
    login.ipmitool("raw 0x06 0x40 1 0xa2 0x84").ok();
    set_sensor(&suite, "125");
    suite.bus.until_property(&HOST_STATE, "Off");
    set_sensor(&suite, "40");
    // What is sent once they are enabled again is the first there is, and of another event.
    login.ipmitool("raw 0x06 0x40 1 0x82 0x84").ok();
    login.ipmitool("raw 0x04 0x16 1 0x01 0").ok();
    assert_eq!(next_trap(&receiver).variable[31], 0, "an alert of no event");
}
