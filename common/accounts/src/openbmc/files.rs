//! Where OpenBMC's files are, and how they are read and replaced.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{channels, ciphers};
use crate::ChannelTable;

/// The largest file that is read.
const MAX_FILE: u64 = 1 << 20;

/// Permissions of the files that everybody may read, and of those with secrets.
pub(super) const PUBLIC: u32 = 0o644;
pub(super) const SECRET: u32 = 0o600;

/// Where OpenBMC's files are.
#[derive(Clone, Debug)]
pub struct OpenbmcFiles {
    pub(super) users: PathBuf,
    pub(super) passwords: PathBuf,
    pub(super) key: PathBuf,
    pub(super) channels: PathBuf,
    pub(super) access_default: PathBuf,
    pub(super) access_non_volatile: PathBuf,
    pub(super) access_volatile: PathBuf,
    pub(super) cipher_list: PathBuf,
    pub(super) cipher_default: PathBuf,
    pub(super) cipher_privileges: PathBuf,
    /// Held by the one process that takes User.Manager's signals to the files.
    pub(super) signal_lock: PathBuf,
}

impl OpenbmcFiles {
    /// The places in a file system that begins at `root`, which is `/` on a BMC.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        let state_dir = root.join("var/lib/ipmi");
        let shipped = root.join("usr/share/ipmi-providers");
        Self {
            users: state_dir.join("ipmi_user.json"),
            passwords: root.join("etc/ipmi_pass"),
            key: root.join("etc/key_file"),
            channels: shipped.join("channel_config.json"),
            access_default: shipped.join("channel_access.json"),
            access_non_volatile: state_dir.join("channel_access_nv.json"),
            access_volatile: root.join("run/ipmi/channel_access_volatile.json"),
            cipher_list: shipped.join("cipher_list.json"),
            cipher_default: shipped.join("cs_privilege_levels.json"),
            cipher_privileges: state_dir.join("cs_privilege_levels.json"),
            signal_lock: root.join("run/ipmi/ipmi_usr_signal_mutex"),
        }
    }

    /// The channel table.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, as one line.
    pub fn channel_table(&self) -> Result<ChannelTable, String> {
        let table = channels::table(&self.channel_config()?);
        table.map_err(|error| of(&self.channels, &error))
    }

    /// Of the cipher suites `allowed`, those that the file of suites lists too; all of them where
    /// there is no such file.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, as one line; that none is left is an error too.
    pub fn cipher_suites(&self, allowed: &[u8]) -> Result<Vec<u8>, String> {
        let mut suites = allowed.to_vec();
        if let Some(text) = read(&self.cipher_list)? {
            let list = ciphers::list(&text).map_err(|error| of(&self.cipher_list, &error))?;
            suites.retain(|suite| list.contains(suite));
        }
        if suites.is_empty() {
            return Err(of(&self.cipher_list, "it lists no suite that is allowed"));
        }
        Ok(suites)
    }

    /// The channel whose user privileges are the accounts' own (`is_management_nic`).
    pub(super) fn management_channel(&self) -> Result<u8, String> {
        let channel = channels::management(&self.channel_config()?);
        channel.map_err(|error| of(&self.channels, &error))
    }

    fn channel_config(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        read(&self.channels)?.ok_or_else(|| missing(&self.channels))
    }

    /// What shows that a file was changed.
    pub(super) fn stamps(&self) -> Stamps {
        let stamp = |path: &PathBuf| {
            let file = fs::metadata(path).ok()?;
            Some([
                file.ino(),
                file.len(),
                // Not the time of the contents: a file that may be read again has not been written.
                file.ctime().cast_unsigned(),
                file.ctime_nsec().cast_unsigned(),
            ])
        };
        self.watched().map(stamp)
    }

    /// The files that make the accounts.
    pub(super) fn watched(&self) -> [&PathBuf; 8] {
        [
            &self.users,
            &self.passwords,
            &self.key,
            &self.access_default,
            &self.access_non_volatile,
            &self.access_volatile,
            &self.cipher_default,
            &self.cipher_privileges,
        ]
    }
}

pub(super) type Stamps = [Option<[u64; 4]>; 8];

/// The bytes of a file; `None` if there is none.
pub(super) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
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

/// Replaces a file atomically: a reader, also after a power loss, finds the old one or the new one.
/// The new one is called `<name>_tmp` until then, as in OpenBMC.
pub(super) fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push("_tmp");
    let new = path.with_file_name(name);
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&new)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}

pub(super) fn of(path: &Path, reason: &str) -> String {
    format!("{}: {reason}", path.display())
}

pub(super) fn missing(path: &Path) -> String {
    of(path, "there is no such file")
}
