//! The changes that requests make.

use std::collections::BTreeMap;

use ipmi_proto::{ChannelNumber, Privilege};

use super::super::channels::level_name;
use super::super::ciphers;
use super::super::store::limits_in;
use super::super::system::SystemError;
use super::super::users::{Entry, privilege_name};
use super::OpenbmcWriter;
use crate::{
    AccountError, BadPassword, ChannelAccess, Kg, Password, PasswordTest, Setting, UserAccess,
    UserAdmin, UserId, UserName, Users,
};

/// The privilege of a new user, on all channels.
const NEW_USER: &str = "priv-user";
/// The account that no request may make or take the name of.
const ROOT: &str = "root";

impl OpenbmcWriter {
    /// Changes a user that has an account: `at_system` first, then the files.
    fn change_user(
        &self,
        id: UserId,
        at_system: impl FnOnce(&Entry) -> Result<(), SystemError>,
        edit: impl FnOnce(&mut Entry),
    ) -> Result<(), AccountError> {
        let mut table = self.user_table()?;
        let entry = table.get_mut(id).ok_or(AccountError::NoSuchUser(id))?;
        if entry.name().is_empty() {
            return Err(AccountError::Unnamed(id));
        }
        at_system(entry)?;
        let before = entry.clone();
        edit(entry);
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
            Err(SystemError::Absent) => Ok(()),
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
        if let Some(other) = self.snapshot().find(new.as_bytes()) {
            return Err(AccountError::NameTaken(other));
        }
        if old.is_empty() {
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
        let _changing = self.changing();
        self.change_user(
            id,
            |entry| match entry.enabled() == enabled {
                true => Ok(()),
                false => self.system.set_enabled(entry.name(), enabled),
            },
            |entry| entry.enable(enabled),
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

    fn set_access(
        &self,
        id: UserId,
        channel: ChannelNumber,
        access: UserAccess,
    ) -> Result<(), AccountError> {
        self.channel(channel)?;
        if access.session_limit != 0 {
            return Err(AccountError::SessionLimit);
        }
        let _changing = self.changing();
        let level = privilege_name(access.privilege);
        let is_accounts_own = channel.value() == self.management;
        self.change_user(
            id,
            |entry| match is_accounts_own && entry.privilege(self.management) != level {
                true => self.system.set_privilege(entry.name(), level),
                false => Ok(()),
            },
            |entry| entry.set_access(channel, &access),
        )
    }

    fn set_channel_access(
        &self,
        channel: ChannelNumber,
        setting: Setting,
        access: ChannelAccess,
    ) -> Result<(), AccountError> {
        let name = &self.channel(channel)?.name;
        let _changing = self.changing();
        let mut channels = self.all_access(setting);
        let before = channels.insert(channel.value(), access);
        if setting == Setting::NonVolatile
            && before.is_none_or(|before| before.privilege_limit != access.privilege_limit)
        {
            self.set_system_limit(name, access.privilege_limit)?;
        }
        self.save_access(setting, &channels)
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
