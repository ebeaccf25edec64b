//! Bridging: a console, and programs on the BMC, reach satellite controllers on an IPMB.

use serde_json::json;
use tests::monitor::Monitor;
use tests::process::Process;
use tests::satellite::{IDENTITY, Satellites};
use tests::suite::Suite;
use tests::{ctl, wait};

/// A suite with an IPMB bridge and satellites behind it.
struct IpmbSuite {
    suite: Suite,
    satellites: Satellites,
    _bridge: Process,
}

fn start() -> IpmbSuite {
    let suite = Suite::start();
    let satellites = Satellites::start(suite.dir());
    let device = satellites.device().display().to_string();
    let bridge = suite.bridge("ipmbbridged", "Ipmb", ["--device", &device]);
    IpmbSuite { suite, satellites, _bridge: bridge }
}

/// Get Device ID's data as ipmitool's `raw` prints it.
fn device_id(address: u8) -> String {
    let fixed = [address, 0x81, 0x01, 0x02, 0x02, 0x29];
    let bytes = [&fixed[..], &IDENTITY].concat();
    bytes.iter().map(|byte| format!(" {byte:02x}")).collect()
}

#[test]
fn console_reaches_a_satellite() {
    let bmc = start();
    let login = bmc.suite.administrator();
    let reply = login.ipmitool("-t 0x24 -b 0 raw 6 1");
    assert_eq!(reply.ok().trim_end(), device_id(0x24));
    // Again after a C1h, which must not block the bridge.
    let refused = login.ipmitool("-t 0x24 -b 0 raw 6 2");
    assert!(refused.failed().contains("rsp=0xc1"), "{refused}");
    let reply = login.ipmitool("-t 0x24 -b 0 raw 6 1");
    assert_eq!(reply.ok().trim_end(), device_id(0x24));
}

#[test]
fn console_reaches_a_satellite_behind_another() {
    let bmc = start();
    let login = bmc.suite.administrator();
    for transit in ["0x26", "0x28"] {
        let reply = login.ipmitool(&format!("-T {transit} -B 0 -t 0x72 -b 7 raw 6 1"));
        assert_eq!(reply.ok().trim_end(), device_id(0x72), "by way of {transit}");
    }
}

#[test]
fn satellite_that_never_answers_costs_one_c3_and_no_slot() {
    let bmc = start();
    let login = bmc.suite.administrator();
    let silent = login.ipmitool("-t 0x30 -b 0 raw 6 1");
    assert!(silent.failed().contains("rsp=0xc3"), "{silent}");
    assert_eq!(bmc.satellites.requests_for(0x30), 6, "tries");
    // Several requests at once to the silent satellite; then one to another, which must be answered.
    let frame = [0x40, 0x30, 0x18, 0xb8, 0x81, 0x0c, 0x01, 0x72];
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2 {
                    let _ = bmc.suite.bus.execute(0x06, 0x34, &frame);
                }
            });
        }
    });
    let reply = login.ipmitool("-t 0x24 -b 0 raw 6 1");
    assert_eq!(reply.ok().trim_end(), device_id(0x24));
}

#[test]
fn programs_on_the_bmc_reach_satellites() {
    let bmc = start();
    let call = |arguments: &[&str]| {
        let object = [
            "call",
            "xyz.openbmc_project.Ipmi.Channel.Ipmb",
            "/xyz/openbmc_project/Ipmi/Channel/Ipmb",
            "org.openbmc.Ipmb",
        ];
        let output = bmc.suite.bus.busctl(&[&object[..], arguments].concat());
        let reply: serde_json::Value = serde_json::from_str(output.ok()).expect("JSON of busctl");
        reply["data"][0].clone()
    };
    let reply = call(&["sendRequestTo", "yyyyay", "36", "6", "0", "1", "0"]);
    assert_eq!((&reply[0], &reply[4]), (&0.into(), &0.into()), "{reply}");
    assert_eq!(reply[5][0], 0x24, "{reply}");
    // No `[[ipmb.target]]` names the satellite of channel 1.
    let unknown = call(&["sendRequest", "yyyyay", "1", "6", "0", "1", "0"]);
    assert_eq!(unknown[0], 2, "{unknown}");
    let silent = call(&["sendRequestTo", "yyyyay", "48", "6", "0", "1", "0"]);
    assert_eq!(silent[0], 4, "{silent}");
}

/// NetFn 30h with LUN 2 of the BMC's, which is the host's software.
const FOR_HOST: u8 = 0xc2;

#[test]
fn request_of_a_satellite_to_the_bmc_is_answered() {
    let bmc = start();
    bmc.satellites.request(0x24, 0x18, 0x2c, &[0x01]);
    let reply = wait::until("an answer", || bmc.satellites.frames_for(0x24).pop());
    assert_eq!(reply[1] >> 2, 0x07);
    assert_eq!(reply[4..7], [0x2c, 0x01, 0x00], "{reply:02x?}");
}

#[test]
fn satellite_and_host_exchange_request_and_response() {
    let bmc = start();
    bmc.satellites.request(0x24, FOR_HOST, 0x2c, &[0x01, 0x55]);
    let message = wait::until("a message in the queue", || {
        let (code, data) = bmc.suite.bus.execute(0x06, 0x33, &[]);
        (code == 0).then_some(data)
    });
    // Channel 0, then the frame without its receiver. ipmid sends no response: that is the host's to do.
    assert_eq!(message, [0x00, 0xc2, 0x1e, 0x24, 0x2c, 0x01, 0x55, 0x5a]);
    assert!(bmc.satellites.frames_for(0x24).is_empty());
    let response = [0x24, 0xc4, 0x18, 0x20, 0x2e, 0x01, 0x00, 0x66, 0x4b];
    let sent = [&[0x00], &response[..]].concat();
    assert_eq!(bmc.suite.bus.execute(0x06, 0x34, &sent), (0, vec![]));
    let reply = wait::until("the answer", || bmc.satellites.frames_for(0x24).pop());
    assert_eq!(reply, response);
    // A response with the address of another controller is refused.
    let forged = [0x24, 0xc4, 0x18, 0x22, 0x2e, 0x01, 0x00, 0x66, 0x49];
    let sent = [&[0x00], &forged[..]].concat();
    assert_eq!(bmc.suite.bus.execute(0x06, 0x34, &sent).0, 0xd3);
}

#[test]
fn satellite_gets_c0_while_the_hosts_queue_is_full() {
    let bmc = start();
    // One request after another, until one gets C0h.
    let refused = wait::until("a queue that is full", || {
        let frames = bmc.satellites.frames_for(0x24);
        let busy = frames.iter().find(|frame| frame[6] == 0xc0).cloned();
        if busy.is_none() {
            bmc.satellites.request(0x24, FOR_HOST, 0x04, &[0x01]);
        }
        busy
    });
    assert_eq!(refused[1], 0xc4);
    // Clear Message Flags empties it.
    assert_eq!(bmc.suite.bus.execute(0x06, 0x30, &[0x01]).0, 0);
    assert_eq!(bmc.suite.bus.execute(0x06, 0x31, &[]), (0, vec![0x00]));
}

#[test]
fn broadcasts_are_signals_on_the_bus_both_ways() {
    let suite = Suite::with(
        "[ipmb]\naccept-broadcasts = true\n[[ipmb.target]]\nchannel = 1\naddress = 0x24\n",
    );
    let satellites = Satellites::start(suite.dir());
    let device = satellites.device().display().to_string();
    let _bridge = suite.bridge("ipmbbridged", "Ipmb", ["--device", &device]);
    let broadcast = wait::until("a broadcast", || {
        // Again and again, because the bridge may not have subscribed to the signal yet.
        let sent = suite.bus.busctl(&[
            "emit",
            "/xyz/openbmc_project/test",
            "xyz.openbmc_project.Test",
            "sendBroadcast",
            "yyyyay",
            "1",
            "48",
            "0",
            "1",
            "1",
            "85",
        ]);
        sent.ok();
        satellites.frames_for(0x00).pop()
    });
    assert_eq!(broadcast, [0x00, 0xc0, 0x40, 0x20, 0x00, 0x01, 0x55, 0x8a]);
    let recorded = ctl::json_on(&suite.bus, "record --channel Ipmb");
    let (state, to) = (&recorded[0]["state"], &recorded[0]["address"]);
    assert_eq!((state, to), (&json!("broadcast"), &json!(0)), "{recorded}");
    let monitor = Monitor::start(&suite.bus, suite.dir());
    satellites.request(0x24, 0xc0, 0x04, &[0x01, 0x55]);
    let heard = monitor.until_heard("receiveBroadcast");
    assert!(heard.contains("[48,1,[85]]"), "{heard}");
}
