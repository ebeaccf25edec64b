//! OpenBMC's accounts: the files of its `ipmid` and its PAM module.
//!
//! With them each of our daemons can replace OpenBMC's without a change of users: `netipmid` reads
//! the files ([`OpenbmcReader`]); `ipmid` changes them too, and calls User.Manager and PAM for what
//! they own ([`OpenbmcWriter`]). The formats are phosphor-host-ipmid's
//! (`user_channel/user_mgmt.cpp`, `passwd_mgr.cpp`, `channel_mgmt.cpp`, `cipher_mgmt.cpp`). What
//! OpenBMC does not store, KG and the bad password threshold, is in our own store. A limit on a
//! user's sessions is not supported.
//!
//! Not every change of these files is signalled, so their time stamps are compared at each
//! request for a snapshot, as OpenBMC does.

mod channels;
mod ciphers;
mod files;
mod passwords;
mod store;
mod system;
mod users;
mod writer;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipmi_proto::ChannelNumber;

pub use self::files::OpenbmcFiles;
use self::store::Store;
pub use self::system::{SystemAccounts, SystemError, SystemUser};
pub use self::writer::OpenbmcWriter;
use crate::{AccessConfig, ChannelTable, Followed, Kg, Password, Reader, Snapshot, UserId, Users};

/// How many user ids OpenBMC has (`ipmiMaxUsers`).
const USER_IDS: u8 = 15;

/// OpenBMC's accounts; changes nothing.
pub struct OpenbmcReader(Store<Reader>);

impl OpenbmcReader {
    /// Reads the accounts; what OpenBMC has no file for is in our own store below `state_dir`.
    #[must_use]
    pub fn open(
        files: OpenbmcFiles,
        channels: ChannelTable,
        state_dir: &Path,
        config: &AccessConfig,
    ) -> Self {
        let own = Reader::open(state_dir, config, channels.clone());
        Self(Store::open(files, channels, own))
    }
}

impl Users for OpenbmcReader {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.0.snapshot()
    }

    fn password(&self, id: UserId) -> Option<Password> {
        self.0.password(id)
    }

    fn kg(&self, channel: ChannelNumber) -> Option<Kg> {
        self.0.kg(channel)
    }
}

impl Followed for OpenbmcReader {
    fn folders(&self) -> Vec<PathBuf> {
        let mut folders = self.0.folders();
        folders.extend(self.0.own.folders());
        folders
    }

    fn announces(&self, file: &OsStr) -> bool {
        let mut names = self.0.files.watched().into_iter();
        names.any(|path| path.file_name() == Some(file)) || self.0.own.announces(file)
    }

    fn reload(&self) -> bool {
        let known = self.0.known_generation();
        self.0.own.reload();
        self.0.snapshot().generation() != known
    }

    fn refresh(&self) -> bool {
        let known = self.0.known_generation();
        self.0.own.refresh();
        // It compares the time stamps itself.
        self.0.snapshot().generation() != known
    }

    fn is_unreadable(&self) -> bool {
        self.0.is_unreadable() || self.0.own.is_unreadable()
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
