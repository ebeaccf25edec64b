//! Users and what they may (IPMI v2.0 §6.9, §22.26-22.29, §24.6).

use std::collections::BTreeMap;
use std::fmt;

use ipmi_proto::{ChannelNumber, Privilege};
use serde::{Deserialize, Serialize};

use crate::text;

/// A user id, 1 to 63 (IPMI v2.0 §22.26, byte 2 bits 5:0).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct UserId(u8);

impl UserId {
    /// The user whose name is empty and fixed (IPMI v2.0 §6.9).
    pub const NULL: Self = Self(1);
    /// The greatest id.
    pub const MAX: Self = Self(63);

    /// The id of this number; `None` for 0 and beyond 63.
    #[must_use]
    pub const fn new(value: u8) -> Option<Self> {
        if value >= 1 && value <= Self::MAX.0 { Some(Self(value)) } else { None }
    }

    /// The number itself.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }

    /// Where the user is in a list of all.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0) - 1
    }

    /// The first `count` ids.
    pub(crate) fn first(count: u8) -> impl Iterator<Item = Self> {
        (1..=count).filter_map(Self::new)
    }
}

impl TryFrom<u8> for UserId {
    type Error = String;

    fn try_from(value: u8) -> Result<Self, String> {
        Self::new(value).ok_or_else(|| format!("{value} is no user id: 1 to 63"))
    }
}

impl From<UserId> for u8 {
    fn from(id: UserId) -> Self {
        id.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A user name: up to 16 printable ASCII characters (IPMI v2.0 §22.28).
#[derive(Clone, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

impl UserName {
    /// The longest name.
    pub const MAX_LENGTH: usize = 16;

    /// The name in `bytes`, which zeros may follow; `None` if it is too long or has other characters
    /// than printable ASCII.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let length = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let name = std::str::from_utf8(bytes.get(..length)?).ok()?;
        let printable = name.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        (printable && length <= Self::MAX_LENGTH).then(|| Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the name of the null user, or of one not in use.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The 16 bytes that travel: the name and zeros.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::MAX_LENGTH] {
        padded(self.0.as_bytes()).unwrap_or_default()
    }
}

/// `name` and zeros; `None` if it is too long to be a name.
pub(crate) fn padded(name: &[u8]) -> Option<[u8; UserName::MAX_LENGTH]> {
    let mut bytes = [0; UserName::MAX_LENGTH];
    bytes.get_mut(..name.len())?.copy_from_slice(name);
    Some(bytes)
}

impl TryFrom<String> for UserName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let refused = format!("{name:?} is no user name: up to 16 printable ASCII characters");
        Self::new(name.as_bytes()).ok_or(refused)
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> Self {
        name.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One user, without the password.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct User {
    /// The name; empty for the null user and for an id that is not in use.
    pub name: UserName,
    /// Whether the user may log in at all (Set User Password, IPMI v2.0 §22.30).
    pub enabled: bool,
    /// How often the user was enabled; see [`enabled_mark`](Self::enabled_mark).
    pub(crate) enablings: u64,
    /// The generation of the password entry; `None` when no password was ever set.
    pub(crate) password: Option<u64>,
    /// By channel number; a channel not listed is the default.
    pub(crate) access: BTreeMap<u8, UserAccess>,
}

impl User {
    /// What the user may do on a channel.
    #[must_use]
    pub fn access(&self, channel: ChannelNumber) -> UserAccess {
        self.access.get(&channel.value()).copied().unwrap_or_default()
    }

    /// A number that is another one each time the user was enabled, whether disabled before or not:
    /// that ends a lock for wrong passwords (IPMI v2.0 §23.2, LAN parameter 26).
    #[must_use]
    pub fn enabled_mark(&self) -> u64 {
        self.enablings
    }

    /// Whether any password was set.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }
}

/// What a user may do on one channel (IPMI v2.0 §22.26).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct UserAccess {
    /// The highest privilege; `None` is "no access" (Fh), the default.
    #[serde(with = "text::limit")]
    pub privilege: Option<Privilege>,
    /// May only be called back (bit 6).
    pub callback_only: bool,
    /// May authenticate links, e.g. for PPP (bit 5).
    pub link_auth: bool,
    /// May open sessions for IPMI messages (bit 4).
    pub messaging: bool,
    /// Set User Access has set the three flags (byte 1 bit 7). Until then a privilege limit switches IPMI
    /// messaging on.
    pub flags_set: bool,
    /// How many sessions the user may have at once, 1 to 15; 0 is as many as the channel can.
    pub session_limit: u8,
    /// Which payloads the user may activate.
    pub payloads: PayloadAccess,
}

impl UserAccess {
    /// Sets the privilege limit. It is of no use without IPMI messaging, which it therefore switches on for
    /// a user whose flags were never set: `ipmitool user priv` leaves them alone. Flags that were set stay.
    pub fn set_limit(&mut self, limit: Option<Privilege>) {
        self.privilege = limit;
        self.messaging |= limit.is_some() && !self.flags_set;
    }
}

/// Which payload types a user may activate on a channel (IPMI v2.0 §24.6); bit n is type n.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct PayloadAccess {
    /// Standard payload types 0h to Fh; bit 1 is SOL.
    pub standard: u16,
    /// OEM payload types 20h to 2Fh.
    pub oem: u16,
}

impl PayloadAccess {
    const SOL: u16 = 1 << 1;

    /// Whether the user may activate SOL.
    #[must_use]
    pub const fn sol(self) -> bool {
        self.standard & Self::SOL != 0
    }
}

impl Default for PayloadAccess {
    /// SOL, as OpenBMC gives it to a new user.
    fn default() -> Self {
        Self { standard: Self::SOL, oem: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_up_to_16_printable_characters() {
        let mut padded = [0; 16];
        padded[..4].copy_from_slice(b"root");
        let name = UserName::new(&padded).unwrap();
        assert_eq!((name.as_str(), name.to_bytes()), ("root", padded));
        assert_eq!(UserName::new(b"sixteen chars ok").unwrap().to_bytes(), *b"sixteen chars ok");
        assert!(UserName::new(&[0; 16]).unwrap().is_empty());
        for bad in [&b"seventeen chars !"[..], b"a\nb", b"a\0b", b"\x7f", b"\xc3\xb6"] {
            assert_eq!(UserName::new(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn ids_are_1_to_63() {
        assert_eq!(UserId::new(0), None);
        assert_eq!(UserId::new(64), None);
        assert_eq!(UserId::new(63), Some(UserId::MAX));
        assert_eq!(UserId::first(3).last(), UserId::new(3));
    }

    #[test]
    fn new_user_may_nothing_but_activate_sol_once_admitted() {
        let access = User::default().access(ChannelNumber::SYSTEM_INTERFACE);
        assert_eq!(access.privilege, None);
        assert!(!access.messaging && access.payloads.sol());
    }
}
