//! What is in the files, and how secrets are found in them.

use std::collections::BTreeMap;
use std::io;

use durable::Storage;
use ipmi_proto::{ChannelNumber, Privilege};
use serde::{Deserialize, Serialize};

use crate::seal::{SealContext, Sealed, Sealer, SealingKey};
use crate::{AccountError, BadPassword, ChannelAccess, Kg, Password, User, UserId, UserName, text};

/// The folder of the files, below the state folder.
pub const FOLDER: &str = "access";

pub(crate) const USERS: &str = "users.json";
pub(crate) const CHANNELS: &str = "channels.json";
pub(crate) const VOLATILE: &str = "volatile.json";
pub(crate) const CREDENTIALS: &str = "credentials.json";
pub(crate) const KEY: &str = "key.json";
pub(crate) const GENERATION: &str = "generation";

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct UsersFile {
    pub(crate) users: BTreeMap<UserId, User>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct ChannelsFile {
    pub(crate) channels: BTreeMap<u8, ChannelSettings>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct ChannelSettings {
    /// Non-volatile access; `None` is as configured.
    pub(crate) access: Option<ChannelAccess>,
    /// By cipher suite id.
    pub(crate) ciphers: BTreeMap<u8, CipherLimit>,
    pub(crate) bad_password: BadPassword,
    pub(crate) kg_locked: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct CipherLimit(#[serde(with = "text::limit")] pub(crate) Option<Privilege>);

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct VolatileFile {
    /// The boot that the settings are for; those of another are void.
    pub(crate) boot: String,
    pub(crate) channels: BTreeMap<u8, ChannelAccess>,
}

#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct KeyFile {
    pub(crate) key: Option<SealingKey>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct CredentialsFile {
    /// The greatest generation ever given.
    pub(crate) last: u64,
    pub(crate) passwords: Vec<PasswordEntry>,
    /// By channel number.
    pub(crate) kg: BTreeMap<u8, KgEntry>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct PasswordEntry {
    pub(crate) user: UserId,
    pub(crate) generation: u64,
    pub(crate) sealed: Sealed,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct KgEntry {
    pub(crate) generation: u64,
    pub(crate) sealed: Sealed,
}

/// The sealed secrets, and what opens them.
#[derive(Default)]
pub(crate) struct Vault {
    sealer: Option<Sealer>,
    credentials: CredentialsFile,
}

impl Vault {
    pub(crate) fn new(key: Option<&SealingKey>, credentials: CredentialsFile) -> Self {
        Self { sealer: key.and_then(Sealer::new), credentials }
    }

    /// The password of a user that `users.json` names by this generation.
    pub(crate) fn password(&self, user: UserId, generation: u64) -> Option<Password> {
        let mut entries = self.credentials.passwords.iter();
        let entry = entries.find(|entry| entry.user == user && entry.generation == generation)?;
        let context = SealContext::Password { user, generation };
        let secret = self.sealer.as_ref()?.open(context, &entry.sealed)?;
        Password::from_sealed_form(&secret)
    }

    /// Whether there is a password to which [`password`](Self::password) opens.
    pub(crate) fn opens(&self, user: UserId, generation: u64) -> bool {
        self.password(user, generation).is_some()
    }

    pub(crate) fn kg(&self, channel: ChannelNumber) -> Option<Kg> {
        let entry = self.credentials.kg.get(&channel.value())?;
        let context = SealContext::Kg { channel, generation: entry.generation };
        let secret = self.sealer.as_ref()?.open(context, &entry.sealed)?;
        Kg::new(secret.as_slice().try_into().ok()?)
    }

    /// The credentials with another password for `user`, and its generation, which is above
    /// `floor`.
    ///
    /// The user's older entries stay until [`without_stale`](CredentialsFile::without_stale): until
    /// `users.json` names the new one, the old one is the password.
    pub(crate) fn with_password(
        &self,
        user: UserId,
        password: &Password,
        floor: u64,
    ) -> Result<(CredentialsFile, u64), AccountError> {
        let sealer = self.sealer.as_ref().ok_or(AccountError::NoRandom)?;
        let mut next = self.credentials.clone();
        let generation = next.last.max(floor) + 1;
        let secret = zeroize::Zeroizing::new(password.to_sealed_form());
        let sealed = sealer.seal(SealContext::Password { user, generation }, &*secret)?;
        next.last = generation;
        next.passwords.push(PasswordEntry { user, generation, sealed });
        Ok((next, generation))
    }

    /// The credentials with another KG, or none, for `channel`.
    pub(crate) fn with_kg(
        &self,
        channel: ChannelNumber,
        kg: Option<&Kg>,
    ) -> Result<CredentialsFile, AccountError> {
        let sealer = self.sealer.as_ref().ok_or(AccountError::NoRandom)?;
        let mut next = self.credentials.clone();
        next.kg.remove(&channel.value());
        if let Some(kg) = kg {
            let generation = next.last + 1;
            let sealed = sealer.seal(SealContext::Kg { channel, generation }, kg.bytes())?;
            next.last = generation;
            next.kg.insert(channel.value(), KgEntry { generation, sealed });
        }
        Ok(next)
    }
}

impl CredentialsFile {
    /// The credentials without the entries that no user names; `None` if there are no such.
    pub(crate) fn without_stale(&self, users: &UsersFile) -> Option<Self> {
        let named = |entry: &PasswordEntry| {
            users.users.get(&entry.user).and_then(|user| user.password) == Some(entry.generation)
        };
        if self.passwords.iter().all(named) {
            return None;
        }
        let mut next = self.clone();
        next.passwords.retain(named);
        Some(next)
    }
}

impl UsersFile {
    /// The user of this name, which is not empty.
    pub(crate) fn named(&self, name: &UserName) -> Option<UserId> {
        let named = self.users.iter().find(|(_, user)| user.name == *name);
        named.filter(|_| !name.is_empty()).map(|(id, _)| *id)
    }

    /// The greatest generation that any user names.
    pub(crate) fn last_password(&self) -> u64 {
        self.users.values().filter_map(|user| user.password).max().unwrap_or(0)
    }
}

/// The number in the generation file; 0 if there is none.
pub(crate) fn read_generation(storage: &impl Storage) -> u64 {
    let bytes = storage.read(GENERATION).ok().flatten().unwrap_or_default();
    std::str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Replaces the generation file, which readers see as a file moved into the folder.
///
/// Not flushed: after a power loss all read anew.
pub(crate) fn write_generation(storage: &impl Storage, generation: u64) -> io::Result<()> {
    let new = format!("{GENERATION}.new");
    storage.write(&new, format!("{generation}\n").as_bytes())?;
    storage.rename(&new, GENERATION)
}
