//! On files made as OpenBMC makes them.

use std::time::Duration;

use ipmi_proto::{AccessMode, Privilege};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{PasswordTest, Setting};

const KEY_FILE: &[u8] = b"\x01\x02\x03\x04\x05\x06\x07\x08and more";

fn user(name: &str, level: &str) -> Value {
    let enabled = !name.is_empty();
    let mut privilege = vec![""; 16];
    privilege[1] = level;
    let all = |on: bool| vec![on; 16];
    json!({
        "user_name": name, "privilege": privilege, "ipmi_enabled": all(enabled),
        "link_auth_enabled": all(false), "access_callback": all(false),
        "user_enabled": enabled, "user_in_system": enabled, "fixed_user_name": false,
        "payload_enabled": { "std_payload0": all(false), "std_payload1": all(true) },
    })
}

fn users() -> Vec<Value> {
    let mut users = vec![
        user("", ""),
        user("alice", "priv-admin"),
        user("bob", "priv-operator"),
    ];
    users.resize(15, user("", ""));
    users
}

fn channels() -> Value {
    let info = |medium: &str, protocol: &str, sessions: &str| {
        json!({ "medium_type": medium, "protocol_type": protocol,
            "session_supported": sessions, "is_ipmi": true })
    };
    json!({
        "0": { "name": "IPMB", "is_valid": true, "active_sessions": 0,
            "channel_info": info("ipmb", "ipmb-1.0", "session-less") },
        "1": { "name": "eth0", "is_valid": true, "active_sessions": 0, "is_management_nic": true,
            "channel_info": info("lan-802.3", "ipmb-1.0", "multi-session") },
        "2": { "name": "eth1", "is_valid": false, "active_sessions": 0,
            "channel_info": info("lan-802.3", "ipmb-1.0", "multi-session") },
        "3": null,
        "12": { "name": "RESERVED", "is_valid": false, "active_sessions": 0,
            "channel_info": info("reserved", "na", "session-less") },
        "15": { "name": "SMS", "is_valid": true, "active_sessions": 0,
            "channel_info": info("system-interface", "kcs", "session-less") },
    })
}

fn access(mode: &str, limit: &str) -> Value {
    json!({ "1": { "access_mode": mode, "user_auth_disabled": false,
        "per_msg_auth_disabled": false, "alerting_disabled": false, "priv_limit": limit } })
}

struct Bmc {
    _root: tempfile::TempDir,
    files: OpenbmcFiles,
}

impl Bmc {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in [
            "var/lib/ipmi",
            "etc",
            "usr/share/ipmi-providers",
            "run/ipmi",
        ] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let files = OpenbmcFiles::below(root.path());
        fs::write(&files.users, json!(users()).to_string()).unwrap();
        fs::write(&files.key, KEY_FILE).unwrap();
        let passwords = [("alice", "secret"), ("bob", "a password of 20 by")];
        fs::write(&files.passwords, passwords::seal(&passwords, KEY_FILE)).unwrap();
        fs::write(&files.channels, channels().to_string()).unwrap();
        let all = access("always_available", "priv-admin").to_string();
        fs::write(&files.access_default, &all).unwrap();
        Self { _root: root, files }
    }

    fn reader(&self) -> OpenbmcReader {
        OpenbmcReader::open(self.files.clone(), self.files.channel_table().unwrap())
    }
}

fn id(value: u8) -> UserId {
    UserId::new(value).unwrap()
}

fn lan() -> ChannelNumber {
    ChannelNumber::new(1).unwrap()
}

fn has(reader: &OpenbmcReader, user: u8, text: &str) -> bool {
    let size = if text.len() > 16 {
        crate::PasswordSize::Bytes20
    } else {
        crate::PasswordSize::Bytes16
    };
    let offered = Password::new(text.as_bytes(), size).unwrap();
    reader
        .password(id(user))
        .is_some_and(|stored| stored.test(&offered) == PasswordTest::Match)
}

#[test]
fn users_log_in_with_what_openbmc_keeps() {
    let bmc = Bmc::new();
    let reader = bmc.reader();
    let snapshot = reader.snapshot();
    assert_eq!((snapshot.user_ids(), snapshot.enabled_users()), (15, 2));
    assert_eq!(snapshot.find(b"bob"), Some(id(3)));
    assert_eq!(
        snapshot.privilege_limit(id(2), lan()),
        Some(Privilege::Administrator)
    );
    assert_eq!(
        snapshot.privilege_limit(id(3), lan()),
        Some(Privilege::Operator)
    );
    assert_eq!(snapshot.privilege_limit(id(4), lan()), None);
    assert!(
        snapshot.access(id(2), lan()).payloads.sol() && snapshot.access(id(2), lan()).messaging
    );
    assert!(has(&reader, 2, "secret") && has(&reader, 3, "a password of 20 by"));
    assert!(!has(&reader, 2, "wrong") && reader.password(id(4)).is_none());
}

#[test]
fn channels_are_those_that_are_valid() {
    let table = Bmc::new().files.channel_table().unwrap();
    let names: Vec<_> = table
        .iter()
        .map(|c| (c.number().value(), c.name.as_str()))
        .collect();
    assert_eq!(names, [(0, "IPMB"), (1, "eth0"), (15, "SMS")]);
    assert!(table.by_name("eth0").unwrap().has_sessions());
}

#[test]
fn changes_are_seen_without_a_call() {
    let bmc = Bmc::new();
    let reader = bmc.reader();
    assert!(!reader.reload());
    let before = reader.snapshot().generation();
    std::thread::sleep(Duration::from_millis(20));
    let next = bmc.files.users.with_extension("tmp");
    let mut changed = users();
    changed[2] = user("", "");
    fs::write(&next, json!(changed).to_string()).unwrap();
    fs::rename(&next, &bmc.files.users).unwrap();
    assert_eq!(reader.snapshot().find(b"bob"), None);
    assert_ne!(reader.snapshot().generation(), before);
    let passwords = passwords::seal(&[("alice", "another")], KEY_FILE);
    fs::write(&bmc.files.passwords, passwords).unwrap();
    assert!(reader.reload() && has(&reader, 2, "another"));
    assert!(reader.announces(OsStr::new("ipmi_user.json")));
    assert!(!reader.announces(OsStr::new("ipmi_user.json_tmp")));
}

#[test]
fn volatile_access_holds_now_and_its_own_file_before_the_default() {
    let bmc = Bmc::new();
    let both = |reader: &OpenbmcReader| {
        let snapshot = reader.snapshot();
        let mode = |setting| snapshot.channel_access(lan(), setting).unwrap().mode;
        (mode(Setting::Volatile), mode(Setting::NonVolatile))
    };
    let reader = bmc.reader();
    assert_eq!(
        both(&reader),
        (AccessMode::AlwaysAvailable, AccessMode::AlwaysAvailable)
    );
    let off = access("disabled", "priv-user").to_string();
    fs::write(&bmc.files.access_non_volatile, off).unwrap();
    let shared = access("shared", "priv-user").to_string();
    fs::write(&bmc.files.access_volatile, shared).unwrap();
    assert_eq!(both(&reader), (AccessMode::Shared, AccessMode::Disabled));
    assert_eq!(
        reader.snapshot().privilege_limit(id(2), lan()),
        Some(Privilege::User)
    );
}

/// What the format does not protect: reserved and alignment bytes behind the signature, and the
/// initialization vector, which garbles the first block only.
fn unchecked(at: usize) -> bool {
    let word = size_of::<usize>();
    let iv = 12_usize.next_multiple_of(word) + 5 * word + 64;
    (10..12_usize.next_multiple_of(word)).contains(&at) || (iv..iv + 16).contains(&at)
}

#[test]
fn damage_admits_nobody_and_passes() {
    let bmc = Bmc::new();
    let reader = bmc.reader();
    let sealed = fs::read(&bmc.files.passwords).unwrap();
    let alice = |bytes: &[u8]| {
        let found = passwords::open(bytes, KEY_FILE).ok()?;
        found
            .get("alice")
            .map(|password| password.key().starts_with(b"secret\0"))
    };
    assert_eq!(alice(&sealed), Some(true));
    for at in 0..sealed.len() {
        let mut damaged = sealed.clone();
        damaged[at] ^= 0x20;
        assert!(unchecked(at) || alice(&damaged) != Some(true), "byte {at}");
        damaged.truncate(at);
        assert_eq!(alice(&damaged), None, "cut at {at}");
    }
    fs::write(&bmc.files.passwords, &sealed[..100]).unwrap();
    assert!(reader.password(id(2)).is_none());
    fs::write(&bmc.files.users, b"[]").unwrap();
    assert_eq!(reader.snapshot().enabled_users(), 0);
    fs::write(&bmc.files.users, json!(users()).to_string()).unwrap();
    fs::write(&bmc.files.passwords, &sealed).unwrap();
    assert!(has(&reader, 2, "secret"));
}

#[test]
fn missing_files_are_no_users() {
    let bmc = Bmc::new();
    fs::remove_file(&bmc.files.users).unwrap();
    fs::remove_file(&bmc.files.key).unwrap();
    let reader = bmc.reader();
    assert_eq!(reader.snapshot().enabled_users(), 0);
    fs::remove_file(&bmc.files.channels).unwrap();
    assert!(bmc.files.channel_table().is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, signed: bool) {
        let mut file = if signed { b"=OPENBMC=\0".to_vec() } else { Vec::new() };
        file.extend(&bytes);
        let _ = passwords::open(&file, KEY_FILE);
        let _ = super::users::parse(&bytes);
        let _ = channels::table(&bytes);
        let _ = channels::access(&bytes);
    }
}
