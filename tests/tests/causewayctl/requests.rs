//! `raw` and `commands`.

use serde_json::json;
use tests::bus::Bus;
use tests::ctl;
use tests::suite::Suite;

#[test]
fn raw_prints_the_response_or_the_completion_code_with_its_text() {
    let suite = Suite::start();
    super::check("raw-get-device-id", &ctl::on(&suite.bus, "raw 0x06 0x08"));
    super::check("raw-invalid-command", &ctl::on(&suite.bus, "raw 30h 0x77"));
    super::check("raw-wrong-length", &ctl::on(&suite.bus, "raw 6 1 0"));
    let reply = ctl::json_on(&suite.bus, "raw 6 0x37");
    let (code, guid) = suite.bus.execute(0x06, 0x37, &[]);
    let data: String = guid.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((&reply["completion"]["code"], &reply["data"]), (&json!(code), &json!(data)));
    let output = ctl::on(&suite.bus, "--json raw 6 1 0");
    assert_eq!(output.code, Some(1));
    let reply = ctl::json_of(&output, "raw");
    assert_eq!(reply["completion"], json!({"code": 0xc7, "text": "request data length invalid"}));
}

/// A password that is set by hand is not printed.
#[test]
fn raw_does_not_print_the_request() {
    let suite = Suite::start();
    let line = "raw 6 0x47 0x03 0x02 0x73 0x65 0x63 0x72 0x65 0x74 0 0 0 0 0 0 0 0 0 0";
    for options in ["", "--json "] {
        let output = ctl::on(&suite.bus, &format!("{options}{line}"));
        assert!(!output.stdout.contains("73 65") && !output.stdout.contains("7365"), "{output}");
    }
}

/// As which channel and privilege, as docs/dbus.md says.
#[test]
fn raw_is_a_bridge_only_where_the_name_is_free_and_has_the_privilege_it_says() {
    let mut suite = Suite::start();
    super::check("raw-channel-taken", &ctl::on(&suite.bus, "raw --channel lan0 6 1"));
    suite.netipmid.kill();
    tests::wait::until_true("the name is free", || {
        !suite.bus.has_name("xyz.openbmc_project.Ipmi.Channel.lan0")
    });
    let as_user = "raw --channel lan0 --user-id 2 --privilege";
    // Chassis Control needs Operator for every user.
    let code = |line: &str| ctl::json_on(&suite.bus, line)["completion"]["code"].clone();
    assert_eq!(code(&format!("{as_user} user 0 2 0xf")), 0xd4);
    assert_eq!(code(&format!("{as_user} operator 0 2 0xf")), 0xcc);
    assert_eq!(code("raw --channel lan0 6 1"), 0xff);
    assert_eq!(code("raw --channel lan0 --user-id 3 6 1"), 0xd4);
    assert_eq!(code("raw --channel nowhere 6 1"), 0xd3);
    assert_eq!(code("raw --channel Ipmb --satellite 0x12 6 1"), 0);
}

#[test]
fn without_ipmid_a_request_is_an_error_with_a_remedy() {
    let dir = tempfile::tempdir().expect("a folder");
    let bus = Bus::start(dir.path());
    super::check("raw-no-ipmid", &ctl::on(&bus, "raw 6 1"));
    super::check("commands-no-ipmid", &ctl::on(&bus, "commands"));
}

#[test]
fn commands_are_those_that_ipmid_answers() {
    let suite = Suite::start();
    super::check("commands-watchdog", &ctl::on(&suite.bus, "commands WATCHDOG"));
    super::check("commands-sbmr", &ctl::on(&suite.bus, "commands --netfn 2Ch boot"));
    super::check("commands-nothing", &ctl::on(&suite.bus, "commands no-such-command"));
    let all = ctl::json_on(&suite.bus, "commands");
    let all = all.as_array().expect("a list");
    assert!(all.len() > 100, "{} commands", all.len());
    let has = |netfn: u8, command: u8| {
        let row = |row: &&serde_json::Value| {
            (&row["family"], &row["number"], &row["command"])
                == (&json!("netfn"), &json!(netfn), &json!(command))
        };
        all.iter().any(|value| row(&value))
    };
    // Without data, so that nothing is changed: what is registered is anything but an invalid command.
    for netfn in [0x00, 0x04, 0x06, 0x0a, 0x0c] {
        for command in (0..=u8::MAX).filter(|&command| !may_act((netfn, command))) {
            let (code, _) = suite.bus.execute(netfn, command, &[]);
            assert_eq!(
                has(netfn, command),
                code != 0xc1,
                "{netfn:02X}h {command:02X}h: {code:02X}h"
            );
        }
    }
}

/// Commands without data that would change something or end ipmid.
fn may_act(command: (u8, u8)) -> bool {
    let acting: [(u8, u8); 9] = [
        (0x06, 0x02),
        (0x06, 0x03),
        (0x06, 0x04),
        (0x06, 0x22),
        (0x06, 0x33),
        (0x06, 0x35),
        (0x0a, 0x2a),
        (0x0a, 0x22),
        (0x0a, 0x42),
    ];
    acting.contains(&command)
}

#[test]
fn command_that_the_firewall_refuses_is_listed_with_channel_and_reason() {
    let suite = Suite::start();
    let administrator = suite.administrator();
    super::check("commands-not-refused", &ctl::on(&suite.bus, "commands --refused"));
    administrator.ipmitool("firewall disable channel 1 lun 0 netfn 0xa command 0x40 force").ok();
    super::check("commands-refused", &ctl::on(&suite.bus, "commands --refused"));
    let refused = ctl::json_on(&suite.bus, "commands --refused");
    let refusal = &refused[0]["refusals"][0];
    assert_eq!((&refusal["channel"], &refusal["completion"]["code"]), (&json!(1), &json!(0xd4)));
    // It says what the channel's clients get.
    assert!(administrator.ipmitool("raw 0xa 0x40").stderr.contains("rsp=0xd4"));
}
