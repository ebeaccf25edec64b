//! OpenBMC's account files, made independently of our code: JSON by hand, and the encrypted
//! passwords with OpenSSL's command line.
//!
//! The layout of the file of passwords is that of the C structure in pam-ipmi and
//! phosphor-host-ipmid: a signature, five lengths in the machine's word size, then random bytes, the
//! initialization vector, the encrypted lines `name:password`, and their HMAC.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::programs;

/// The PAM module that stands in for pam-ipmi.
const MODULE: &str = include_str!("../data/pam_ipmi_pass.c");

/// The signature with two reserved bytes.
const HEAD: &[u8] = b"=OPENBMC=\0\0\0";
/// Random bytes from which the key is made.
const SALT: usize = 64;
/// The initialization vector, and a block of the cipher.
const BLOCK: usize = 16;
const WORD: usize = size_of::<usize>();

/// The users of the files, with id 2 and 3: name, password, privilege.
pub const USERS: [(&str, &str, &str); 2] =
    [("alice", "alice's own", "priv-admin"), ("bob", "a password of 20 by", "priv-operator")];

/// The files below a folder that stands for `/`.
#[derive(Clone, Debug)]
pub struct Files {
    root: PathBuf,
}

impl Files {
    /// The files below `root`.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Makes them, with [`USERS`], and with channel 1 called `lan0`.
    ///
    /// # Panics
    ///
    /// If they cannot be written.
    pub fn make(&self) {
        for folder in ["etc", "var/lib/ipmi", "run/ipmi", "usr/share/ipmi-providers"] {
            fs::create_dir_all(self.root.join(folder)).expect("a folder");
        }
        let mut users: Vec<Value> = vec![user("", "")];
        users.extend(USERS.map(|(name, _, privilege)| user(name, privilege)));
        users.resize(15, user("", ""));
        self.put("var/lib/ipmi/ipmi_user.json", &json!(users));
        self.put("usr/share/ipmi-providers/channel_config.json", &channels());
        let access = json!({ "1": { "access_mode": "always_available", "user_auth_disabled": false,
            "per_msg_auth_disabled": false, "alerting_disabled": false, "priv_limit": "priv-admin" } });
        self.put("usr/share/ipmi-providers/channel_access.json", &access);
        let suite =
            json!({ "cipher": 17, "authentication": 3, "integrity": 4, "confidentiality": 1 });
        self.put("usr/share/ipmi-providers/cipher_list.json", &json!([suite]));
        fs::write(self.root.join("etc/key_file"), random(8)).expect("the key file");
        self.save_passwords(
            &USERS.map(|(name, password, _)| (name.to_owned(), password.to_owned())),
        );
    }

    fn put(&self, path: &str, value: &Value) {
        fs::write(self.root.join(path), value.to_string()).expect("a file");
    }

    /// The user with this id, as the file has it.
    ///
    /// # Panics
    ///
    /// If the file is invalid.
    #[must_use]
    pub fn user(&self, id: usize) -> Value {
        let text = fs::read(self.root.join("var/lib/ipmi/ipmi_user.json")).expect("the users");
        let mut users: Value = serde_json::from_slice(&text).expect("JSON");
        users[id - 1].take()
    }

    /// The non-volatile access to channel 1, as the file has it.
    ///
    /// # Panics
    ///
    /// If the file is invalid.
    #[must_use]
    pub fn access(&self) -> Value {
        let path = self.root.join("var/lib/ipmi/channel_access_nv.json");
        let text = fs::read(path).expect("the access");
        let mut channels: Value = serde_json::from_slice(&text).expect("JSON");
        channels["1"].take()
    }

    /// Names and passwords in the encrypted file.
    ///
    /// # Panics
    ///
    /// If it does not match its header and its HMAC, or OpenSSL cannot decrypt it.
    #[must_use]
    pub fn passwords(&self) -> Vec<(String, String)> {
        let file = fs::read(self.root.join("etc/ipmi_pass")).expect("the passwords");
        let at = HEAD.len().next_multiple_of(WORD);
        assert_eq!(&file[..HEAD.len()], HEAD);
        let lengths = file[at..at + 5 * WORD].chunks_exact(WORD);
        let lengths: Vec<usize> =
            lengths.map(|word| usize::from_ne_bytes(word.try_into().expect("a word"))).collect();
        let [salt, iv, data, padding, mac] = lengths[..] else {
            unreachable!("five lengths");
        };
        let mut rest = &file[at + 5 * WORD..];
        let mut take = |length| {
            let (part, after) = rest.split_at(length);
            rest = after;
            part
        };
        let (salt, iv, text, mac) = (take(salt), take(iv), take(data + padding), take(mac));
        assert!(rest.is_empty());
        if text.is_empty() {
            return Vec::new();
        }
        let key = self.key(salt);
        assert_eq!(hmac(&key, text), mac, "the HMAC");
        let plain = cipher(&["-d"], &key, iv, text);
        assert_eq!(plain.len(), data);
        let plain = String::from_utf8(plain).expect("text");
        let pair = |line: &str| line.split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned()));
        plain.lines().filter_map(pair).collect()
    }

    /// Replaces the encrypted file.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn save_passwords(&self, entries: &[(String, String)]) {
        let plain: String = entries.iter().map(|(name, text)| format!("{name}:{text}\n")).collect();
        let (salt, iv) = (random(SALT), random(BLOCK));
        let key = self.key(&salt);
        let text = cipher(&[], &key, &iv, plain.as_bytes());
        let mac = hmac(&key, &text);
        let mut file = HEAD.to_vec();
        file.resize(HEAD.len().next_multiple_of(WORD), 0);
        let padding = text.len() - plain.len();
        for length in [salt.len(), iv.len(), plain.len(), padding, mac.len()] {
            file.extend(length.to_ne_bytes());
        }
        file.extend([salt, iv, text, mac].concat());
        let path = self.root.join("etc/ipmi_pass");
        let new = path.with_extension("new");
        fs::write(&new, file).expect("the passwords");
        fs::rename(&new, &path).expect("the passwords");
    }

    /// Gives a user another password, or a first one, as pam-ipmi does.
    ///
    /// # Panics
    ///
    /// If the file cannot be read or written.
    pub fn save_password(&self, name: &str, password: &str) {
        let mut entries = self.passwords();
        entries.retain(|(known, _)| known != name);
        entries.push((name.to_owned(), password.to_owned()));
        self.save_passwords(&entries);
    }

    fn key(&self, salt: &[u8]) -> Vec<u8> {
        let file = fs::read(self.root.join("etc/key_file")).expect("the key file");
        hmac(&file[..8], salt)
    }
}

/// Makes the service `passwd` in `folder`, whose one module stores passwords below `root`; the module
/// exists as long as the returned folder, beside the built programs, where files may be executed.
///
/// # Panics
///
/// If the module cannot be built.
#[must_use]
pub fn make_pam_stack(folder: &Path, root: &Path) -> TempDir {
    let helper = programs::program("ipmi-pass");
    let beside = helper.parent().expect("a program's folder");
    let modules = tempfile::tempdir_in(beside).expect("a folder");
    let (source, module) =
        (modules.path().join("pam_ipmi_pass.c"), modules.path().join("pam_ipmi_pass.so"));
    fs::write(&source, MODULE).expect("the module's source");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
        .args([&module, &source])
        .status()
        .expect("a C compiler");
    assert!(built.success(), "the PAM module does not build");
    fs::create_dir_all(folder).expect("a folder");
    let line =
        format!("password required {} {} {}\n", module.display(), helper.display(), root.display());
    fs::write(folder.join("passwd"), line).expect("the service");
    modules
}

/// A user with the same privilege on all channels.
fn user(name: &str, privilege: &str) -> Value {
    let all = |on: bool| vec![on; 16];
    let used = !name.is_empty();
    json!({
        "user_name": name, "privilege": vec![privilege; 16], "ipmi_enabled": all(used),
        "link_auth_enabled": all(used), "access_callback": all(false), "user_enabled": used,
        "user_in_system": used, "fixed_user_name": false,
    })
}

fn channels() -> Value {
    let channel = |name: &str, medium: &str, protocol: &str, sessions: &str| {
        json!({ "name": name, "is_valid": true, "active_sessions": 0, "channel_info": {
            "medium_type": medium, "protocol_type": protocol, "session_supported": sessions,
            "is_ipmi": true } })
    };
    json!({
        "1": channel("lan0", "lan-802.3", "ipmb-1.0", "multi-session"),
        "8": channel("INTRABMC", "oem", "oem", "session-less"),
        "15": channel("ipmi_kcs3", "system-interface", "kcs", "session-less"),
    })
}

fn random(length: usize) -> Vec<u8> {
    openssl(&["rand", &length.to_string()], &[])
}

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let key = format!("hexkey:{}", hex(key));
    openssl(&["dgst", "-sha256", "-mac", "HMAC", "-macopt", &key, "-binary"], data)
}

fn cipher(direction: &[&str], key: &[u8], iv: &[u8], data: &[u8]) -> Vec<u8> {
    let (key, iv) = (hex(&key[..BLOCK]), hex(iv));
    let arguments = [&["enc", "-aes-128-cbc", "-K", &key, "-iv", &iv], direction].concat();
    openssl(&arguments, data)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl");
    // Less than a pipe holds.
    child.stdin.take().expect("a pipe").write_all(input).expect("openssl reads");
    let output = child.wait_with_output().expect("openssl");
    assert!(output.status.success(), "openssl {arguments:?}");
    output.stdout
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens() {
        let root = tempfile::tempdir().expect("a folder");
        let files = Files::below(root.path());
        files.make();
        files.save_password("alice", "another");
        let passwords = files.passwords();
        let expected = [(USERS[1].0, USERS[1].1), ("alice", "another")];
        let expected = expected.map(|(name, text)| (name.to_owned(), text.to_owned()));
        assert_eq!(passwords, expected);
    }
}
