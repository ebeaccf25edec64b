use hex_literal::hex;
use ipmi_proto::{Lun, NetFn};
use rmcp_proto::server::SessionId;

use super::super::{Settings, SolSection};
use super::*;

const FULL: Protection = Protection::FULL;
const PLAIN: Protection = Protection { authenticated: true, encrypted: false };

fn instances() -> PayloadInstances {
    PayloadInstances::new(&SolSection::default(), Settings::default())
}

fn relaxed() -> PayloadInstances {
    let settings = Settings {
        force_encryption: false,
        force_authentication: false,
        privilege: Privilege::User,
        ..Settings::default()
    };
    PayloadInstances::new(&SolSection::default(), settings)
}

/// The session 100 of user 2, an administrator.
fn caller() -> PayloadCaller {
    PayloadCaller {
        holder: Holder { session: SessionId(0x100), user_id: 2 },
        privilege: Privilege::Administrator,
        protection: FULL,
        may_use_sol: true,
        port: 623,
    }
}

fn other_user() -> PayloadCaller {
    PayloadCaller { holder: Holder { session: SessionId(0x200), user_id: 3 }, ..caller() }
}

fn ask(
    instances: &mut PayloadInstances,
    caller: &PayloadCaller,
    command: u8,
    data: &[u8],
) -> (u8, Vec<u8>) {
    let request = Request { netfn: NetFn::APP, lun: Lun::default(), command, data: data.to_vec() };
    let response = answer(instances, caller, &request);
    (response.completion.0, response.data)
}

fn ok() -> (u8, Vec<u8>) {
    (0, Vec::new())
}

fn code(completion: u8) -> (u8, Vec<u8>) {
    (completion, Vec::new())
}

/// What ipmitool 1.8.19 and ipmiconsole 1.6.10 send.
const IPMITOOL: [u8; 6] = hex!("01 01 c6 00 00 00");
const IPMICONSOLE: [u8; 6] = hex!("01 01 c2 00 00 00");

/// Asking for test mode, which the response's auxiliary data says is not active (Table 24-2).
const TEST_MODE: [u8; 6] = hex!("01 01 e6 00 00 00");

#[test]
fn the_clients_activate_and_deactivate() {
    for request in [IPMITOOL, IPMICONSOLE, TEST_MODE] {
        let mut instances = instances();
        let activated = hex!("00 00 00 00 ff 00 ff 00 6f 02 ff ff").to_vec();
        assert_eq!(ask(&mut instances, &caller(), 0x48, &request), (0, activated));
        assert_eq!(
            ask(&mut instances, &caller(), 0x4a, &hex!("01")),
            (0, hex!("04 01 00").to_vec())
        );
        let deactivate = hex!("01 01 00 00 00 00");
        assert_eq!(ask(&mut instances, &caller(), 0x49, &deactivate), ok());
        assert_eq!(ask(&mut instances, &caller(), 0x49, &deactivate), code(0x80));
        assert_eq!(
            ask(&mut instances, &caller(), 0x4a, &hex!("01")),
            (0, hex!("04 00 00").to_vec())
        );
    }
}

#[test]
fn activation_is_refused_with_the_code_that_says_why() {
    let encrypted = PayloadCaller { protection: PLAIN, ..caller() };
    let operator = PayloadCaller { privilege: Privilege::Operator, ..caller() };
    let no_access = PayloadCaller { may_use_sol: false, ..caller() };
    let cases: [(&str, PayloadCaller, &[u8], u8); 9] = [
        ("session without encryption", encrypted, &IPMITOOL, 0x83),
        ("encryption is forced", caller(), &hex!("01 01 46 00 00 00"), 0x84),
        ("authentication is forced", caller(), &hex!("01 01 86 00 00 00"), 0xd5),
        ("privilege", operator, &IPMITOOL, 0xd4),
        ("user without SOL", no_access, &IPMITOOL, 0x81),
        ("another payload", caller(), &hex!("02 01 c6 00 00 00"), 0xcc),
        ("instance zero", caller(), &hex!("01 00 c6 00 00 00"), 0xcc),
        ("no such instance", caller(), &hex!("01 05 c6 00 00 00"), 0x82),
        ("length", caller(), &hex!("01 01 c6 00 00"), 0xc7),
    ];
    for (name, caller, request, expected) in cases {
        assert_eq!(ask(&mut instances(), &caller, 0x48, request), code(expected), "{name}");
    }
    let disabled = Settings { enable: false, ..Settings::default() };
    let mut instances = PayloadInstances::new(&SolSection::default(), disabled);
    assert_eq!(ask(&mut instances, &caller(), 0x48, &IPMITOOL), code(0x81));
}

#[test]
fn a_held_instance_is_another_users_or_taken_over() {
    let mut instances = instances();
    assert_eq!(ask(&mut instances, &caller(), 0x48, &IPMITOOL).0, 0);
    assert_eq!(ask(&mut instances, &other_user(), 0x48, &IPMITOOL), code(0x80));
    let later =
        PayloadCaller { holder: Holder { session: SessionId(0x101), user_id: 2 }, ..caller() };
    assert_eq!(ask(&mut instances, &later, 0x48, &IPMITOOL).0, 0);
    assert_eq!(
        ask(&mut instances, &caller(), 0x4b, &hex!("01 01")),
        (0, hex!("01 01 00 00 01 00 00 00 00 00 00 00").to_vec())
    );
}

#[test]
fn others_instances_are_for_administrators_to_deactivate() {
    let mut instances = relaxed();
    assert_eq!(ask(&mut instances, &caller(), 0x48, &IPMITOOL).0, 0);
    let operator = PayloadCaller { privilege: Privilege::Operator, ..other_user() };
    let deactivate = hex!("01 01 00 00 00 00");
    assert_eq!(ask(&mut instances, &operator, 0x49, &deactivate), code(0xd4));
    assert_eq!(ask(&mut instances, &other_user(), 0x49, &deactivate), ok());
}

#[test]
fn status_and_info_know_all_instances() {
    let mut instances = instances();
    assert_eq!(ask(&mut instances, &caller(), 0x48, &hex!("01 02 c6 00 00 00")).0, 0);
    assert_eq!(ask(&mut instances, &other_user(), 0x48, &hex!("01 04 c6 00 00 00")).0, 0);
    assert_eq!(ask(&mut instances, &caller(), 0x4a, &hex!("01")), (0, hex!("04 0a 00").to_vec()));
    assert_eq!(ask(&mut instances, &caller(), 0x4a, &hex!("02")), code(0xcc));
    assert_eq!(
        ask(&mut instances, &caller(), 0x4b, &hex!("01 01")),
        (0, hex!("00 00 00 00 01 00 00 00 00 00 00 00").to_vec())
    );
    assert_eq!(ask(&mut instances, &caller(), 0x4b, &hex!("01 05")), code(0xcc));
    assert_eq!(ask(&mut instances, &caller(), 0x4b, &hex!("01")), code(0xc7));
}

#[test]
fn encryption_is_suspended_only_where_it_may() {
    let mut instances = instances();
    assert_eq!(ask(&mut instances, &caller(), 0x55, &hex!("01 01 00")), code(0x83));
    assert_eq!(ask(&mut instances, &caller(), 0x48, &IPMITOOL).0, 0);
    assert_eq!(ask(&mut instances, &caller(), 0x55, &hex!("01 01 00")), code(0x81));
    assert_eq!(ask(&mut instances, &other_user(), 0x55, &hex!("01 01 01")), code(0x83));
    assert_eq!(ask(&mut instances, &caller(), 0x55, &hex!("01 01 02")), code(0x80));
    assert_eq!(ask(&mut instances, &caller(), 0x55, &hex!("01 01 03")), code(0xcc));

    let mut instances = relaxed();
    assert_eq!(ask(&mut instances, &caller(), 0x48, &IPMITOOL).0, 0);
    let encrypted = |instances: &PayloadInstances| {
        instances.protection(InstanceNumber::WRITER, SessionId(0x100)).unwrap().encrypted
    };
    assert_eq!(ask(&mut instances, &caller(), 0x55, &hex!("01 01 00")), ok());
    assert!(!encrypted(&instances));
    assert_eq!(ask(&mut instances, &caller(), 0x55, &hex!("01 01 01")), ok());
    assert!(encrypted(&instances));

    let mut instances = relaxed();
    let plain = PayloadCaller { protection: PLAIN, ..caller() };
    assert_eq!(ask(&mut instances, &plain, 0x48, &hex!("01 01 46 00 00 00")).0, 0);
    assert_eq!(ask(&mut instances, &plain, 0x55, &hex!("01 01 01")), code(0x82));
}
