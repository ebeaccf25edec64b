//! The file operations that state files and journals need.

use std::io;

/// The files of one folder, by their plain names.
///
/// What an operation changed may be lost, in part and in any order, until it is flushed: a file's
/// bytes by [`sync`](Self::sync), the folder's names by [`sync_folder`](Self::sync_folder). A
/// rename is atomic, flushed or not.
pub trait Storage: Send + Sync {
    /// All bytes of a file; `None` if there is none of this name.
    ///
    /// # Errors
    ///
    /// As `open(2)` and `read(2)`.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Creates a file, or empties the existing one, and writes `bytes`.
    ///
    /// # Errors
    ///
    /// As `open(2)` and `write(2)`; the file may then hold a part of the bytes.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Writes `bytes` at `offset` of a file, which is created if there is none.
    ///
    /// # Errors
    ///
    /// As `open(2)` and `pwrite(2)`; the file may then hold a part of the bytes.
    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts a file to `length` bytes.
    ///
    /// # Errors
    ///
    /// As `ftruncate(2)`.
    fn truncate(&self, name: &str, length: u64) -> io::Result<()>;

    /// Flushes a file's bytes to the medium.
    ///
    /// # Errors
    ///
    /// As `fsync(2)`; which bytes are on the medium is then unknown.
    fn sync(&self, name: &str) -> io::Result<()>;

    /// Gives a file a second name, which must be free.
    ///
    /// # Errors
    ///
    /// As `link(2)`; file systems without hard links refuse it.
    fn link(&self, name: &str, second: &str) -> io::Result<()>;

    /// Renames a file, in place of the one that has the new name.
    ///
    /// # Errors
    ///
    /// As `rename(2)`.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file, if there is one of this name.
    ///
    /// # Errors
    ///
    /// As `unlink(2)`.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Flushes the folder's names to the medium.
    ///
    /// # Errors
    ///
    /// As `fsync(2)`.
    fn sync_folder(&self) -> io::Result<()>;
}

/// Replaces a file by one with `bytes`, which is flushed under another name first and then renamed.
///
/// On an error the file is unchanged, and the new one is removed if that is possible.
pub(crate) fn replace(storage: &impl Storage, name: &str, bytes: &[u8]) -> io::Result<()> {
    let new = new_name(name);
    let flushed = storage.write(&new, bytes).and_then(|()| storage.sync(&new));
    let renamed = flushed.and_then(|()| storage.rename(&new, name));
    if let Err(error) = renamed {
        // The first error is the one to report; the next start removes a file that this could not.
        let _leftover = storage.remove(&new);
        return Err(error);
    }
    storage.sync_folder()
}

/// The name under which a file's next contents are written.
pub(crate) fn new_name(name: &str) -> String {
    format!("{name}.new")
}

/// The name under which a damaged file is set aside, for an operator to look at.
pub(crate) fn corrupt_name(name: &str) -> String {
    format!("{name}.corrupt")
}
