//! The values of a daemon's keys, where each is from, and how two configurations differ.

use std::hash::{BuildHasher, RandomState};

use toml::Value;

use crate::ConfigFile;

/// The built-in values, as the sample configuration has them; a test compares it with the daemons' types.
const BUILT_IN: &str = include_str!(concat!(env!("OUT_DIR"), "/built-in.toml"));

/// Keys whose values nobody may see.
const SECRET: [&str; 1] = ["access.initial-user.password"];

/// What is shown of a secret.
const MASK: &str = "(secret)";

/// The keys of a daemon's configuration. A list is one key, whatever its elements are.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    /// Applied by a reload.
    pub live: &'static [&'static str],
    /// In force from the start of the daemon until its end.
    pub restart: &'static [&'static str],
    /// Checked by the daemon, which reads the section, and used by another one.
    pub others: &'static [&'static str],
}

impl Keys {
    /// Every key that the daemon uses, with whether a reload applies it.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, bool)> + use<> {
        let common = ("log.level", true);
        let live = self.live.iter().map(|key| (*key, true));
        std::iter::once(common).chain(live).chain(self.restart.iter().map(|key| (*key, false)))
    }
}

/// A key and its value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting {
    /// From the file's top, as `lan.sessions`.
    pub key: &'static str,
    /// As TOML; empty for a key that has no value, a secret masked.
    pub value: String,
    /// Where the value is from.
    pub origin: Origin,
    /// Whether a reload applies it.
    pub live: bool,
    /// Identifies the value, which may be masked, within this process.
    digest: u64,
}

/// Where a value is from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// It is built in.
    BuiltIn,
    /// The file and its line.
    File(String, usize),
    /// The command line, which takes precedence over the file.
    CommandLine,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("built-in"),
            Self::File(file, line) => write!(f, "{file}:{line}"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// A key whose value in the file is another than the one in force.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// The value in force.
    pub running: Setting,
    /// The one that the files have.
    pub file: Setting,
}

/// The values of all keys, in the order of [`Keys::all`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings(Vec<Setting>);

/// Makes settings of files.
#[derive(Debug)]
pub(crate) struct Reader {
    keys: Keys,
    /// What the command line has of the keys.
    arguments: Vec<(&'static str, String)>,
    digests: RandomState,
}

impl Reader {
    pub(crate) fn new(keys: Keys, arguments: Vec<(&'static str, String)>) -> Self {
        Self { keys, arguments, digests: RandomState::new() }
    }

    /// The settings of `file`, which has the keys of all daemons, and of a daemon's own file, in which its other
    /// keys are then.
    pub(crate) fn read(&self, file: &ConfigFile, own: Option<&ConfigFile>) -> Settings {
        let built_in = BUILT_IN.parse().unwrap_or_default();
        let tables = [Some(file), own].map(|file| file.map(ConfigFile::table).unwrap_or_default());
        let setting = |(key, live): (&'static str, bool)| {
            let is_own = own.is_some() && key != "log.level";
            let source = own.filter(|_| is_own).unwrap_or(file);
            let argument = self.arguments.iter().find(|(name, _)| *name == key);
            let (value, origin) = match (argument, at(&tables[usize::from(is_own)], key)) {
                (Some((_, value)), _) => (value.clone(), Origin::CommandLine),
                (None, Some(value)) => {
                    let line = source.line(key).unwrap_or_default();
                    (value.to_string(), Origin::File(source.origin().to_owned(), line))
                }
                (None, None) if is_own => (String::new(), Origin::BuiltIn),
                (None, None) => {
                    let value = at(&built_in, key).map(Value::to_string);
                    (value.unwrap_or_default(), Origin::BuiltIn)
                }
            };
            let digest = self.digests.hash_one(&value);
            let is_masked = SECRET.contains(&key) && !value.is_empty();
            let value = if is_masked { MASK.to_owned() } else { value };
            Setting { key, value, origin, live, digest }
        };
        Settings(self.keys.all().map(setting).collect())
    }
}

impl Settings {
    /// The keys in which `file` differs from these.
    pub(crate) fn changes(&self, file: &Self) -> Vec<Change> {
        let pairs = self.0.iter().zip(&file.0);
        let changed = pairs.filter(|(running, file)| running.digest != file.digest);
        changed
            .map(|(running, file)| Change { running: running.clone(), file: file.clone() })
            .collect()
    }

    /// These after a reload of `file`: the keys that it applies have the file's values.
    pub(crate) fn after(&self, file: Self) -> Self {
        let pairs = self.0.iter().zip(file.0);
        let after = pairs.map(|(running, file)| {
            // A value that did not change may stand in another line now.
            let is_in_force = file.live || running.digest == file.digest;
            if is_in_force { file } else { running.clone() }
        });
        Self(after.collect())
    }

    pub(crate) fn list(&self) -> &[Setting] {
        &self.0
    }
}

/// The value at `key`, a path of tables.
fn at<'a>(table: &'a toml::Table, key: &str) -> Option<&'a Value> {
    let (parents, last) = key.rsplit_once('.').map_or((None, key), |(all, last)| (Some(all), last));
    let mut table = table;
    for step in parents.into_iter().flat_map(|parents| parents.split('.')) {
        table = table.get(step)?.as_table()?;
    }
    table.get(last)
}
