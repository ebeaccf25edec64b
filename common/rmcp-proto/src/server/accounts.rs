//! What the server asks its owner for: accounts, and random bytes.

use std::time::Duration;

use ipmi_proto::Privilege;

use crate::crypto::UserKey;
use crate::suite::CipherSuite;
use crate::wire::rakp::UserName;

/// A user who may log in on the server's channel.
#[derive(Clone, Debug)]
pub struct Account {
    /// The user's id, 1 to 63.
    pub id: u8,
    /// The user's name; empty for the anonymous user.
    pub name: UserName,
    /// The user's password.
    pub key: UserKey,
    /// The lower of the user's and the channel's privilege limit.
    pub limit: Privilege,
}

/// The users of the server's channel. Every answer is the present state: the server asks again for each
/// login, and for every active session in [`Server::accounts_changed`](super::Server::accounts_changed).
pub trait Accounts {
    /// The enabled user called `name` with IPMI messaging on this channel; of several the one with
    /// the lowest id. With `role` (look-up by name and role) the lowest id whose limit is exactly
    /// that, or else the lowest whose limit is above it.
    ///
    /// # Errors
    ///
    /// The reason, for the log and the counters. The console must not see it: to find it must take the same
    /// time for each.
    fn find(&self, name: &UserName, role: Option<Privilege>) -> Result<Account, Denial>;

    /// The user `id`; `None` if that user may not log in.
    fn by_id(&self, id: u8) -> Option<Account>;

    /// KG, if one is set.
    fn kg(&self) -> Option<UserKey>;

    /// The most that a login on this channel may be granted; `None` while the channel is closed.
    fn channel_limit(&self) -> Option<Privilege>;

    /// The most that a login with `suite` may be granted; `None` where the suite is not allowed.
    fn suite_limit(&self, suite: CipherSuite) -> Option<Privilege>;

    /// Which packets of IPMI 1.5 sessions may go without an auth code.
    fn v15_policy(&self) -> V15Policy;

    /// The bad password threshold and its times.
    fn bad_password(&self) -> BadPassword;

    /// A number that changes each time an administrator enables the user, which ends a lock for wrong
    /// passwords, and at no other time.
    fn enabled_mark(&self, id: u8) -> u64;

    /// Which kinds of users Get Channel Authentication Capabilities reports.
    fn login_status(&self) -> LoginStatus;
}

/// Why no login under a name succeeds. The console gets the response to a wrong password in each case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Denial {
    /// No user has the name.
    UnknownUser,
    /// The user is disabled.
    UserDisabled,
    /// The user has no access to the channel: the privilege limit is "no access".
    NoChannelAccess,
    /// IPMI messaging is off for the user on the channel (IPMI v2.0 §22.26, bit 4).
    MessagingDisabled,
    /// The user is restricted to callback on the channel (IPMI v2.0 §22.26, bit 6).
    CallbackOnly,
    /// The user has no password.
    NoPassword,
    /// The user's password is longer than what the session's format can prove (IPMI 1.5: 16 bytes).
    PasswordTooLong,
    /// The user's limit is below the role that the look-up by name and role asks for.
    RoleAboveLimit,
    /// The accounts cannot be read, or not all of them.
    AccountsUnreadable,
}

/// The bad password threshold (IPMI v2.0 §23.2, LAN parameter 26).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct BadPassword {
    /// How many wrong passwords lock a user; 0 disables the lock.
    pub threshold: u8,
    /// After how long the count is reset; `None` is never.
    pub reset: Option<Duration>,
    /// For how long a user is locked; `None` until an administrator enables the user.
    pub lockout: Option<Duration>,
}

/// Which packets of IPMI 1.5 sessions may go without an auth code (IPMI v2.0 §6.11.4).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct V15Policy {
    /// All of them, once the session is active.
    pub per_message_auth_disabled: bool,
    /// Those of commands that a User may give.
    pub user_level_auth_disabled: bool,
}

/// Which kinds of users there are (IPMI v2.0 §22.13, Table 22-15 byte 4).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LoginStatus {
    /// Users with a name are enabled.
    pub named_users: bool,
    /// Users with a password but no name are enabled.
    pub null_users: bool,
    /// A user with neither name nor password is enabled.
    pub anonymous: bool,
}

/// A source of random bytes fit for keys.
pub trait Random {
    /// Fills `bytes`.
    fn fill(&mut self, bytes: &mut [u8]);
}

/// `N` random bytes.
pub(crate) fn random_bytes<const N: usize>(random: &mut impl Random) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}

/// A random number of 64 bits.
pub(crate) fn random_u64(random: &mut impl Random) -> u64 {
    u64::from_le_bytes(random_bytes(random))
}

/// A random number.
pub(crate) fn random_u32(random: &mut impl Random) -> u32 {
    u32::from_le_bytes(random_bytes(random))
}
