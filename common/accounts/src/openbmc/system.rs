//! The services of OpenBMC that own users and channels.

/// An account, as User.Manager shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SystemUser {
    /// The name.
    pub name: String,
    /// The groups; those in `ipmi` are IPMI's users.
    pub groups: Vec<String>,
    /// The privilege by name, such as `priv-admin`; empty for none.
    pub privilege: String,
    /// Whether the account may be used.
    pub enabled: bool,
}

/// The services of OpenBMC that own users and channels: User.Manager, the network's `ChannelAccess`,
/// and PAM for passwords.
///
/// The calls block until the service replies, and are made on threads that may block.
pub trait SystemAccounts: Send + Sync {
    /// All accounts.
    ///
    /// # Errors
    ///
    /// [`SystemError`], as every call.
    fn users(&self) -> Result<Vec<SystemUser>, SystemError>;

    /// Creates an account that is not enabled, in all groups.
    ///
    /// # Errors
    ///
    /// [`SystemError`], as every call.
    fn create(&self, name: &str, privilege: &str) -> Result<(), SystemError>;

    /// Gives an account another name.
    ///
    /// # Errors
    ///
    /// [`SystemError`], as every call.
    fn rename(&self, old: &str, new: &str) -> Result<(), SystemError>;

    /// Deletes an account.
    ///
    /// # Errors
    ///
    /// [`SystemError`], as every call.
    fn delete(&self, name: &str) -> Result<(), SystemError>;

    /// Sets an account's privilege; empty for none.
    ///
    /// # Errors
    ///
    /// [`SystemError`], as every call.
    fn set_privilege(&self, name: &str, privilege: &str) -> Result<(), SystemError>;

    /// Enables or disables an account.
    ///
    /// # Errors
    ///
    /// [`SystemError`], as every call.
    fn set_enabled(&self, name: &str, enabled: bool) -> Result<(), SystemError>;

    /// Sets an account's password. PAM's modules write `ipmi_pass` too.
    ///
    /// # Errors
    ///
    /// [`SystemError`], as every call.
    fn set_password(&self, name: &str, password: &[u8]) -> Result<(), SystemError>;

    /// The privilege limit of a network interface's channel, by name.
    ///
    /// # Errors
    ///
    /// [`SystemError::Absent`] where the network service shows none, and as every call.
    fn channel_limit(&self, interface: &str) -> Result<String, SystemError>;

    /// Sets the privilege limit of a network interface's channel.
    ///
    /// # Errors
    ///
    /// As [`channel_limit`](Self::channel_limit).
    fn set_channel_limit(&self, interface: &str, limit: &str) -> Result<(), SystemError>;
}

/// Why a service failed. Each reason names the object and member that was called.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SystemError {
    /// There is no such service, or it does not know the user or interface.
    #[error("no service has the user or interface: {0}")]
    Absent(String),
    /// The service did not reply in time.
    #[error("the service did not reply in time: {0}")]
    Timeout(String),
    /// The service refused, for this reason.
    #[error("refused: {0}")]
    Refused(String),
    /// This machine lacks what is needed, which the reason names.
    #[error("not possible here: {0}")]
    Unavailable(String),
}
