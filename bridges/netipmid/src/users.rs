//! The users of one channel, in the form that the server needs.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use accounts::{Followed, Setting, Snapshot, UserId};
use ipmi_proto::{AccessMode, ChannelNumber, Privilege};
use rmcp_proto::crypto::UserKey;
use rmcp_proto::server::{Account, Accounts, BadPassword, Denial, LoginStatus, V15Policy};
use rmcp_proto::suite::CipherSuite;
use rmcp_proto::wire::rakp::UserName;

use crate::account_changes::Changes;

/// The users of one channel.
#[derive(Clone)]
pub struct ChannelUsers {
    store: Arc<dyn Followed>,
    changes: Arc<Changes>,
    channel: ChannelNumber,
    /// See [`ChannelUsers::stand_in`]; with the generation of the accounts that it was found in.
    stand_in: Cell<Option<(u64, Option<UserId>)>>,
}

impl ChannelUsers {
    /// The users of `channel` in `store`, whose `changes` are followed.
    #[must_use]
    pub fn new(store: Arc<dyn Followed>, changes: Arc<Changes>, channel: ChannelNumber) -> Self {
        Self { store, changes, channel, stand_in: Cell::new(None) }
    }

    /// Whether there are sessions.
    pub fn set_sessions(&self, has_sessions: bool) {
        self.changes.set_sessions(has_sessions);
    }

    /// Whether the user may activate SOL on the channel.
    #[must_use]
    pub fn may_use_sol(&self, user_id: u8) -> bool {
        let snapshot = self.store.snapshot();
        UserId::new(user_id).is_some_and(|id| snapshot.access(id, self.channel).payloads.sol())
    }

    /// The limit of a user who may log in on the channel.
    fn limit(&self, snapshot: &Snapshot, id: UserId) -> Result<Privilege, Denial> {
        // All of them are looked up in every case: see `find`.
        let enabled = snapshot.user(id).is_some_and(|user| user.enabled);
        let access = snapshot.access(id, self.channel);
        let limit = snapshot.privilege_limit(id, self.channel);
        let is_callback_only = snapshot.is_callback_only(id, self.channel);
        match limit {
            _ if !enabled => Err(Denial::UserDisabled),
            None => Err(Denial::NoChannelAccess),
            // A LAN has no callback connection, so such a user has no way to log in on it.
            Some(_) if is_callback_only => Err(Denial::CallbackOnly),
            Some(_) if !access.messaging => Err(Denial::MessagingDisabled),
            Some(limit) => Ok(limit),
        }
    }

    /// A user with a password, if there is one, who is looked up in place of unknown users.
    fn stand_in(&self, snapshot: &Snapshot) -> Option<UserId> {
        let generation = snapshot.generation();
        match self.stand_in.get() {
            Some((of, id)) if of == generation => id,
            _ => {
                let mut ids = snapshot.users().map(|(id, _)| id);
                let id = ids.find(|id| self.store.password(*id).is_some());
                self.stand_in.set(Some((generation, id)));
                id
            }
        }
    }

    fn account(&self, snapshot: &Snapshot, id: UserId, limit: Privilege) -> Option<Account> {
        // An empty password opens no session, whatever the suite or authentication type.
        let password = self.store.password(id).filter(|password| !password.is_empty())?;
        Some(Account {
            id: id.value(),
            name: UserName::new(snapshot.user(id)?.name.as_str().as_bytes())?,
            key: UserKey::new(*password.key()),
            limit,
        })
    }
}

impl Accounts for ChannelUsers {
    fn find(&self, name: &UserName, role: Option<Privilege>) -> Result<Account, Denial> {
        self.changes.before_login(&*self.store);
        // The same look-ups for every name, so that the time does not show which users exist.
        let unreadable = self.store.is_unreadable();
        let snapshot = self.store.snapshot();
        let stand_in = self.stand_in(&snapshot);
        let found = snapshot.find(name.as_bytes());
        let limit = found.or(stand_in).map(|id| self.limit(&snapshot, id));
        let admitted = match (found, limit) {
            (Some(id), Some(limit)) => limit.map(|limit| (id, limit)),
            _ => Err(Denial::UnknownUser),
        };
        // Opening a sealed password takes most of the time.
        let opened = admitted.ok().or_else(|| Some((stand_in?, Privilege::Callback)));
        let account = opened.and_then(|(id, limit)| self.account(&snapshot, id, limit));
        let result = admitted.and_then(|_| account.ok_or(Denial::NoPassword)).and_then(|account| {
            let reaches = role.is_none_or(|role| account.limit >= role);
            if reaches { Ok(account) } else { Err(Denial::RoleAboveLimit) }
        });
        result.map_err(|denial| explain(denial, unreadable))
    }

    fn by_id(&self, id: u8) -> Option<Account> {
        let (snapshot, id) = (self.store.snapshot(), UserId::new(id)?);
        let limit = self.limit(&snapshot, id).ok()?;
        self.account(&snapshot, id, limit)
    }

    fn kg(&self) -> Option<UserKey> {
        let kg = self.store.kg(self.channel)?;
        let kg = UserKey::new(*kg.bytes());
        (!kg.is_zero()).then_some(kg)
    }

    fn channel_limit(&self) -> Option<Privilege> {
        let access = self.store.snapshot().channel_access(self.channel, Setting::Volatile)?;
        let open = matches!(access.mode, AccessMode::AlwaysAvailable | AccessMode::Shared);
        open.then_some(access.privilege_limit)
    }

    fn suite_limit(&self, suite: CipherSuite) -> Option<Privilege> {
        self.changes.before_login(&*self.store);
        self.store.snapshot().cipher_privilege(self.channel, suite.id())
    }

    fn v15_policy(&self) -> V15Policy {
        let access = self.store.snapshot().channel_access(self.channel, Setting::Volatile);
        access.map_or_else(V15Policy::default, |access| V15Policy {
            per_message_auth_disabled: access.per_message_auth_disabled,
            user_level_auth_disabled: access.user_level_auth_disabled,
        })
    }

    fn bad_password(&self) -> BadPassword {
        /// The unit of both intervals.
        const UNIT: Duration = Duration::from_secs(10);
        let policy = self.store.snapshot().bad_password(self.channel);
        let time = |units: u16| (units != 0).then(|| UNIT * units.into());
        BadPassword {
            threshold: policy.threshold,
            reset: time(policy.reset_interval),
            lockout: time(policy.lockout_interval),
        }
    }

    fn enabled_mark(&self, id: u8) -> u64 {
        let snapshot = self.store.snapshot();
        let user = UserId::new(id).and_then(|id| snapshot.user(id));
        user.map_or(0, accounts::User::enabled_mark)
    }

    fn login_status(&self) -> LoginStatus {
        self.changes.before_login(&*self.store);
        let snapshot = self.store.snapshot();
        let mut status = LoginStatus::default();
        for (_, user) in snapshot.users().filter(|(_, user)| user.enabled) {
            if user.name.is_empty() {
                status.null_users = true;
            } else {
                status.named_users = true;
            }
        }
        status
    }
}

/// The reason that is logged for `denial`: a user or a password that is missing may be in a file that cannot be
/// read.
fn explain(denial: Denial, unreadable: bool) -> Denial {
    match denial {
        Denial::UnknownUser | Denial::UserDisabled | Denial::NoPassword if unreadable => {
            Denial::AccountsUnreadable
        }
        other => other,
    }
}
