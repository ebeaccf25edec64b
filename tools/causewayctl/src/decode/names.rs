//! Names of numbers: commands by the table of `ipmid`, sensors and units by the specification's.

use ipmi_proto::ipmb::IpmbAddress;
use ipmi_proto::{GroupBody, Iana, NetFn};

/// What `ipmid` registers without extensions: family, number, code and name of each command. An end-to-end test
/// compares it with `causewayctl commands`.
const COMMANDS: &str = include_str!("commands.txt");

/// What `netipmid` answers itself: the session's own commands (IPMI v2.0 Table G-1).
const OF_SESSIONS: [(u8, &str); 8] = [
    (0x39, "Get Session Challenge"),
    (0x3a, "Activate Session"),
    (0x3b, "Set Session Privilege Level"),
    (0x48, "Activate Payload"),
    (0x49, "Deactivate Payload"),
    (0x4a, "Get Payload Activation Status"),
    (0x4b, "Get Payload Instance Info"),
    (0x55, "Suspend/Resume Payload Encryption"),
];

/// The name of a command; empty where neither `ipmid` nor `netipmid` has one of this number.
pub(super) fn command(netfn: NetFn, code: u8, data: &[u8]) -> String {
    let family = match (netfn, data) {
        (NetFn::GROUP, [body, ..]) => format!("group {}", GroupBody(*body).0),
        (NetFn::OEM, [a, b, c, ..]) => format!("oem {}", Iana::from_bytes([*a, *b, *c]).value()),
        _ => format!("netfn {}", netfn.value()),
    };
    let wanted = format!("{family} {code} ");
    let line = COMMANDS.lines().find_map(|line| line.strip_prefix(wanted.as_str()));
    let of_session = || {
        let mut own = OF_SESSIONS.iter().filter(|_| netfn == NetFn::APP);
        own.find(|(number, _)| *number == code).map(|(_, name)| *name)
    };
    line.or_else(of_session).unwrap_or_default().to_owned()
}

/// The name of a network function, of requests or responses (IPMI v2.0 Table 5-1).
pub(super) const fn netfn(netfn: NetFn) -> &'static str {
    match netfn.value() & !1 {
        0x00 => "Chassis",
        0x02 => "Bridge",
        0x04 => "Sensor/Event",
        0x06 => "Application",
        0x08 => "Firmware",
        0x0a => "Storage",
        0x0c => "Transport",
        0x2c => "Group extension",
        0x2e => "OEM/group",
        0x30..=0x3e => "OEM",
        _ => "",
    }
}

/// Who has an address.
pub(super) const fn address(address: IpmbAddress) -> &'static str {
    match address {
        IpmbAddress::BMC => "BMC",
        IpmbAddress::REMOTE_CONSOLE => "remote console",
        _ => "",
    }
}

/// Sensor types from 01h on (IPMI v2.0 Table 42-3).
const SENSOR_TYPES: [&str; 44] = [
    "temperature",
    "voltage",
    "current",
    "fan",
    "physical security",
    "platform security violation attempt",
    "processor",
    "power supply",
    "power unit",
    "cooling device",
    "other units-based sensor",
    "memory",
    "drive slot",
    "POST memory resize",
    "system firmware progress",
    "event logging disabled",
    "watchdog 1",
    "system event",
    "critical interrupt",
    "button",
    "module or board",
    "microcontroller or coprocessor",
    "add-in card",
    "chassis",
    "chip set",
    "other FRU",
    "cable or interconnect",
    "terminator",
    "system boot initiated",
    "boot error",
    "OS boot",
    "OS stop or shutdown",
    "slot or connector",
    "system ACPI power state",
    "watchdog 2",
    "platform alert",
    "entity presence",
    "monitor ASIC or IC",
    "LAN",
    "management subsystem health",
    "battery",
    "session audit",
    "version change",
    "FRU state",
];

/// The name of a sensor type.
pub(super) fn sensor_type(code: u8) -> &'static str {
    let index = usize::from(code).checked_sub(1);
    match index.and_then(|index| SENSOR_TYPES.get(index)) {
        Some(name) => name,
        None if code >= 0xc0 => "OEM",
        None => "",
    }
}

/// What an event/reading type code says of the states (IPMI v2.0 Table 42-1).
pub(super) const fn event_type(code: u8) -> &'static str {
    match code {
        0x01 => "threshold",
        0x02..=0x0c => "generic discrete",
        0x6f => "sensor-specific",
        0x70..=0x7f => "OEM",
        _ => "",
    }
}

/// Units from 0 on (IPMI v2.0 Table 43-15); the first of 93.
const UNITS: [&str; 26] = [
    "unspecified",
    "degrees C",
    "degrees F",
    "degrees K",
    "volts",
    "amps",
    "watts",
    "joules",
    "coulombs",
    "VA",
    "nits",
    "lumen",
    "lux",
    "candela",
    "kPa",
    "PSI",
    "newton",
    "CFM",
    "RPM",
    "Hz",
    "microsecond",
    "millisecond",
    "second",
    "minute",
    "hour",
    "day",
];

/// The name of a unit.
pub(super) fn unit(code: u8) -> &'static str {
    UNITS.get(usize::from(code)).copied().unwrap_or_default()
}
