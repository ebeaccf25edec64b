//! On files made as OpenBMC makes them.

use std::fs;
use std::time::Duration;

use hex_literal::hex;
use ipmi_proto::{AccessMode, Privilege};
use proptest::prelude::*;
use serde_json::json;

use super::testing::{Bmc, KEY_FILE, access, user, users};
use super::*;
use crate::{PasswordTest, Setting};

fn reader(bmc: &Bmc) -> OpenbmcReader {
    let table = bmc.files.channel_table().unwrap();
    let config = AccessConfig::default();
    OpenbmcReader::open(bmc.files.clone(), table, &bmc.state(), &config)
}

fn id(value: u8) -> UserId {
    UserId::new(value).unwrap()
}

fn lan() -> ChannelNumber {
    ChannelNumber::new(1).unwrap()
}

fn has(reader: &OpenbmcReader, user: u8, text: &str) -> bool {
    let size =
        if text.len() > 16 { crate::PasswordSize::Bytes20 } else { crate::PasswordSize::Bytes16 };
    let offered = Password::new(text.as_bytes(), size).unwrap();
    reader.password(id(user)).is_some_and(|stored| stored.test(&offered) == PasswordTest::Match)
}

#[test]
fn users_log_in_with_what_openbmc_keeps() {
    let bmc = Bmc::new();
    let reader = reader(&bmc);
    let snapshot = reader.snapshot();
    assert_eq!((snapshot.user_ids(), snapshot.enabled_users()), (15, 2));
    assert_eq!(snapshot.find(b"bob"), Some(id(3)));
    assert_eq!(snapshot.privilege_limit(id(2), lan()), Some(Privilege::Administrator));
    assert_eq!(snapshot.privilege_limit(id(3), lan()), Some(Privilege::Operator));
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
    let names: Vec<_> = table.iter().map(|c| (c.number().value(), c.name.as_str())).collect();
    assert_eq!(names, [(0, "IPMB"), (1, "eth0"), (15, "SMS")]);
    assert!(table.by_name("eth0").unwrap().has_sessions());
}

#[test]
fn changes_are_seen_without_a_call() {
    let bmc = Bmc::new();
    let reader = reader(&bmc);
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
    let passwords = passwords::file_of(&[("alice", "another")], KEY_FILE);
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
    let reader = reader(&bmc);
    assert_eq!(both(&reader), (AccessMode::AlwaysAvailable, AccessMode::AlwaysAvailable));
    let off = access("disabled", "priv-user").to_string();
    fs::write(&bmc.files.access_non_volatile, off).unwrap();
    let shared = access("shared", "priv-user").to_string();
    fs::write(&bmc.files.access_volatile, shared).unwrap();
    assert_eq!(both(&reader), (AccessMode::Shared, AccessMode::Disabled));
    assert_eq!(reader.snapshot().privilege_limit(id(2), lan()), Some(Privilege::User));
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
    let reader = reader(&bmc);
    let sealed = fs::read(&bmc.files.passwords).unwrap();
    let alice = |bytes: &[u8]| {
        let found = passwords::open(bytes, KEY_FILE).ok()?;
        found.get("alice").map(|password| password.key().starts_with(b"secret\0"))
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
    let reader = reader(&bmc);
    assert_eq!(reader.snapshot().enabled_users(), 0);
    fs::remove_file(&bmc.files.channels).unwrap();
    assert!(bmc.files.channel_table().is_err());
}

/// Made with openssl's command line: HMACs with `dgst -mac HMAC`, the text with `enc -aes-128-cbc`.
#[cfg(target_pointer_width = "64")]
const GOLDEN: [u8; 216] = hex!(
    "3d4f50454e424d433d0000000000000040000000000000001000000000000000"
    "25000000000000000b0000000000000020000000000000004041424344454647"
    "48494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f6061626364656667"
    "68696a6b6c6d6e6f707172737475767778797a7b7c7d7e7fa0a1a2a3a4a5a6a7"
    "a8a9aaabacadaeafbe241280bf88a1d0bcfe38fb22a1c2ee58807272bc90defe"
    "ccc205b2e5ee763b3f3803c3c56b79598b2e265cc992edc26a9acee198ef9f04"
    "51aecb9c787f2606bb69251b25e7f8b31387fa32d1cc16a9"
);

#[cfg(target_pointer_width = "64")]
#[test]
fn passwords_match_golden_bytes() {
    let found = passwords::open(&GOLDEN, KEY_FILE).unwrap();
    let text: Vec<_> =
        found.iter().map(|(name, password)| (name.as_str(), password.text())).collect();
    assert_eq!(text, [("alice", &b"secret"[..]), ("bob", b"a password of 20 by")]);
    // Ours differ in the random bytes alone, and in what is made of them.
    let entries = [("alice", "secret"), ("bob", "a password of 20 by")];
    let ours = passwords::file_of(&entries, KEY_FILE);
    assert_eq!((&ours[..56], ours.len()), (&GOLDEN[..56], GOLDEN.len()));
    let again = passwords::file_of(&entries, KEY_FILE);
    assert_ne!(ours[56..136], again[56..136]);
}

#[test]
fn suites_are_those_that_the_file_lists() {
    let bmc = Bmc::new();
    let suites = |allowed: &[u8]| bmc.files.cipher_suites(allowed);
    assert_eq!(suites(&[17, 3]), Ok(vec![17, 3]));
    let record =
        |id: u8| json!({ "cipher": id, "authentication": 3, "integrity": 4, "confidentiality": 1 });
    bmc.put(&bmc.files.cipher_list, &json!([record(17), record(8)]));
    assert_eq!(suites(&[17, 3]), Ok(vec![17]));
    assert!(suites(&[3]).is_err());
}

#[test]
fn privileges_of_suites_are_those_set_before_those_shipped() {
    let bmc = Bmc::new();
    bmc.put(
        &bmc.files.cipher_default,
        &json!({ "Channel1": { "CipherID3": "priv-reserved", "CipherID8": "priv-user" } }),
    );
    bmc.put(&bmc.files.cipher_privileges, &json!({ "Channel1": { "CipherID3": "priv-operator" } }));
    let snapshot = reader(&bmc).snapshot();
    let limit = |suite| snapshot.cipher_privilege(lan(), suite);
    assert_eq!(limit(3), Some(Privilege::Operator));
    assert_eq!(limit(8), Some(Privilege::User));
    assert_eq!(limit(17), Some(Privilege::Administrator));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, signed: bool) {
        let mut file = if signed { b"=OPENBMC=\0".to_vec() } else { Vec::new() };
        file.extend(&bytes);
        let _ = passwords::open(&file, KEY_FILE);
        let _ = users::UserTable::parse(&bytes);
        let _ = channels::table(&bytes);
        let _ = channels::access(&bytes);
        let _ = channels::management(&bytes);
        let _ = ciphers::list(&bytes);
        let _ = ciphers::limits(&bytes);
    }
}
