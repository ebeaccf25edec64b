//! The configuration file: one TOML file for the suite, of which each daemon reads its sections.

use std::io::ErrorKind;
use std::path::Path;
use std::{fmt, fs};

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

use crate::Failure;

mod value;

/// All top-level keys of `causeway.toml`.
///
/// Any other key is an error for every daemon: a misspelt section must not silently mean the defaults.
/// Each is read by some daemon, and explained in the sample configuration.
pub const SECTIONS: &[&str] = &[
    "access", "channel", "dcmi", "device", "host", "i2c", "ipmb", "ipmid", "lan", "log", "mctp",
    "openbmc", "pef", "recorder", "sel", "sol", "users",
];

/// The configuration file: its text, checked for unknown sections.
#[derive(Clone, Debug, Default)]
pub struct ConfigFile {
    /// Where the text is from, for messages.
    origin: String,
    /// `None` when there is no file: the built-in configuration.
    text: Option<String>,
}

impl ConfigFile {
    /// Reads `path`; an absent file is the built-in configuration if it `may_be_absent`.
    ///
    /// # Errors
    ///
    /// [`Failure::Config`] for a file that cannot be read or is not TOML, and for an unknown
    /// section.
    pub fn read(path: &Path, may_be_absent: bool) -> Result<Self, Failure> {
        match fs::read_to_string(path) {
            Ok(text) => Self::from_text(&path.display().to_string(), text),
            Err(error) if may_be_absent && error.kind() == ErrorKind::NotFound => {
                Ok(Self::default())
            }
            Err(error) => Err(Failure::Config(format!("{}: {error}", path.display()))),
        }
    }

    /// Reads a file of a daemon's own, which has no sections of other daemons.
    pub(crate) fn own(path: &Path) -> Result<Self, Failure> {
        let origin = path.display().to_string();
        let text = fs::read_to_string(path);
        let text = text.map_err(|error| Failure::Config(format!("{origin}: {error}")))?;
        Ok(Self { origin, text: Some(text) })
    }

    /// Takes the text of a configuration file; `origin` is its name in messages.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn from_text(origin: &str, text: String) -> Result<Self, Failure> {
        let table = DeTable::parse(&text).map_err(|error| located(origin, &text, &error.into()))?;
        for key in table.get_ref().keys() {
            if !SECTIONS.contains(&key.get_ref().as_ref()) {
                let line = line_of(&text, key.span().start);
                let name = key.get_ref();
                return Err(Failure::Config(format!("{origin}:{line}: unknown key `{name}`")));
            }
        }
        Ok(Self { origin: origin.to_owned(), text: Some(text) })
    }

    /// A daemon's configuration: a struct with a field per section that the daemon reads.
    ///
    /// The struct has `#[serde(default)]` and ignores other sections, so it must not deny unknown
    /// fields; the structs of the sections must.
    ///
    /// # Errors
    ///
    /// [`Failure::Config`], with file and line, for invalid sections.
    pub fn config<T: DeserializeOwned + Default + Validate>(&self) -> Result<T, Failure> {
        match &self.text {
            Some(text) => parse_toml(&self.origin, text),
            None => Ok(T::default()),
        }
    }

    /// Where the text is from.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// All that the file has; nothing if it is not TOML.
    pub(crate) fn table(&self) -> toml::Table {
        self.text.as_deref().and_then(|text| value::read(text).ok()).unwrap_or_default()
    }

    /// The line of a key of the file.
    pub(crate) fn line(&self, key: &str) -> Option<usize> {
        let text = self.text.as_deref()?;
        let root = DeTable::parse(text).ok()?;
        Some(line_of(text, find(root.get_ref(), key)?))
    }

    /// The failure for a value of this file that is wrong, with file and line.
    #[must_use]
    pub fn failure(&self, invalid: &Invalid) -> Failure {
        match &self.text {
            Some(text) => invalid.in_file(&self.origin, text),
            None => Failure::Config(invalid.to_string()),
        }
    }
}

/// What a configuration checks beyond its single values, such as one value against another.
pub trait Validate {
    /// Checks the whole.
    ///
    /// # Errors
    ///
    /// The first contradiction.
    fn validate(&self) -> Result<(), Invalid> {
        Ok(())
    }
}

/// Why a value is invalid, and its key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invalid {
    keys: Vec<String>,
    reason: String,
}

impl Invalid {
    /// The value at `key`, such as `sol.scrollback` or `i2c.allow[2].mask`, is invalid for
    /// `reason`.
    #[must_use]
    pub fn at(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { keys: vec![key.into()], reason: reason.into() }
    }

    /// Names the key to report if the file does not have the one before.
    #[must_use]
    pub fn or_at(mut self, key: impl Into<String>) -> Self {
        self.keys.push(key.into());
        self
    }

    /// The error for an operator, with the line of the first of the keys that `text` has.
    fn in_file(&self, origin: &str, text: &str) -> Failure {
        let root = DeTable::parse(text).ok();
        let offset = |key: &String| find(root.as_ref()?.get_ref(), key);
        let found = self.keys.iter().find_map(|key| Some((key, offset(key)?)));
        Failure::Config(match found {
            Some((key, offset)) => {
                let line = line_of(text, offset);
                format!("{origin}:{line}: {key}: {}", self.reason)
            }
            None => {
                let key = self.keys.first().map_or("", String::as_str);
                format!("{origin}: {key}: {}", self.reason)
            }
        })
    }
}

impl<K: Into<String>, R: Into<String>> From<(K, R)> for Invalid {
    /// From a key and a reason, the error of libraries that do not depend on this crate.
    fn from((key, reason): (K, R)) -> Self {
        Self::at(key, reason)
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.keys.first().map_or("", String::as_str);
        write!(f, "{key}: {}", self.reason)
    }
}

/// Reads a value from TOML and validates it; `origin` is the file's name in messages.
///
/// # Errors
///
/// [`Failure::Config`], with file and line.
pub fn parse_toml<T: DeserializeOwned + Validate>(origin: &str, text: &str) -> Result<T, Failure> {
    let value: T = value::read(text).map_err(|error| located(origin, text, &error))?;
    value.validate().map_err(|invalid| invalid.in_file(origin, text))?;
    Ok(value)
}

/// Where in the file `key` stands: its name, or an element of a list.
fn find(root: &DeTable<'_>, key: &str) -> Option<usize> {
    let mut table = Some(root);
    let mut offset = None;
    for step in key.split('.') {
        let (name, elements) = step.split_once('[').unwrap_or((step, ""));
        let (name, value) = table?.get_key_value(name)?;
        offset = Some(name.span().start);
        let mut value = value;
        for index in elements.split('[').filter(|index| !index.is_empty()) {
            let DeValue::Array(array) = value.get_ref() else {
                return None;
            };
            value = array.get(index.strip_suffix(']')?.parse::<usize>().ok()?)?;
            offset = Some(value.span().start);
        }
        table = match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => None,
        };
    }
    offset
}

/// A TOML error as one line with file and line number.
fn located(origin: &str, text: &str, error: &value::Error) -> Failure {
    let message = error.message().trim().replace('\n', "; ");
    match error.offset() {
        Some(offset) => {
            let line = line_of(text, offset);
            Failure::Config(format!("{origin}:{line}: {message}"))
        }
        None => Failure::Config(format!("{origin}: {message}")),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    before.iter().filter(|&&byte| byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Config {
        lan: Lan,
        channel: Vec<Channel>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
    struct Lan {
        cipher_suites: Vec<u8>,
        first: u8,
        last: u8,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Channel {
        name: String,
    }

    impl Default for Lan {
        fn default() -> Self {
            Self { cipher_suites: vec![17, 3], first: 1, last: 9 }
        }
    }

    impl Validate for Config {
        fn validate(&self) -> Result<(), Invalid> {
            if self.lan.first > self.lan.last {
                return Err(Invalid::at("lan.last", "less than `first`").or_at("lan.first"));
            }
            match self.channel.iter().position(|channel| channel.name.is_empty()) {
                Some(at) => Err(Invalid::at(format!("channel[{at}].name"), "is empty")),
                None => Ok(()),
            }
        }
    }

    fn config(text: &str) -> Result<Config, String> {
        let file = ConfigFile::from_text("causeway.toml", text.to_owned());
        file.and_then(|file| file.config()).map_err(|failure| {
            assert!(matches!(failure, Failure::Config(_)), "{failure:?}");
            failure.to_string()
        })
    }

    #[test]
    fn sections_of_other_daemons_are_left_alone() {
        let read =
            config("users = \"openbmc\"\n[sol]\nanything = 1\n[lan]\ncipher-suites = [17]\n");
        assert_eq!(read.unwrap().lan.cipher_suites, [17]);
        assert_eq!(config(""), Ok(Config::default()));
        assert_eq!(ConfigFile::default().config::<Config>().unwrap(), Config::default());
    }

    #[test]
    fn errors_are_one_line_with_file_and_line() {
        for (text, line, culprit) in [
            ("# c\n\n[lna]\ncipher-suites = []\n", 3, "unknown key `lna`"),
            ("[lan]\n\ncypher-suites = []\n", 3, "cypher-suites"),
            ("[lan]\ncipher-suites = [300]\n", 2, "300"),
            ("[lan]\ncipher-suites = [17\n", 2, ""),
            ("[lan\n", 1, ""),
            ("[lan]\nfirst = 3\n\nlast = 2\n", 4, "lan.last: less than `first`"),
            ("[lan]\n\nfirst = 10\n", 3, "lan.first: less than `first`"),
            (
                "[[channel]]\nname = \"a\"\n\n[[channel]]\nname = \"\"\n",
                5,
                "channel[1].name: is empty",
            ),
            ("channel = [\n{ name = \"a\" },\n{ name = \"\" }]\n", 3, "channel[1].name: is empty"),
        ] {
            let error = config(text).unwrap_err();
            let rest = error.strip_prefix(&format!("causeway.toml:{line}: ")).expect(&error);
            assert!(rest.contains(culprit) && !rest.is_empty(), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_key_that_the_file_lacks_has_no_line() {
        let failure = Invalid::at("lan.first", "is missing").in_file("x.toml", "[lan]\n");
        assert_eq!(failure.to_string(), "x.toml: lan.first: is missing");
    }

    #[test]
    fn an_element_of_a_list_is_found() {
        let text = "[lan]\nlists = [\n[1],\n[2,\n3]]\n";
        let failure = Invalid::at("lan.lists[1][1]", "is odd").in_file("x.toml", text);
        assert_eq!(failure.to_string(), "x.toml:5: lan.lists[1][1]: is odd");
        let text = "[[lan.target]]\na = 1\n\n[[lan.target]]\na = 2\n";
        let failure = Invalid::at("lan.target[1]", "is twice").in_file("x.toml", text);
        assert_eq!(failure.to_string(), "x.toml:4: lan.target[1]: is twice");
    }

    #[test]
    fn absent_file_is_an_error_only_if_it_was_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.toml");
        assert!(ConfigFile::read(&path, true).is_ok());
        let error = ConfigFile::read(&path, false).unwrap_err().to_string();
        assert!(error.contains("none.toml") && !error.contains('\n'), "{error}");
    }
}
