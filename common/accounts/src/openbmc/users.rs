//! `ipmi_user.json`: an array of all users, each with an array of all channels for each setting.

use std::collections::BTreeMap;

use ipmi_proto::{ChannelNumber, Privilege};
use serde::{Deserialize, Serialize};

use super::channels::parse;
use crate::files::UsersFile;
use crate::{PayloadAccess, User, UserAccess, UserId, UserName};

/// How many channels each array has (`ipmiMaxChannels`).
const CHANNELS: usize = 16;
/// The same, as channel numbers count.
const CHANNEL_NUMBERS: u8 = 16;

/// How many payload types there are flags for (`payloadsPerByte`).
const PAYLOADS: u8 = 8;

/// What the flags of the payload types are called, standard ones and OEM's.
const STANDARD: &str = "std_payload";
const OEM: &str = "OEM_payload";

/// One user, its fields in the order in which OpenBMC writes them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Entry {
    access_callback: Vec<bool>,
    #[serde(default)]
    fixed_user_name: bool,
    ipmi_enabled: Vec<bool>,
    link_auth_enabled: Vec<bool>,
    /// Absent in files of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload_enabled: Option<BTreeMap<String, Vec<bool>>>,
    privilege: Vec<String>,
    user_enabled: bool,
    user_in_system: bool,
    user_name: String,
}

impl Entry {
    /// The name; empty for a user that is not in use.
    pub(super) fn name(&self) -> &str {
        &self.user_name
    }

    /// Whether no account is behind it and none may get it.
    fn is_free(&self) -> bool {
        !self.user_in_system && self.user_name.is_empty()
    }

    /// Whether the account may be used.
    pub(super) fn enabled(&self) -> bool {
        self.user_enabled
    }

    /// Enables or disables the account.
    pub(super) fn enable(&mut self, enabled: bool) {
        self.user_enabled = enabled;
    }

    /// The privilege on a channel, by name.
    pub(super) fn privilege(&self, channel: u8) -> &str {
        self.privilege.get(usize::from(channel)).map_or("", String::as_str)
    }

    /// Sets the privilege on all channels.
    pub(super) fn set_privilege(&mut self, privilege: &str) {
        self.privilege.fill(privilege.to_owned());
    }

    /// Gives it another name, or a first one.
    pub(super) fn rename(&mut self, name: &str) {
        name.clone_into(&mut self.user_name);
        self.user_in_system = true;
    }

    /// Frees it, as OpenBMC does: which payloads it may activate stays.
    pub(super) fn clear(&mut self) {
        self.user_name.clear();
        self.set_privilege("");
        self.flags(false);
        self.user_in_system = false;
        self.user_enabled = false;
    }

    /// An account that somebody else made: it may do all that its privilege allows.
    fn adopt(&mut self, name: &str, privilege: &str, enabled: bool) {
        self.rename(name);
        self.set_privilege(privilege);
        self.flags(true);
        self.user_enabled = enabled;
    }

    fn flags(&mut self, on: bool) {
        for list in [&mut self.ipmi_enabled, &mut self.link_auth_enabled, &mut self.access_callback]
        {
            list.fill(on);
        }
    }

    /// What it may do on a channel.
    ///
    /// # Errors
    ///
    /// A privilege that there is not.
    pub(super) fn access(&self, channel: u8) -> Result<UserAccess, String> {
        let flag = |list: &[bool]| list.get(usize::from(channel)).copied().unwrap_or(false);
        Ok(UserAccess {
            privilege: privilege(self.privilege(channel))?,
            callback_only: flag(&self.access_callback),
            link_auth: flag(&self.link_auth_enabled),
            messaging: flag(&self.ipmi_enabled),
            // The file does not have it; a user with one of these flags has had all of them set.
            flags_set: flag(&self.link_auth_enabled) || flag(&self.access_callback),
            session_limit: 0,
            payloads: payload_access(self, channel),
        })
    }

    /// Sets the access to a channel. The file has no session limit.
    pub(super) fn set_access(&mut self, channel: ChannelNumber, access: &UserAccess) {
        let at = usize::from(channel.value());
        let put = |list: &mut Vec<bool>, on: bool| {
            if let Some(flag) = list.get_mut(at) {
                *flag = on;
            }
        };
        put(&mut self.ipmi_enabled, access.messaging);
        put(&mut self.link_auth_enabled, access.link_auth);
        put(&mut self.access_callback, access.callback_only);
        if let Some(privilege) = self.privilege.get_mut(at) {
            privilege_name(access.privilege).clone_into(privilege);
        }
        let lists = self.payload_enabled.get_or_insert_with(payloads);
        for (kind, bits) in [(STANDARD, access.payloads.standard), (OEM, access.payloads.oem)] {
            for payload in 0..PAYLOADS {
                let list = lists.entry(format!("{kind}{payload}"));
                let list = list.or_insert_with(|| vec![false; CHANNELS]);
                put(list, bits >> payload & 1 == 1);
            }
        }
    }
}

impl Default for Entry {
    /// A user that is not in use.
    fn default() -> Self {
        Self {
            access_callback: vec![false; CHANNELS],
            fixed_user_name: false,
            ipmi_enabled: vec![false; CHANNELS],
            link_auth_enabled: vec![false; CHANNELS],
            payload_enabled: Some(payloads()),
            privilege: vec![String::new(); CHANNELS],
            user_enabled: false,
            user_in_system: false,
            user_name: String::new(),
        }
    }
}

/// The flags of a new user: SOL everywhere.
fn payloads() -> BTreeMap<String, Vec<bool>> {
    let list = |kind: &str, payload: u8| {
        let sol = kind == STANDARD && payload == 1;
        (format!("{kind}{payload}"), vec![sol; CHANNELS])
    };
    let all = [STANDARD, OEM].into_iter();
    all.flat_map(|kind| (0..PAYLOADS).map(move |payload| list(kind, payload))).collect()
}

/// All users, in the order of their ids.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct UserTable(Vec<Entry>);

impl Default for UserTable {
    /// Nobody.
    fn default() -> Self {
        Self(vec![Entry::default(); usize::from(super::USER_IDS)])
    }
}

impl UserTable {
    /// The users of the file.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let entries: Vec<Entry> = parse(text)?;
        if entries.len() != usize::from(super::USER_IDS) {
            let (have, need) = (entries.len(), super::USER_IDS);
            return Err(format!("{have} users where {need} are"));
        }
        let table = Self(entries);
        table.users()?;
        Ok(table)
    }

    /// The users as the rest of this crate knows them.
    ///
    /// # Errors
    ///
    /// What is wrong with one of them.
    pub(super) fn users(&self) -> Result<UsersFile, String> {
        let ids = UserId::first(super::USER_IDS);
        let users: Result<_, String> =
            ids.zip(&self.0).map(|(id, entry)| Ok((id, user(entry)?))).collect();
        Ok(UsersFile { users: users? })
    }

    /// How many names are fixed.
    pub(super) fn fixed_names(&self) -> u8 {
        let fixed = self.0.iter().filter(|entry| entry.fixed_user_name).count();
        u8::try_from(fixed).unwrap_or(super::USER_IDS)
    }

    /// All users, free ones included.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.0.iter_mut()
    }

    /// One user; `None` if there is no such id.
    pub(super) fn get_mut(&mut self, id: UserId) -> Option<&mut Entry> {
        self.0.get_mut(id.index())
    }

    /// The user of this name, which is not empty.
    pub(super) fn by_name(&mut self, name: &str) -> Option<&mut Entry> {
        let mut entries = self.0.iter_mut();
        entries.find(|entry| !name.is_empty() && entry.user_name == name)
    }

    /// The id of the user of this name, which is not empty.
    pub(super) fn id_of(&self, name: &str) -> Option<UserId> {
        let mut entries = UserId::first(super::USER_IDS).zip(&self.0);
        let found = entries.find(|(_, entry)| !name.is_empty() && entry.user_name == name);
        found.map(|(id, _)| id)
    }

    /// Gives the first free id to an account; returns whether an id was free.
    pub(super) fn adopt(&mut self, name: &str, privilege: &str, enabled: bool) -> bool {
        let free = self.0.iter_mut().find(|entry| entry.is_free());
        free.map(|entry| entry.adopt(name, privilege, enabled)).is_some()
    }
}

fn user(entry: &Entry) -> Result<User, String> {
    let lists = [&entry.ipmi_enabled, &entry.link_auth_enabled, &entry.access_callback];
    if entry.privilege.len() != CHANNELS || lists.iter().any(|list| list.len() != CHANNELS) {
        let name = &entry.user_name;
        return Err(format!("user {name:?} has not {CHANNELS} channels"));
    }
    let access: Result<_, String> =
        (0..CHANNEL_NUMBERS).map(|channel| Ok((channel, entry.access(channel)?))).collect();
    Ok(User {
        name: UserName::try_from(entry.user_name.clone())?,
        enabled: entry.user_enabled && entry.user_in_system,
        password: None,
        access: access?,
        ..User::default()
    })
}

/// A user's privilege by its name, of which the empty one is "no access".
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

/// The name of a user's privilege (`ipmiPrivIndex`).
pub(super) fn privilege_name(privilege: Option<Privilege>) -> &'static str {
    match privilege {
        None => "",
        Some(Privilege::Callback) => "priv-callback",
        Some(Privilege::User) => "priv-user",
        Some(Privilege::Operator) => "priv-operator",
        Some(Privilege::Administrator) => "priv-admin",
        Some(Privilege::Oem) => "priv-custom",
    }
}

fn payload_access(entry: &Entry, channel: u8) -> PayloadAccess {
    let Some(lists) = &entry.payload_enabled else {
        return PayloadAccess::default();
    };
    let bits = |kind: &str| {
        let enabled = |payload: &u8| {
            let list = lists.get(&format!("{kind}{payload}"));
            list.and_then(|list| list.get(usize::from(channel))).copied().unwrap_or(false)
        };
        (0..PAYLOADS).filter(enabled).map(|payload| 1 << payload).sum()
    };
    PayloadAccess { standard: bits(STANDARD), oem: bits(OEM) }
}
