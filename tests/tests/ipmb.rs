//! Bridging: a console, and programs on the BMC, reach satellite controllers on an IPMB.

use std::time::{Duration, Instant};

use tests::process::Process;
use tests::satellite::{IDENTITY, Satellites};
use tests::suite::Suite;

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
    Rig {
        suite,
        satellites,
        _bridge: bridge,
    }
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
        assert_eq!(
            answer.ok().trim_end(),
            device_id(0x72),
            "by way of {transit}"
        );
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
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2 {
                    let _ = rig.suite.bus.execute(0x06, 0x34, &frame);
                }
            });
        }
    });
    assert!(begun.elapsed() < Duration::from_secs(20));
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
