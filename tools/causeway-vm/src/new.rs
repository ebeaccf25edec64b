//! New BMCs: their definition, and their port.

use std::collections::BTreeMap;
use std::env;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

use report::error::Error;
use serde::Deserialize;
use uuid::Builder;

use crate::cli::New;
use crate::definition::{Definition, LOOPBACK, Power, USER, check_user, name_is_taken};
use crate::name::{Name, expand, has_number};
use crate::places::Places;
use crate::{password, programs};

/// The first port that a BMC gets that has none given.
const FIRST_PORT: u16 = 6230;

/// One BMC, or a row of them: `{n}` stands for the number of each, and `{name}` for its name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Group {
    pub(crate) name: String,
    /// How many there are.
    #[serde(default = "one", deserialize_with = "daemon::range::number::<1, MOST, _, _>")]
    pub(crate) count: u32,
    /// The number of the first.
    #[serde(default = "one", deserialize_with = "daemon::range::number::<0, LARGEST, _, _>")]
    pub(crate) first: u32,
    #[serde(default = "loopback")]
    pub(crate) address: String,
    /// The port of the first; each of the others has the next one, or the same one at another address.
    #[serde(default)]
    pub(crate) port: Option<u16>,
    #[serde(default = "user")]
    pub(crate) user: String,
    #[serde(default)]
    pub(crate) password_file: Option<String>,
    #[serde(default)]
    pub(crate) power: Power,
    #[serde(default)]
    pub(crate) platform: Option<String>,
    #[serde(default)]
    pub(crate) config: Option<String>,
    #[serde(default)]
    pub(crate) directory: Option<String>,
    #[serde(default)]
    pub(crate) command: Vec<String>,
}

/// The most BMCs of a row, and the largest number of one.
pub(crate) const MOST: i64 = 10_000;
pub(crate) const LARGEST: i64 = 1_000_000;

const fn one() -> u32 {
    1
}

fn loopback() -> String {
    LOOPBACK.to_string()
}

fn user() -> String {
    USER.to_owned()
}

/// What the description of new BMCs goes by.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Where relative paths begin.
    pub(crate) folder: PathBuf,
    /// The names and addresses of others.
    pub(crate) taken: Vec<(Name, SocketAddr)>,
    /// BMCs that are described anew: they keep UUID and, unless one is given, their port.
    pub(crate) earlier: BTreeMap<Name, Definition>,
}

impl Known {
    /// No BMCs.
    pub(crate) const fn new(folder: PathBuf) -> Self {
        Self { folder, taken: Vec::new(), earlier: BTreeMap::new() }
    }

    /// The BMCs of this user.
    ///
    /// # Errors
    ///
    /// When the folder of BMCs cannot be read.
    pub(crate) fn find(folder: PathBuf, places: &Places) -> Result<Self, Error> {
        let taken = definitions(places)?;
        let taken = taken.into_iter().map(|one| (one.name.clone(), one.socket())).collect();
        Ok(Self { taken, ..Self::new(folder) })
    }
}

/// A BMC that is to be made, and the file with its password if there is one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Planned {
    pub(crate) definition: Definition,
    pub(crate) password_file: Option<PathBuf>,
}

impl Group {
    /// The BMC of a command line, whose name is `name`.
    pub(crate) fn new(name: &str, new: &New, power: Power) -> Self {
        let text = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        Self {
            name: name.to_owned(),
            count: 1,
            first: 1,
            address: new.address.clone(),
            port: new.port,
            user: new.user.clone(),
            password_file: None,
            power: new.power.unwrap_or(power),
            platform: text(&new.platform),
            config: text(&new.config),
            directory: None,
            command: new.command.clone(),
        }
    }

    /// The BMCs of the row, whose addresses are taken then.
    ///
    /// # Errors
    ///
    /// When one could not start.
    pub(crate) fn expand(&self, known: &mut Known) -> Result<Vec<Planned>, Error> {
        if self.count > 1 && !has_number(&self.name) {
            return Err(Error::usage(format_args!(
                "{} BMCs cannot have the one name {:?}",
                self.count, self.name
            ))
            .remedy("a name with {n} in it"));
        }
        check_user(&self.user).map_err(Error::usage)?;
        let mut planned = Vec::new();
        for index in 0..self.count {
            let one = self.one(index, known)?;
            check(&one.definition, &known.taken)?;
            known.taken.push((one.definition.name.clone(), one.definition.socket()));
            planned.push(one);
        }
        Ok(planned)
    }

    /// The name of a BMC of the row.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub(crate) fn name(&self, index: u32) -> Result<Name, Error> {
        let name = expand(&self.name, self.first + index, None);
        name.and_then(|name| name.parse()).map_err(Error::usage)
    }

    fn one(&self, index: u32, known: &Known) -> Result<Planned, Error> {
        let number = self.first + index;
        let name = self.name(index)?;
        let earlier = known.earlier.get(&name);
        let folder = &known.folder;
        let text = |text: &String| expand(text, number, Some(name.as_str())).map_err(Error::usage);
        let path = |path: &Option<String>| -> Result<Option<PathBuf>, Error> {
            path.as_ref().map(|path| text(path).map(|path| folder.join(path))).transpose()
        };
        let address = text(&self.address)?;
        let address: IpAddr = address
            .parse()
            .map_err(|_| Error::usage(format_args!("{address:?} is no IP address")))?;
        let port = match self.port {
            Some(port) => {
                let step = if has_number(&self.address) { 0 } else { index };
                let port = u32::from(port) + step;
                u16::try_from(port).ok().filter(|port| *port > 0).ok_or_else(|| {
                    Error::usage(format_args!(
                        "{name} would have the port {port}, and a port is 1 to 65535"
                    ))
                })?
            }
            None => match earlier {
                Some(earlier) if earlier.address == address => earlier.port,
                _ => free_port(address, known)?,
            },
        };
        let definition = Definition {
            address,
            port,
            user: self.user.clone(),
            uuid: earlier.map_or_else(random_uuid, |earlier| Ok(earlier.uuid.clone()))?,
            power: self.power,
            command: self.command.iter().map(text).collect::<Result<_, _>>()?,
            platform: path(&self.platform)?,
            config: path(&self.config)?,
            directory: path(&self.directory)?.unwrap_or_else(|| folder.to_owned()),
            temporary: false,
            name: name.clone(),
        };
        Ok(Planned { definition, password_file: path(&self.password_file)? })
    }
}

/// The folder in which this program was called.
///
/// # Errors
///
/// When it was removed.
pub(crate) fn current_folder() -> Result<PathBuf, Error> {
    env::current_dir().map_err(|error| Error::failed(format_args!("the current folder: {error}")))
}

/// The folder of a file.
///
/// # Errors
///
/// When its path begins in a folder that was removed.
pub(crate) fn folder_of(file: &Path) -> Result<PathBuf, Error> {
    let folder = file.parent().unwrap_or(Path::new(""));
    Ok(current_folder()?.join(folder))
}

/// Checks what would keep a BMC from starting.
///
/// # Errors
///
/// When its name or its address is another BMC's, or its program is missing.
fn check(definition: &Definition, taken: &[(Name, SocketAddr)]) -> Result<(), Error> {
    let socket = definition.socket();
    if taken.iter().any(|(name, _)| *name == definition.name) {
        return Err(name_is_taken(&definition.name));
    }
    if let Some((other, _)) = taken.iter().find(|(_, other)| overlap(socket, *other)) {
        return Err(Error::failed(format_args!("the port is taken: the BMC {other} has {socket}"))
            .remedy("another one, with --port"));
    }
    let files = [&definition.platform, &definition.config];
    if let Some(missing) = files.into_iter().flatten().find(|path| !path.is_file()) {
        return Err(Error::failed(format_args!("{} is no file", missing.display())));
    }
    match definition.command.first() {
        Some(program) => programs::check_command(program, &definition.directory),
        None => Ok(()),
    }
}

/// All BMCs of this user.
///
/// # Errors
///
/// When the folder of BMCs cannot be read.
pub(crate) fn definitions(places: &Places) -> Result<Vec<Definition>, Error> {
    // One whose file is damaged does not keep others from being made; `list` shows it.
    let load = |name: &Name| Some(Definition::load(places, name).ok()?.0);
    Ok(places.names()?.iter().filter_map(load).collect())
}

/// Whether two sockets cannot be there at the same time.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && (is_any || one.ip() == other.ip())
}

/// The first port from [`FIRST_PORT`] on that no BMC has and that is free now.
///
/// # Errors
///
/// When there is none.
fn free_port(address: IpAddr, known: &Known) -> Result<u16, Error> {
    let is_free = |port: &u16| {
        let socket = SocketAddr::new(address, *port);
        let is_taken = known.taken.iter().any(|(_, other)| overlap(socket, *other))
            || known.earlier.values().any(|other| overlap(socket, other.socket()));
        !is_taken && UdpSocket::bind(socket).is_ok()
    };
    let none = || {
        Error::failed(format_args!("no port of {address} from {FIRST_PORT} on can be used"))
            .remedy("an address of this machine, with --address")
    };
    (FIRST_PORT..=u16::MAX).find(is_free).ok_or_else(none)
}

fn random_uuid() -> Result<String, Error> {
    let mut bytes = [0; 16];
    password::fill(&mut bytes)?;
    Ok(Builder::from_random_bytes(bytes).into_uuid().to_string())
}

/// The line with which ipmitool reaches the BMC; `words` are its command.
pub(crate) fn ipmitool(definition: &Definition, password: &Path, words: &str) -> String {
    let Definition { address, port, user, .. } = definition;
    // A client on this machine reaches all addresses by this one.
    let host = if !address.is_unspecified() {
        address.to_string()
    } else if address.is_ipv4() {
        "127.0.0.1".to_owned()
    } else {
        "::1".to_owned()
    };
    let (user, password) = (quote(user), quote(&password.display().to_string()));
    format!("ipmitool -I lanplus -C 17 -H {host} -p {port} -U {user} -f {password} {words}")
}

/// A word as a shell takes it.
fn quote(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,=".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::tests::definition;

    fn socket(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn sockets_overlap_where_one_would_keep_the_other_out() {
        for (one, other, do_overlap) in [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("127.0.0.1:1", "0.0.0.0:1", true),
            ("[::]:1", "127.0.0.1:1", true),
        ] {
            assert_eq!(overlap(socket(one), socket(other)), do_overlap, "{one} {other}");
            assert_eq!(overlap(socket(other), socket(one)), do_overlap, "{other} {one}");
        }
    }

    #[test]
    fn a_port_that_is_taken_is_left_out() {
        let address = "127.77.3.1".parse().unwrap();
        let mut known = Known::new("/fleet".into());
        let first = free_port(address, &known).unwrap();
        let used = UdpSocket::bind((address, first)).unwrap();
        let second = free_port(address, &known).unwrap();
        assert!(second > first);
        let taken = [("other".parse().unwrap(), SocketAddr::new(address, second))];
        known.taken = taken.to_vec();
        assert!(free_port(address, &known).unwrap() > second);
        drop(used);
        let clash = Definition { address, port: second, ..definition(&[]) };
        let text = check(&clash, &taken).unwrap_err().text("x", false);
        assert!(text.contains("the BMC other has 127.77.3.1") && text.contains("--port"), "{text}");
        let unknown = "192.0.2.1".parse().unwrap();
        assert!(free_port(unknown, &known).unwrap_err().text("x", false).contains("--address"));
    }

    fn group(text: &str) -> Group {
        toml::from_str(text).unwrap()
    }

    fn expanded(text: &str) -> Result<Vec<Definition>, String> {
        let planned = group(text).expand(&mut Known::new("/fleet".into()));
        let planned = planned.map_err(|error| error.text("x", false))?;
        Ok(planned.into_iter().map(|planned| planned.definition).collect())
    }

    #[test]
    fn a_row_has_the_next_ports_or_the_next_addresses() {
        let row = expanded("name = \"n{n:2}\"\ncount = 3\nfirst = 9\nport = 7000\n").unwrap();
        let found: Vec<_> =
            row.iter().map(|bmc| (bmc.name.to_string(), bmc.socket().to_string())).collect();
        let wanted =
            [("n09", "127.0.0.1:7000"), ("n10", "127.0.0.1:7001"), ("n11", "127.0.0.1:7002")];
        assert_eq!(found, wanted.map(|(name, socket)| (name.to_owned(), socket.to_owned())));
        let row = expanded("name = \"n{n}\"\ncount = 2\naddress = \"127.9.0.{n}\"\nport = 623\n")
            .unwrap();
        let found: Vec<_> = row.iter().map(|bmc| bmc.socket().to_string()).collect();
        assert_eq!(found, ["127.9.0.1:623", "127.9.0.2:623"]);
        assert_ne!(row[0].uuid, row[1].uuid);
    }

    #[test]
    fn paths_and_commands_have_number_and_name() {
        let text = "name = \"a{n}\"\ndirectory = \"d{n}\"\npassword-file = \"{name}.pw\"\ncommand = [\"sh\", \"{name}\"]\n";
        let planned = group(text).expand(&mut Known::new("/fleet".into())).unwrap();
        assert_eq!(planned[0].definition.directory, Path::new("/fleet/d1"));
        assert_eq!(planned[0].definition.command, ["sh", "a1"]);
        assert_eq!(planned[0].password_file.as_deref(), Some(Path::new("/fleet/a1.pw")));
    }

    #[test]
    fn rows_that_cannot_be_are_refused() {
        for (text, words) in [
            ("name = \"a\"\ncount = 2\n", "a name with {n}"),
            ("name = \"a{n}\"\naddress = \"nowhere\"\n", "\"nowhere\" is no IP address"),
            ("name = \"a{n}\"\ncount = 2\nport = 65535\n", "the port 65536"),
            ("name = \"a{n}\"\nport = 0\n", "the port 0"),
            ("name = \"a/{n}\"\n", "no name of a BMC"),
            ("name = \"a\"\nuser = \"\"\n", "a user's name"),
            ("name = \"a\"\nplatform = \"none.toml\"\n", "/fleet/none.toml is no file"),
            ("name = \"a\"\ncommand = [\"qemu-system-none\"]\n", "qemu-system-none is missing"),
        ] {
            let error = expanded(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        for text in ["count = 1", "name = \"a\"\ncount = 0", "name = \"a\"\nports = 1"] {
            assert!(toml::from_str::<Group>(text).is_err(), "{text}");
        }
        let mut taken = Known::new("/".into());
        taken.taken.push(("a".parse().unwrap(), socket("127.0.0.1:1")));
        let again = group("name = \"a\"\n").expand(&mut taken).unwrap_err();
        assert!(again.to_string().contains("there is a BMC a already"), "{again}");
        let mut both = Known::new("/".into());
        let row = "name = \"b{n}\"\naddress = \"0.0.0.0\"\nport = 7001\n";
        group(row).expand(&mut both).unwrap();
        let clash = group("name = \"c\"\nport = 7001\n").expand(&mut both);
        assert!(clash.unwrap_err().to_string().contains("the BMC b1 has"));
    }

    #[test]
    fn the_line_for_ipmitool_works_in_a_shell() {
        let line = ipmitool(&definition(&[]), Path::new("/a b/password"), "mc info");
        let wanted =
            "ipmitool -I lanplus -C 17 -H 127.0.0.1 -p 6230 -U admin -f '/a b/password' mc info";
        assert_eq!(line, wanted);
        let open = Definition { address: "0.0.0.0".parse().unwrap(), ..definition(&[]) };
        assert!(ipmitool(&open, Path::new("/p"), "x").contains("-H 127.0.0.1 "));
        assert_eq!(quote("it's"), "'it'\\''s'");
    }
}
