//! The `[access]` section of the configuration file.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use zeroize::Zeroizing;

use crate::writer::INITIAL_USER;
use crate::{OpenbmcFiles, Password, PasswordSize, UserId, UserName};

/// The key `users`: whose accounts they are.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    /// Our own store.
    #[default]
    Own,
    /// OpenBMC's files, which OpenBMC's daemons can read and write too.
    Openbmc,
}

/// The `[openbmc]` section: where OpenBMC's accounts are.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct OpenbmcConfig {
    /// The folder where its files' paths begin.
    #[serde(deserialize_with = "absolute")]
    pub root: PathBuf,
    /// The PAM service that changes passwords.
    #[serde(deserialize_with = "service")]
    pub pam_service: String,
    /// Where the service's file is, if not where PAM looks by itself.
    #[serde(deserialize_with = "optional_absolute")]
    pub pam_folder: Option<PathBuf>,
}

/// A path from the root: a daemon has no folder of its own to begin another one in.
fn absolute<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.starts_with('/') && !text.contains('\0') {
        Ok(PathBuf::from(text))
    } else {
        Err(de::Error::custom(format!("{text:?} is no absolute path")))
    }
}

fn optional_absolute<'de, D: Deserializer<'de>>(d: D) -> Result<Option<PathBuf>, D::Error> {
    absolute(d).map(Some)
}

/// A PAM service, which is a file's name.
fn service<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        return Err(de::Error::custom(format!("{name:?} is no name of a PAM service")));
    }
    Ok(name)
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

impl AccessConfig {
    /// Checks one value against another.
    ///
    /// # Errors
    ///
    /// The key of the configuration file and the reason.
    pub fn validate(&self) -> Result<(), (&'static str, &'static str)> {
        match &self.initial_user {
            Some(_) if self.user_ids.value() < INITIAL_USER => {
                Err(("access.user-ids", "the initial user needs id 2"))
            }
            _ => Ok(()),
        }
    }
}

/// A user that is created if there is no state yet: id 2, enabled, administrator on all channels
/// with sessions. Once there is state, this is ignored: it never changes a user.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct InitialUser {
    /// The name.
    #[serde(deserialize_with = "name")]
    pub name: UserName,
    password: ConfigPassword,
}

/// A name to log in with.
fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UserName, D::Error> {
    let name = UserName::deserialize(deserializer)?;
    if name.is_empty() { Err(de::Error::custom("the name is empty")) } else { Ok(name) }
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
        // Serde's errors name the value that has another type, and so a password without its quotes.
        let text = deserializer.deserialize_any(SecretText)?;
        let fits16 = text.len() <= PasswordSize::Bytes16.length();
        let size = if fits16 { PasswordSize::Bytes16 } else { PasswordSize::Bytes20 };
        if text.is_empty() {
            return Err(de::Error::custom("the password is empty"));
        }
        if text.contains('\0') {
            return Err(de::Error::custom("a password has no NUL, which ends it on the wire"));
        }
        let too_long = || de::Error::custom("a password has at most 20 bytes");
        Password::new(text.as_bytes(), size).map(Self).ok_or_else(too_long)
    }
}

/// Reads a string, and shows no value that is something else.
struct SecretText;

impl<'de> Visitor<'de> for SecretText {
    type Value = Zeroizing<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Zeroizing::new(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Self::Value, E> {
        Ok(Zeroizing::new(text))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> {
        Err(not_a_string())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self::Value, E> {
        Err(not_a_string())
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<Self::Value, E> {
        Err(not_a_string())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Self::Value, E> {
        Err(not_a_string())
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<Self::Value, E> {
        Err(not_a_string())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> {
        Err(not_a_string())
    }
}

fn not_a_string<E: de::Error>() -> E {
    E::custom("a password is a string in quotes")
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
    fn mistaken_password_is_not_shown() {
        for value in [
            "80443322",
            "-80443322",
            "80443322.5",
            "true80443322",
            "8044332280443322804433228044332280443322",
            "[80443322]",
            "{ a = 80443322 }",
            "['80443322']",
            "1979-05-27T07:32:00.80443322Z",
            "\"80443322804433228044332280443322\"",
            "80443322\"",
            "\"80443322",
        ] {
            let text = format!("[initial-user]\nname = \"root\"\npassword = {value}\n");
            let error = toml::from_str::<AccessConfig>(&text).unwrap_err();
            assert!(!error.message().contains("80443322"), "{value}: {}", error.message());
        }
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
            "initial-user = { name = \"\", password = \"x\" }",
            "initial-user = { name = \"root\", password = \"\" }",
            "initial-user = { name = \"root\", password = \"a\\u0000\" }",
            "initial-user = { name = \"root\" }",
            "initial-user = { name = \"ro\\not\", password = \"x\" }",
            "initial-user = { name = \"root\", password = \"123456789012345678901\" }",
            "initial-user = { name = \"root\", password = \"x\", id = 3 }",
        ] {
            assert!(toml::from_str::<AccessConfig>(text).is_err(), "{text}");
        }
        let text = "user-ids = 1\ninitial-user = { name = \"root\", password = \"x\" }";
        let config: AccessConfig = toml::from_str(text).unwrap();
        assert_eq!(config.validate().unwrap_err().0, "access.user-ids");
    }

    #[test]
    fn places_of_openbmcs_files_are_absolute() {
        for text in [
            "root = \"\"",
            "root = \"var\"",
            "pam-folder = \"etc/pam.d\"",
            "pam-service = \"\"",
            "pam-service = \"../x\"",
        ] {
            assert!(toml::from_str::<OpenbmcConfig>(text).is_err(), "{text}");
        }
        let config: OpenbmcConfig = toml::from_str("pam-folder = \"/etc/pam.d\"").unwrap();
        assert_eq!(config.pam_folder, Some(PathBuf::from("/etc/pam.d")));
        assert_eq!(toml::from_str::<OpenbmcConfig>("").unwrap().pam_folder, None);
    }
}
