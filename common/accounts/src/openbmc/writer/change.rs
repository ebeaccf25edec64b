//! The changes that requests make.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::MutexGuard;

use ipmi_proto::{ChannelNumber, Privilege};

use super::super::channels::level_name;
use super::super::ciphers;
use super::super::store::limits_in;
use super::super::system::SystemError;
use super::super::users::Entry;
use super::OpenbmcWriter;
use crate::{
    AccountError, BadPassword, Channel, ChannelAccess, Kg, Password, PasswordTest, Setting,
    UserAccess, UserAdmin, UserId, UserName, Users,
};

/// The privilege of a new user, on all channels.
const NEW_USER: &str = "priv-user";
/// The account that no request may make or take the name of.
const ROOT: &str = "root";

impl OpenbmcWriter {
    /// A new user's flags were never set, whatever an earlier user of the id had.
    fn forget_flags(&self, id: UserId) -> Result<(), AccountError> {
        let own = &self.store.own;
        let snapshot = own.snapshot();
        for channel in snapshot.channels().iter().map(Channel::number) {
            if snapshot.access(id, channel).flags_set {
                own.change_access(id, channel, &|access| access.flags_set = false)?;
            }
        }
        Ok(())
    }

    /// Changes a user that has an account: `edit` the entry, then `at_system` with the entry before and after,
    /// then the file. One change at a time: `changing` is held.
    fn change_user(
        &self,
        _changing: &MutexGuard<'_, ()>,
        id: UserId,
        edit: impl FnOnce(&mut Entry) -> Result<(), AccountError>,
        at_system: impl FnOnce(&Entry, &Entry) -> Result<(), SystemError>,
    ) -> Result<(), AccountError> {
        let mut table = self.user_table()?;
        let entry = table.get_mut(id).ok_or(AccountError::NoSuchUser(id))?;
        if entry.name().is_empty() {
            return Err(AccountError::Unnamed(id));
        }
        let before = entry.clone();
        edit(entry)?;
        at_system(&before, entry)?;
        if *entry == before {
            return Ok(());
        }
        self.save_users(&table)
    }

    fn name_of(&self, id: UserId) -> Result<String, AccountError> {
        let snapshot = self.snapshot();
        let user = snapshot.user(id).ok_or(AccountError::NoSuchUser(id))?;
        if user.name.is_empty() {
            return Err(AccountError::Unnamed(id));
        }
        Ok(user.name.as_str().to_owned())
    }

    /// Sets the limit of a channel at the network's service, where it has one.
    fn set_system_limit(&self, interface: &str, limit: Privilege) -> Result<(), SystemError> {
        let name = level_name(Some(limit));
        match self.system.set_channel_limit(interface, name) {
            Err(SystemError::Absent(_)) => Ok(()),
            result => result,
        }
    }
}

/// Whether an account may be called so (`isValidUserName`).
fn can_be_account(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name != ROOT
        && name.bytes().next().is_some_and(letter)
        && name.bytes().all(|byte| letter(byte) || byte.is_ascii_digit())
}

impl UserAdmin for OpenbmcWriter {
    fn set_name(&self, id: UserId, name: UserName) -> Result<(), AccountError> {
        let _changing = self.changing();
        let mut table = self.user_table()?;
        let taken = table.id_of(name.as_str());
        let entry = table.get_mut(id).ok_or(AccountError::NoSuchUser(id))?;
        let (old, new) = (entry.name().to_owned(), name.as_str());
        if old == new {
            return Ok(());
        }
        if new.is_empty() {
            self.system.delete(&old)?;
            entry.clear();
            self.save_users(&table)?;
            self.follow_password(&old, None);
            return Ok(());
        }
        if !can_be_account(new) {
            return Err(AccountError::InvalidName);
        }
        if let Some(other) = taken {
            return Err(AccountError::NameTaken(other));
        }
        if old.is_empty() {
            self.forget_flags(id)?;
            self.system.create(new, NEW_USER)?;
            entry.set_privilege(NEW_USER);
        } else {
            self.system.rename(&old, new)?;
        }
        entry.rename(new);
        self.save_users(&table)?;
        if !old.is_empty() {
            self.follow_password(&old, Some(new));
        }
        Ok(())
    }

    fn set_enabled(&self, id: UserId, enabled: bool) -> Result<(), AccountError> {
        let changing = self.changing();
        self.change_user(
            &changing,
            id,
            |entry| {
                entry.enable(enabled);
                Ok(())
            },
            |before, _| match before.enabled() == enabled {
                true => Ok(()),
                false => self.system.set_enabled(before.name(), enabled),
            },
        )?;
        if enabled {
            // OpenBMC's file does not count it.
            self.store.own.set_enabled(id, true)?;
        }
        Ok(())
    }

    /// Through PAM, whose stack writes the file of passwords.
    fn set_password(&self, id: UserId, password: &Password) -> Result<(), AccountError> {
        let _changing = self.changing();
        let name = self.name_of(id)?;
        let text = password.text();
        // The file has a user to the line.
        if text.iter().any(|&byte| byte == b'\n' || byte == b'\r') {
            return Err(AccountError::InvalidPassword);
        }
        Ok(self.system.set_password(&name, text)?)
    }

    fn test_password(&self, id: UserId, password: &Password) -> Result<PasswordTest, AccountError> {
        let stored = self.password(id);
        Ok(stored.map_or(PasswordTest::Mismatch, |stored| stored.test_bytes(password)))
    }

    fn change_access(
        &self,
        id: UserId,
        channel: ChannelNumber,
        change: &dyn Fn(&mut UserAccess),
    ) -> Result<(), AccountError> {
        self.channel(channel)?;
        let changing = self.changing();
        // OpenBMC's file does not have whether the flags were set.
        let own = &self.store.own;
        let were_set = own.snapshot().access(id, channel).flags_set;
        let are_set = Cell::new(were_set);
        let edit = |entry: &mut Entry| {
            let mut access = entry.access(channel.value()).map_err(AccountError::File)?;
            access.flags_set |= were_set;
            change(&mut access);
            are_set.set(access.flags_set);
            if access.session_limit != 0 {
                return Err(AccountError::SessionLimit);
            }
            entry.set_access(channel, &access);
            Ok(())
        };
        let is_accounts_own = channel.value() == self.management;
        self.change_user(&changing, id, edit, |before, after| {
            let level = after.privilege(self.management);
            match is_accounts_own && before.privilege(self.management) != level {
                true => self.system.set_privilege(before.name(), level),
                false => Ok(()),
            }
        })?;
        if are_set.get() != were_set {
            own.change_access(id, channel, &|access| access.flags_set = are_set.get())?;
        }
        Ok(())
    }

    fn change_channel_access(
        &self,
        channel: ChannelNumber,
        change: &dyn Fn(Setting, ChannelAccess) -> Option<ChannelAccess>,
    ) -> Result<(), AccountError> {
        let name = &self.channel(channel)?.name;
        let _changing = self.changing();
        for setting in [Setting::NonVolatile, Setting::Volatile] {
            let mut channels = self.all_access(setting);
            let access = channels.get_mut(&channel.value());
            let access = access.ok_or(AccountError::NoSuchChannel(channel))?;
            let before = *access;
            let Some(after) = change(setting, before) else {
                continue;
            };
            *access = after;
            if setting == Setting::NonVolatile && before.privilege_limit != after.privilege_limit {
                self.set_system_limit(name, after.privilege_limit)?;
            }
            self.save_access(setting, &channels)?;
        }
        Ok(())
    }

    fn reset_volatile(&self) -> Result<(), AccountError> {
        let _changing = self.changing();
        self.save_access(Setting::Volatile, &self.all_access(Setting::NonVolatile))
    }

    fn set_kg(&self, channel: ChannelNumber, kg: Option<&Kg>) -> Result<(), AccountError> {
        self.store.own.set_kg(channel, kg)
    }

    fn lock_kg(&self, channel: ChannelNumber) -> Result<(), AccountError> {
        self.store.own.lock_kg(channel)
    }

    fn set_cipher_privileges(
        &self,
        channel: ChannelNumber,
        limits: &BTreeMap<u8, Option<Privilege>>,
    ) -> Result<(), AccountError> {
        self.channel(channel)?;
        let _changing = self.changing();
        let path = &self.files().cipher_privileges;
        let mut all = limits_in(path).map_err(AccountError::File)?;
        let shipped = limits_in(&self.files().cipher_default).map_err(AccountError::File)?;
        let suites = all.entry(channel.value()).or_insert_with(|| {
            let shipped = shipped.get(&channel.value());
            shipped.cloned().unwrap_or_default()
        });
        suites.extend(limits);
        self.save(path, &ciphers::emit(&all))
    }

    fn set_bad_password(
        &self,
        channel: ChannelNumber,
        setting: BadPassword,
    ) -> Result<(), AccountError> {
        self.store.own.set_bad_password(channel, setting)
    }
}
