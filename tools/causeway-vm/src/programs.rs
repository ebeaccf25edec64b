//! Where the programs are that a BMC consists of.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use report::error::Error;

/// The binary that has all daemons in it.
const MULTICALL: &str = "causeway";

/// A program, and the name that it is called by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) name: OsString,
}

/// This program, by the file that runs: also after it was replaced by another version.
pub(crate) const SELF: &str = "/proc/self/exe";

/// Finds a daemon: beside this program, in this program, or on the search path.
///
/// # Errors
///
/// When it is nowhere.
pub(crate) fn daemon(name: &str) -> Result<Program, Error> {
    let own = env::current_exe().ok();
    find_daemon(name, own.as_deref(), env::var_os("PATH").as_deref()).ok_or_else(|| {
        Error::failed(format_args!(
            "the daemon {name} is neither beside this program nor on the PATH"
        ))
        .remedy("the Debian package, or cargo build --workspace --bins")
    })
}

fn find_daemon(name: &str, own: Option<&Path>, search: Option<&OsStr>) -> Option<Program> {
    let program = |path: PathBuf| Program { path, name: name.into() };
    let beside = own.and_then(Path::parent).map(|folder| folder.join(name));
    if let Some(beside) = beside.filter(|path| is_executable(path)) {
        return Some(program(beside));
    }
    match own {
        Some(own) if own.file_name() == Some(OsStr::new(MULTICALL)) => {
            Some(program(own.to_owned()))
        }
        _ => on_path(name, search).map(program),
    }
}

/// Finds the bus daemon.
///
/// # Errors
///
/// When it is not installed.
pub(crate) fn bus() -> Result<Program, Error> {
    let name = "dbus-daemon";
    let path = on_path(name, env::var_os("PATH").as_deref());
    let path = path.ok_or_else(|| {
        Error::failed("dbus-daemon is missing: each BMC has a private bus")
            .remedy("on Debian: apt-get install dbus-daemon")
    })?;
    Ok(Program { path, name: name.into() })
}

/// Checks that the first word of a command line is a program.
///
/// # Errors
///
/// When it is none.
pub(crate) fn check_command(word: &str, directory: &Path) -> Result<(), Error> {
    let missing = |what: &str| {
        let error = Error::failed(format_args!("{word} {what}"));
        if word.contains("qemu-system") && !word.contains('/') {
            error.remedy("on Debian: apt-get install qemu-system-x86")
        } else {
            error
        }
    };
    if word.contains('/') {
        let path = directory.join(word);
        return if is_executable(&path) { Ok(()) } else { Err(missing("is no program")) };
    }
    match on_path(word, env::var_os("PATH").as_deref()) {
        Some(_) => Ok(()),
        None => Err(missing("is missing: there is no such program on the PATH")),
    }
}

/// A program on the search path.
pub(crate) fn on_path(name: &str, search: Option<&OsStr>) -> Option<PathBuf> {
    let folders = env::split_paths(search?);
    folders
        .filter(|folder| !folder.as_os_str().as_bytes().is_empty())
        .map(|folder| folder.join(name))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn program(path: &Path) {
        fs::write(path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn daemons_are_beside_this_program_in_it_or_on_the_path() {
        let (beside, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let own = beside.path().join("causeway-vm");
        let find = |own: &Path| find_daemon("ipmid", Some(own), Some(other.path().as_os_str()));
        assert_eq!(find(&own), None);
        let multicall = beside.path().join("causeway");
        assert_eq!(find(&multicall).unwrap().path, multicall);
        program(&other.path().join("ipmid"));
        assert_eq!(find(&own).unwrap().path, other.path().join("ipmid"));
        assert_eq!(find(&multicall).unwrap().path, multicall);
        program(&beside.path().join("ipmid"));
        for own in [own, multicall] {
            let found = find(&own).unwrap();
            assert_eq!(found.path, beside.path().join("ipmid"));
            assert_eq!(found.name, "ipmid");
        }
    }

    #[test]
    fn what_is_missing_has_a_remedy() {
        let folder = Path::new("/");
        assert!(check_command("sh", folder).is_ok() && check_command("bin/sh", folder).is_ok());
        let text = check_command("qemu-system-none", folder).unwrap_err().text("x", false);
        assert!(text.contains("qemu-system-none is missing") && text.contains("apt-get"), "{text}");
        let text = check_command("./none", folder).unwrap_err().text("x", false);
        assert!(text.contains("./none is no program") && !text.contains("apt-get"), "{text}");
    }
}
