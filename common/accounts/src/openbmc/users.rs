//! `ipmi_user.json`: an array of all users, each with an array of all channels for each setting.

use std::collections::BTreeMap;

use ipmi_proto::Privilege;
use serde::Deserialize;

use crate::files::UsersFile;
use crate::{PayloadAccess, User, UserAccess, UserId, UserName};

/// How many channels each array has (`ipmiMaxChannels`).
const CHANNELS: usize = 16;

/// How many payload types there are flags for (`payloadsPerByte`).
const PAYLOADS: u8 = 8;

#[derive(Deserialize)]
struct Entry {
    user_name: String,
    privilege: Vec<String>,
    ipmi_enabled: Vec<bool>,
    link_auth_enabled: Vec<bool>,
    access_callback: Vec<bool>,
    user_enabled: bool,
    user_in_system: bool,
    /// Absent in files of older versions.
    payload_enabled: Option<BTreeMap<String, Vec<bool>>>,
}

/// The users of the file.
pub(super) fn parse(text: &[u8]) -> Result<UsersFile, String> {
    let entries: Vec<Entry> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if entries.len() != usize::from(super::USER_IDS) {
        return Err(format!(
            "{} users where {} are",
            entries.len(),
            super::USER_IDS
        ));
    }
    let ids = UserId::first(super::USER_IDS);
    let users: Result<_, String> = ids
        .zip(&entries)
        .map(|(id, entry)| Ok((id, user(entry)?)))
        .collect();
    Ok(UsersFile { users: users? })
}

fn user(entry: &Entry) -> Result<User, String> {
    let lists = [
        &entry.ipmi_enabled,
        &entry.link_auth_enabled,
        &entry.access_callback,
    ];
    if entry.privilege.len() != CHANNELS || lists.iter().any(|list| list.len() != CHANNELS) {
        return Err(format!(
            "user {:?} has not {CHANNELS} channels",
            entry.user_name
        ));
    }
    let mut access = BTreeMap::new();
    let flags = entry
        .ipmi_enabled
        .iter()
        .zip(&entry.link_auth_enabled)
        .zip(&entry.access_callback);
    for ((channel, level), ((&messaging, &link_auth), &callback_only)) in
        (0_u8..).zip(&entry.privilege).zip(flags)
    {
        let privilege = privilege(level)?;
        let payloads = payloads(entry, channel);
        let session_limit = 0;
        let known = UserAccess {
            privilege,
            callback_only,
            link_auth,
            messaging,
            session_limit,
            payloads,
        };
        access.insert(channel, known);
    }
    Ok(User {
        name: UserName::try_from(entry.user_name.clone())?,
        enabled: entry.user_enabled && entry.user_in_system,
        password: None,
        access,
    })
}

/// A privilege by its name, of which the empty one is "no access".
pub(super) fn privilege(name: &str) -> Result<Option<Privilege>, String> {
    match name {
        "" | "priv-noaccess" | "priv-reserved" => Ok(None),
        "priv-callback" => Ok(Some(Privilege::Callback)),
        "priv-user" => Ok(Some(Privilege::User)),
        "priv-operator" => Ok(Some(Privilege::Operator)),
        "priv-admin" => Ok(Some(Privilege::Administrator)),
        "priv-oem" | "priv-custom" => Ok(Some(Privilege::Oem)),
        _ => Err(format!("{name:?} is no privilege")),
    }
}

fn payloads(entry: &Entry, channel: u8) -> PayloadAccess {
    let Some(lists) = &entry.payload_enabled else {
        return PayloadAccess::default();
    };
    let bits = |kind: &str| {
        let enabled = |payload: &u8| {
            let list = lists.get(&format!("{kind}{payload}"));
            list.and_then(|list| list.get(usize::from(channel)))
                .copied()
                .unwrap_or(false)
        };
        (0..PAYLOADS)
            .filter(enabled)
            .map(|payload| 1 << payload)
            .sum()
    };
    PayloadAccess {
        standard: bits("std_payload"),
        oem: bits("OEM_payload"),
    }
}
