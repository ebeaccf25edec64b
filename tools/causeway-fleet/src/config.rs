//! The file: which BMCs there are.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use daemon::{Invalid, Validate};
use serde::Deserialize;

use crate::Failure;

/// The most BMCs of a row.
const MOST: i64 = 10_000;
/// The most bytes of a user's name (IPMI v2.0 §22.28).
const LONGEST_USER: usize = 16;
/// The longest name of a BMC: it is a part of paths of sockets, which are short.
const LONGEST_NAME: usize = 32;

/// All BMCs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fleet {
    #[serde(default)]
    bmc: Vec<Group>,
}

/// A BMC, or a row of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Group {
    /// With `{n}` in it where there are several.
    name: String,
    #[serde(default = "one", deserialize_with = "daemon::range::number::<1, MOST, _, _>")]
    count: u16,
    /// The number of the first.
    #[serde(default = "one", deserialize_with = "daemon::range::number::<0, MOST, _, _>")]
    first: u16,
    #[serde(default = "loopback")]
    address: String,
    /// The port of the first; each of the others has the next one, or the same one at an address of its own.
    #[serde(default = "port", deserialize_with = "daemon::range::number::<1, 65535, _, _>")]
    port: u16,
    #[serde(default = "user")]
    user: String,
    password_file: PathBuf,
    #[serde(default)]
    platform: Option<PathBuf>,
    #[serde(default)]
    config: Option<PathBuf>,
}

const fn one() -> u16 {
    1
}

const fn port() -> u16 {
    6230
}

fn loopback() -> String {
    "127.0.0.1".to_owned()
}

fn user() -> String {
    "admin".to_owned()
}

impl Validate for Fleet {
    fn validate(&self) -> Result<(), Invalid> {
        if self.bmc.is_empty() {
            return Err(Invalid::at("bmc", "there is no [[bmc]]"));
        }
        for (index, group) in self.bmc.iter().enumerate() {
            let at = |key: &str, reason: &str| {
                Err(Invalid::at(format!("bmc[{index}].{key}"), reason).or_at("bmc"))
            };
            if group.count > 1 && !group.name.contains("{n}") {
                return at("name", "several BMCs need {n} in their name");
            }
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            let name = group.name.replace("{n}", "0");
            if name.is_empty() || name.len() > LONGEST_NAME - 4 || !name.chars().all(is_plain) {
                return at("name", "a name has up to 28 letters, digits, - and _");
            }
            let has_user = (1..=LONGEST_USER).contains(&group.user.len());
            if !has_user || !group.user.bytes().all(|byte| byte.is_ascii_graphic()) {
                return at("user", "a user's name has 1 to 16 characters of ASCII without blanks");
            }
        }
        Ok(())
    }
}

/// One BMC.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Definition {
    pub(crate) name: String,
    /// Where it serves RMCP+.
    pub(crate) address: SocketAddr,
    pub(crate) user: String,
    pub(crate) password_file: PathBuf,
    pub(crate) platform: Option<PathBuf>,
    pub(crate) config: Option<PathBuf>,
}

impl Fleet {
    /// Every BMC of all rows.
    ///
    /// # Errors
    ///
    /// For an address that is none, ports beyond 65535, and two BMCs with one name or address.
    pub(crate) fn expand(&self) -> Result<Vec<Definition>, Failure> {
        let mut all = Vec::new();
        let (mut names, mut addresses) = (BTreeSet::new(), BTreeSet::new());
        for group in &self.bmc {
            for index in 0..group.count {
                let one = group.one(index)?;
                if !names.insert(one.name.clone()) {
                    return Err(Failure::usage(format_args!(
                        "two BMCs have the name {}",
                        one.name
                    )));
                }
                if !addresses.insert(one.address) {
                    return Err(Failure::usage(format_args!(
                        "two BMCs have the address {}",
                        one.address
                    )));
                }
                all.push(one);
            }
        }
        Ok(all)
    }
}

impl Group {
    fn one(&self, index: u16) -> Result<Definition, Failure> {
        let number = u32::from(self.first) + u32::from(index);
        let text = |text: &str| text.replace("{n}", &number.to_string());
        let address = text(&self.address);
        let address: IpAddr = address
            .parse()
            .map_err(|_| Failure::usage(format_args!("{address:?} is no IP address")))?;
        let step = if self.address.contains("{n}") { 0 } else { index };
        let port = self.port.checked_add(step);
        let port = port.ok_or_else(|| Failure::usage("the ports of a row go beyond 65535"))?;
        Ok(Definition {
            name: text(&self.name),
            address: SocketAddr::new(address, port),
            user: self.user.clone(),
            password_file: self.password_file.clone(),
            platform: self.platform.clone(),
            config: self.config.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Result<Vec<Definition>, String> {
        let fleet: Fleet =
            daemon::parse_toml("fleet.toml", text).map_err(|failure| failure.to_string())?;
        fleet.expand().map_err(|failure| failure.text)
    }

    #[test]
    fn a_row_counts_ports_or_addresses() {
        let row = "[[bmc]]\nname = \"b{n}\"\ncount = 2\npassword-file = \"p\"\n";
        let found = |text: &str| {
            let all = expand(text).unwrap();
            all.iter().map(|one| format!("{} {}", one.name, one.address)).collect::<Vec<_>>()
        };
        assert_eq!(found(row), ["b1 127.0.0.1:6230", "b2 127.0.0.1:6231"]);
        let other = format!("{row}first = 9\naddress = \"127.0.2.{{n}}\"\nport = 623\n");
        assert_eq!(found(&other), ["b9 127.0.2.9:623", "b10 127.0.2.10:623"]);
        let two = format!("{row}[[bmc]]\nname = \"c\"\naddress = \"::1\"\npassword-file = \"p\"\n");
        assert_eq!(found(&two)[2], "c [::1]:6230");
    }

    #[test]
    fn what_cannot_be_is_an_error_with_its_line() {
        for (lines, reason) in [
            ("", "[[bmc]]"),
            ("[[bmc]]\nname = \"b\"\n", "password-file"),
            ("[[bmc]]\nname = \"b\"\ncount = 2\npassword-file = \"p\"", "fleet.toml:2"),
            ("[[bmc]]\nname = \"b/c\"\npassword-file = \"p\"", "letters"),
            ("[[bmc]]\nname = \"b\"\nport = 0\npassword-file = \"p\"", "1 to 65535"),
            ("[[bmc]]\nname = \"b\"\nuser = \"\"\npassword-file = \"p\"", "user's name"),
            ("[[bmc]]\nname = \"b\"\naddress = \"x\"\npassword-file = \"p\"", "no IP address"),
            ("[[bmc]]\nname = \"b{n}\"\ncount = 9\nport = 65530\npassword-file = \"p\"", "65535"),
            ("[[bmc]]\nname = \"b\"\npassword-file = \"p\"\nx = 1", "unknown field"),
        ] {
            let error = expand(lines).unwrap_err();
            assert!(error.contains(reason), "{lines:?}: {error}");
        }
        let one = "[[bmc]]\nname = \"b\"\npassword-file = \"p\"\n";
        assert!(expand(&format!("{one}{one}")).unwrap_err().contains("the name b"));
        let other = one.replace("\"b\"", "\"c\"");
        assert!(expand(&format!("{one}{other}")).unwrap_err().contains("127.0.0.1:6230"));
    }
}
