//! The daemons that write the state, which must not run while it is replaced.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::error::Error;

/// The daemons that write state.
const WRITERS: [&str; 3] = ["ipmid", "mctp-demuxd", "platformd"];

/// The state folder of a daemon whose command line names none.
const DEFAULT: &str = "/var/lib/ipmi";

/// An error if a daemon runs that writes one of the folders.
pub(super) fn must_be_stopped(folders: &[(String, PathBuf)]) -> Result<(), Error> {
    for (_, folder) in folders {
        if let Some(daemon) = running(folder) {
            return Err(Error::failed(format_args!(
                "{daemon} runs, and writes {}",
                folder.display()
            ))
            .remedy("systemctl stop ipmid platformd mctp-demuxd, and start them afterwards"));
        }
        let access = folder.join("access");
        if is_locked(&access) {
            let text = format!("another process writes {}", access.display());
            return Err(Error::failed(text).remedy("systemctl stop ipmid"));
        }
    }
    Ok(())
}

/// The daemon whose state is in this folder or below it.
fn running(folder: &Path) -> Option<&'static str> {
    let folder = fs::canonicalize(folder).ok()?;
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let process = entry.path();
        let Ok(name) = fs::read_to_string(process.join("comm")) else { continue };
        let Some(daemon) = WRITERS.into_iter().find(|writer| *writer == name.trim_end()) else {
            continue;
        };
        let words = fs::read(process.join("cmdline")).unwrap_or_default();
        let state = process.join("root").join(state_dir(&words).trim_start_matches('/'));
        if fs::canonicalize(state).is_ok_and(|state| state.starts_with(&folder)) {
            return Some(daemon);
        }
    }
    None
}

/// The state folder of a command line as the kernel has it, each word with a NUL at its end.
fn state_dir(words: &[u8]) -> String {
    let words = String::from_utf8_lossy(words);
    let mut words = words.split('\0');
    while let Some(word) = words.next() {
        if word == "--state-dir" {
            return words.next().unwrap_or(DEFAULT).to_owned();
        }
        if let Some(folder) = word.strip_prefix("--state-dir=") {
            return folder.to_owned();
        }
    }
    DEFAULT.to_owned()
}

/// Whether a process holds the lock of the accounts' folder.
fn is_locked(folder: &Path) -> bool {
    let Ok(folder) = File::open(folder) else { return false };
    flock(&folder, FlockOperation::NonBlockingLockExclusive).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_folder_is_that_of_the_command_line() {
        for (words, folder) in [
            ("/usr/bin/ipmid\0", DEFAULT),
            ("ipmid\0--config\0x\0--state-dir\0/tmp/state\0", "/tmp/state"),
            ("ipmid\0--state-dir=/tmp/a b\0", "/tmp/a b"),
            ("ipmid\0--state-dir\0", ""),
            ("", DEFAULT),
        ] {
            assert_eq!(state_dir(words.as_bytes()), folder, "{words:?}");
        }
    }

    #[test]
    fn a_folder_whose_lock_is_held_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_locked(dir.path()));
        let held = File::open(dir.path()).unwrap();
        flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert!(is_locked(dir.path()));
        assert!(!is_locked(&dir.path().join("missing")));
    }
}
