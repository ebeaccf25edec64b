//! The files as they were read, and what they make together with what OpenBMC has no file for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};

use ipmi_proto::ChannelNumber;

use super::ciphers::{self, Limits};
use super::files::{OpenbmcFiles, Stamps, missing, of, read};
use super::users::UserTable;
use super::{USER_IDS, channels, passwords};
use crate::files::{ChannelSettings, ChannelsFile, CipherLimit, UsersFile, VolatileFile};
use crate::locks::{lock, lock_read, lock_write};
use crate::snapshot::Options;
use crate::{Channel, ChannelAccess, ChannelTable, Kg, Password, Snapshot, User, UserId, Users};

/// OpenBMC's files, and our own store for what they cannot hold: KG and its lock, and the bad password
/// threshold.
pub(super) struct Store<O> {
    pub(super) files: OpenbmcFiles,
    pub(super) own: O,
    pub(super) options: Options,
    current: RwLock<Current>,
    /// The damage that was last logged: each is logged once.
    damage: Mutex<Option<String>>,
}

/// A snapshot, and the versions of the files that it was made from.
#[derive(Clone)]
struct Current {
    stamps: Stamps,
    own: u64,
    snapshot: Arc<Snapshot>,
    /// By user name.
    passwords: Arc<BTreeMap<String, Password>>,
}

impl<O: Users> Store<O> {
    /// Reads the accounts.
    pub(super) fn open(files: OpenbmcFiles, channels: ChannelTable, own: O) -> Self {
        let options = Options {
            table: Arc::new(channels),
            ids: UserId::new(USER_IDS).unwrap_or(UserId::MAX),
            boot: String::new(),
        };
        let (current, damage) = load(&files, &options, &own, 1);
        let store =
            Self { files, own, options, current: RwLock::new(current), damage: Mutex::new(None) };
        store.log_damage(damage);
        store
    }

    /// The generation of the last snapshot.
    pub(super) fn known_generation(&self) -> u64 {
        self.known().snapshot.generation()
    }

    fn known(&self) -> Current {
        let current = lock_read(&self.current);
        current.clone()
    }

    /// The accounts as the files have them now.
    fn current(&self) -> Current {
        let known = self.known();
        let own = self.own.snapshot().generation();
        if self.files.stamps() == known.stamps && own == known.own {
            return known;
        }
        let generation = known.snapshot.generation().wrapping_add(1);
        let (next, damage) = load(&self.files, &self.options, &self.own, generation);
        self.log_damage(damage);
        *lock_write(&self.current) = next.clone();
        next
    }

    /// Logs what is wrong, unless it is what was wrong before.
    fn log_damage(&self, damage: Option<String>) {
        let mut logged = lock(&self.damage);
        if damage != *logged {
            match &damage {
                Some(reason) => tracing::error!(
                    reason,
                    "OpenBMC's accounts cannot be read: users whose files are affected cannot log in"
                ),
                None => tracing::info!("OpenBMC's accounts can be read again"),
            }
            *logged = damage;
        }
    }

    /// Whether a file could not be read the last time.
    pub(super) fn is_unreadable(&self) -> bool {
        lock(&self.damage).is_some()
    }

    /// The folders in which a changed file appears.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        let parents = self.files.watched().into_iter();
        let mut folders: Vec<PathBuf> =
            parents.filter_map(|path| path.parent().map(PathBuf::from)).collect();
        folders.sort();
        folders.dedup();
        folders
    }
}

impl<O: Users> Users for Store<O> {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.current().snapshot
    }

    fn password(&self, id: UserId) -> Option<Password> {
        let current = self.current();
        let name = &current.snapshot.user(id)?.name;
        current.passwords.get(name.as_str()).cloned()
    }

    fn kg(&self, channel: ChannelNumber) -> Option<Kg> {
        self.own.kg(channel)
    }
}

/// Reads all files; with what is wrong with them.
fn load(
    files: &OpenbmcFiles,
    options: &Options,
    own: &impl Users,
    generation: u64,
) -> (Current, Option<String>) {
    // The stamps first: a change while the files are read is seen the next time.
    let stamps = files.stamps();
    let own = own.snapshot();
    let mut damage = Vec::new();
    let table = value_or_default(users(files), &mut damage);
    let mut users = value_or_default(table.users(), &mut damage);
    for (id, user) in &mut users.users {
        user.enablings = own.user(*id).map_or(0, User::enabled_mark);
    }
    let passwords = value_or_default(passwords(files), &mut damage);
    let volatile = VolatileFile {
        boot: options.boot.clone(),
        channels: value_or_default(access(&files.access_volatile), &mut damage),
    };
    let non_volatile = value_or_default(non_volatile(files), &mut damage);
    let ciphers = value_or_default(cipher_limits(files), &mut damage);
    let channels = settings(&options.table, &non_volatile, &ciphers, &own);
    let snapshot =
        picture(options, generation, &users, &channels, &volatile).of_openbmc(table.fixed_names());
    let current = Current {
        stamps,
        own: own.generation(),
        snapshot: Arc::new(snapshot),
        passwords: Arc::new(passwords),
    };
    let damage = (!damage.is_empty()).then(|| damage.join(", "));
    (current, damage)
}

fn picture(
    options: &Options,
    generation: u64,
    users: &UsersFile,
    channels: &ChannelsFile,
    volatile: &VolatileFile,
) -> Snapshot {
    let opens = |_, _| true;
    Snapshot::new(options, generation, users, channels, volatile, opens)
}

/// What is set for each channel: from OpenBMC's files, and from our own store.
fn settings(
    table: &ChannelTable,
    non_volatile: &BTreeMap<u8, ChannelAccess>,
    ciphers: &Limits,
    own: &Snapshot,
) -> ChannelsFile {
    let limits = |number: u8| {
        let limits = ciphers.get(&number).cloned().unwrap_or_default();
        let limit = |(suite, limit)| (suite, CipherLimit(limit));
        limits.into_iter().map(limit).collect()
    };
    let of = |channel: &Channel| {
        let number = channel.number();
        let settings = ChannelSettings {
            access: non_volatile.get(&number.value()).copied(),
            ciphers: limits(number.value()),
            bad_password: own.bad_password(number),
            kg_locked: own.kg_locked(number),
        };
        (number.value(), settings)
    };
    ChannelsFile { channels: table.iter().map(of).collect() }
}

/// The value, or the default after an error, which is added to `damage`.
fn value_or_default<T: Default>(result: Result<T, String>, damage: &mut Vec<String>) -> T {
    result.unwrap_or_else(|reason| {
        damage.push(reason);
        T::default()
    })
}

/// The users; none where there is no file.
pub(super) fn users(files: &OpenbmcFiles) -> Result<UserTable, String> {
    match read(&files.users)? {
        None => Ok(UserTable::default()),
        Some(text) => UserTable::parse(&text).map_err(|error| of(&files.users, &error)),
    }
}

fn passwords(files: &OpenbmcFiles) -> Result<BTreeMap<String, Password>, String> {
    let Some(sealed) = read(&files.passwords)? else {
        return Ok(BTreeMap::new());
    };
    let key = read(&files.key)?.ok_or_else(|| missing(&files.key))?;
    passwords::open(&sealed, &key).map_err(|error| of(&files.passwords, error))
}

/// What holds after the next start: as shipped, until it is set.
pub(super) fn non_volatile(files: &OpenbmcFiles) -> Result<BTreeMap<u8, ChannelAccess>, String> {
    let mut channels = access(&files.access_default)?;
    channels.extend(access(&files.access_non_volatile)?);
    Ok(channels)
}

/// The access to channels in a file.
pub(super) fn access(path: &std::path::Path) -> Result<BTreeMap<u8, ChannelAccess>, String> {
    match read(path)? {
        None => Ok(BTreeMap::new()),
        Some(text) => channels::access(&text).map_err(|error| of(path, &error)),
    }
}

/// The limits of suites: as shipped, until they are set.
fn cipher_limits(files: &OpenbmcFiles) -> Result<Limits, String> {
    let mut limits = limits_in(&files.cipher_default)?;
    for (channel, suites) in limits_in(&files.cipher_privileges)? {
        limits.entry(channel).or_default().extend(suites);
    }
    Ok(limits)
}

/// The limits in one file; none where it is absent.
pub(super) fn limits_in(path: &std::path::Path) -> Result<Limits, String> {
    match read(path)? {
        None => Ok(Limits::new()),
        Some(text) => ciphers::limits(&text).map_err(|error| of(path, &error)),
    }
}
