//! The accounts, for the one daemon that changes them.
//!
//! A new password takes three writes, so that a power loss between any two of them leaves the old
//! password or the new one: the credentials with both entries, the users file that names the new
//! entry, the credentials without the old one.

mod change;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use durable::{Folder, Modes, Origin, Retention, StateFile, Storage};
use ipmi_proto::ChannelNumber;
use nix::unistd::{Group, chown};

use crate::files::{
    CHANNELS, CREDENTIALS, ChannelsFile, CredentialsFile, FOLDER, KEY, KeyFile, USERS, UsersFile,
    VOLATILE, Vault, VolatileFile, read_generation, write_generation,
};
use crate::locks::{lock, lock_read, lock_write};
use crate::reader::Current;
use crate::seal::SealingKey;
use crate::snapshot::Options;
use crate::{
    AccessConfig, AccountError, ChannelTable, InitialUser, Kg, Password, Snapshot, User,
    UserAccess, UserId, Users,
};

/// The group that may read the files.
const GROUP: &str = "ipmi-access";

/// The id of the initial user: the first whose name is not fixed.
pub(crate) const INITIAL_USER: u8 = 2;

/// The accounts, for the one daemon that changes them.
pub struct Writer<S = Folder> {
    options: Options,
    current: RwLock<Current>,
    files: Mutex<Files<S>>,
}

struct Files<S> {
    storage: S,
    generation: u64,
    key: Option<SealingKey>,
    users: StateFile<UsersFile, S>,
    channels: StateFile<ChannelsFile, S>,
    volatile: StateFile<VolatileFile, S>,
    credentials: StateFile<CredentialsFile, S>,
}

impl Writer<Folder> {
    /// Opens the accounts below the state folder, or begins with none.
    ///
    /// Damaged files are set aside, with a line in the log; what they held is lost, and with the
    /// credentials every user's permission to log in.
    ///
    /// # Errors
    ///
    /// [`AccountError::Storage`] when the folder cannot be created, or has another writer.
    pub fn open(
        state_dir: &Path,
        config: &AccessConfig,
        channels: ChannelTable,
    ) -> Result<Self, AccountError> {
        let path = state_dir.join(FOLDER);
        let folder = Folder::create(&path, Modes::GROUP_READS)?;
        folder.lock()?;
        give_to_group(&path);
        let options = Options { table: Arc::new(channels), ids: config.user_ids, boot: boot_id() };
        Self::on_storage(folder, options, config.initial_user.as_ref())
    }
}

impl<S: Storage + Clone> Writer<S> {
    fn on_storage(
        storage: S,
        options: Options,
        initial_user: Option<&InitialUser>,
    ) -> Result<Self, AccountError> {
        let mut files = Files::open(storage)?;
        let current = files.current(&options);
        let writer = Self { options, current: RwLock::new(current), files: Mutex::new(files) };
        if let Some(user) = initial_user {
            writer.seed(user)?;
        }
        Ok(writer)
    }

    /// Creates the initial user if there is no state yet; returns whether it did.
    ///
    /// # Errors
    ///
    /// [`AccountError::Storage`] when it cannot be written.
    fn seed(&self, initial: &InitialUser) -> Result<bool, AccountError> {
        let mut files = self.files();
        let untouched = files.users.origin() == Origin::New && files.users.value().users.is_empty();
        let Some(id) = UserId::new(INITIAL_USER).filter(|_| untouched) else {
            return Ok(false);
        };
        let sessions = self.options.table.iter().filter(|channel| channel.has_sessions());
        let access = sessions.map(|channel| {
            let privilege = Some(channel.privilege_limit);
            let access = UserAccess { privilege, messaging: true, ..UserAccess::default() };
            (channel.number().value(), access)
        });
        let access: BTreeMap<u8, UserAccess> = access.collect();
        let name = initial.name.clone();
        files.replace_password(id, initial.password(), |user| {
            *user =
                User { name, enabled: true, access, password: user.password, ..User::default() };
        })?;
        self.publish(&mut files);
        tracing::info!(user = %initial.name, "initial user made");
        Ok(true)
    }

    fn files(&self) -> MutexGuard<'_, Files<S>> {
        lock(&self.files)
    }

    fn current(&self) -> Current {
        lock_read(&self.current).clone()
    }

    /// Publishes a change to this daemon and to the readers.
    fn publish(&self, files: &mut Files<S>) {
        let current = files.current(&self.options);
        *lock_write(&self.current) = current;
    }
}

impl<S: Storage + Clone> Users for Writer<S> {
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

impl<S: Storage + Clone> Files<S> {
    fn open(storage: S) -> Result<Self, AccountError> {
        let users = StateFile::open(storage.clone(), USERS, Retention::Previous);
        let channels = StateFile::open(storage.clone(), CHANNELS, Retention::Previous);
        let volatile = StateFile::open(storage.clone(), VOLATILE, Retention::CurrentOnly);
        let credentials =
            StateFile::open_unlogged(storage.clone(), CREDENTIALS, Retention::CurrentOnly);
        let mut key = StateFile::open_unlogged(storage.clone(), KEY, Retention::CurrentOnly);
        let lost = key.origin() == Origin::Lost || credentials.origin() == Origin::Lost;
        let fresh = ensure_key(&mut key)?;
        let mut files = Self {
            generation: read_generation(&storage),
            key: Some(fresh),
            storage,
            users,
            channels,
            volatile,
            credentials,
        };
        files.disable_lost(lost);
        files.mark_used();
        files.prune();
        Ok(files)
    }

    /// Disables the users whose password does not open; all of them if the credentials as a whole
    /// are lost.
    fn disable_lost(&mut self, all: bool) {
        let vault = self.vault();
        let lost = |id: UserId, user: &User| {
            all || user.password.is_some_and(|generation| vault.password(id, generation).is_none())
        };
        let users = &self.users.value().users;
        let ids: Vec<UserId> =
            users.iter().filter(|&(&id, user)| lost(id, user)).map(|(&id, _)| id).collect();
        if ids.is_empty() && !all {
            return;
        }
        tracing::error!(
            users = ?ids.iter().map(|id| id.value()).collect::<Vec<_>>(),
            "credentials are lost or damaged; these users are disabled until they get a new password"
        );
        let saved = self.users.update(|file| {
            for id in &ids {
                if let Some(user) = file.users.get_mut(id) {
                    user.enabled = false;
                    user.password = None;
                }
            }
        });
        if let Err(error) = saved {
            // They stay disabled all the same: what does not open admits nobody.
            tracing::error!(%error, "cannot write the users");
        }
    }

    /// Makes a users file that was lost exist again, so that the next start is not taken for the
    /// first one.
    fn mark_used(&mut self) {
        if self.users.origin() == Origin::Lost
            && let Err(error) = self.users.update(|_| {})
        {
            tracing::error!(%error, "cannot write the users");
        }
    }

    fn vault(&self) -> Vault {
        Vault::new(self.key.as_ref(), self.credentials.value().clone())
    }

    /// A snapshot after a change, and a new generation for the readers.
    fn current(&mut self, options: &Options) -> Current {
        self.generation = self.generation.wrapping_add(1);
        if let Err(error) = write_generation(&self.storage, self.generation) {
            tracing::warn!(%error, "cannot write the generation: readers of the accounts may miss a change");
        }
        let vault = self.vault();
        let snapshot = Snapshot::new(
            options,
            self.generation,
            self.users.value(),
            self.channels.value(),
            self.volatile.value(),
            |user, generation| vault.opens(user, generation),
        );
        Current { snapshot: Arc::new(snapshot), vault: Arc::new(vault) }
    }

    /// Gives `id` another password, and makes `edit` in the same step.
    fn replace_password(
        &mut self,
        id: UserId,
        password: &Password,
        edit: impl FnOnce(&mut User),
    ) -> Result<(), AccountError> {
        let floor = self.users.value().last_password();
        let (credentials, generation) = self.vault().with_password(id, password, floor)?;
        self.credentials.save(credentials)?;
        self.users.update(|file| {
            let user = file.users.entry(id).or_default();
            edit(user);
            user.password = Some(generation);
        })?;
        self.prune();
        Ok(())
    }

    /// Removes password entries that no user names, so that they cannot come back.
    fn prune(&mut self) {
        if let Some(credentials) = self.credentials.value().without_stale(self.users.value())
            && let Err(error) = self.credentials.save(credentials)
        {
            // They do not open without a user that names them, and go with the next write.
            tracing::warn!(%error, "replaced passwords cannot be removed yet");
        }
    }
}

/// The sealing key of the file, or a new one.
fn ensure_key<S: Storage>(file: &mut StateFile<KeyFile, S>) -> Result<SealingKey, AccountError> {
    if let Some(key) = &file.value().key {
        return Ok(key.clone());
    }
    let key = SealingKey::random()?;
    file.save(KeyFile { key: Some(key.clone()) })?;
    Ok(key)
}

/// An identifier of this start of the machine.
pub(crate) fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// Gives the folder to the group of the readers, if that exists and this process has the privilege.
fn give_to_group(path: &Path) {
    if let Ok(Some(group)) = Group::from_name(GROUP)
        && let Err(error) = chown(path, None, Some(group.gid))
    {
        tracing::debug!(%error, group = GROUP, "cannot change the group of the access folder");
    }
}

#[cfg(test)]
mod tests;
