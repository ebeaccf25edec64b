//! All users and channels at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipmi_proto::{ChannelNumber, Privilege};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::channel::{BadPassword, ChannelAccess, ChannelTable, Setting};
use crate::files::{ChannelSettings, ChannelsFile, UsersFile, VolatileFile};
use crate::user::{User, UserAccess, UserId, padded};

/// All users and channels at one moment. Never changes; a change makes another one.
#[derive(Clone, Debug)]
pub struct Snapshot {
    generation: u64,
    /// All ids there are, in order.
    users: Vec<User>,
    table: Arc<ChannelTable>,
    channels: ChannelsFile,
    volatile: BTreeMap<u8, ChannelAccess>,
    fixed_names: u8,
    is_openbmc: bool,
}

/// What does not change while a daemon runs.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) table: Arc<ChannelTable>,
    pub(crate) ids: UserId,
    pub(crate) boot: String,
}

impl Snapshot {
    /// The picture that the files make. A user whose password does not open is not enabled.
    pub(crate) fn new(
        options: &Options,
        generation: u64,
        users: &UsersFile,
        channels: &ChannelsFile,
        volatile: &VolatileFile,
        opens: impl Fn(UserId, u64) -> bool,
    ) -> Self {
        let user = |id| {
            let mut user = users.users.get(&id).cloned().unwrap_or_default();
            user.enabled &= user.password.is_none_or(|generation| opens(id, generation));
            user
        };
        let this_boot = volatile.boot == options.boot;
        Self {
            generation,
            users: UserId::first(options.ids.value()).map(user).collect(),
            table: Arc::clone(&options.table),
            channels: channels.clone(),
            volatile: if this_boot { volatile.channels.clone() } else { BTreeMap::new() },
            fixed_names: 1,
            is_openbmc: false,
        }
    }

    /// The same of OpenBMC's files, where not the null user's name alone is fixed, but so many are.
    pub(crate) fn of_openbmc(self, fixed_names: u8) -> Self {
        Self { fixed_names, is_openbmc: true, ..self }
    }

    /// Whether a user is restricted to callback on a channel, and so cannot log in on a LAN. OpenBMC's files say so of
    /// every new user, and OpenBMC lets these users in: there the flag is stored and reported only.
    #[must_use]
    pub fn is_callback_only(&self, id: UserId, channel: ChannelNumber) -> bool {
        self.access(id, channel).callback_only && !self.is_openbmc
    }

    /// A number that differs after each change.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// All users, those not in use included.
    pub fn users(&self) -> impl Iterator<Item = (UserId, &User)> {
        UserId::first(UserId::MAX.value()).zip(&self.users)
    }

    /// How many user ids there are.
    #[must_use]
    pub fn user_ids(&self) -> u8 {
        u8::try_from(self.users.len()).unwrap_or(UserId::MAX.value())
    }

    /// How many users have a name that cannot be changed (IPMI v2.0 §22.27, byte 4).
    #[must_use]
    pub fn fixed_names(&self) -> u8 {
        self.fixed_names
    }

    /// How many users are enabled.
    #[must_use]
    pub fn enabled_users(&self) -> u8 {
        let enabled = self.users.iter().filter(|user| user.enabled).count();
        u8::try_from(enabled).unwrap_or(UserId::MAX.value())
    }

    /// One user; `None` if there is no such id.
    #[must_use]
    pub fn user(&self, id: UserId) -> Option<&User> {
        self.users.get(id.index())
    }

    /// The user of this name, in a time that does not depend on which it is, if any. The empty name
    /// is user 1.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<UserId> {
        let wanted = padded(name)?;
        let mut found = 0_u8;
        for (id, user) in self.users() {
            let in_use = id == UserId::NULL || !user.name.is_empty();
            let same = user.name.to_bytes().ct_eq(&wanted) & Choice::from(u8::from(in_use));
            found.conditional_assign(&id.value(), same & found.ct_eq(&0));
        }
        UserId::new(found)
    }

    /// What a user may do on a channel; nothing if there is no such user.
    #[must_use]
    pub fn access(&self, id: UserId, channel: ChannelNumber) -> UserAccess {
        self.user(id).map(|user| user.access(channel)).unwrap_or_default()
    }

    /// The highest privilege of a session of this user on this channel now: the lower of both
    /// limits (IPMI v2.0 §6.8). `None` if the user has no access to the channel.
    #[must_use]
    pub fn privilege_limit(&self, id: UserId, channel: ChannelNumber) -> Option<Privilege> {
        // Both are looked up each time: the time of a login must not reveal which of them is missing.
        let user = self.access(id, channel).privilege;
        let channel = self.channel_access(channel, Setting::Volatile);
        Some(user?.min(channel?.privilege_limit))
    }

    /// The configured channels.
    #[must_use]
    pub fn channels(&self) -> &ChannelTable {
        &self.table
    }

    /// The access to a channel; `None` if there is no such channel.
    #[must_use]
    pub fn channel_access(
        &self,
        channel: ChannelNumber,
        setting: Setting,
    ) -> Option<ChannelAccess> {
        let configured = self.table.get(channel)?.default_access();
        let non_volatile = self.settings(channel).and_then(|settings| settings.access);
        let non_volatile = non_volatile.unwrap_or(configured);
        match setting {
            Setting::NonVolatile => Some(non_volatile),
            Setting::Volatile => {
                Some(self.volatile.get(&channel.value()).copied().unwrap_or(non_volatile))
            }
        }
    }

    /// The highest privilege of a session with this cipher suite on a channel (LAN parameter 24);
    /// `None` if the suite may not be used there. Administrator unless set.
    #[must_use]
    pub fn cipher_privilege(&self, channel: ChannelNumber, suite: u8) -> Option<Privilege> {
        let limit = self.settings(channel).and_then(|settings| settings.ciphers.get(&suite));
        limit.map_or(Some(Privilege::Administrator), |limit| limit.0)
    }

    /// The same if it was set; `None` for a suite whose privilege nobody has set.
    #[must_use]
    pub fn set_cipher_privilege(
        &self,
        channel: ChannelNumber,
        suite: u8,
    ) -> Option<Option<Privilege>> {
        self.settings(channel)?.ciphers.get(&suite).map(|limit| limit.0)
    }

    /// What happens after wrong passwords on a channel (LAN parameter 26).
    #[must_use]
    pub fn bad_password(&self, channel: ChannelNumber) -> BadPassword {
        self.settings(channel).map(|settings| settings.bad_password).unwrap_or_default()
    }

    /// Whether the KG of a channel is locked.
    #[must_use]
    pub fn kg_locked(&self, channel: ChannelNumber) -> bool {
        self.settings(channel).is_some_and(|settings| settings.kg_locked)
    }

    fn settings(&self, channel: ChannelNumber) -> Option<&ChannelSettings> {
        self.channels.channels.get(&channel.value())
    }
}
