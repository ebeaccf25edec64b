//! Records appended to a log.
//!
//! Each record is a frame of its own with a checksum; the records of one [`append`](Journal::append)
//! are a batch that is read back as a whole or not at all. A power loss can tear one batch, the last, and a
//! batch has at most [`Limits::batch`] bytes: what that explains at the end is cut off at the next start,
//! with a line in the log. Any other damage costs only the records that it hits: the damaged journal is
//! set aside, and the good records go into a new one.

mod frame;

use frame::{BatchPosition, Frame, HEADER_LENGTH};

use crate::storage::{corrupt_name, new_name, replace};
use crate::{Error, Folder, Storage, error};

/// An append-only log of records.
///
/// The journal holds no records in memory: its owner does, and compacts the log with
/// [`rewrite`](Self::rewrite) when most of its records are obsolete.
#[derive(Debug)]
pub struct Journal<S = Folder> {
    storage: S,
    name: String,
    limits: Limits,
    /// The length of the valid part, which is on the medium.
    length: u64,
    /// The number of the next batch.
    batch: u32,
    /// Whether the file may be longer than `length`, after an append that failed.
    dirty: bool,
    /// Whether the file's name is on the medium.
    named: bool,
}

/// How large a journal may become.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The bytes of the whole journal.
    pub journal: u64,
    /// The bytes of one batch, with its headers ([`Journal::space_for`]); the smaller, the more damage at
    /// the end is distinguished from a torn append.
    pub batch: u32,
    /// The bytes of one record.
    pub record: u16,
}

impl Limits {
    fn batch_bytes(self) -> usize {
        usize::try_from(self.batch).unwrap_or(usize::MAX)
    }
}

impl<S: Storage> Journal<S> {
    /// Opens the journal `name` and returns its records.
    ///
    /// A torn end is cut off and a damaged journal set aside, each with a line in the log, and the good
    /// records are returned. This never fails: if the medium refuses the repair, later appends do.
    pub fn open(storage: S, name: &str, limits: Limits) -> (Self, Vec<Vec<u8>>) {
        // Left by a rewrite that a power loss interrupted: the file that it was to replace is the journal.
        let _absent = storage.remove(&new_name(name));
        let (bytes, named) = match storage.read(name) {
            Ok(Some(bytes)) => (bytes, true),
            Ok(None) => (Vec::new(), false),
            Err(error) => {
                tracing::error!(name, %error, "cannot read the journal; it is set aside and a new one is started");
                let _read_only = storage.rename(name, &corrupt_name(name));
                (Vec::new(), false)
            }
        };
        let found = frame::recover(&bytes, limits);
        let records: Vec<Vec<u8>> = found.records.iter().map(|record| record.to_vec()).collect();
        let torn = (bytes.len() as u64).saturating_sub(found.length);
        let (length, batch, dirty) = (found.length, found.next_batch, torn != 0);
        let mut journal =
            Self { storage, name: name.to_owned(), limits, length, batch, dirty, named };
        if found.damaged {
            journal.repair(&bytes, &records);
        } else if torn != 0 {
            tracing::warn!(
                name,
                bytes = torn,
                records = records.len(),
                "journal ends in an append that was interrupted; its bytes are cut off"
            );
        }
        (journal, records)
    }

    /// The length of the journal in bytes, by which its owner decides when to compact it.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The space that a record of `length` bytes takes, its header included.
    #[must_use]
    pub const fn space_for(length: usize) -> u64 {
        (HEADER_LENGTH + length) as u64
    }

    /// Appends `records`, all or none; they are on the medium afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] beyond the journal's limit, [`Error::RecordTooLarge`], [`Error::BatchTooLarge`],
    /// and [`Error::Storage`] when the medium refuses. Nothing is appended then.
    pub fn append<R: AsRef<[u8]>>(&mut self, records: &[R]) -> Result<(), Error> {
        let bytes = self.batch_bytes(records)?;
        if bytes.is_empty() {
            return Ok(());
        }
        let length = self.length + bytes.len() as u64;
        self.check_room(length)?;
        if self.dirty {
            self.cut_remains().map_err(error::storage("repair", &self.name))?;
        }
        self.dirty = true;
        // A new number even if this fails, so that its remains are not taken for the next batch.
        self.batch = self.batch.wrapping_add(1);
        self.write(&bytes).map_err(error::storage("append to", &self.name))?;
        self.dirty = false;
        self.length = length;
        Ok(())
    }

    /// Replaces the whole journal by `records`, atomically.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append); the journal is unchanged then.
    pub fn rewrite<R: AsRef<[u8]>>(&mut self, records: &[R]) -> Result<(), Error> {
        let mut bytes = Vec::new();
        for (number, record) in (0..).zip(records) {
            // Batches of one, so that damage to one record costs no other.
            self.frame(BatchPosition::ONLY, number, record.as_ref())?.emit(&mut bytes);
        }
        self.check_room(bytes.len() as u64)?;
        replace(&self.storage, &self.name, &bytes).map_err(error::storage("write", &self.name))?;
        self.length = bytes.len() as u64;
        self.batch = u32::try_from(records.len()).unwrap_or(0);
        self.dirty = false;
        self.named = true;
        Ok(())
    }

    fn check_room(&self, length: u64) -> Result<(), Error> {
        let limit = self.limits.journal;
        if length > limit {
            return Err(Error::Full { name: self.name.clone(), limit });
        }
        Ok(())
    }

    /// Removes what a failed or torn append left, and flushes, so that it cannot mix with the next one.
    fn cut_remains(&self) -> std::io::Result<()> {
        self.storage.truncate(&self.name, self.length)?;
        self.storage.sync(&self.name)
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.storage.write_at(&self.name, self.length, bytes)?;
        self.storage.sync(&self.name)?;
        if !self.named {
            self.storage.sync_folder()?;
            self.named = true;
        }
        Ok(())
    }

    /// The frames of a batch.
    fn batch_bytes<R: AsRef<[u8]>>(&self, records: &[R]) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        for (index, record) in records.iter().enumerate() {
            let position = BatchPosition { first: index == 0, last: index + 1 == records.len() };
            self.frame(position, self.batch, record.as_ref())?.emit(&mut bytes);
        }
        if bytes.len() > self.limits.batch_bytes() {
            return Err(Error::BatchTooLarge { name: self.name.clone(), length: bytes.len() });
        }
        Ok(bytes)
    }

    fn frame<'a>(
        &self,
        position: BatchPosition,
        batch: u32,
        record: &'a [u8],
    ) -> Result<Frame<'a>, Error> {
        Frame::new(position, batch, record, self.limits.record)
            .ok_or_else(|| Error::RecordTooLarge { name: self.name.clone(), length: record.len() })
    }

    /// Sets the damaged file, of these `bytes`, aside and writes the good `records` into a new one.
    fn repair(&mut self, bytes: &[u8], records: &[Vec<u8>]) {
        let name = &self.name;
        let aside = corrupt_name(name);
        tracing::error!(
            name,
            records = records.len(),
            "journal is damaged and copied to {aside}; continuing with the good records"
        );
        let repaired = self
            .copy_to(&aside, bytes)
            .map_err(error::storage("copy", name))
            .and_then(|()| self.rewrite(records));
        if let Err(error) = repaired {
            tracing::error!(name = self.name, %error, "cannot repair the journal; the next start tries again");
            self.dirty = true;
        }
    }

    /// Gives the file, of these `bytes`, the name `aside` too: until a new one is complete, this one is the
    /// journal. Where the file system has no hard links the bytes are written again.
    fn copy_to(&self, aside: &str, bytes: &[u8]) -> std::io::Result<()> {
        self.storage.remove(aside)?;
        self.storage.link(&self.name, aside).or_else(|_| self.storage.write(aside, bytes))
    }
}

#[cfg(test)]
mod tests;
