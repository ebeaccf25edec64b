//! OpenBMC's own bridges with our `ipmid`, and the object by which OpenBMC's `ipmid` knows our `btbridged`.
//! `OPENBMC_BRIDGES` names a folder with OpenBMC's programs; the test skips bridges that are missing.

use std::fs;
use std::os::unix::fs::symlink;

use tests::bridges::{self, Devices};
use tests::host_device::{HostDevice, Kind};
use tests::process::Process;
use tests::satellite::{IDENTITY, Satellites};
use tests::suite::Suite;
use tests::{programs, wait};

/// The bridge for SSIF has a channel name of its own.
const CHANNELS: &str = "
[[channel]]
number = 0
name = \"Ipmb\"
medium = \"ipmb\"
protocol = \"ipmb-1.0\"
[[channel]]
number = 1
name = \"lan0\"
medium = \"lan\"
protocol = \"ipmb-1.0\"
sessions = \"multi-session\"
[[channel]]
number = 8
name = \"INTRABMC\"
medium = \"system\"
protocol = \"oem-1\"
[[channel]]
number = 9
name = \"bt0\"
medium = \"system\"
protocol = \"bt-1.5\"
[[channel]]
number = 10
name = \"ipmi_ssif\"
medium = \"system\"
protocol = \"ipmi-smbus\"
[[channel]]
number = 15
name = \"kcs0\"
medium = \"system\"
protocol = \"kcs\"
";

/// NetFn and command.
const REQUESTS: [(u8, u8); 6] =
    [(0x06, 0x01), (0x06, 0x37), (0x06, 0xee), (0x00, 0x01), (0x0a, 0x10), (0x2c, 0x01)];

const APP: u8 = 0x06;
const GET_BT_INTERFACE_CAPABILITIES: u8 = 0x36;
const GET_CHANNEL_INFO: u8 = 0x42;
const GET_MESSAGE_FLAGS: u8 = 0x31;
const READ_EVENT_MESSAGE_BUFFER: u8 = 0x35;

/// The bridge's device and arguments.
fn device_and_arguments(kind: Kind) -> (&'static str, &'static [&'static str]) {
    match kind {
        Kind::Kcs => ("kcs0", &["-c", "kcs0"]),
        Kind::Bt => ("ipmi-bt-host", &[]),
        Kind::Ssif => ("ipmi-ssif-host", &[]),
    }
}

/// Requests through the bridge have the same responses as calls of `execute()`, also after a restart of
/// `ipmid`.
fn requests_are_answered(kind: Kind) {
    let Some(program) = bridges::openbmc_bridge(kind.bridge()) else {
        return;
    };
    let mut suite = Suite::with(CHANNELS);
    let devices = Devices::build();
    let (name, arguments) = device_and_arguments(kind);
    let _bridge = devices.start(&suite, &program, name, arguments);
    let mut device = HostDevice::plug(kind, &suite.dir().join(name));
    for _ in 0..2 {
        for (netfn, command) in REQUESTS {
            let (code, data) = suite.bus.execute(netfn, command, &[]);
            let expected = [&[code], data.as_slice()].concat();
            let reply = device.request(netfn, command);
            assert_eq!(reply, expected, "{netfn:02X}h/{command:02X}h");
        }
        suite.ipmid.kill();
        suite.restart_ipmid();
    }
    if kind == Kind::Bt {
        // One request of 64 bytes, with the length byte, as the bridge has room for.
        let capabilities = device.request(APP, GET_BT_INTERFACE_CAPABILITIES);
        assert_eq!(capabilities[..4], [0x00, 1, 63, 63]);
    }
}

#[test]
fn requests_of_openbmcs_kcsbridge_are_answered() {
    requests_are_answered(Kind::Kcs);
}

#[test]
fn requests_of_openbmcs_btbridge_are_answered() {
    requests_are_answered(Kind::Bt);
}

#[test]
fn requests_of_openbmcs_ssifbridge_are_answered() {
    requests_are_answered(Kind::Ssif);
}

/// The host's attention is raised through the bridge, and again through a bridge that starts later.
fn attention_is_raised(kind: Kind) {
    let Some(program) = bridges::openbmc_bridge(kind.bridge()) else {
        return;
    };
    let suite = Suite::with(CHANNELS);
    let devices = Devices::build();
    let (name, arguments) = device_and_arguments(kind);
    let start = || devices.start(&suite, &program, name, arguments);
    let mut bridge = start();
    let mut device = HostDevice::plug(kind, &suite.dir().join(name));
    let raised = |bridge: &Process| bridge.log().matches("attention up").count();
    assert_eq!(device.request(APP, GET_MESSAGE_FLAGS), [0x00, 0x00]);
    // Event message buffer, its interrupt, and the log.
    assert_eq!(suite.bus.execute(APP, 0x2e, &[0x0e]), (0x00, vec![]));
    let event = [0x41, 0x04, 0x01, 0x30, 0x01, 0x57, 0x00, 0x00];
    assert_eq!(suite.bus.execute(0x04, 0x02, &event), (0x00, vec![]));
    wait::until_true("attention", || raised(&bridge) > 0);
    drop(device);
    bridge.kill();
    let before = raised(&bridge);

    let bridge = start();
    let mut device = HostDevice::plug(kind, &suite.dir().join(name));
    wait::until_true("attention again", || raised(&bridge) > before);
    assert_eq!(device.request(APP, GET_MESSAGE_FLAGS), [0x00, 0x02]);
    wait::until_true("a host that has read everything", || {
        let read = device.request(APP, READ_EVENT_MESSAGE_BUFFER);
        assert!([0x00, 0x80].contains(&read[0]), "{read:02x?}");
        device.request(APP, GET_MESSAGE_FLAGS) == [0x00, 0x00]
    });
    if kind == Kind::Kcs {
        let lowered = || bridge.log().contains("attention down");
        wait::until_true("no attention", lowered);
    }
}

#[test]
fn attention_is_raised_through_openbmcs_kcsbridge() {
    attention_is_raised(Kind::Kcs);
}

#[test]
fn attention_is_raised_through_openbmcs_btbridge() {
    attention_is_raised(Kind::Bt);
}

#[test]
fn satellites_are_reached_through_openbmcs_ipmbbridge_and_reach_ipmid() {
    let Some(program) = bridges::openbmc_bridge("ipmbbridged") else {
        return;
    };
    let targets = "[[ipmb.target]]\nchannel = 0\naddress = 0x24\n";
    let suite = Suite::with(&format!("{targets}{CHANNELS}"));
    let satellites = Satellites::start(suite.dir());
    // The bridge wants a number after a hyphen.
    symlink(satellites.device(), suite.dir().join("ipmb-0")).expect("a link");
    let channels = r#"{"channels": [{"type": "ipmb", "slave-path": "ipmb-0", "bmc-addr": 32, "remote-addr": 36}]}"#;
    fs::write(suite.dir().join("ipmb-channels.json"), channels).expect("the bridge's file");
    let devices = Devices::build();
    let _bridge = devices.start(&suite, &program, "ipmb-0", &[]);
    let login = suite.administrator();
    let reply = wait::until("a reply of the satellite", || {
        let reply = login.ipmitool("-t 0x24 -b 0 raw 6 1");
        (reply.code == Some(0)).then_some(reply)
    });
    let identity: String = IDENTITY.iter().map(|byte| format!(" {byte:02x}")).collect();
    let expected = format!(" 24 81 01 02 02 29{identity}");
    assert_eq!(reply.ok().trim_end(), expected);
    // OpenBMC's bridge reaches the satellites of its own file only.
    let other = login.ipmitool("-t 0x26 -b 0 raw 6 1");
    assert!(other.failed().contains("rsp=0xd3"), "{other}");

    satellite_is_answered(&suite, &satellites);
}

/// Sends Get Device ID and an event from a satellite; both are answered, and the SEL has the event with the
/// satellite's address.
fn satellite_is_answered(suite: &Suite, satellites: &Satellites) {
    let event = [0x02, 0x04, 0x01, 0x30, 0x01, 0x57, 0x00, 0x00];
    for (netfn, sequence, body) in [(0x18, 0x2c, &[0x01][..]), (0x10, 0x30, &event)] {
        satellites.request(0x24, netfn, sequence, body);
        let is_response = |frame: &Vec<u8>| frame[1] & 0x04 != 0 && frame[4] == sequence;
        let reply = wait::until("a reply of ours", || {
            satellites.frames_for(0x24).into_iter().find(is_response)
        });
        assert_eq!(reply[5..7], [body[0], 0x00], "{reply:02x?}");
    }
    let logged = (1..=20).any(|record| {
        let get_sel_entry = [0x00, 0x00, record, 0x00, 0x00, 0xff];
        let (code, entry) = suite.bus.execute(0x0a, 0x43, &get_sel_entry);
        code == 0x00 && entry.get(9..11) == Some(&[0x24, 0x00])
    });
    assert!(logged, "no event of the satellite's");
}

#[test]
fn openbmcs_ipmid_finds_the_attention_method_of_our_btbridged() {
    let suite = Suite::start();
    let devices = Devices::build();
    let program = programs::program("btbridged");
    let path = suite.dir().join("bt");
    let config = suite.dir().join("causeway.toml").display().to_string();
    let device_path = path.display().to_string();
    let arguments = ["--config", &config, "--channel", "bt0", "--device", &device_path];
    let bridge = devices.start(&suite, &program, "bt", &arguments);
    let mut device = HostDevice::plug(Kind::Bt, &path);
    let channel = device.request(APP, GET_CHANNEL_INFO);
    assert_eq!(channel[0], 0xc7, "{channel:02x?}");
    let name = "org.openbmc.HostIpmi";
    wait::until_true("the name", || suite.bus.has_name(name));
    let call = ["call", name, "/org/openbmc/HostIpmi/1", name, "setAttention"];
    let state = suite.bus.busctl(&call);
    assert!(state.ok().contains(r#""data":[0]"#), "{state}");
    assert!(bridge.log().contains("attention up"), "{}", bridge.log());
}
