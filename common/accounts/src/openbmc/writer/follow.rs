//! Taking to the files what others changed at User.Manager and at the network's service.

use std::collections::BTreeMap;

use super::super::channels::level;
use super::super::system::{SystemError, SystemUser};
use super::super::users::{UserTable, privilege};
use super::OpenbmcWriter;
use crate::{AccountError, Setting, UserName};

/// The group of IPMI's users.
const IPMI: &str = "ipmi";

impl OpenbmcWriter {
    /// Takes the accounts as User.Manager has them, and the channels' privilege limits as the
    /// network's service has them, to the files; what is not there is left as it is.
    ///
    /// A new account in the group `ipmi` gets the first free id; one that left the group, or is
    /// gone, frees its id, and its password goes with it. A privilege that was changed holds on all
    /// channels (`cacheUserDataFile`, `syncNetworkChannelConfig`).
    ///
    /// # Errors
    ///
    /// [`AccountError`]; an absent service is not an error.
    pub fn synchronise(&self) -> Result<(), AccountError> {
        let _changing = self.changing();
        match self.system.users() {
            Ok(users) => self.synchronise_users(&users)?,
            Err(SystemError::Absent(_)) => {}
            Err(error) => return Err(error.into()),
        }
        self.synchronise_channels()
    }

    /// An account has another name: its password and its id go with it.
    ///
    /// # Errors
    ///
    /// [`AccountError`].
    pub fn renamed(&self, old: &str, new: &str) -> Result<(), AccountError> {
        let _changing = self.changing();
        let mut table = self.user_table()?;
        let Some(entry) = table.by_name(old) else {
            return Ok(()); // renamed by a request of ours, or no user of IPMI
        };
        entry.rename(new);
        self.save_users(&table)?;
        self.follow_password(old, Some(new));
        Ok(())
    }

    fn synchronise_users(&self, accounts: &[SystemUser]) -> Result<(), AccountError> {
        let before = self.user_table()?;
        let mut table = before.clone();
        let mut accounts: BTreeMap<&str, &SystemUser> = accounts
            .iter()
            .filter(|account| account.groups.iter().any(|group| group == IPMI))
            .map(|account| (account.name.as_str(), account))
            .collect();
        let gone = self.update_known(&mut table, &mut accounts);
        for account in accounts.values() {
            adopt(&mut table, account);
        }
        if table == before {
            return Ok(()); // spares the flash
        }
        self.save_users(&table)?;
        for name in gone {
            tracing::info!(user = name, "the account is gone");
            self.follow_password(&name, None);
        }
        Ok(())
    }

    /// Brings known users up to date, and takes them off `accounts`; returns the names of those whose
    /// account is gone.
    fn update_known(
        &self,
        table: &mut UserTable,
        accounts: &mut BTreeMap<&str, &SystemUser>,
    ) -> Vec<String> {
        let mut gone = Vec::new();
        for entry in table.iter_mut().filter(|entry| !entry.name().is_empty()) {
            let Some(account) = accounts.remove(entry.name()) else {
                gone.push(entry.name().to_owned());
                entry.clear();
                continue;
            };
            entry.enable(account.enabled);
            match privilege(&account.privilege) {
                Ok(level) if privilege(entry.privilege(self.management)) != Ok(level) => {
                    entry.set_privilege(&account.privilege);
                }
                Ok(_) => {}
                Err(reason) => tracing::warn!(user = account.name, reason, "left as it was"),
            }
        }
        gone
    }

    fn synchronise_channels(&self) -> Result<(), AccountError> {
        let mut non_volatile = self.all_access(Setting::NonVolatile);
        let mut volatile = self.all_access(Setting::Volatile);
        let mut changed = false;
        let mut unknown = None;
        for channel in self.store.options.table.iter() {
            let number = channel.number().value();
            let Some(access) = non_volatile.get_mut(&number) else {
                continue;
            };
            let limit = match self.system.channel_limit(&channel.name) {
                Ok(limit) => limit,
                // No such interface, or it has no limit.
                Err(SystemError::Absent(_) | SystemError::Refused(_)) => continue,
                Err(error) => {
                    unknown = Some(error);
                    continue;
                }
            };
            let Ok(Some(limit)) = level(&limit) else {
                continue;
            };
            if access.privilege_limit != limit {
                changed = true;
                access.privilege_limit = limit;
                if let Some(access) = volatile.get_mut(&number) {
                    access.privilege_limit = limit;
                }
            }
        }
        if changed {
            self.save_access(Setting::NonVolatile, &non_volatile)?;
            self.save_access(Setting::Volatile, &volatile)?;
        }
        unknown.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// Gives an account that somebody else made an id, if it can be a user of IPMI.
fn adopt(table: &mut UserTable, account: &SystemUser) {
    let SystemUser { name, privilege: level, enabled, .. } = account;
    if UserName::new(name.as_bytes()).is_none() || privilege(level).is_err() {
        tracing::warn!(user = name, "an account that IPMI cannot have");
    } else if table.adopt(name, level, *enabled) {
        tracing::info!(user = name, "a new account");
    } else {
        tracing::warn!(user = name, "there is no free id for a new account");
    }
}
