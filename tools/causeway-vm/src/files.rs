//! The files that the processes of a BMC read: written anew at each start.

use std::fmt::Display;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::{User, getuid};
use report::error::Error;
use toml::{Table, Value};
use zeroize::Zeroizing;

use crate::definition::Definition;
use crate::guest::Guest;
use crate::places::Place;

/// Bytes of output of the host's console that a client gets which comes later: all that is buffered.
const SCROLLBACK: i64 = 65_536;

/// Where the files are.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) bus: PathBuf,
    pub(crate) causeway: PathBuf,
    pub(crate) platform: PathBuf,
}

impl Files {
    /// The files of a BMC, in its runtime folder.
    pub(crate) fn of(place: &Place) -> Self {
        Self {
            bus: place.socket("bus.conf"),
            causeway: place.socket("causeway.toml"),
            platform: place.socket("platform.toml"),
        }
    }

    /// Writes them. `guest` is the machine, if there is one.
    ///
    /// # Errors
    ///
    /// When that is not possible, or a file of the user's is invalid.
    pub(crate) fn write(
        &self,
        definition: &Definition,
        place: &Place,
        guest: Option<&Guest>,
        password: &str,
    ) -> Result<(), Error> {
        let is_known = matches!(User::from_uid(getuid()), Ok(Some(_)));
        write_private(&self.bus, &bus(place, is_known))?;
        let given = read_table(definition.platform.as_deref())?;
        // A simulated host has a console if the user has a text for it.
        let has_script = given.get("host").is_some_and(|host| host.get("console").is_some());
        let has_console = guest.is_some() || has_script;
        write_private(&self.platform, &platform(given, definition, place, guest))?;
        let given = read_table(definition.config.as_deref())?;
        let text = Zeroizing::new(causeway(given, definition, place, (has_console, password)));
        write_private(&self.causeway, &text)
    }
}

/// A bus for this user's processes alone: who gets into its folder.
///
/// dbus-daemon refuses users that the user database does not have, such as those of a container that runs as an arbitrary
/// user. For such a user the bus takes anonymous connections, which the daemons take for this user's own.
fn bus(place: &Place, is_known: bool) -> String {
    let address = escape_xml(&place.bus_address());
    let mechanism = match is_known {
        true => "<auth>EXTERNAL</auth>",
        false => "<auth>ANONYMOUS</auth><allow_anonymous/>",
    };
    format!(
        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN\"\n \
         \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n\
         <busconfig>\n  <type>system</type>\n  <listen>{address}</listen>\n  {mechanism}\n  \
         <policy context=\"default\">\n    <allow user=\"*\"/>\n    <allow own=\"*\"/>\n    \
         <allow send_destination=\"*\"/>\n    <allow receive_sender=\"*\"/>\n  </policy>\n</busconfig>\n"
    )
}

/// The configuration of the daemons: `given`, and what is missing in it.
fn causeway(
    mut given: Table,
    definition: &Definition,
    place: &Place,
    (has_console, password): (bool, &str),
) -> String {
    let console = match has_console {
        true => format!("listen-unix:{}", place.socket("console").display()),
        false => "none".to_owned(),
    };
    let sol = section(&mut given, "sol");
    sol.entry("console").or_insert(console.into());
    let ring = sol.get("ring").and_then(Value::as_integer).unwrap_or(SCROLLBACK);
    sol.entry("scrollback").or_insert(ring.min(SCROLLBACK).into());
    let access = section(&mut given, "access");
    let mut user = Table::new();
    user.insert("name".to_owned(), definition.user.clone().into());
    user.insert("password".to_owned(), password.into());
    access.entry("initial-user").or_insert(user.into());
    given.to_string()
}

/// The platform: `given`, with the machine as its host.
fn platform(
    mut given: Table,
    definition: &Definition,
    place: &Place,
    guest: Option<&Guest>,
) -> String {
    let sol = section(&mut given, "sol");
    sol.entry("channels").or_insert(vec!["lan0"].into());
    if let Some(guest) = guest {
        let host = section(&mut given, "host");
        host.insert("backend".to_owned(), "qemu".into());
        host.insert("qmp".to_owned(), place.socket("qmp").display().to_string().into());
        host.insert("command".to_owned(), guest.command.clone().into());
        let boot = section(host, "boot");
        let devices = &guest.boot;
        for (key, id) in [("disk", &devices.disk), ("cdrom", &devices.cdrom), ("pxe", &devices.pxe)]
        {
            if let Some(id) = id {
                boot.entry(key).or_insert(id.clone().into());
            }
        }
    }
    if guest.is_none() {
        if let Some(console) = given.get_mut("host").and_then(|host| host.get_mut("console"))
            && let Some(console) = console.as_table_mut()
        {
            let path = place.socket("console").display().to_string();
            console.entry("path").or_insert(path.into());
        }
        // That of a machine is on its command line.
        let identity = section(&mut given, "identity");
        identity.entry("uuid").or_insert(definition.uuid.clone().into());
    }
    given.to_string()
}

/// The table `name`, made where there is none. A value of another type is replaced: the daemon would refuse it.
fn section<'a>(table: &'a mut Table, name: &str) -> &'a mut Table {
    let value = table.entry(name).or_insert(Table::new().into());
    if !value.is_table() {
        *value = Table::new().into();
    }
    match value {
        Value::Table(table) => table,
        _ => unreachable!("it is a table now"),
    }
}

fn read_table(path: Option<&Path>) -> Result<Table, Error> {
    let Some(path) = path else { return Ok(Table::new()) };
    let failed = |error: &dyn Display| Error::usage(format_args!("{}: {error}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
    text.parse()
        .map_err(|error: toml::de::Error| failed(&error.to_string().replace('\n', " ").trim()))
}

/// Writes a file for its user alone.
fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    let _earlier = fs::remove_file(path);
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Error::failed(format_args!("cannot write {}: {error}", path.display())))
}

fn escape_xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::tests::definition;

    fn place(runtime: &str) -> Place {
        Place { state: "/s".into(), runtime: runtime.into() }
    }

    #[test]
    fn the_bus_listens_at_an_escaped_address() {
        let bus = |folder| bus(&place(folder), true);
        assert!(bus("/run/vm1").contains("<listen>unix:path=/run/vm1/bus</listen>"));
        assert!(bus("/a b").contains("<listen>unix:path=/a%20b/bus</listen>"));
        assert_eq!(escape_xml("<&\">"), "&lt;&amp;&quot;&gt;");
    }

    #[test]
    fn a_user_without_an_entry_is_anonymous_on_the_bus() {
        let text = bus(&place("/r"), false);
        assert!(text.contains("<allow_anonymous/>") && !text.contains("EXTERNAL"), "{text}");
        assert!(!bus(&place("/r"), true).contains("ANONYMOUS"));
    }

    #[test]
    fn configuration_of_the_user_is_kept() {
        let given = "[lan]\nsessions = 3\n[sol]\nring = 4096\n".parse().unwrap();
        let text = causeway(given, &definition(&["qemu"]), &place("/r"), (true, "a\"b"));
        let table: Table = text.parse().unwrap();
        assert_eq!(table["lan"]["sessions"].as_integer(), Some(3));
        assert_eq!(table["sol"]["console"].as_str(), Some("listen-unix:/r/console"));
        assert_eq!(table["sol"]["scrollback"].as_integer(), Some(4096));
        assert_eq!(table["access"]["initial-user"]["password"].as_str(), Some("a\"b"));
        let given = "[sol]\nconsole = \"tcp:a:1\"\nscrollback = 0\n".parse().unwrap();
        let table: Table =
            causeway(given, &definition(&[]), &place("/r"), (false, "x")).parse().unwrap();
        assert_eq!(table["sol"]["console"].as_str(), Some("tcp:a:1"));
        assert_eq!(table["sol"]["scrollback"].as_integer(), Some(0));
    }

    #[test]
    fn a_machine_is_the_host_of_the_platform() {
        let machine = definition(&["qemu-system-x86_64"]);
        let guest = Guest::new(&machine, &place("/r")).unwrap();
        let given = "[chassis]\ncycle-ms = 100\n[host]\nstart-limit-ms = 5\n".parse().unwrap();
        let text = platform(given, &machine, &place("/r"), Some(&guest));
        let table: Table = text.parse().unwrap();
        assert_eq!(table["chassis"]["cycle-ms"].as_integer(), Some(100));
        assert_eq!(table["host"]["backend"].as_str(), Some("qemu"));
        assert_eq!(table["host"]["start-limit-ms"].as_integer(), Some(5));
        assert_eq!(table["host"]["boot"]["pxe"].as_str(), Some("causeway-boot0"));
        assert!(!table.contains_key("identity"));
    }

    #[test]
    fn a_simulated_host_with_a_text_for_its_console_dials_it() {
        let given = "[host.console]\nscript = [[0, \"x\"]]\n".parse().unwrap();
        let text = platform(given, &definition(&[]), &place("/r"), None);
        let table: Table = text.parse().unwrap();
        assert_eq!(table["host"]["console"]["path"].as_str(), Some("/r/console"));
        let text = causeway(Table::new(), &definition(&[]), &place("/r"), (false, "x"));
        let table: Table = text.parse().unwrap();
        assert_eq!(table["sol"]["console"].as_str(), Some("none"));
    }

    #[test]
    fn a_simulated_host_has_the_identity_of_its_bmc() {
        let bmc = definition(&[]);
        let table: Table = platform(Table::new(), &bmc, &place("/r"), None).parse().unwrap();
        assert!(!table.contains_key("host"));
        assert_eq!(table["identity"]["uuid"].as_str(), Some(bmc.uuid.as_str()));
        let given = "[identity]\nuuid = \"x\"\nmodel = \"m\"\n".parse().unwrap();
        let table: Table = platform(given, &bmc, &place("/r"), None).parse().unwrap();
        assert_eq!(table["identity"]["uuid"].as_str(), Some("x"));
    }

    #[test]
    fn files_of_the_user_that_are_missing_or_no_toml_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        assert!(read_table(Some(&path)).unwrap_err().to_string().contains("x.toml"));
        fs::write(&path, "[x\n").unwrap();
        let error = read_table(Some(&path)).unwrap_err().to_string();
        assert!(error.contains("x.toml") && !error.contains('\n'), "{error}");
    }
}
