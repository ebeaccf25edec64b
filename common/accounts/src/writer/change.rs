//! The changes.

use std::collections::BTreeMap;

use durable::Storage;
use ipmi_proto::{ChannelNumber, Privilege};

use super::{Files, Writer};
use crate::files::{ChannelSettings, CipherLimit, UsersFile};
use crate::{
    AccountError, BadPassword, Channel, ChannelAccess, Kg, Password, PasswordTest, Setting,
    Snapshot, User, UserAccess, UserAdmin, UserId, UserName, Users,
};

impl<S: Storage + Clone> Writer<S> {
    fn check_user(&self, id: UserId) -> Result<(), AccountError> {
        if id <= self.options.ids { Ok(()) } else { Err(AccountError::NoSuchUser(id)) }
    }

    fn check_channel(&self, channel: ChannelNumber) -> Result<(), AccountError> {
        let known = self.options.table.get(channel);
        known.map(drop).ok_or(AccountError::NoSuchChannel(channel))
    }

    /// Changes one user. `edit` sees the file as well, and nobody else changes it meanwhile.
    fn change_user(
        &self,
        id: UserId,
        edit: impl FnOnce(&mut User, &UsersFile) -> Result<(), AccountError>,
    ) -> Result<(), AccountError> {
        self.check_user(id)?;
        let mut files = self.files();
        let file = files.users.value();
        let mut user = file.users.get(&id).cloned().unwrap_or_default();
        let before = user.clone();
        edit(&mut user, file)?;
        if user == before {
            return Ok(()); // spares the flash
        }
        files.users.update(|file| {
            file.users.insert(id, user);
        })?;
        // A user that was freed leaves a password entry behind.
        files.prune();
        self.publish(&mut files);
        Ok(())
    }

    /// Changes the settings of one channel.
    fn change_channel(
        &self,
        channel: ChannelNumber,
        edit: impl FnOnce(&mut ChannelSettings),
    ) -> Result<(), AccountError> {
        self.check_channel(channel)?;
        let mut files = self.files();
        files.channels.update(|file| edit(file.channels.entry(channel.value()).or_default()))?;
        self.publish(&mut files);
        Ok(())
    }

    /// Sets the volatile access; that of other channels becomes explicit with it. `snapshot` is of the time
    /// since which `files` are locked.
    fn set_volatile(
        &self,
        files: &mut Files<S>,
        snapshot: &Snapshot,
        (channel, access): (ChannelNumber, ChannelAccess),
    ) -> Result<(), AccountError> {
        files.volatile.update(|file| {
            if file.boot != self.options.boot {
                file.boot.clone_from(&self.options.boot);
                file.channels.clear();
            }
            for channel in snapshot.channels().iter().map(Channel::number) {
                let now = snapshot.channel_access(channel, Setting::Volatile);
                file.channels.extend(now.map(|access| (channel.value(), access)));
            }
            file.channels.insert(channel.value(), access);
        })?;
        Ok(())
    }
}

impl<S: Storage + Clone> UserAdmin for Writer<S> {
    fn set_name(&self, id: UserId, name: UserName) -> Result<(), AccountError> {
        self.check_user(id)?;
        if id == UserId::NULL {
            return if name.is_empty() { Ok(()) } else { Err(AccountError::FixedName) };
        }
        if name.is_empty() {
            return self.change_user(id, |user, _| {
                *user = User::default();
                Ok(())
            });
        }
        self.change_user(id, |user, file| {
            if let Some(other) = file.named(&name).filter(|other| *other != id) {
                return Err(AccountError::NameTaken(other));
            }
            user.name = name;
            Ok(())
        })
    }

    fn set_enabled(&self, id: UserId, enabled: bool) -> Result<(), AccountError> {
        self.change_user(id, |user, _| {
            user.enabled = enabled;
            user.enablings = user.enablings.wrapping_add(enabled.into());
            Ok(())
        })
    }

    fn set_password(&self, id: UserId, password: &Password) -> Result<(), AccountError> {
        self.check_user(id)?;
        let mut files = self.files();
        files.replace_password(id, password, |_| {})?;
        self.publish(&mut files);
        Ok(())
    }

    fn test_password(&self, id: UserId, password: &Password) -> Result<PasswordTest, AccountError> {
        self.check_user(id)?;
        let stored = self.password(id);
        Ok(stored.map_or(PasswordTest::Mismatch, |stored| stored.test(password)))
    }

    fn change_access(
        &self,
        id: UserId,
        channel: ChannelNumber,
        change: &dyn Fn(&mut UserAccess),
    ) -> Result<(), AccountError> {
        self.check_channel(channel)?;
        self.change_user(id, |user, _| {
            let mut access = user.access(channel);
            change(&mut access);
            if access != user.access(channel) {
                user.access.insert(channel.value(), access);
            }
            Ok(())
        })
    }

    fn change_channel_access(
        &self,
        channel: ChannelNumber,
        change: &dyn Fn(Setting, ChannelAccess) -> Option<ChannelAccess>,
    ) -> Result<(), AccountError> {
        let mut files = self.files();
        let snapshot = self.snapshot();
        let of = |setting| {
            let now = snapshot.channel_access(channel, setting);
            now.ok_or(AccountError::NoSuchChannel(channel))
        };
        let (non_volatile, volatile) = (of(Setting::NonVolatile)?, of(Setting::Volatile)?);
        if let Some(access) = change(Setting::NonVolatile, non_volatile) {
            // What holds now stays, until the next start or a change of its own.
            self.set_volatile(&mut files, &snapshot, (channel, volatile))?;
            files.channels.update(|file| {
                file.channels.entry(channel.value()).or_default().access = Some(access);
            })?;
        }
        let written = match change(Setting::Volatile, volatile) {
            Some(access) => self.set_volatile(&mut files, &snapshot, (channel, access)),
            None => Ok(()),
        };
        self.publish(&mut files);
        written
    }

    fn reset_volatile(&self) -> Result<(), AccountError> {
        let mut files = self.files();
        files.volatile.update(|file| file.channels.clear())?;
        self.publish(&mut files);
        Ok(())
    }

    fn set_kg(&self, channel: ChannelNumber, kg: Option<&Kg>) -> Result<(), AccountError> {
        self.check_channel(channel)?;
        let mut files = self.files();
        if self.snapshot().kg_locked(channel) {
            return Err(AccountError::KgLocked(channel));
        }
        let credentials = files.vault().with_kg(channel, kg)?;
        files.credentials.save(credentials)?;
        self.publish(&mut files);
        Ok(())
    }

    fn lock_kg(&self, channel: ChannelNumber) -> Result<(), AccountError> {
        self.change_channel(channel, |settings| settings.kg_locked = true)
    }

    fn set_cipher_privileges(
        &self,
        channel: ChannelNumber,
        limits: &BTreeMap<u8, Option<Privilege>>,
    ) -> Result<(), AccountError> {
        self.change_channel(channel, |settings| {
            let limits = limits.iter().map(|(&suite, &limit)| (suite, CipherLimit(limit)));
            settings.ciphers.extend(limits);
        })
    }

    fn set_bad_password(
        &self,
        channel: ChannelNumber,
        setting: BadPassword,
    ) -> Result<(), AccountError> {
        self.change_channel(channel, |settings| settings.bad_password = setting)
    }
}
