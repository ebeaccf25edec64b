//! The accounts as the server asks for them, and notice of their changes.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use accounts::{Followed, Setting, Snapshot, UserId, Users};
use futures_util::StreamExt;
use inotify::{Inotify, WatchMask};
use ipmi_proto::{AccessMode, ChannelNumber, Privilege};
use rmcp_proto::crypto::UserKey;
use rmcp_proto::server::{Account, Accounts, BadPassword, LoginStatus, V15Policy};
use rmcp_proto::suite::CipherSuite;
use rmcp_proto::wire::rakp::UserName;
use tokio::time::sleep;

/// How often a folder is looked for that cannot be watched yet.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The users of one channel.
#[derive(Clone)]
pub struct ChannelUsers {
    store: Arc<dyn Users>,
    channel: ChannelNumber,
    /// See [`ChannelUsers::stand_in`], and the generation that it was found in.
    stand_in: Cell<Option<(u64, Option<UserId>)>>,
}

impl ChannelUsers {
    /// The users of `channel` in `store`.
    #[must_use]
    pub fn new(store: Arc<dyn Users>, channel: ChannelNumber) -> Self {
        Self { store, channel, stand_in: Cell::new(None) }
    }

    /// Whether the user may activate SOL on the channel.
    #[must_use]
    pub fn may_use_sol(&self, user_id: u8) -> bool {
        let snapshot = self.store.snapshot();
        UserId::new(user_id).is_some_and(|id| snapshot.access(id, self.channel).payloads.sol())
    }

    /// The limit of a user who may log in on the channel.
    fn limit(&self, snapshot: &Snapshot, id: UserId) -> Option<Privilege> {
        // All of it each time, whatever the first of it says: see `find`.
        let enabled = snapshot.user(id).is_some_and(|user| user.enabled);
        let messaging = snapshot.access(id, self.channel).messaging;
        let limit = snapshot.privilege_limit(id, self.channel);
        limit.filter(|_| enabled & messaging)
    }

    /// A user that has a password, if there is one: looked up in place of users that there are not.
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
        let password = self.store.password(id)?;
        Some(Account {
            id: id.value(),
            name: UserName::new(snapshot.user(id)?.name.as_str().as_bytes())?,
            key: UserKey::new(*password.key()),
            limit,
        })
    }
}

impl Accounts for ChannelUsers {
    fn find(&self, name: &UserName, role: Option<Privilege>) -> Option<Account> {
        let snapshot = self.store.snapshot();
        let limit = |id| self.limit(&snapshot, id);
        let stand_in = self.stand_in(&snapshot)?;
        let found = snapshot.find(name.as_bytes());
        let admitted = limit(found.unwrap_or(stand_in)).and_then(|limit| Some((found?, limit)));
        // Opening a sealed password takes most of the time: it must be done for everybody, lest the
        // time tell who there is.
        let (id, limit) = admitted.unwrap_or((stand_in, Privilege::Callback));
        let account = self.account(&snapshot, id, limit);
        let wanted = |account: &Account| role.is_none_or(|role| account.limit >= role);
        account.filter(|account| admitted.is_some() && wanted(account))
    }

    fn by_id(&self, id: u8) -> Option<Account> {
        let (snapshot, id) = (self.store.snapshot(), UserId::new(id)?);
        let limit = self.limit(&snapshot, id)?;
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
        /// The unit of both times.
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

/// Reads the accounts anew whenever their writer has changed them, and calls `changed` then.
///
/// Waits for the folders, and for those around them, if they are not there yet; never ends.
pub async fn follow(store: Arc<dyn Followed>, changed: impl Fn()) {
    loop {
        if let Err(error) = watch(&*store, &changed).await {
            tracing::debug!(%error, "accounts are not watched");
        }
        sleep(LOOK_AGAIN).await;
        reload(&*store, &changed);
    }
}

fn reload(store: &dyn Followed, changed: &impl Fn()) {
    if store.reload() {
        changed();
    }
}

/// Watches the folders until one of them goes, or one that was missing comes.
async fn watch(store: &dyn Followed, changed: &impl Fn()) -> std::io::Result<()> {
    let inotify = Inotify::init()?;
    let gone = WatchMask::DELETE_SELF | WatchMask::MOVE_SELF;
    // A file written in place counts when its writer is done.
    let made = WatchMask::CREATE | WatchMask::MOVED_TO | WatchMask::CLOSE_WRITE;
    let mut missing = Vec::new();
    let mut there = Vec::new();
    for folder in store.folders() {
        let is_there = folder.is_dir();
        let path = match folder.parent() {
            Some(parent) if !is_there => parent,
            _ => &folder,
        };
        let watched = inotify.watches().add(path, made | gone)?;
        if is_there {
            there.push(watched);
        } else {
            missing.push(folder);
        }
    }
    // What happened before the watches were set.
    reload(store, changed);
    let mut buffer = [0; 1024];
    let mut events = inotify.into_event_stream(&mut buffer)?;
    while let Some(event) = events.next().await {
        let event = event?;
        match event.name.as_deref() {
            Some(name) if there.contains(&event.wd) && store.announces(name) => {
                reload(store, changed);
            }
            Some(_) if missing.iter().any(|folder| folder.is_dir()) => return Ok(()),
            Some(_) => {}
            None if event.mask.is_empty() => {}
            None => return Ok(()),
        }
    }
    Ok(())
}
