//! Names of BMCs, and patterns with a number in them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name: it is a part of the paths of sockets, which have 107 bytes at most.
const LONGEST: usize = 32;

/// The name of a BMC: a folder's name, and a part of a systemd unit's.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Name(String);

impl Name {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let begins_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if begins_well && text.len() <= LONGEST && text.chars().all(is_allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "{text:?} is no name of a BMC: 1 to {LONGEST} letters, digits and -_. of ASCII, a letter or digit first"
            ))
        }
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `text` has a number in it.
pub(crate) fn has_number(text: &str) -> bool {
    text.contains("{n}") || text.contains("{n:")
}

/// `text` with `{n}` as the number, `{n:3}` as the number in at least three digits, and `{name}` as `name` if there is one.
/// Other braces stay.
///
/// # Errors
///
/// A text that says what is wrong, for a width that is no digit from 1 to 9.
pub(crate) fn expand(text: &str, number: u32, name: Option<&str>) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, braces) = rest.split_at(at);
        expanded.push_str(before);
        let word = braces.get(1..).and_then(|inner| inner.split_once('}'));
        let value = match (word, name) {
            (Some(("n", _)), _) => Some(number.to_string()),
            (Some(("name", _)), Some(name)) => Some(name.to_owned()),
            (Some((word, _)), _) if word.starts_with("n:") => Some(padded(word, number)?),
            _ => None,
        };
        rest = match (value, word) {
            (Some(value), Some((_, after))) => {
                expanded.push_str(&value);
                after
            }
            _ => {
                expanded.push('{');
                braces.get(1..).unwrap_or_default()
            }
        };
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn padded(word: &str, number: u32) -> Result<String, String> {
    let width = word.strip_prefix("n:").and_then(|width| width.parse::<usize>().ok());
    match width {
        Some(width @ 1..=9) => Ok(format!("{number:0width$}")),
        _ => Err(format!("{{{word}}} is not {{n}} or {{n:WIDTH}} with a width from 1 to 9")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_as_folders_and_units() {
        for name in ["vm1", "a", "Node-01_b.c", "0"] {
            assert_eq!(name.parse::<Name>().unwrap().as_str(), name);
        }
        for name in ["", ".", "..", "-x", "_x", "a/b", "a b", "a@b", "ä", "a\n"] {
            assert!(name.parse::<Name>().is_err(), "{name:?}");
        }
        assert!("n".repeat(32).parse::<Name>().is_ok());
        assert!("n".repeat(33).parse::<Name>().is_err());
    }

    #[test]
    fn numbers_and_names_are_put_in_and_other_braces_stay() {
        for (pattern, expanded) in [
            ("node{n}", "node7"),
            ("node{n:3}-{n}", "node007-7"),
            ("/images/{name}.qcow2", "/images/vm.qcow2"),
            ("{\"driver\":\"raw\",\"x\":{n}}", "{\"driver\":\"raw\",\"x\":7}"),
            ("{", "{"),
            ("}{}{n", "}{}{n"),
            ("ü{n}", "ü7"),
        ] {
            assert_eq!(expand(pattern, 7, Some("vm")).unwrap(), expanded);
        }
        assert_eq!(expand("{name}", 7, None).unwrap(), "{name}");
        for pattern in ["{n:}", "{n:0}", "{n:10}", "{n:x}"] {
            assert!(expand(pattern, 7, None).is_err(), "{pattern}");
        }
        assert!(has_number("a{n}") && has_number("a{n:2}") && !has_number("a{name}"));
    }
}
