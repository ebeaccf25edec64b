//! What the tests of several modules share: a clock's start, counted "random" bytes, accounts.

use std::time::Instant;

use ipmi_proto::Privilege;

use crate::crypto::UserKey;
use crate::server::{Account, Accounts, BadPassword, Denial, LoginStatus, Random, V15Policy};
use crate::suite::CipherSuite;
use crate::wire::rakp::UserName;

/// Where a virtual clock starts: an `Instant` can only be had from the real one.
#[expect(clippy::disallowed_methods, reason = "the start of a virtual clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Bytes that differ from call to call, the same in each run (xorshift).
#[derive(Clone, Debug)]
pub(crate) struct Counted(pub(crate) u64);

impl Random for Counted {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            *byte = self.0.to_le_bytes()[3];
        }
    }
}

/// A table of users.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) accounts: Vec<Account>,
    /// Names under which nobody can log in.
    pub(crate) denied: Vec<(UserName, Denial)>,
    pub(crate) kg: Option<UserKey>,
    pub(crate) channel_limit: Option<Privilege>,
    pub(crate) suite_limit: Option<Privilege>,
    pub(crate) v15_policy: V15Policy,
    pub(crate) bad_password: BadPassword,
    pub(crate) enabled_mark: u64,
}

/// A user called `name`.
pub(crate) fn account(id: u8, name: &str, password: &str, limit: Privilege) -> Account {
    Account {
        id,
        name: UserName::new(name.as_bytes()).unwrap(),
        key: UserKey::from_password(password.as_bytes()).unwrap(),
        limit,
    }
}

impl Table {
    /// `root` (2) as administrator and `guest` (3) as user.
    pub(crate) fn usual() -> Self {
        Self {
            accounts: vec![
                account(2, "root", "0penBmc", Privilege::Administrator),
                account(3, "guest", "guest word", Privilege::User),
            ],
            denied: Vec::new(),
            kg: None,
            channel_limit: Some(Privilege::Administrator),
            suite_limit: Some(Privilege::Administrator),
            v15_policy: V15Policy::default(),
            bad_password: BadPassword::default(),
            enabled_mark: 0,
        }
    }
}

impl Accounts for Table {
    fn find(&self, name: &UserName, role: Option<Privilege>) -> Result<Account, Denial> {
        if let Some((_, denial)) = self.denied.iter().find(|(denied, _)| denied == name) {
            return Err(*denial);
        }
        let named = || self.accounts.iter().filter(|account| account.name == *name);
        let found = match role {
            None => named().next(),
            Some(role) => {
                let exact = named().find(|account| account.limit == role);
                exact.or_else(|| named().find(|account| account.limit > role))
            }
        };
        let any = named().next().is_some();
        let denial = if any { Denial::RoleAboveLimit } else { Denial::UnknownUser };
        found.cloned().ok_or(denial)
    }

    fn by_id(&self, id: u8) -> Option<Account> {
        self.accounts.iter().find(|account| account.id == id).cloned()
    }

    fn kg(&self) -> Option<UserKey> {
        self.kg.clone()
    }

    fn enabled_mark(&self, _: u8) -> u64 {
        self.enabled_mark
    }

    fn channel_limit(&self) -> Option<Privilege> {
        self.channel_limit
    }

    fn suite_limit(&self, _: CipherSuite) -> Option<Privilege> {
        self.suite_limit
    }

    fn v15_policy(&self) -> V15Policy {
        self.v15_policy
    }

    fn bad_password(&self) -> BadPassword {
        self.bad_password
    }

    fn login_status(&self) -> LoginStatus {
        LoginStatus { named_users: true, ..LoginStatus::default() }
    }
}
