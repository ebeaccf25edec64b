//! Bridging: a console, and programs on the BMC, reach satellite controllers on an IPMB.

use tests::monitor::Monitor;
use tests::process::Process;
use tests::satellite::{IDENTITY, Satellites};
use tests::suite::Suite;
use tests::wait;

/// A suite with an IPMB bridge and satellites behind it.
struct Rig {
    suite: Suite,
    satellites: Satellites,
    _bridge: Process,
}

fn rig() -> Rig {
    let suite = Suite::start();
    let satellites = Satellites::start(suite.dir());
    let device = satellites.device().display().to_string();
    let bridge = suite.bridge("ipmbbridged", "Ipmb", ["--device", &device]);
    Rig { suite, satellites, _bridge: bridge }
}

/// Get Device ID's data as ipmitool's `raw` prints it.
fn device_id(address: u8) -> String {
    let fixed = [address, 0x81, 0x01, 0x02, 0x02, 0x29];
    let bytes = [&fixed[..], &IDENTITY].concat();
    bytes.iter().map(|byte| format!(" {byte:02x}")).collect()
}

#[test]
fn console_reaches_a_satellite() {
    let rig = rig();
    let login = rig.suite.administrator();
    let answer = login.ipmitool("-t 0x24 -b 0 raw 6 1");
    assert_eq!(answer.ok().trim_end(), device_id(0x24));
    // More than once: a C1h in between blocks nothing.
    let refused = login.ipmitool("-t 0x24 -b 0 raw 6 2");
    assert!(refused.failed().contains("rsp=0xc1"), "{refused}");
    let answer = login.ipmitool("-t 0x24 -b 0 raw 6 1");
    assert_eq!(answer.ok().trim_end(), device_id(0x24));
}

#[test]
fn console_reaches_a_satellite_behind_another() {
    let rig = rig();
    let login = rig.suite.administrator();
    for transit in ["0x26", "0x28"] {
        let answer = login.ipmitool(&format!("-T {transit} -B 0 -t 0x72 -b 7 raw 6 1"));
        assert_eq!(answer.ok().trim_end(), device_id(0x72), "by way of {transit}");
    }
}

#[test]
fn satellite_that_never_answers_costs_one_c3_and_no_slot() {
    let rig = rig();
    let login = rig.suite.administrator();
    let silent = login.ipmitool("-t 0x30 -b 0 raw 6 1");
    assert!(silent.failed().contains("rsp=0xc3"), "{silent}");
    assert_eq!(rig.satellites.requests_for(0x30), 6, "tries");
    // More silent requests at once than there are sequence numbers, and then one that is answered.
    let frame = [0x40, 0x30, 0x18, 0xb8, 0x81, 0x0c, 0x01, 0x72];
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2 {
                    let _ = rig.suite.bus.execute(0x06, 0x34, &frame);
                }
            });
        }
    });
    let answer = login.ipmitool("-t 0x24 -b 0 raw 6 1");
    assert_eq!(answer.ok().trim_end(), device_id(0x24));
}

#[test]
fn programs_on_the_bmc_reach_satellites() {
    let rig = rig();
    let call = |arguments: &[&str]| {
        let object = [
            "call",
            "xyz.openbmc_project.Ipmi.Channel.Ipmb",
            "/xyz/openbmc_project/Ipmi/Channel/Ipmb",
            "org.openbmc.Ipmb",
        ];
        let output = rig.suite.bus.busctl(&[&object[..], arguments].concat());
        let reply: serde_json::Value = serde_json::from_str(output.ok()).expect("JSON of busctl");
        reply["data"][0].clone()
    };
    let answer = call(&["sendRequestTo", "yyyyay", "36", "6", "0", "1", "0"]);
    assert_eq!((&answer[0], &answer[4]), (&0.into(), &0.into()), "{answer}");
    assert_eq!(answer[5][0], 0x24, "{answer}");
    // Nobody has said which satellite channel 1 is.
    let unknown = call(&["sendRequest", "yyyyay", "1", "6", "0", "1", "0"]);
    assert_eq!(unknown[0], 2, "{unknown}");
    let silent = call(&["sendRequestTo", "yyyyay", "48", "6", "0", "1", "0"]);
    assert_eq!(silent[0], 4, "{silent}");
}

/// NetFn 30h with LUN 2 of the BMC's, which is the host's software.
const FOR_HOST: u8 = 0xc2;

#[test]
fn satellite_asks_the_bmc_and_is_answered() {
    let rig = rig();
    rig.satellites.request(0x24, 0x18, 0x2c, &[0x01]);
    let answer = wait::until("an answer", || rig.satellites.frames_for(0x24).pop());
    assert_eq!(answer[1] >> 2, 0x07);
    assert_eq!(answer[4..7], [0x2c, 0x01, 0x00], "{answer:02x?}");
}

#[test]
fn satellite_and_host_ask_and_answer_one_another() {
    let rig = rig();
    rig.satellites.request(0x24, FOR_HOST, 0x2c, &[0x01, 0x55]);
    let message = wait::until("a message in the queue", || {
        let (code, data) = rig.suite.bus.execute(0x06, 0x33, &[]);
        (code == 0).then_some(data)
    });
    // Channel 0, then the frame without its receiver: nothing answers it but the host.
    assert_eq!(message, [0x00, 0xc2, 0x1e, 0x24, 0x2c, 0x01, 0x55, 0x5a]);
    assert!(rig.satellites.frames_for(0x24).is_empty());
    let response = [0x24, 0xc4, 0x18, 0x20, 0x2e, 0x01, 0x00, 0x66, 0x4b];
    let sent = [&[0x00], &response[..]].concat();
    assert_eq!(rig.suite.bus.execute(0x06, 0x34, &sent), (0, vec![]));
    let answer = wait::until("the answer", || rig.satellites.frames_for(0x24).pop());
    assert_eq!(answer, response);
    // In somebody else's name there is no answer.
    let forged = [0x24, 0xc4, 0x18, 0x22, 0x2e, 0x01, 0x00, 0x66, 0x49];
    let sent = [&[0x00], &forged[..]].concat();
    assert_eq!(rig.suite.bus.execute(0x06, 0x34, &sent).0, 0xd3);
}

#[test]
fn satellite_hears_that_the_hosts_queue_is_full() {
    let rig = rig();
    // As fast as the bridge takes them from one satellite.
    let refused = wait::until("a queue that is full", || {
        let frames = rig.satellites.frames_for(0x24);
        let busy = frames.iter().find(|frame| frame[6] == 0xc0).cloned();
        if busy.is_none() {
            rig.satellites.request(0x24, FOR_HOST, 0x04, &[0x01]);
        }
        busy
    });
    assert_eq!(refused[1], 0xc4);
    // Clear Message Flags empties it.
    assert_eq!(rig.suite.bus.execute(0x06, 0x30, &[0x01]).0, 0);
    assert_eq!(rig.suite.bus.execute(0x06, 0x31, &[]), (0, vec![0x00]));
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
        // Until the bridge follows signals.
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
    let monitor = Monitor::start(&suite.bus, suite.dir());
    satellites.request(0x24, 0xc0, 0x04, &[0x01, 0x55]);
    let heard = monitor.until_heard("receiveBroadcast");
    assert!(heard.contains("[48,1,[85]]"), "{heard}");
}
