//! The interface of a store of accounts.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

use ipmi_proto::{ChannelNumber, Privilege};

use crate::{
    BadPassword, ChannelAccess, Kg, Password, PasswordTest, Setting, Snapshot, SystemError,
    UserAccess, UserId, UserName,
};

/// A store of accounts to read. All of it comes from memory.
pub trait Users: Send + Sync {
    /// All users and channels as they are now.
    fn snapshot(&self) -> Arc<Snapshot>;

    /// A user's password; `None` if none is set, or if it was lost.
    fn password(&self, id: UserId) -> Option<Password>;

    /// The KG of a channel, if one is set.
    fn kg(&self, channel: ChannelNumber) -> Option<Kg>;
}

/// A store of accounts that another process changes.
pub trait Followed: Users {
    /// The folders where a changed file appears; they may not exist yet.
    fn folders(&self) -> Vec<PathBuf>;

    /// Whether a file of this name that was moved into one of the folders, or written there, means a
    /// change of the accounts.
    fn announces(&self, file: &OsStr) -> bool;

    /// Reads the accounts anew; returns whether they were changed.
    fn reload(&self) -> bool;

    /// The same, if the time stamps of the files are not what they were when they were read last: for a reader
    /// that is not notified of changes.
    fn refresh(&self) -> bool;

    /// Whether a file or folder of the accounts could not be read when they were read last: then a user
    /// or a password that the snapshot does not have may exist all the same.
    fn is_unreadable(&self) -> bool;
}

/// A store of accounts to change.
///
/// The calls return when the change is safe on the medium, and may block for that long: a daemon
/// calls them on a thread that may block. After an error nothing has changed.
///
/// Calls from several threads take effect one after the other. A change of part of a value is a function that
/// the store runs on the present value under its lock, so that no change of another caller is overwritten.
/// Limits and uniqueness are checked there too.
pub trait UserAdmin: Users {
    /// Sets a user's name.
    ///
    /// The empty name frees the id: password, enabled flag and access of the user are gone with it.
    ///
    /// # Errors
    ///
    /// [`AccountError::FixedName`], [`AccountError::NameTaken`], and those of every call.
    fn set_name(&self, id: UserId, name: UserName) -> Result<(), AccountError>;

    /// Enables or disables a user.
    ///
    /// # Errors
    ///
    /// Those of every call.
    fn set_enabled(&self, id: UserId, enabled: bool) -> Result<(), AccountError>;

    /// Sets a user's password; it does not enable the user.
    ///
    /// # Errors
    ///
    /// Those of every call.
    fn set_password(&self, id: UserId, password: &Password) -> Result<(), AccountError>;

    /// Compares a password with the user's.
    ///
    /// # Errors
    ///
    /// Those of every call.
    fn test_password(&self, id: UserId, password: &Password) -> Result<PasswordTest, AccountError>;

    /// Changes what a user may do on a channel.
    ///
    /// # Errors
    ///
    /// Those of every call.
    fn change_access(
        &self,
        id: UserId,
        channel: ChannelNumber,
        change: &dyn Fn(&mut UserAccess),
    ) -> Result<(), AccountError>;

    /// Changes the access to a channel: `change` gives each of the two settings its new value, or `None` to
    /// leave it alone. The volatile one stays as it is even where it followed the other.
    ///
    /// # Errors
    ///
    /// Those of every call.
    fn change_channel_access(
        &self,
        channel: ChannelNumber,
        change: &dyn Fn(Setting, ChannelAccess) -> Option<ChannelAccess>,
    ) -> Result<(), AccountError>;

    /// Makes the non-volatile access to all channels the volatile one, as a reset of the BMC does.
    ///
    /// # Errors
    ///
    /// Those of every call.
    fn reset_volatile(&self) -> Result<(), AccountError>;

    /// Sets or, with `None`, removes the KG of a channel.
    ///
    /// # Errors
    ///
    /// [`AccountError::KgLocked`], and those of every call.
    fn set_kg(&self, channel: ChannelNumber, kg: Option<&Kg>) -> Result<(), AccountError>;

    /// Locks the KG of a channel for good (IPMI v2.0 §22.25, operation 10b).
    ///
    /// # Errors
    ///
    /// Those of every call.
    fn lock_kg(&self, channel: ChannelNumber) -> Result<(), AccountError>;

    /// Sets the highest privilege that sessions of each cipher suite id may have on a channel (LAN
    /// parameter 24); `None` is a suite that may not be used. Other suites do not change.
    ///
    /// # Errors
    ///
    /// Those of every call.
    fn set_cipher_privileges(
        &self,
        channel: ChannelNumber,
        limits: &BTreeMap<u8, Option<Privilege>>,
    ) -> Result<(), AccountError>;

    /// Sets what happens after wrong passwords on a channel (LAN parameter 26).
    ///
    /// # Errors
    ///
    /// Those of every call.
    fn set_bad_password(
        &self,
        channel: ChannelNumber,
        setting: BadPassword,
    ) -> Result<(), AccountError>;
}

/// Why an account was not changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The id is beyond the configured number of users.
    #[error("there is no user {0}")]
    NoSuchUser(UserId),
    /// No channel of this number is configured.
    #[error("there is no channel {}", .0.value())]
    NoSuchChannel(ChannelNumber),
    /// The name of user 1 is fixed: the empty one.
    #[error("the name of user 1 is fixed")]
    FixedName,
    /// Another user has the name; names are unique.
    #[error("user {0} has that name")]
    NameTaken(UserId),
    /// The user has no name, and so no account that could be changed (OpenBMC's accounts).
    #[error("user {0} has no name")]
    Unnamed(UserId),
    /// The name is not valid for an account (OpenBMC's accounts).
    #[error("no account can have this name")]
    InvalidName,
    /// The password has a character that the file of passwords cannot hold (OpenBMC's accounts).
    #[error("no account can have this password")]
    InvalidPassword,
    /// The store has no limit on a user's sessions (OpenBMC's accounts).
    #[error("the number of a user's sessions cannot be limited")]
    SessionLimit,
    /// A service that owns part of the accounts failed (OpenBMC's accounts).
    #[error(transparent)]
    System(#[from] SystemError),
    /// A file cannot be read or written (OpenBMC's accounts).
    #[error("{0}")]
    File(String),
    /// The KG was locked.
    #[error("the KG of channel {} is locked", .0.value())]
    KgLocked(ChannelNumber),
    /// The random source of the system failed.
    #[error("no random numbers")]
    NoRandom,
    /// The store cannot be written.
    #[error(transparent)]
    Storage(#[from] durable::Error),
}

impl AccountError {
    /// Whether the cause is a full medium.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Storage(error) if error.is_full())
    }
}
