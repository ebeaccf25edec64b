//! The accounts as another daemon has written them.

use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use durable::{Content, Folder, Modes, Retention, Storage};
use ipmi_proto::ChannelNumber;
use serde::de::DeserializeOwned;

use crate::files::{
    CHANNELS, CREDENTIALS, ChannelsFile, CredentialsFile, FOLDER, GENERATION, KEY, KeyFile, USERS,
    UsersFile, VOLATILE, Vault, VolatileFile, read_generation,
};
use crate::locks::{lock, lock_read, lock_write};
use crate::snapshot::Options;
use crate::writer::boot_id;
use crate::{AccessConfig, ChannelTable, Followed, Kg, Password, Snapshot, UserId, Users};

/// How often a picture is taken anew because the writer changed it meanwhile.
const ATTEMPTS: usize = 5;

/// The accounts as another daemon has written them; changes nothing.
///
/// While the folder is absent (its writer never ran) there are no users.
pub struct Reader {
    folder: PathBuf,
    options: Options,
    current: RwLock<Current>,
    /// Of the file that announces changes, before the files were read.
    stamp: Mutex<Stamp>,
    /// What was wrong the last time, to log it once.
    damage: Mutex<Option<String>>,
}

/// What shows that a file was replaced: inode and time of change; `None` if there is none.
type Stamp = Option<(u64, i64, i64)>;

/// A picture, and the secrets that belong to it.
#[derive(Clone)]
pub(crate) struct Current {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) vault: Arc<Vault>,
}

impl Current {
    pub(crate) fn password(&self, id: UserId) -> Option<Password> {
        self.vault.password(id, self.snapshot.user(id)?.password?)
    }
}

impl Reader {
    /// Reads the accounts below the state folder.
    #[must_use]
    pub fn open(state_dir: &Path, config: &AccessConfig, channels: ChannelTable) -> Self {
        let options = Options { table: Arc::new(channels), ids: config.user_ids, boot: boot_id() };
        let folder = state_dir.join(FOLDER);
        let stamp = Mutex::new(stamp(&folder));
        let (current, damage) = load_folder(&folder, &options);
        let (current, logged) = (RwLock::new(current), Mutex::new(None));
        let reader = Self { folder, options, current, stamp, damage: logged };
        reader.log_damage(damage);
        reader
    }

    fn current(&self) -> Current {
        lock_read(&self.current).clone()
    }

    /// Logs what is wrong, unless it is what was wrong before.
    fn log_damage(&self, damage: Option<String>) {
        let mut logged = lock(&self.damage);
        if damage != *logged {
            match &damage {
                Some(reason) => tracing::error!(
                    reason,
                    "accounts cannot be read: users whose files are affected cannot log in"
                ),
                None => tracing::info!("accounts can be read again"),
            }
            *logged = damage;
        }
    }
}

impl Followed for Reader {
    fn folders(&self) -> Vec<PathBuf> {
        vec![self.folder.clone()]
    }

    fn announces(&self, file: &OsStr) -> bool {
        file == GENERATION
    }

    fn refresh(&self) -> bool {
        let is_same = *lock(&self.stamp) == stamp(&self.folder);
        (!is_same || self.is_unreadable()) && self.reload()
    }

    fn reload(&self) -> bool {
        *lock(&self.stamp) = stamp(&self.folder);
        let (next, damage) = load_folder(&self.folder, &self.options);
        self.log_damage(damage);
        let mut current = lock_write(&self.current);
        let changed = current.snapshot.generation() != next.snapshot.generation();
        *current = next;
        changed
    }

    fn is_unreadable(&self) -> bool {
        lock(&self.damage).is_some()
    }
}

impl Users for Reader {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&lock_read(&self.current).snapshot)
    }

    fn password(&self, id: UserId) -> Option<Password> {
        self.current().password(id)
    }

    fn kg(&self, channel: ChannelNumber) -> Option<Kg> {
        self.current().vault.kg(channel)
    }
}

fn stamp(folder: &Path) -> Stamp {
    let file = fs::metadata(folder.join(GENERATION)).ok()?;
    Some((file.ino(), file.ctime(), file.ctime_nsec()))
}

fn load_folder(path: &Path, options: &Options) -> (Current, Option<String>) {
    // Absent before the first start of its writer. A folder above it that may not be searched is an error.
    let exists = path.try_exists().map_err(|error| format!("{}: {error}", path.display()));
    let folder = match exists {
        Ok(false) => return (Files::default().into_current(options), None),
        Ok(true) => Folder::open(path, Modes::GROUP_READS).map_err(|error| {
            format!("{error}: {}", error.source().map_or(String::new(), ToString::to_string))
        }),
        Err(reason) => Err(reason),
    };
    match folder {
        Ok(folder) => load_settled(&folder, options),
        Err(reason) => (Files::default().into_current(options), Some(reason)),
    }
}

/// A picture that was not changed while it was taken.
fn load_settled(storage: &impl Storage, options: &Options) -> (Current, Option<String>) {
    let mut files = Files::read(storage);
    for _ in 1..ATTEMPTS {
        if read_generation(storage) == files.generation {
            break;
        }
        files = Files::read(storage);
    }
    let damage = (!files.damage.is_empty()).then(|| files.damage.join(", "));
    (files.into_current(options), damage)
}

/// All files, and what is wrong with them.
#[derive(Default)]
struct Files {
    generation: u64,
    key: KeyFile,
    credentials: CredentialsFile,
    users: UsersFile,
    channels: ChannelsFile,
    volatile: VolatileFile,
    damage: Vec<String>,
}

impl Files {
    fn read(storage: &impl Storage) -> Self {
        let mut damage = Vec::new();
        Self {
            generation: read_generation(storage),
            key: read(storage, KEY, Retention::CurrentOnly, &mut damage),
            credentials: read(storage, CREDENTIALS, Retention::CurrentOnly, &mut damage),
            users: read(storage, USERS, Retention::Previous, &mut damage),
            channels: read(storage, CHANNELS, Retention::Previous, &mut damage),
            volatile: read(storage, VOLATILE, Retention::CurrentOnly, &mut damage),
            damage,
        }
    }

    fn into_current(self, options: &Options) -> Current {
        let vault = Vault::new(self.key.key.as_ref(), self.credentials);
        let snapshot = Snapshot::new(
            options,
            self.generation,
            &self.users,
            &self.channels,
            &self.volatile,
            |user, generation| vault.opens(user, generation),
        );
        Current { snapshot: Arc::new(snapshot), vault: Arc::new(vault) }
    }
}

/// The value of a file, or the default with a note of the damage.
fn read<T: DeserializeOwned + Default>(
    storage: &impl Storage,
    name: &str,
    retention: Retention,
    damage: &mut Vec<String>,
) -> T {
    match durable::read(storage, name, retention) {
        Content::Good(value) => value,
        Content::Absent => T::default(),
        Content::Damaged(reason) => {
            damage.push(format!("{name}: {reason}"));
            T::default()
        }
    }
}
