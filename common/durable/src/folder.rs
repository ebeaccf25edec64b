//! Storage on the real file system.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use crate::{Error, Storage, error};

/// The largest file that is read. State is far smaller; a larger file must not fill the memory.
const MAX_FILE: u64 = 64 << 20;

/// How often a lock is tried, and the pause between two tries.
const LOCK_ATTEMPTS: u32 = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// What this process has written to files of folders: writes, and their bytes. A medium that wears out is
/// watched by them.
static WRITES: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// How often this process has written to state files, and how many bytes.
#[must_use]
pub fn written() -> (u64, u64) {
    (WRITES.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed))
}

fn count(bytes: &[u8]) {
    WRITES.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// A folder on the real file system. Clones are the same folder.
///
/// The folder is held open: files are found in it even if it is moved, and no symbolic link in it is
/// followed.
#[derive(Clone, Debug)]
pub struct Folder {
    fd: Arc<OwnedFd>,
    file_mode: Mode,
}

/// The permissions of a folder that is created, and of the files in it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Modes {
    /// Of the folder, e.g. `0o2750`.
    pub folder: u32,
    /// The mode of each file that is written, regardless of the umask, such as `0o640`.
    pub file: u32,
}

impl Modes {
    /// For the owner alone.
    pub const PRIVATE: Self = Self { folder: 0o700, file: 0o600 };
    /// For the owner, and the group to read; new files get the folder's group.
    pub const GROUP_READS: Self = Self { folder: 0o2750, file: 0o640 };
}

impl Folder {
    /// Opens the folder at `path`, which is created with its parents if it is absent.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] when it cannot be created, opened or given its permissions.
    pub fn create(path: &Path, modes: Modes) -> Result<Self, Error> {
        let name = path.display().to_string();
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(error::storage("create", &name))?;
        }
        let made = std::fs::DirBuilder::new().mode(0o700).create(path);
        match made {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Self::open(path, modes),
            made => made.map_err(error::storage("create", &name))?,
        }
        let folder = Self::open(path, modes)?;
        // Not `mkdir`'s mode, which the umask narrows and which has no set-group-id bit.
        let fd: &OwnedFd = &folder.fd;
        rustix::fs::fchmod(fd, Mode::from_raw_mode(modes.folder))
            .map_err(|e| error::storage("set the permissions of", &name)(e.into()))?;
        Ok(folder)
    }

    /// Opens the folder at `path`.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] when it is absent or cannot be opened.
    pub fn open(path: &Path, modes: Modes) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|e| error::storage("open", &path.display().to_string())(e.into()))?;
        Ok(Self { fd: Arc::new(fd), file_mode: Mode::from_raw_mode(modes.file) })
    }

    /// Makes this process the only writer here, until the folder and its clones are dropped.
    ///
    /// Waits up to a second for a writer that is just ending.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] when another process is the writer.
    pub fn lock(&self) -> Result<(), Error> {
        let fd: &OwnedFd = &self.fd;
        for _ in 0..LOCK_ATTEMPTS {
            match rustix::fs::flock(fd, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(()),
                Err(Errno::WOULDBLOCK | Errno::INTR) => std::thread::sleep(LOCK_PAUSE),
                Err(error) => return Err(error::storage("lock", "the state folder")(error.into())),
            }
        }
        Err(Error::InUse)
    }

    fn open_file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let fd = rustix::fs::openat(&self.fd, plain(name)?, flags, self.file_mode)?;
        Ok(File::from(fd))
    }

    /// Opens a file to write, with the permissions that files here have.
    fn open_to_write(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let file = self.open_file(name, OFlags::WRONLY | OFlags::CREATE | flags)?;
        rustix::fs::fchmod(&file, self.file_mode)?;
        Ok(file)
    }
}

impl Storage for Folder {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match self.open_file(name, OFlags::RDONLY) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        if file.metadata()?.len() > MAX_FILE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.open_to_write(name, OFlags::TRUNC)?.write_all(bytes)?;
        count(bytes);
        Ok(())
    }

    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.open_to_write(name, OFlags::empty())?.write_all_at(bytes, offset)?;
        count(bytes);
        Ok(())
    }

    fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        self.open_file(name, OFlags::WRONLY)?.set_len(length)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.open_file(name, OFlags::WRONLY)?.sync_all()
    }

    fn link(&self, name: &str, second: &str) -> io::Result<()> {
        let (name, second) = (plain(name)?, plain(second)?);
        Ok(rustix::fs::linkat(&self.fd, name, &self.fd, second, AtFlags::empty())?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.fd, plain(from)?, &self.fd, plain(to)?)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.fd, plain(name)?, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn sync_folder(&self) -> io::Result<()> {
        let fd: &OwnedFd = &self.fd;
        Ok(rustix::fs::fsync(fd)?)
    }
}

/// `name`, unless it leads out of the folder.
fn plain(name: &str) -> io::Result<&str> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn permissions_are_exact() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/access");
        let folder = Folder::create(&path, Modes::GROUP_READS).unwrap();
        folder.write("x", b"1").unwrap();
        folder.write_at("y", 0, b"1").unwrap();
        assert_eq!(mode(&path), 0o2750);
        assert_eq!(mode(&path.join("x")), 0o640);
        assert_eq!(mode(&path.join("y")), 0o640);
    }

    #[test]
    fn names_do_not_lead_out_of_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::create(&root.path().join("in"), Modes::PRIVATE).unwrap();
        std::fs::write(root.path().join("out"), b"secret").unwrap();
        std::os::unix::fs::symlink("../out", root.path().join("in/link")).unwrap();
        for name in ["../out", "/etc/passwd", "..", ".", "", "link"] {
            assert!(folder.read(name).is_err(), "read {name}");
            assert!(folder.write(name, b"x").is_err(), "write {name}");
        }
        assert_eq!(std::fs::read(root.path().join("out")).unwrap(), b"secret");
    }

    #[test]
    fn second_writer_is_refused_until_the_first_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let first = Folder::open(root.path(), Modes::PRIVATE).unwrap();
        let second = Folder::open(root.path(), Modes::PRIVATE).unwrap();
        first.lock().unwrap();
        assert!(matches!(second.lock(), Err(Error::InUse)));
        let ends = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            drop(first);
        });
        second.lock().unwrap();
        ends.join().unwrap();
    }

    #[test]
    fn operations_change_the_files_they_name() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path(), Modes::PRIVATE).unwrap();
        assert_eq!(folder.read("a").unwrap(), None);
        folder.write("a", b"hello").unwrap();
        folder.write_at("a", 5, b" world").unwrap();
        folder.truncate("a", 8).unwrap();
        folder.sync("a").unwrap();
        folder.link("a", "b").unwrap();
        folder.rename("a", "c").unwrap();
        folder.sync_folder().unwrap();
        assert_eq!(folder.read("a").unwrap(), None);
        assert_eq!(folder.read("b").unwrap().unwrap(), b"hello wo");
        assert_eq!(folder.read("c").unwrap().unwrap(), b"hello wo");
        folder.remove("c").unwrap();
        folder.remove("c").unwrap();
        assert_eq!(folder.read("c").unwrap(), None);
    }
}
