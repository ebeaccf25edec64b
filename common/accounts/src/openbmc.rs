//! OpenBMC's accounts, read from the files that its `ipmid` and its PAM module keep.
//!
//! They let our `netipmid` stand beside OpenBMC's `ipmid` with the users that are there. The formats
//! are phosphor-host-ipmid's (`user_channel/user_mgmt.cpp`, `passwd_mgr.cpp`, `channel_mgmt.cpp`).
//! Left out, because they are not in the files or not used by OpenBMC's own `netipmid`: whether
//! User.Manager has locked a user, KG, privileges per cipher suite.
//!
//! Nothing tells of a change of all these files, so they are looked at, by their time stamps,
//! whenever a snapshot is asked for, as OpenBMC does.

mod channels;
mod passwords;
mod users;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ipmi_proto::ChannelNumber;
use zeroize::Zeroizing;

use crate::files::{ChannelSettings, ChannelsFile, UsersFile, VolatileFile};
use crate::snapshot::Options;
use crate::{ChannelAccess, ChannelTable, Followed, Kg, Password, Snapshot, UserId, Users};

/// How many user ids OpenBMC has (`ipmiMaxUsers`).
const USER_IDS: u8 = 15;

/// The largest file that is read.
const MAX_FILE: u64 = 1 << 20;

/// Where OpenBMC's files are.
#[derive(Clone, Debug)]
pub struct OpenbmcFiles {
    users: PathBuf,
    passwords: PathBuf,
    key: PathBuf,
    channels: PathBuf,
    access_default: PathBuf,
    access_non_volatile: PathBuf,
    access_volatile: PathBuf,
}

impl OpenbmcFiles {
    /// The places in a file system that begins at `root`, which is `/` on a BMC.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self {
            users: root.join("var/lib/ipmi/ipmi_user.json"),
            passwords: root.join("etc/ipmi_pass"),
            key: root.join("etc/key_file"),
            channels: root.join("usr/share/ipmi-providers/channel_config.json"),
            access_default: root.join("usr/share/ipmi-providers/channel_access.json"),
            access_non_volatile: root.join("var/lib/ipmi/channel_access_nv.json"),
            access_volatile: root.join("run/ipmi/channel_access_volatile.json"),
        }
    }

    /// The channel table.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, as one line.
    pub fn channel_table(&self) -> Result<ChannelTable, String> {
        let text = read(&self.channels)?.ok_or_else(|| missing(&self.channels))?;
        channels::table(&text).map_err(|error| of(&self.channels, &error))
    }

    /// What shows that a file was changed.
    fn stamps(&self) -> Stamps {
        let stamp = |path: &PathBuf| {
            let file = fs::metadata(path).ok()?;
            Some([
                file.ino(),
                file.len(),
                file.mtime().cast_unsigned(),
                file.mtime_nsec().cast_unsigned(),
            ])
        };
        let Self {
            users,
            passwords,
            key,
            access_default,
            ..
        } = self;
        let (non_volatile, volatile) = (&self.access_non_volatile, &self.access_volatile);
        [
            users,
            passwords,
            key,
            access_default,
            non_volatile,
            volatile,
        ]
        .map(stamp)
    }
}

type Stamps = [Option<[u64; 4]>; 6];

/// OpenBMC's accounts; changes nothing.
pub struct OpenbmcReader {
    files: OpenbmcFiles,
    folder: PathBuf,
    options: Options,
    current: RwLock<Current>,
    /// What was wrong the last time, to tell it once.
    damage: Mutex<Option<String>>,
}

#[derive(Clone)]
struct Current {
    stamps: Stamps,
    snapshot: Arc<Snapshot>,
    /// By user name.
    passwords: Arc<BTreeMap<String, Password>>,
}

impl OpenbmcReader {
    /// Reads the accounts.
    #[must_use]
    pub fn open(files: OpenbmcFiles, channels: ChannelTable) -> Self {
        let ids = UserId::new(USER_IDS).unwrap_or(UserId::MAX);
        let options = Options {
            table: Arc::new(channels),
            ids,
            boot: String::new(),
        };
        let folder = files.users.parent().map(Path::to_owned).unwrap_or_default();
        let (current, damage) = load(&files, &options, 1);
        let current = RwLock::new(current);
        let reader = Self {
            files,
            folder,
            options,
            current,
            damage: Mutex::new(None),
        };
        reader.tell(damage);
        reader
    }

    /// The accounts as the files have them now.
    fn current(&self) -> Current {
        let known = self
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if self.files.stamps() == known.stamps {
            return known;
        }
        let generation = known.snapshot.generation().wrapping_add(1);
        let (next, damage) = load(&self.files, &self.options, generation);
        self.tell(damage);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next.clone();
        next
    }

    /// Logs what is wrong, unless it is what was wrong before.
    fn tell(&self, damage: Option<String>) {
        let mut told = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        if damage != *told {
            match &damage {
                Some(reason) => {
                    tracing::error!(reason, "OpenBMC's accounts cannot be read as a whole")
                }
                None => tracing::info!("OpenBMC's accounts can be read again"),
            }
            *told = damage;
        }
    }
}

impl Users for OpenbmcReader {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.current().snapshot
    }

    fn password(&self, id: UserId) -> Option<Password> {
        let current = self.current();
        let name = &current.snapshot.user(id)?.name;
        current.passwords.get(name.as_str()).cloned()
    }

    fn kg(&self, _: ChannelNumber) -> Option<Kg> {
        None
    }
}

impl Followed for OpenbmcReader {
    fn folder(&self) -> &Path {
        &self.folder
    }

    fn announces(&self, file: &OsStr) -> bool {
        let ours = [&self.files.users, &self.files.access_non_volatile];
        ours.iter().any(|path| path.file_name() == Some(file))
    }

    fn reload(&self) -> bool {
        let known = self
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .snapshot
            .generation();
        self.current().snapshot.generation() != known
    }
}

/// Reads all files; with what is wrong with them.
fn load(files: &OpenbmcFiles, options: &Options, generation: u64) -> (Current, Option<String>) {
    // The stamps first: a change while the files are read is seen the next time.
    let stamps = files.stamps();
    let mut damage = Vec::new();
    let users = take(users(files), &mut damage);
    let passwords = take(passwords(files), &mut damage);
    let volatile = take(access(&files.access_volatile), &mut damage);
    let mut non_volatile = take(access(&files.access_default), &mut damage);
    non_volatile.extend(take(access(&files.access_non_volatile), &mut damage));
    let settings = |(channel, access)| {
        (
            channel,
            ChannelSettings {
                access: Some(access),
                ..ChannelSettings::default()
            },
        )
    };
    let channels = ChannelsFile {
        channels: non_volatile.into_iter().map(settings).collect(),
    };
    let volatile = VolatileFile {
        boot: options.boot.clone(),
        channels: volatile,
    };
    let snapshot = Snapshot::new(options, generation, &users, &channels, &volatile, |_, _| {
        true
    });
    let damage = (!damage.is_empty()).then(|| damage.join(", "));
    (
        Current {
            stamps,
            snapshot: Arc::new(snapshot),
            passwords: Arc::new(passwords),
        },
        damage,
    )
}

/// The value, or the default with a note of the damage.
fn take<T: Default>(result: Result<T, String>, damage: &mut Vec<String>) -> T {
    result.unwrap_or_else(|reason| {
        damage.push(reason);
        T::default()
    })
}

fn users(files: &OpenbmcFiles) -> Result<UsersFile, String> {
    match read(&files.users)? {
        None => Ok(UsersFile::default()),
        Some(text) => users::parse(&text).map_err(|error| of(&files.users, &error)),
    }
}

fn passwords(files: &OpenbmcFiles) -> Result<BTreeMap<String, Password>, String> {
    let Some(sealed) = read(&files.passwords)? else {
        return Ok(BTreeMap::new());
    };
    let key = read(&files.key)?.ok_or_else(|| missing(&files.key))?;
    passwords::open(&sealed, &key).map_err(|error| of(&files.passwords, error))
}

fn access(path: &Path) -> Result<BTreeMap<u8, ChannelAccess>, String> {
    match read(path)? {
        None => Ok(BTreeMap::new()),
        Some(text) => channels::access(&text).map_err(|error| of(path, &error)),
    }
}

/// The bytes of a file; `None` if there is none.
fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
    match fs::metadata(path) {
        Ok(file) if file.len() > MAX_FILE => return Err(of(path, "too large")),
        _ => {}
    }
    match fs::read(path) {
        Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(of(path, &error.to_string())),
    }
}

fn of(path: &Path, reason: &str) -> String {
    format!("{}: {reason}", path.display())
}

fn missing(path: &Path) -> String {
    of(path, "there is no such file")
}

#[cfg(test)]
mod tests;
