//! Files as OpenBMC makes them, for the tests.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::OpenbmcFiles;
use super::passwords::file_of;

/// The key file.
pub(super) const KEY_FILE: &[u8] = b"\x01\x02\x03\x04\x05\x06\x07\x08and more";

/// One user of the file, who may do the same on channel 1 alone.
pub(super) fn user(name: &str, level: &str) -> Value {
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

/// Nobody, alice, bob, and twelve times nobody.
pub(super) fn users() -> Vec<Value> {
    let mut users = vec![user("", ""), user("alice", "priv-admin"), user("bob", "priv-operator")];
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

/// Access to channel 1.
pub(super) fn access(mode: &str, limit: &str) -> Value {
    json!({ "1": { "access_mode": mode, "user_auth_disabled": false,
        "per_msg_auth_disabled": false, "alerting_disabled": false, "priv_limit": limit } })
}

/// A file system with all files.
pub(super) struct Bmc {
    root: tempfile::TempDir,
    pub(super) files: OpenbmcFiles,
}

impl Bmc {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["var/lib/ipmi", "etc", "usr/share/ipmi-providers", "run/ipmi"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let files = OpenbmcFiles::below(root.path());
        fs::write(&files.users, json!(users()).to_string()).unwrap();
        fs::write(&files.key, KEY_FILE).unwrap();
        let passwords = [("alice", "secret"), ("bob", "a password of 20 by")];
        fs::write(&files.passwords, file_of(&passwords, KEY_FILE)).unwrap();
        fs::write(&files.channels, channels().to_string()).unwrap();
        let all = access("always_available", "priv-admin").to_string();
        fs::write(&files.access_default, &all).unwrap();
        Self { root, files }
    }

    /// Where our own store is.
    pub(super) fn state(&self) -> std::path::PathBuf {
        self.root.path().join("state")
    }

    /// Replaces a file by this value.
    pub(super) fn put(&self, path: &Path, value: &Value) {
        fs::write(path, value.to_string()).unwrap();
    }
}
