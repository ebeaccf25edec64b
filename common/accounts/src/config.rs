//! The `[access]` section of the configuration file.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::{OpenbmcFiles, Password, PasswordSize, UserId, UserName};

/// The key `users`: whose accounts they are.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    /// Our own store.
    #[default]
    Own,
    /// OpenBMC's files, which OpenBMC's daemons can read and keep as well.
    Openbmc,
}

/// The `[openbmc]` section: where OpenBMC's accounts are.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct OpenbmcConfig {
    /// The folder where its files' paths begin.
    pub root: PathBuf,
    /// The PAM service that changes passwords.
    pub pam_service: String,
    /// Where the service's file is, if not where PAM looks by itself.
    pub pam_folder: Option<PathBuf>,
}

impl OpenbmcConfig {
    /// The files.
    #[must_use]
    pub fn files(&self) -> OpenbmcFiles {
        OpenbmcFiles::below(&self.root)
    }
}

impl Default for OpenbmcConfig {
    /// As on a BMC (`pamUpdatePasswd`).
    fn default() -> Self {
        Self { root: PathBuf::from("/"), pam_service: "passwd".to_owned(), pam_folder: None }
    }
}

/// The `[access]` section.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AccessConfig {
    /// How many user ids there are.
    pub user_ids: UserId,
    /// A first user, for a demonstration or a first set-up.
    pub initial_user: Option<InitialUser>,
}

impl Default for AccessConfig {
    fn default() -> Self {
        Self { user_ids: UserId::new(15).unwrap_or(UserId::MAX), initial_user: None }
    }
}

/// A user that is made if there is no state yet: id 2, enabled, administrator on all channels
/// with sessions. Once there is state, this is ignored: it never changes a user.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct InitialUser {
    /// The name.
    pub name: UserName,
    password: ConfigPassword,
}

impl InitialUser {
    /// The password, as 16 bytes if it is short enough for that.
    #[must_use]
    pub fn password(&self) -> &Password {
        &self.password.0
    }
}

#[derive(Clone)]
struct ConfigPassword(Password);

impl<'de> Deserialize<'de> for ConfigPassword {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let fits16 = text.len() <= PasswordSize::Bytes16.length();
        let size = if fits16 { PasswordSize::Bytes16 } else { PasswordSize::Bytes20 };
        let too_long = || serde::de::Error::custom("a password has at most 20 bytes");
        Password::new(text.as_bytes(), size).map(Self).ok_or_else(too_long)
    }
}

impl fmt::Debug for ConfigPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initial_user_is_read_and_its_password_not_shown() {
        let text = "user-ids = 10\n[initial-user]\nname = \"root\"\npassword = \"0penBmc\"\n";
        let config: AccessConfig = toml::from_str(text).unwrap();
        assert_eq!(config.user_ids.value(), 10);
        assert!(!format!("{config:?}").contains("0penBmc"));
        let user = config.initial_user.unwrap();
        assert_eq!(user.name.as_str(), "root");
        assert_eq!(&user.password().key()[..8], b"0penBmc\0");
        assert_eq!(user.password().size(), PasswordSize::Bytes16);
    }

    #[test]
    fn there_is_no_user_by_default() {
        let config = AccessConfig::default();
        assert_eq!(config.user_ids.value(), 15);
        assert!(config.initial_user.is_none());
    }

    #[test]
    fn mistakes_are_refused() {
        for text in [
            "user-ids = 0",
            "user-ids = 64",
            "initial-user = { name = \"root\" }",
            "initial-user = { name = \"ro\\not\", password = \"x\" }",
            "initial-user = { name = \"root\", password = \"123456789012345678901\" }",
            "initial-user = { name = \"root\", password = \"x\", id = 3 }",
        ] {
            assert!(toml::from_str::<AccessConfig>(text).is_err(), "{text}");
        }
    }
}
