//! What a BMC is: the file `bmc.toml` of its folder.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use daemon::{Invalid, Validate};
use report::error::Error;
use serde::{Deserialize, Serialize};

use crate::name::Name;
use crate::places::{Place, Places};

/// The address of a BMC unless another is given: nobody else reaches it.
pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The user of a BMC unless another name is given.
pub(crate) const USER: &str = "admin";
/// The most bytes of a user's name (IPMI v2.0 §22.28).
const LONGEST_USER: usize = 16;

/// Whether the host is switched on when the BMC starts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Power {
    /// It is switched on
    On,
    /// It stays as it is: off at first
    #[default]
    Off,
}

/// One BMC.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Definition {
    pub(crate) name: Name,
    /// Where it serves RMCP+.
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    /// The first user, whose password is in a file of its own.
    pub(crate) user: String,
    /// The machine's UUID.
    pub(crate) uuid: String,
    #[serde(default)]
    pub(crate) power: Power,
    /// QEMU's command line; empty for a simulated host.
    #[serde(default)]
    pub(crate) command: Vec<String>,
    /// The folder in which QEMU runs.
    pub(crate) directory: PathBuf,
    /// A file for `platformd`, in addition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<PathBuf>,
    /// A `causeway.toml`, in addition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<PathBuf>,
    /// Whether it is removed when it ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) temporary: bool,
}

impl Validate for Definition {
    fn validate(&self) -> Result<(), Invalid> {
        if self.port == 0 {
            return Err(Invalid::at("port", "a port is 1 to 65535"));
        }
        check_user(&self.user).map_err(|reason| Invalid::at("user", reason))
    }
}

/// Checks the name of a user.
///
/// # Errors
///
/// A text that says what is wrong.
pub(crate) fn check_user(name: &str) -> Result<(), String> {
    let is_fine = !name.is_empty()
        && name.len() <= LONGEST_USER
        && name.bytes().all(|byte| byte.is_ascii_graphic());
    let reason =
        || format!("a user's name has 1 to {LONGEST_USER} characters of ASCII without blanks");
    if is_fine { Ok(()) } else { Err(reason()) }
}

impl Definition {
    /// Where it serves RMCP+.
    pub(crate) const fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// What its host is.
    pub(crate) const fn host(&self) -> &'static str {
        if self.command.is_empty() { "simulated" } else { "qemu" }
    }

    /// Reads the BMC `name`.
    ///
    /// # Errors
    ///
    /// When there is none, or its file is invalid.
    pub(crate) fn load(places: &Places, name: &Name) -> Result<(Self, Place), Error> {
        let place = places.bmc(name)?;
        let path = place.definition();
        let text = fs::read_to_string(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::failed(format_args!("there is no BMC {name}"))
                .remedy("causeway-vm list, or causeway-vm create"),
            _ => Error::failed(format_args!("cannot read {}: {error}", path.display())),
        })?;
        let definition: Self = daemon::parse_toml(&path.display().to_string(), &text)
            .map_err(|failure| Error::failed(&failure))?;
        Ok((definition, place))
    }

    /// Writes it where there is none yet.
    ///
    /// # Errors
    ///
    /// When there is one, or it cannot be written.
    pub(crate) fn save(&self, place: &Place) -> Result<(), Error> {
        let path = place.definition();
        let written = self.text().and_then(|text| write_new(&path, text.as_bytes()));
        written.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => name_is_taken(&self.name),
            _ => cannot_write(&path, &error),
        })
    }

    /// Writes it, in place of an earlier one.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(crate) fn replace(&self, place: &Place) -> Result<(), Error> {
        let path = place.definition();
        let draft = path.with_extension("new");
        let written = self.text().and_then(|text| {
            fs::write(&draft, text)?;
            fs::rename(&draft, &path)
        });
        written.map_err(|error| cannot_write(&path, &error))
    }

    fn text(&self) -> io::Result<String> {
        toml::to_string(self).map_err(io::Error::other)
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Error {
    Error::failed(format_args!("cannot write {}: {error}", path.display()))
}

/// Two BMCs with one name.
pub(crate) fn name_is_taken(name: &Name) -> Error {
    Error::failed(format_args!("there is a BMC {name} already"))
        .remedy(format_args!("another name, or causeway-vm rm {name}"))
}

/// Writes a file for its user alone, which must not exist; it is whole, or absent.
///
/// # Errors
///
/// When that is not possible.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension(format!("new-{}", std::process::id()));
    let _earlier = fs::remove_file(&draft);
    let written = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
    let linked = written
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        // Unlike a rename, a link replaces nothing.
        .and_then(|()| fs::hard_link(&draft, path));
    let _absent = fs::remove_file(&draft);
    linked
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A BMC with this command line.
    pub(crate) fn definition(command: &[&str]) -> Definition {
        Definition {
            name: "vm1".parse().unwrap(),
            address: LOOPBACK,
            port: 6230,
            user: USER.to_owned(),
            uuid: "11111111-2222-4333-8444-555555555555".to_owned(),
            power: Power::On,
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            directory: "/images".into(),
            platform: None,
            config: None,
            temporary: false,
        }
    }

    fn places(folder: &Path) -> Places {
        let variable = |name: &str| {
            matches!(name, "XDG_STATE_HOME" | "XDG_RUNTIME_DIR")
                .then(|| folder.as_os_str().to_owned())
        };
        let user = crate::places::User {
            id: rustix::process::getuid().as_raw(),
            variable: &variable,
            home: None,
            sessions: Path::new("/nonexistent"),
            temporary: Path::new("/nonexistent"),
        };
        Places::of(&user).unwrap()
    }

    #[test]
    fn a_definition_is_read_as_it_was_written_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let places = places(folder.path());
        let first = definition(&["qemu", "-m", "64", "-name", "a \"b\""]);
        let place = places.bmc(&first.name).unwrap();
        place.make_state().unwrap();
        first.save(&place).unwrap();
        assert_eq!(Definition::load(&places, &first.name).unwrap().0, first);
        let text = definition(&[]).save(&place).unwrap_err().text("causeway-vm", false);
        assert!(text.contains("there is a BMC vm1 already") && text.contains("rm vm1"), "{text}");
        assert_eq!(Definition::load(&places, &first.name).unwrap().0, first);
        let other = Definition { port: 7000, ..first.clone() };
        other.replace(&place).unwrap();
        assert_eq!(Definition::load(&places, &first.name).unwrap().0, other);
        assert_eq!(fs::read_dir(&place.state).unwrap().count(), 1, "no draft is left");
        assert_eq!(places.names().unwrap(), [first.name]);
    }

    #[test]
    fn a_name_without_a_bmc_and_a_damaged_file_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let places = places(folder.path());
        let name: Name = "vm1".parse().unwrap();
        assert!(Definition::load(&places, &name).unwrap_err().to_string().contains("no BMC vm1"));
        let place = places.bmc(&name).unwrap();
        place.make_state().unwrap();
        fs::write(place.definition(), "name = \"vm1\"\nport = 0\n").unwrap();
        let error = Definition::load(&places, &name).unwrap_err().to_string();
        assert!(error.contains("bmc.toml"), "{error}");
    }

    #[test]
    fn users_have_names_that_clients_can_send() {
        assert!(check_user("admin").is_ok() && check_user(&"u".repeat(16)).is_ok());
        for name in ["", "a b", "ü", "a\n"] {
            assert!(check_user(name).is_err(), "{name:?}");
        }
        assert!(check_user(&"u".repeat(17)).is_err());
    }
}
