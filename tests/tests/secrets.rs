//! Passwords and keys are in no daemon's log, at its most verbose level, while users are made and log in.

use std::fs;
use std::path::Path;
use std::process::Command;

use assert_cmd::assert::OutputAssertExt;
use tests::client::{self, Output};
use tests::clients::Login;
use tests::host_device::{HostDevice, Kind};
use tests::process::Process;
use tests::programs::program;
use tests::spellings::spellings;
use tests::suite::Suite;
use tests::{daemons, wait};

const VERBOSE: &str = "[log]\nlevel = \"trace\"\n";

const APP: u8 = 0x06;
const SET_PASSWORD: u8 = 0x47;
const SET_SECURITY_KEYS: u8 = 0x56;

/// A password of a user, as its bytes; each test has its own, so that a match in a log is no coincidence.
fn password(text: &str, size: usize) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(size, 0);
    bytes
}

/// The data of Set User Password: user, operation (0 disable, 1 enable, 2 set, 3 test), password.
fn set_password(user: u8, operation: u8, password: &[u8]) -> Vec<u8> {
    let size = if password.len() > 16 { 0x80 } else { 0 };
    [&[user | size, operation][..], password].concat()
}

/// The data of Set Channel Security Keys: set K_G.
fn set_kg(key: &[u8]) -> Vec<u8> {
    [&[0x01, 0x01, 0x01][..], key].concat()
}

/// Fails if one of `secrets` is in a log of `dir`.
#[track_caller]
fn assert_not_logged(dir: &Path, secrets: &[&[u8]]) {
    let mut logs = 0;
    for entry in fs::read_dir(dir).expect("the suite's folder") {
        let path = entry.expect("a file").path();
        if path.extension().is_none_or(|extension| extension != "log") {
            continue;
        }
        logs += 1;
        let bytes = fs::read(&path).expect("a log");
        let log = String::from_utf8_lossy(&bytes);
        for spelling in secrets.iter().flat_map(|secret| spellings(secret)) {
            let line = log.lines().find(|line| line.contains(&spelling));
            assert_eq!(line, None, "{spelling} in {}", path.display());
        }
    }
    assert!(logs >= 4, "{logs} logs");
}

/// Whether the most verbose level is on: a line of the level debug.
#[track_caller]
fn assert_verbose(process: &Process) {
    assert!(process.log().contains("debug: "), "{}", process.log());
}

#[test]
fn spellings_find_what_they_spell() {
    let secret = b"hunter2-hunter2-";
    for text in [
        format!("{:?}", &secret[..]),
        format!("{:02x?}", &secret[..]),
        "68 75 6e 74 65 72 32 2d 68".to_owned(),
        "68756E746572322D".to_owned(),
        "data=hunter2-hunter2-".to_owned(),
        "aHVudGVyMi1odW50ZXIyLQ==".to_owned(),
    ] {
        assert!(spellings(secret).iter().any(|spelling| text.contains(spelling)), "{text}");
    }
}

#[test]
fn passwords_and_keys_set_over_the_bus_are_not_logged() {
    let suite = Suite::with(VERBOSE);
    let (short, long) = (password("bus-Xq7Zw2Kd", 16), password("bus-long-Vn5Rt8Lp-20", 20));
    let (wrong, kg) = (password("bus-wrong-Gh3Jk6", 16), password("bus-kg-Bv4Cx9Ms-KG20", 20));
    let send = |command: u8, data: &[u8]| suite.bus.execute(APP, command, data).0;
    assert_eq!(send(SET_PASSWORD, &set_password(3, 2, &short)), 0x00);
    assert_eq!(send(SET_PASSWORD, &set_password(3, 3, &short)), 0x00);
    assert_eq!(send(SET_PASSWORD, &set_password(3, 3, &wrong)), 0x80);
    assert_eq!(send(SET_PASSWORD, &set_password(4, 2, &long)), 0x00);
    assert_eq!(send(SET_PASSWORD, &set_password(4, 3, &long)), 0x00);
    // Of a wrong length, for a user id that does not exist, and in an unknown command.
    assert_ne!(send(SET_PASSWORD, &set_password(3, 2, &short[..15])), 0x00);
    assert_ne!(send(SET_PASSWORD, &[set_password(3, 2, &long), vec![7]].concat()), 0x00);
    assert_ne!(send(SET_PASSWORD, &set_password(63, 2, &short)), 0x00);
    assert_ne!(send(0xfe, &set_password(3, 2, &short)), 0x00);
    assert_eq!(send(SET_SECURITY_KEYS, &set_kg(&kg)), 0x00);
    assert_ne!(send(SET_SECURITY_KEYS, &set_kg(&kg[..19])), 0x00);
    assert_verbose(&suite.ipmid);
    assert_not_logged(suite.dir(), &[&short, &long, &wrong, &kg]);
}

/// The host sets and tests passwords through each of its interfaces.
#[test]
fn passwords_and_keys_set_by_the_host_are_not_logged() {
    let suite = Suite::with(VERBOSE);
    for kind in [Kind::Kcs, Kind::Bt, Kind::Ssif] {
        let path = suite.dir().join(kind.channel());
        let device = path.display().to_string();
        let bridge = suite.bridge(kind.bridge(), kind.channel(), ["--device", &device]);
        let mut host = HostDevice::plug(kind, &path);
        host.request(APP, 0x01);
        let (secret, wrong) = (password("host-Ty6Ui1Op", 16), password("host-wrong-Qa2Ws", 16));
        let kg = password("host-kg-Ed5Rf7Tg-KG2", 20);
        for (command, data, code) in [
            (SET_PASSWORD, set_password(5, 2, &secret), 0x00),
            (SET_PASSWORD, set_password(5, 3, &secret), 0x00),
            (SET_PASSWORD, set_password(5, 3, &wrong), 0x80),
            (SET_PASSWORD, set_password(5, 2, &secret[..11]), 0xc7),
            (SET_SECURITY_KEYS, set_kg(&kg), 0x00),
        ] {
            host.send_with(APP, command, &data);
            let answer = host.receive(APP, command);
            assert_eq!(answer[0], code, "{kind:?} {command:02x}");
        }
        assert!(bridge.log().contains("device"), "{}", bridge.log());
        assert_not_logged(suite.dir(), &[&secret, &wrong, &kg]);
    }
}

fn login(login: &Login, arguments: &[&str]) -> Output {
    client::run(login.ipmitool_command().args(arguments))
}

#[test]
fn passwords_set_and_used_over_the_lan_are_not_logged() {
    let suite = Suite::with(&format!("[lan]\nipmi-15 = [\"password\", \"md5\"]\n{VERBOSE}"));
    let administrator = suite.administrator();
    let (first, second) = ("lan-Mn8Bv3Cx", "lan-long-Zl4Kj9Hg-20");
    let user = suite.add_user(3, "carol", first, 4);
    administrator.ipmitool(&format!("user test 3 16 {first}")).ok();
    administrator.ipmitool("user test 3 16 lan-wrong-Po0Iu").failed();
    user.user("carol", "lan-wrong-Po0Iu").ipmitool("mc info").failed();
    user.user("lan-nobody", "lan-wrong-Po0Iu").ipmitool("mc info").failed();
    // The authentication type "straight password" puts the password into the packet.
    for kind in ["PASSWORD", "MD5"] {
        let mut command = user.program("ipmitool");
        command.args(["-I", "lan", "-A", kind, "-H", &user.address.ip().to_string()]);
        command.args(["-p", &user.address.port().to_string(), "-U", "carol", "-P", first]);
        client::run(command.args(["mc", "info"])).ok();
    }
    login(&user, &["user", "set", "password", "3", second, "20"]).ok();
    let user = user.user("carol", second);
    wait::until_true("the new password holds", || user.ipmitool("mc info").code == Some(0));
    assert_verbose(&suite.netipmid);
    assert_verbose(&suite.ipmid);
    let wrong = b"lan-wrong-Po0Iu";
    assert_not_logged(suite.dir(), &[first.as_bytes(), second.as_bytes(), wrong]);
}

#[test]
fn passwords_of_openbmcs_accounts_are_not_logged() {
    let suite = Suite::with_openbmc_accounts(VERBOSE);
    let (name, old, _) = tests::openbmc::USERS[0];
    let alice = suite.administrator().user(name, old);
    let new = "pam-Wx1Cv6Bn";
    alice.ipmitool("user set name 5 dave").ok();
    alice.ipmitool(&format!("user set password 5 {new}")).ok();
    alice.ipmitool(&format!("user test 5 16 {new}")).ok();
    alice.ipmitool("user test 5 16 pam-wrong-Lk2Jh").failed();
    assert_verbose(&suite.ipmid);
    let secrets: [&[u8]; 3] = [old.as_bytes(), new.as_bytes(), b"pam-wrong-Lk2Jh"];
    assert_not_logged(suite.dir(), &secrets);
}

/// The first user's password is in the configuration: neither an error in that file nor -v -v logs it.
#[test]
fn password_of_the_configuration_is_not_logged() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("causeway.toml");
    for value in
        ["80443322", "\"80443322", "80443322.5", "[\"80443322\"]", "\"80443322-80443322-80443322\""]
    {
        let text = format!("[access.initial-user]\nname = \"root\"\npassword = {value}\n");
        fs::write(&path, text).expect("a file");
        let mut command = Command::new(program("ipmid"));
        command.args(daemons::arguments("ipmid", dir.path())).args(["-v", "-v", "--config"]);
        let assert = command.arg(&path).assert().code(2);
        let text = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(!text.contains("80443322"), "{value}: {text}");
    }
    let user = "[access.initial-user]\nname = \"root\"\npassword = \"cfg-Df7Gh2Jk\"\n";
    let suite = Suite::configured(&format!("{user}{VERBOSE}"), "");
    assert!(suite.ipmid.log().contains("root"), "{}", suite.ipmid.log());
    assert_not_logged(suite.dir(), &[b"cfg-Df7Gh2Jk"]);
}
