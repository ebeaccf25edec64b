//! OpenBMC's accounts, as `ipmid` changes them.
//!
//! Names, privileges and whether a user is enabled are User.Manager's: what a request changes is
//! changed there first, then in the files, and what others change there is taken to the files by
//! [`OpenbmcWriter::synchronise`]. One lock is held over both, so that a change cannot be taken back
//! by a picture of the accounts that was taken before it.

mod change;
mod follow;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use durable::Folder;
use ipmi_proto::ChannelNumber;
use rustix::fs::{FlockOperation, fcntl_lock};
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::files::{OpenbmcFiles, PUBLIC, SECRET, missing, of, read, replace};
use super::store::{self, Store};
use super::system::SystemAccounts;
use super::users::UserTable;
use super::{channels, passwords};
use crate::locks::lock;
use crate::{
    AccessConfig, AccountError, Channel, ChannelAccess, ChannelTable, Kg, Password, Setting,
    Snapshot, UserId, Users, Writer,
};

/// How OpenBMC indents the files.
const INDENT: &[u8] = b"    ";

/// OpenBMC's accounts, for the one daemon that changes them.
pub struct OpenbmcWriter {
    store: Store<Writer<Folder>>,
    system: Box<dyn SystemAccounts>,
    /// The channel whose user privileges are the accounts' own.
    management: u8,
    /// Held while a change is made.
    changing: Mutex<()>,
    /// The lock with which OpenBMC's `netipmid` leaves it to us to update the files after User.Manager's signals.
    _signals: Option<File>,
}

impl OpenbmcWriter {
    /// Opens the accounts. Absent files of channel access are created as OpenBMC's `ipmid` does: the
    /// non-volatile one from the shipped one, and the volatile one from the non-volatile one.
    ///
    /// # Errors
    ///
    /// [`AccountError::Storage`] and [`AccountError::File`] when our own store, or one of the files
    /// that make the channels, cannot be used.
    pub fn open(
        files: OpenbmcFiles,
        channels: ChannelTable,
        state_dir: &Path,
        config: &AccessConfig,
        system: Box<dyn SystemAccounts>,
    ) -> Result<Self, AccountError> {
        let config = AccessConfig { initial_user: None, ..config.clone() };
        let own = Writer::open(state_dir, &config, channels.clone())?;
        let management = files.management_channel().map_err(AccountError::File)?;
        let signals = hold(&files.signal_lock);
        let writer = Self {
            store: Store::open(files, channels, own),
            system,
            management,
            changing: Mutex::new(()),
            _signals: signals,
        };
        writer.ensure_channel_files()?;
        Ok(writer)
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        lock(&self.changing)
    }

    fn files(&self) -> &OpenbmcFiles {
        &self.store.files
    }

    /// The users to change. An invalid file is renamed: the users are then read from User.Manager.
    fn user_table(&self) -> Result<UserTable, AccountError> {
        let path = &self.files().users;
        let Some(text) = read(path).map_err(AccountError::File)? else {
            return Ok(UserTable::default());
        };
        UserTable::parse(&text).or_else(|reason| {
            let aside = path.with_extension("json.damaged");
            tracing::error!(file = %path.display(), reason, "invalid file: set aside, reading User.Manager");
            fs::rename(path, &aside).map_err(|error| storage("set aside", path, error))?;
            Ok(UserTable::default())
        })
    }

    fn save_users(&self, users: &UserTable) -> Result<(), AccountError> {
        self.save(&self.files().users, users)
    }

    fn save(&self, path: &Path, value: &impl Serialize) -> Result<(), AccountError> {
        let mut text = Vec::new();
        let mut serializer =
            Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(INDENT));
        value
            .serialize(&mut serializer)
            .map_err(|error| AccountError::File(of(path, &error.to_string())))?;
        replace(path, &text, PUBLIC).map_err(|error| storage("replace", path, error))
    }

    /// Renames the entry of a password, or deletes it.
    fn move_password(&self, old: &str, new: Option<&str>) -> Result<(), AccountError> {
        let path = &self.files().passwords;
        let Some(sealed) = read(path).map_err(AccountError::File)? else {
            return Ok(());
        };
        let key_path = &self.files().key;
        let key = read(key_path).map_err(AccountError::File)?;
        let key = key.ok_or_else(|| AccountError::File(missing(key_path)))?;
        let next = passwords::rename(&sealed, &key, old, new)
            .map_err(|error| AccountError::File(of(path, error)))?;
        match next {
            Some(next) => {
                replace(path, &next, SECRET).map_err(|error| storage("replace", path, error))
            }
            None => Ok(()),
        }
    }

    /// As [`move_password`](Self::move_password), after the user was renamed or deleted: a failure is logged, because
    /// that cannot be undone.
    fn follow_password(&self, old: &str, new: Option<&str>) {
        if let Err(error) = self.move_password(old, new) {
            tracing::error!(%error, user = old, "cannot rename or delete the user's password entry; it stays");
        }
    }

    /// Access to the channels with sessions, as set or as configured.
    fn all_access(&self, setting: Setting) -> BTreeMap<u8, ChannelAccess> {
        let snapshot = self.store.snapshot();
        let with_sessions = snapshot.channels().iter().filter(|c| c.has_sessions());
        with_sessions
            .filter_map(|channel| {
                let number = channel.number();
                Some((number.value(), snapshot.channel_access(number, setting)?))
            })
            .collect()
    }

    fn save_access(
        &self,
        setting: Setting,
        channels: &BTreeMap<u8, ChannelAccess>,
    ) -> Result<(), AccountError> {
        let path = match setting {
            Setting::NonVolatile => &self.files().access_non_volatile,
            Setting::Volatile => &self.files().access_volatile,
        };
        self.save(path, &channels::emit(channels))
    }

    fn ensure_channel_files(&self) -> Result<(), AccountError> {
        let _changing = self.changing();
        // What cannot be read is no reason to write over it.
        store::non_volatile(self.files()).map_err(AccountError::File)?;
        store::access(&self.files().access_volatile).map_err(AccountError::File)?;
        for (setting, path) in [
            (Setting::NonVolatile, &self.files().access_non_volatile),
            (Setting::Volatile, &self.files().access_volatile),
        ] {
            if !path.exists() {
                self.save_access(setting, &self.all_access(Setting::NonVolatile))?;
            }
        }
        Ok(())
    }

    /// The channel of this number.
    ///
    /// # Errors
    ///
    /// [`AccountError::NoSuchChannel`].
    fn channel(&self, number: ChannelNumber) -> Result<&Channel, AccountError> {
        let channel = self.store.options.table.get(number);
        channel.ok_or(AccountError::NoSuchChannel(number))
    }
}

impl Users for OpenbmcWriter {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.store.snapshot()
    }

    fn password(&self, id: UserId) -> Option<Password> {
        self.store.password(id)
    }

    fn kg(&self, channel: ChannelNumber) -> Option<Kg> {
        self.store.kg(channel)
    }
}

fn storage(operation: &'static str, path: &Path, source: io::Error) -> AccountError {
    AccountError::Storage(durable::Error::Storage {
        operation,
        name: path.display().to_string(),
        source,
    })
}

/// The file's lock, if nobody else has it; without it both daemons take the signals to the files,
/// which ends the same.
fn hold(path: &Path) -> Option<File> {
    fs::create_dir_all(path.parent()?).ok()?;
    let file = File::create(path).ok()?;
    fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(file)
}

#[cfg(test)]
mod tests;
