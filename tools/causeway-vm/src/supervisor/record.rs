//! What runs of a BMC, for other commands: a file in its runtime folder, and a lock in its state folder.
//!
//! The lock is the supervisor's for as long as that process lives, however it ends. Others only look at it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use report::error::Error;
use serde::{Deserialize, Serialize};

use crate::name::Name;
use crate::places::Place;

/// How far a supervisor has come.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    Starting,
    /// All daemons have been ready.
    Ready,
    Stopping,
}

/// What runs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Record {
    pub(crate) phase: Phase,
    /// The supervisor's process.
    pub(crate) supervisor: u32,
    /// When it started, in seconds since 1970.
    pub(crate) since: u64,
    pub(crate) processes: Vec<ProcessRecord>,
}

/// One process of a BMC.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct ProcessRecord {
    pub(crate) name: String,
    /// Its number, while it runs.
    pub(crate) pid: Option<i32>,
    /// When it started, or ended, in seconds since 1970.
    pub(crate) since: u64,
    /// How often it was started again.
    pub(crate) restarts: u32,
    /// How it ended last.
    pub(crate) ended: Option<String>,
}

impl Record {
    /// Replaces the file; readers see the old one or the new one.
    ///
    /// # Errors
    ///
    /// When that is not possible.
    pub(crate) fn write(&self, place: &Place) -> io::Result<()> {
        let path = place.record();
        let draft = path.with_extension("new");
        fs::write(&draft, serde_json::to_string(self)?)?;
        fs::rename(draft, path)
    }

    /// What the file says; `None` without one.
    pub(crate) fn read(place: &Place) -> Option<Self> {
        let text = fs::read_to_string(place.record()).ok()?;
        serde_json::from_str(&text).ok()
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// The lock of a BMC that runs: until it is dropped, or this process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock; `None` if another process has it.
    ///
    /// # Errors
    ///
    /// When the file cannot be made or written.
    pub(crate) fn take(path: &Path) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(path)?;
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file())) {
            Ok(_) => {}
            Err(Errno::EAGAIN | Errno::EACCES) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Some(Self { _file: file }))
    }

    /// Takes the lock of the BMC `name`, which is to run.
    ///
    /// # Errors
    ///
    /// When it runs already, or the file cannot be made or written.
    pub(crate) fn of(name: &Name, place: &Place) -> Result<Self, Error> {
        let path = place.lock();
        let failed = |error: io::Error| Error::failed(format_args!("{}: {error}", path.display()));
        Self::take(&path).map_err(failed)?.ok_or_else(|| {
            Error::failed(format_args!("the BMC {name} runs already"))
                .remedy(format_args!("another name, or causeway-vm stop {name}"))
        })
    }

    /// The process that has the lock; `None` if none has. 0 if the process has not written its number yet.
    pub(crate) fn holder(path: &Path) -> Option<u32> {
        let file = File::open(path).ok()?;
        let mut held = whole_file();
        fcntl(&file, FcntlArg::F_OFD_GETLK(&mut held)).ok()?;
        if i32::from(held.l_type) == libc::F_UNLCK {
            return None;
        }
        let text = fs::read_to_string(path).unwrap_or_default();
        Some(text.trim().parse().unwrap_or_default())
    }
}

/// A lock on all of a file.
fn whole_file() -> libc::flock {
    libc::flock {
        // One of three small numbers.
        l_type: i16::try_from(libc::F_WRLCK).unwrap_or_default(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_and_seen_by_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert_eq!(Lock::holder(&path), None);
        let lock = Lock::take(&path).unwrap().unwrap();
        assert!(Lock::take(&path).unwrap().is_none());
        assert_eq!(Lock::holder(&path), Some(std::process::id()));
        drop(lock);
        assert_eq!(Lock::holder(&path), None);
        assert!(Lock::take(&path).unwrap().is_some());
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { state: folder.path().into(), runtime: folder.path().into() };
        assert_eq!(Record::read(&place), None);
        let process = ProcessRecord {
            name: "ipmid".to_owned(),
            pid: Some(7),
            since: 1,
            restarts: 2,
            ended: Some("signal 9".to_owned()),
        };
        let record =
            Record { phase: Phase::Ready, supervisor: 1, since: now(), processes: vec![process] };
        record.write(&place).unwrap();
        assert_eq!(Record::read(&place), Some(record));
        fs::write(place.record(), "{").unwrap();
        assert_eq!(Record::read(&place), None);
    }
}
