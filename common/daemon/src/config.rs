//! The configuration file: one TOML file for the suite, of which each daemon reads its sections.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::de::DeTable;

use crate::Failure;

/// All top-level keys of `causeway.toml`.
///
/// A key that is none of these is an error, whichever daemon reads the file: a misspelt section
/// must not silently mean the defaults. Each is one that some daemon reads, and is explained in the
/// sample configuration.
pub const SECTIONS: &[&str] = &[
    "access", "channel", "dcmi", "device", "host", "i2c", "ipmb", "ipmid", "lan", "log", "mctp",
    "openbmc", "pef", "sel", "sol", "users",
];

/// The text of the configuration file, checked for unknown sections.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Where the text is from, for messages.
    origin: String,
    /// `None` when there is no file: the built-in configuration.
    text: Option<String>,
}

impl Config {
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

    /// Takes the text of a configuration file; `origin` is its name in messages.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn from_text(origin: &str, text: String) -> Result<Self, Failure> {
        let table = DeTable::parse(&text).map_err(|error| located(origin, &text, &error))?;
        for key in table.get_ref().keys() {
            if !SECTIONS.contains(&key.get_ref().as_ref()) {
                let line = line_of(&text, key.span().start);
                let name = key.get_ref();
                return Err(Failure::Config(format!("{origin}:{line}: unknown key `{name}`")));
            }
        }
        Ok(Self { origin: origin.to_owned(), text: Some(text) })
    }

    /// The daemon's own view of the file: a struct with a field per section that it reads.
    ///
    /// The struct bears `#[serde(default)]` and ignores other sections, so it must not deny unknown
    /// fields; the structs of the sections must.
    ///
    /// # Errors
    ///
    /// [`Failure::Config`], with file and line, for what the sections do not allow.
    pub fn view<T: DeserializeOwned + Default>(&self) -> Result<T, Failure> {
        let Some(text) = &self.text else {
            return Ok(T::default());
        };
        toml::from_str(text).map_err(|error| located(&self.origin, text, &error))
    }
}

/// A TOML error as one line with file and line number.
fn located(origin: &str, text: &str, error: &toml::de::Error) -> Failure {
    let message = error.message().trim().replace('\n', "; ");
    match error.span() {
        Some(span) => {
            let line = line_of(text, span.start);
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
    struct View {
        lan: Lan,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
    struct Lan {
        cipher_suites: Vec<u8>,
    }

    impl Default for Lan {
        fn default() -> Self {
            Self { cipher_suites: vec![17, 3] }
        }
    }

    fn view(text: &str) -> Result<View, String> {
        let config = Config::from_text("causeway.toml", text.to_owned());
        config.and_then(|config| config.view()).map_err(|failure| {
            assert!(matches!(failure, Failure::Config(_)), "{failure:?}");
            failure.to_string()
        })
    }

    #[test]
    fn sections_of_other_daemons_are_left_alone() {
        let read = view("users = \"openbmc\"\n[sol]\nanything = 1\n[lan]\ncipher-suites = [17]\n");
        assert_eq!(read, Ok(View { lan: Lan { cipher_suites: vec![17] } }));
        assert_eq!(view(""), Ok(View::default()));
        assert_eq!(Config::default().view::<View>().unwrap(), View::default());
    }

    #[test]
    fn mistakes_are_told_on_one_line_with_file_and_line() {
        for (text, line, culprit) in [
            ("# c\n\n[lna]\ncipher-suites = []\n", 3, "unknown key `lna`"),
            ("[lan]\n\ncypher-suites = []\n", 3, "cypher-suites"),
            ("[lan]\ncipher-suites = [300]\n", 2, "300"),
            ("[lan]\ncipher-suites = [17\n", 2, ""),
            ("[lan\n", 1, ""),
        ] {
            let error = view(text).unwrap_err();
            let rest = error.strip_prefix(&format!("causeway.toml:{line}: ")).expect(&error);
            assert!(rest.contains(culprit) && !rest.is_empty(), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn absent_file_is_an_error_only_if_it_was_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.toml");
        assert!(Config::read(&path, true).is_ok());
        let error = Config::read(&path, false).unwrap_err().to_string();
        assert!(error.contains("none.toml") && !error.contains('\n'), "{error}");
    }
}
