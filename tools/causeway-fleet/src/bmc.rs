//! One BMC: its folders, the files that its processes read, and their command lines.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{User, getgid, getuid};
use ring::digest;
use toml::{Table, Value};
use uuid::Builder;
use zeroize::Zeroizing;

use crate::Failure;
use crate::config::Definition;

/// The most bytes of a password (IPMI v2.0 §22.30).
const LONGEST_PASSWORD: usize = 20;
/// The longest path of a socket: `sun_path` (unix(7)) has 108 bytes with the final zero.
const LONGEST_SOCKET: usize = 107;

/// A process that is to run.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// The address of the bus; the bus itself needs none.
    pub(crate) bus: Option<String>,
}

/// A BMC whose files are written.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) name: String,
    /// The bus first.
    pub(crate) programs: Vec<Program>,
}

impl Prepared {
    /// Writes the files of a BMC below `root`: what lasts into `state/NAME`, sockets and configuration into `run/NAME`.
    ///
    /// # Errors
    ///
    /// When that is not possible, or a file of the definition is invalid.
    pub(crate) fn new(definition: &Definition, root: &Path) -> Result<Self, Failure> {
        let Definition { name, address, .. } = definition;
        let (state, run) = (root.join("state").join(name), root.join("run").join(name));
        let bus = run.join("bus");
        if bus.as_os_str().len() > LONGEST_SOCKET {
            return Err(Failure::usage(format_args!("{}: too long for a socket", bus.display())));
        }
        let failed = |error: std::io::Error| {
            Failure::failed(format_args!("cannot use the folder {}: {error}", run.display()))
        };
        // What an earlier run left is nobody's.
        let _absent = fs::remove_dir_all(&run);
        for folder in [&state, &run] {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        }
        let bus_file = run.join("bus.conf");
        write(&bus_file, &bus_configuration(&bus))?;
        let causeway = run.join("causeway.toml");
        write(&causeway, &configuration(definition)?)?;
        let platform = run.join("platform.toml");
        let uuid = uuid(&host_name(), name);
        write(&platform, &platform_description(read(definition.platform.as_deref())?, &uuid))?;
        let common = ["--config".into(), causeway.into(), "--state-dir".into(), state.into()];
        let daemon = |name: &'static str, own: [OsString; 2]| {
            let own = own.into_iter().filter(|word| !word.is_empty());
            let arguments = common.iter().cloned().chain(own).collect();
            let bus = Some(format!("unix:path={}", bus.display()));
            Ok(Program { name, path: find(name)?, arguments, bus })
        };
        let bus_arguments = [
            format!("--config-file={}", bus_file.display()),
            "--nofork".into(),
            "--nopidfile".into(),
        ];
        let bus_daemon = "dbus-daemon";
        let programs = vec![
            Program {
                name: bus_daemon,
                path: find(bus_daemon)?,
                arguments: bus_arguments.map(OsString::from).to_vec(),
                bus: None,
            },
            daemon("platformd", ["--platform".into(), platform.into()])?,
            daemon("ipmid", [OsString::new(), OsString::new()])?,
            daemon("netipmid", ["--listen".into(), address.to_string().into()])?,
        ];
        Ok(Self { name: name.clone(), programs })
    }
}

/// Gives this process's user an entry in the user database where it has none, because dbus-daemon serves no user without one:
/// in an image, /etc/passwd is a link to `passwd` in the folder `root`.
///
/// # Errors
///
/// When it cannot be written.
pub(crate) fn enter_user(root: &Path) -> Result<(), Failure> {
    if matches!(User::from_uid(getuid()), Ok(Some(_))) {
        return Ok(());
    }
    let path = root.join("passwd");
    let entry = format!("causeway:x:{}:{}:causeway:/:/nonexistent\n", getuid(), getgid());
    fs::write(&path, entry)
        .map_err(|error| Failure::failed(format_args!("cannot write {}: {error}", path.display())))
}

/// A program beside this one, or on the search path.
fn find(name: &str) -> Result<PathBuf, Failure> {
    let own = env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).map(Path::to_owned);
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = beside.into_iter().chain(env::split_paths(&path));
    let found = folders.find_map(|folder| Some(folder.join(name)).filter(|path| path.is_file()));
    found.ok_or_else(|| Failure::failed(format_args!("the program {name} is missing")))
}

/// A bus for this user's processes alone: who gets into its folder.
fn bus_configuration(socket: &Path) -> String {
    format!(
        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN\"\n \
         \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n<busconfig>\n  \
         <type>system</type>\n  <listen>unix:path={}</listen>\n  <auth>EXTERNAL</auth>\n  \
         <policy context=\"default\">\n    <allow user=\"*\"/>\n    <allow own=\"*\"/>\n    \
         <allow send_destination=\"*\"/>\n    <allow receive_sender=\"*\"/>\n  </policy>\n</busconfig>\n",
        socket.display()
    )
}

/// The configuration of the daemons: the definition's own file, and in it the first user.
fn configuration(definition: &Definition) -> Result<Zeroizing<String>, Failure> {
    let mut table = read(definition.config.as_deref())?;
    let path = definition.password_file.display();
    let text = fs::read_to_string(&definition.password_file).map(Zeroizing::new);
    let text =
        text.map_err(|error| Failure::usage(format_args!("the password: {path}: {error}")))?;
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() || password.len() > LONGEST_PASSWORD {
        let text = format!("the password in {path} does not have 1 to {LONGEST_PASSWORD} bytes");
        return Err(Failure::usage(text));
    }
    // A simulated host has no console unless the definition says where it is.
    section(&mut table, "sol").entry("console").or_insert("none".into());
    let mut user = Table::new();
    user.insert("name".to_owned(), definition.user.clone().into());
    user.insert("password".to_owned(), password.into());
    section(&mut table, "access").entry("initial-user").or_insert(user.into());
    Ok(Zeroizing::new(table.to_string()))
}

/// The platform: `table`, in which the system has a UUID of its own, and a reset of the BMC is one of all its daemons.
fn platform_description(mut table: Table, uuid: &str) -> String {
    section(&mut table, "sol").entry("channels").or_insert(vec!["lan0"].into());
    let bmc = section(&mut table, "bmc");
    if !bmc.contains_key("reset-command") {
        bmc.entry("reset").or_insert("end".into());
    }
    section(&mut table, "identity").entry("uuid").or_insert(uuid.into());
    table.to_string()
}

/// The table `name`, made where there is none. A value of another type is replaced: the daemon would refuse it.
fn section<'a>(table: &'a mut Table, name: &str) -> &'a mut Table {
    if !table.get(name).is_some_and(Value::is_table) {
        table.insert(name.to_owned(), Table::new().into());
    }
    match table.get_mut(name) {
        Some(Value::Table(section)) => section,
        _ => unreachable!("it is a table now"),
    }
}

fn read(path: Option<&Path>) -> Result<Table, Failure> {
    let Some(path) = path else { return Ok(Table::new()) };
    let failed = |error: &str| {
        Failure::usage(format_args!("{}: {}", path.display(), error.trim().replace('\n', " ")))
    };
    let text = fs::read_to_string(path).map_err(|error| failed(&error.to_string()))?;
    text.parse().map_err(|error: toml::de::Error| failed(&error.to_string()))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::failed(format_args!("cannot write {}: {error}", path.display())))
}

/// The name of this machine, which in a pod is the pod's.
fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// The same for each start of a BMC, and another for each BMC.
fn uuid(host: &str, name: &str) -> String {
    let hash = digest::digest(&digest::SHA256, format!("{host}/{name}").as_bytes());
    let mut bytes = [0; 16];
    for (byte, hashed) in bytes.iter_mut().zip(hash.as_ref()) {
        *byte = *hashed;
    }
    Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(folder: &Path, password: &str) -> Definition {
        let file = folder.join("password");
        fs::write(&file, password).unwrap();
        Definition {
            name: "b1".to_owned(),
            address: "127.0.0.1:6230".parse().unwrap(),
            user: "admin".to_owned(),
            password_file: file,
            platform: None,
            config: None,
        }
    }

    #[test]
    fn the_first_user_has_the_first_line_as_password() {
        let folder = tempfile::tempdir().unwrap();
        let text = configuration(&definition(folder.path(), "a\"b\nc\n")).unwrap();
        let table: Table = text.parse().unwrap();
        assert_eq!(table["access"]["initial-user"]["password"].as_str(), Some("a\"b"));
        assert_eq!(table["sol"]["console"].as_str(), Some("none"));
        for password in ["", "\n", "123456789012345678901"] {
            let failure = configuration(&definition(folder.path(), password)).unwrap_err();
            assert!(failure.code == 2 && !failure.text.contains("1234"), "{}", failure.text);
        }
    }

    #[test]
    fn what_the_platform_says_is_kept() {
        let text = "[identity]\nuuid = \"x\"\n[bmc]\nreset-delay-ms = 5\n";
        let table: Table = platform_description(text.parse().unwrap(), "y").parse().unwrap();
        assert_eq!(table["identity"]["uuid"].as_str(), Some("x"));
        assert_eq!(table["bmc"]["reset"].as_str(), Some("end"));
        assert_eq!(table["bmc"]["reset-delay-ms"].as_integer(), Some(5));
        let text = "[bmc]\nreset-command = [\"reboot\"]\n";
        let table: Table = platform_description(text.parse().unwrap(), "y").parse().unwrap();
        assert!(!table["bmc"].as_table().is_some_and(|bmc| bmc.contains_key("reset")));
        let table: Table = platform_description(Table::new(), "y").parse().unwrap();
        assert_eq!(table["identity"]["uuid"].as_str(), Some("y"));
    }

    #[test]
    fn identities_are_the_same_each_time_and_differ() {
        let id = uuid("pod-0", "bmc1");
        assert_eq!(id, uuid("pod-0", "bmc1"));
        assert!(id != uuid("pod-1", "bmc1") && id != uuid("pod-0", "bmc2"));
        assert_eq!(id.len(), 36);
    }

    #[test]
    fn files_that_are_missing_or_no_toml_are_errors_of_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        assert!(read(Some(&path)).unwrap_err().text.contains("x.toml"));
        fs::write(&path, "[x\n").unwrap();
        let text = read(Some(&path)).unwrap_err().text;
        assert!(text.contains("x.toml") && !text.contains('\n'), "{text}");
    }
}
