//! Where the files of a user's BMCs are (XDG Base Directory Specification 0.8), or below a folder of the command line.
//!
//! What lasts is in a folder of the state folder, and sockets are in one of the runtime folder. Which runtime folder a BMC
//! has used is a link in its state, so that a command finds it from another session too.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use report::error::Error;

use crate::name::Name;
use crate::supervisor::record::Lock;

/// The folder of this program in each of the user's.
const FOLDER: &str = "causeway-vm";
/// The longest path of a socket: `sun_path` (unix(7)) has 108 bytes with the final zero.
const LONGEST_SOCKET: usize = 107;
/// The mode of folders: for their user alone.
const PRIVATE: u32 = 0o700;
/// What to do about a state folder that cannot be used, and about a runtime folder.
const OTHER_STATE: &str = "XDG_STATE_HOME=FOLDER or --state-dir FOLDER with a folder of yours";
const OTHER_RUNTIME: &str = "XDG_RUNTIME_DIR=FOLDER or --state-dir FOLDER with a folder of yours";

/// What the folders follow from.
pub(crate) struct User<'a> {
    /// The user's number.
    pub(crate) id: u32,
    /// The environment.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The home folder without `HOME`; a user without an entry in passwd has none.
    pub(crate) home: Option<PathBuf>,
    /// Where the system has folders of users who are logged in.
    pub(crate) sessions: &'a Path,
    /// A folder for everybody.
    pub(crate) temporary: &'a Path,
}

/// The folders of a user's BMCs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Places {
    /// A folder for each BMC, with what lasts.
    pub(crate) state: PathBuf,
    /// A folder for each BMC, with its sockets.
    runtime: PathBuf,
    /// The folder of the command line.
    pub(crate) given: Option<PathBuf>,
}

impl Places {
    /// `state` and `run` below `given`, or the folders of this process's user. Makes none.
    ///
    /// # Errors
    ///
    /// When there is nowhere to keep the state.
    pub(crate) fn find(given: Option<&Path>) -> Result<Self, Error> {
        if let Some(given) = given {
            let given = std::path::absolute(given).map_err(|error| {
                Error::usage(format_args!("--state-dir {}: {error}", given.display()))
            })?;
            return Ok(Self::below(given));
        }
        Self::of(&User {
            id: rustix::process::getuid().as_raw(),
            variable: &|name| env::var_os(name),
            home: env::home_dir(),
            sessions: Path::new("/run/user"),
            temporary: Path::new("/tmp"),
        })
    }

    fn below(given: PathBuf) -> Self {
        Self { state: given.join("state"), runtime: given.join("run"), given: Some(given) }
    }

    pub(crate) fn of(user: &User<'_>) -> Result<Self, Error> {
        let absolute = |name: &str| {
            let path = PathBuf::from((user.variable)(name)?);
            path.is_absolute().then_some(path)
        };
        let home = absolute("HOME").or_else(|| user.home.clone().filter(|home| home.is_absolute()));
        let state = absolute("XDG_STATE_HOME").or_else(|| Some(home?.join(".local/state")));
        let no_home = || {
            Error::failed(format_args!("user {} has no home folder to keep BMCs in", user.id))
                .remedy(OTHER_STATE)
        };
        // A folder of another user is inherited by way of su and sudo.
        let is_own = |path: &PathBuf| {
            fs::metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == user.id)
        };
        let session = Some(user.sessions.join(user.id.to_string()));
        let runtime = absolute("XDG_RUNTIME_DIR").filter(is_own);
        let runtime = runtime.or(session.filter(is_own)).map(|runtime| runtime.join(FOLDER));
        let in_temporary = || user.temporary.join(format!("{FOLDER}-{}", user.id));
        Ok(Self {
            state: state.ok_or_else(no_home)?.join(FOLDER),
            runtime: runtime.unwrap_or_else(in_temporary),
            given: None,
        })
    }

    /// The files of the BMC `name`.
    ///
    /// # Errors
    ///
    /// When its sockets would have too long paths.
    pub(crate) fn bmc(&self, name: &Name) -> Result<Place, Error> {
        let state = self.state.join(name.as_str());
        // Where it has run last, if that is still there.
        let used = fs::read_link(state.join("run")).ok().filter(|used| used.is_dir());
        let runtime = used.unwrap_or_else(|| self.runtime.join(name.as_str()));
        let place = Place { state, runtime };
        let longest = place.longest_socket();
        if longest > LONGEST_SOCKET {
            let text = format!(
                "the paths of sockets in {} would have {longest} bytes, and {LONGEST_SOCKET} is the most",
                place.runtime.display()
            );
            return Err(Error::failed(text)
                .remedy(format_args!("a shorter name, or {OTHER_RUNTIME} and a shorter path")));
        }
        Ok(place)
    }

    /// The names of the BMCs that exist, in order.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub(crate) fn names(&self) -> Result<Vec<Name>, Error> {
        let entries = match fs::read_dir(&self.state) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                let text = format!("cannot read {}: {error}", self.state.display());
                return Err(Error::failed(text).remedy(OTHER_STATE));
            }
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut names: Vec<Name> = names
            .filter(|name: &Name| self.state.join(name.as_str()).join(DEFINITION).exists())
            .collect();
        // 2 before 10.
        names.sort_by_cached_key(|name| natural(name.as_str()));
        Ok(names)
    }
}

/// The file that makes a folder a BMC.
pub(crate) const DEFINITION: &str = "bmc.toml";

/// A text as a key of an order in which numbers have their value.
fn natural(text: &str) -> (Vec<(String, u64)>, String) {
    let mut key = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (word, after) = rest.split_at(digits);
        let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let (number, after) = after.split_at(end);
        key.push((word.to_owned(), number.parse().unwrap_or(0)));
        rest = after;
    }
    (key, text.to_owned())
}

/// The files of one BMC.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    /// What lasts.
    pub(crate) state: PathBuf,
    /// Sockets, and what describes the running processes.
    pub(crate) runtime: PathBuf,
}

/// The sockets and files in the runtime folder, whose paths are bounded.
const IN_RUNTIME: [&str; 6] =
    ["bus", "console", "kcs0", "qmp", "platformd.notify", "kcsbridged.notify"];

impl Place {
    /// What the BMC is.
    pub(crate) fn definition(&self) -> PathBuf {
        self.state.join(DEFINITION)
    }

    /// The first password.
    pub(crate) fn password(&self) -> PathBuf {
        self.state.join("password")
    }

    /// The state of the daemons.
    pub(crate) fn daemons(&self) -> PathBuf {
        self.state.join("state")
    }

    /// What the processes have logged.
    pub(crate) fn log(&self) -> PathBuf {
        self.state.join("log")
    }

    /// Locked by the supervisor.
    pub(crate) fn lock(&self) -> PathBuf {
        self.state.join("lock")
    }

    /// The running processes.
    pub(crate) fn record(&self) -> PathBuf {
        self.runtime.join("processes.json")
    }

    /// QEMU's process.
    pub(crate) fn guest_pid(&self) -> PathBuf {
        self.runtime.join("qemu.pid")
    }

    /// A file or a socket in the runtime folder.
    pub(crate) fn socket(&self, name: &str) -> PathBuf {
        self.runtime.join(name)
    }

    /// The address of the BMC's bus.
    pub(crate) fn bus_address(&self) -> String {
        format!("unix:path={}", escape_address(&self.socket("bus").display().to_string()))
    }

    fn longest_socket(&self) -> usize {
        let longest = IN_RUNTIME.iter().map(|name| name.len()).max().unwrap_or_default();
        self.runtime.as_os_str().len() + 1 + longest
    }

    /// Makes the folder for what lasts.
    ///
    /// # Errors
    ///
    /// When that is not possible.
    pub(crate) fn make_state(&self) -> Result<(), Error> {
        make_folder(&self.state).map_err(|error| {
            Error::failed(format_args!(
                "cannot make the state folder {}: {error}",
                self.state.display()
            ))
            .remedy(OTHER_STATE)
        })
    }

    /// Makes the folder for sockets, and the link to it.
    ///
    /// # Errors
    ///
    /// When that is not possible, or somebody else may write to it.
    pub(crate) fn make_runtime(&self) -> Result<(), Error> {
        let failed = |error: &dyn std::fmt::Display| {
            Error::failed(format_args!("cannot use the folder {}: {error}", self.runtime.display()))
                .remedy(OTHER_RUNTIME)
        };
        make_folder(&self.runtime).map_err(|error| failed(&error))?;
        // In a folder for everybody, somebody may have made it before.
        for folder in self.runtime.ancestors().take(2) {
            let found = fs::symlink_metadata(folder).map_err(|error| failed(&error))?;
            let is_ours = found.is_dir() && found.uid() == rustix::process::getuid().as_raw();
            if !is_ours || found.permissions().mode() & 0o022 != 0 {
                return Err(failed(&"somebody else can write to it"));
            }
        }
        // Whoever gets into it is on the BMC's bus.
        fs::set_permissions(&self.runtime, Permissions::from_mode(PRIVATE))
            .map_err(|error| failed(&error))?;
        self.take_over().map_err(|error| failed(&error))?;
        let link = self.state.join("run");
        let _absent = fs::remove_file(&link);
        std::os::unix::fs::symlink(&self.runtime, &link).map_err(|error| failed(&error))
    }

    /// Notes whose the runtime folder is: two state folders of one user may have a BMC of the same name.
    fn take_over(&self) -> Result<(), String> {
        let note = self.runtime.join("owner");
        let owner = fs::read_to_string(&note).unwrap_or_default();
        let ours = self.state.display().to_string();
        if owner != ours {
            if !owner.is_empty() && Lock::holder(&Path::new(&owner).join("lock")).is_some() {
                return Err(format!("a BMC of that name runs, whose state is {owner}"));
            }
            fs::write(&note, ours).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Removes the folder for sockets with all that is in it, and that of all BMCs if it is empty then.
    pub(crate) fn remove_runtime(&self) {
        let _absent = fs::remove_file(self.state.join("run"));
        let _absent = fs::remove_dir_all(&self.runtime);
        if let Some(parent) = self.runtime.parent() {
            let _others = fs::remove_dir(parent);
        }
    }

    /// Removes what lasts, but for the lock.
    ///
    /// # Errors
    ///
    /// When that is not possible.
    pub(crate) fn empty_state(&self) -> Result<(), Error> {
        let failed = |path: &Path, error: std::io::Error| {
            Error::failed(format_args!("cannot remove {}: {error}", path.display()))
        };
        let entries = fs::read_dir(&self.state).map_err(|error| failed(&self.state, error))?;
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if path != self.lock() {
                let removed =
                    if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.map_err(|error| failed(&path, error))?;
            }
        }
        Ok(())
    }

    /// Removes all that lasts, and the folder of all BMCs if it is empty then.
    ///
    /// # Errors
    ///
    /// When that is not possible.
    pub(crate) fn remove_state(&self) -> Result<(), Error> {
        fs::remove_dir_all(&self.state).map_err(|error| {
            Error::failed(format_args!("cannot remove {}: {error}", self.state.display()))
        })?;
        if let Some(parent) = self.state.parent() {
            let _others = fs::remove_dir(parent);
        }
        Ok(())
    }
}

fn make_folder(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(PRIVATE).create(path)
}

/// A path as a value of a D-Bus address (D-Bus specification, "Server Addresses").
pub(crate) fn escape_address(path: &str) -> String {
    let mut escaped = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_/.*".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02x}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The folders of a user with these variables; `{own}` in one is a folder of the user.
    fn places(
        variables: &[(&str, &str)],
        home: Option<&str>,
    ) -> (Result<Places, Error>, String, tempfile::TempDir) {
        let own = tempfile::tempdir().unwrap();
        let path = own.path().display().to_string();
        let variables: BTreeMap<String, String> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.replace("{own}", &path)))
            .collect();
        let found = Places::of(&User {
            id: rustix::process::getuid().as_raw(),
            variable: &|name| variables.get(name).map(OsString::from),
            home: home.map(PathBuf::from),
            sessions: Path::new("/nonexistent"),
            temporary: Path::new("/tmp"),
        });
        (found, path, own)
    }

    #[test]
    fn folders_are_those_of_the_environment() {
        let variables = [("XDG_STATE_HOME", "/s"), ("XDG_RUNTIME_DIR", "{own}"), ("HOME", "/h")];
        let (places, own, _folder) = places(&variables, None);
        let places = places.unwrap();
        assert_eq!(places.state, Path::new("/s/causeway-vm"));
        assert_eq!(places.runtime, Path::new(&own).join("causeway-vm"));
    }

    #[test]
    fn a_folder_of_the_command_line_has_all() {
        let places = Places::find(Some(Path::new("x"))).unwrap();
        let place = places.bmc(&"vm1".parse().unwrap()).unwrap();
        let folder = env::current_dir().unwrap().join("x");
        assert_eq!(place.state, folder.join("state/vm1"));
        assert_eq!(place.runtime, folder.join("run/vm1"));
        assert_eq!(places.given, Some(folder));
    }

    #[test]
    fn unset_relative_and_foreign_folders_have_others_in_their_place() {
        let id = rustix::process::getuid().as_raw();
        let runtime = PathBuf::from(format!("/tmp/causeway-vm-{id}"));
        for variables in [
            &[("HOME", "/h")][..],
            &[("HOME", "/h"), ("XDG_STATE_HOME", "s"), ("XDG_RUNTIME_DIR", "r")],
            &[("HOME", "/h"), ("XDG_STATE_HOME", ""), ("XDG_RUNTIME_DIR", "")],
            &[("HOME", "/h"), ("XDG_RUNTIME_DIR", "/nonexistent")],
            &[("HOME", "/h"), ("XDG_RUNTIME_DIR", "/proc/version")],
        ] {
            let (places, _, _folder) = places(variables, None);
            let places = places.unwrap();
            assert_eq!(places.state, Path::new("/h/.local/state/causeway-vm"), "{variables:?}");
            assert_eq!(places.runtime, runtime, "{variables:?}");
        }
        let (places, _, _folder) = places(&[], Some("/of/passwd"));
        assert_eq!(places.unwrap().state, Path::new("/of/passwd/.local/state/causeway-vm"));
    }

    #[test]
    fn a_user_without_any_home_is_told_what_to_set() {
        let (places, _, _folder) = places(&[], None);
        let text = places.unwrap_err().text("causeway-vm", false);
        assert!(text.contains("has no home folder") && text.contains("XDG_STATE_HOME"), "{text}");
    }

    #[test]
    fn sockets_that_would_be_too_long_are_refused() {
        let (places, own, _folder) = places(&[("HOME", "/h"), ("XDG_RUNTIME_DIR", "{own}")], None);
        let places = places.unwrap();
        let name = "n".repeat(32).parse().unwrap();
        assert!(places.bmc(&name).is_ok());
        // A folder with which the longest path has just as many bytes as it may.
        let longest = "/n/kcsbridged.notify".len();
        let fitting = format!("{own}/{}", "x".repeat(LONGEST_SOCKET - longest - own.len() - 1));
        let name: Name = "n".parse().unwrap();
        let fits = Places { runtime: fitting.clone().into(), ..places.clone() };
        assert_eq!(fits.bmc(&name).unwrap().longest_socket(), LONGEST_SOCKET);
        let name = "nn".parse().unwrap();
        let text = fits.bmc(&name).unwrap_err().text("causeway-vm", false);
        assert!(text.contains("108 bytes") && text.contains("XDG_RUNTIME_DIR"), "{text}");
    }

    #[test]
    fn names_are_in_the_order_of_their_numbers() {
        let mut names = ["n10", "n2", "m", "n2a", "n", "n02"];
        names.sort_by_cached_key(|name| natural(name));
        assert_eq!(names, ["m", "n", "n02", "n2", "n2a", "n10"]);
    }

    #[test]
    fn addresses_are_escaped() {
        assert_eq!(escape_address("/run/a-b_c.d"), "/run/a-b_c.d");
        assert_eq!(escape_address("/a b,c;ü"), "/a%20b%2cc%3b%c3%bc");
    }
}
