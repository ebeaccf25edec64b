//! A file system that loses what was not flushed.
//!
//! For tests, here and in the crates that have state: a [`Disk`] counts operations and can be cut
//! off after any of them; [`after_power_loss`](Disk::after_power_loss) is then the disk that the next
//! start finds. It is stricter than a real one: each unflushed change of a name, and each unflushed
//! block of a file, survives or is lost by itself.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Storage;

/// The size of the blocks that survive or are lost by themselves; small, so that short files have many.
const BLOCK: usize = 16;

/// A simulated folder. Clones are the same folder.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    state: Arc<Mutex<State>>,
}

/// A disk whose operations wait.
#[derive(Debug)]
pub struct Stopped<'a> {
    _state: MutexGuard<'a, State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    files: Vec<File>,
    /// The file of each name, as the running system sees it.
    names: BTreeMap<String, usize>,
    /// The same as it is on the medium.
    flushed_names: BTreeMap<String, usize>,
    /// Changes of names that are not yet on the medium, in order.
    pending: Vec<Change>,
    operations: usize,
    cut_after: Option<usize>,
    capacity: Option<usize>,
    links_refused: bool,
}

#[derive(Clone, Debug, Default)]
struct File {
    bytes: Vec<u8>,
    flushed: Vec<u8>,
}

/// One atomic change of the folder: names that are set, names that are freed.
#[derive(Clone, Debug)]
struct Change {
    set: Option<(String, usize)>,
    free: Option<String>,
}

impl Disk {
    /// An empty folder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of operations that changed something.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.state().operations
    }

    /// Makes operations wait as long as the guard lives, as on a slow medium.
    #[must_use]
    pub fn stop(&self) -> Stopped<'_> {
        Stopped { _state: self.state() }
    }

    /// Allows `operations` more changes; then all fail, as after a power loss.
    pub fn cut_after(&self, operations: usize) {
        let mut state = self.state();
        state.cut_after = Some(state.operations + operations);
    }

    /// The room for all files together; a write beyond it is cut short and fails.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.state().capacity = bytes;
    }

    /// Refuses hard links from now on, as some file systems do.
    pub fn refuse_links(&self) {
        self.state().links_refused = true;
    }

    /// The names in the folder.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    /// Changes a file's bytes without its owner, flushed.
    pub fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        if let Some(file) = self.state().file_mut(name) {
            change(&mut file.bytes);
            file.flushed.clone_from(&file.bytes);
        }
    }

    /// The disk as the next start finds it; `seed` decides which unflushed changes survive.
    ///
    /// With seed 0 none does, with seed 1 all do, with others arbitrary ones.
    #[must_use]
    pub fn after_power_loss(&self, seed: u64) -> Self {
        let old = self.state();
        let mut chance = Chance { seed, state: seed };
        let mut names = old.flushed_names.clone();
        for change in &old.pending {
            if chance.survives() {
                change.apply(&mut names);
            }
        }
        let files: Vec<File> = old.files.iter().map(|file| file.survivor(&mut chance)).collect();
        let state = State { files, flushed_names: names.clone(), names, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an operation that changes something.
    fn change(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        if state.cut_after.is_some_and(|limit| state.operations >= limit) {
            return Err(io::Error::other("the power is off"));
        }
        state.operations += 1;
        Ok(state)
    }
}

impl State {
    fn file(&self, name: &str) -> Option<&File> {
        self.files.get(*self.names.get(name)?)
    }

    fn file_mut(&mut self, name: &str) -> Option<&mut File> {
        self.files.get_mut(*self.names.get(name)?)
    }

    fn existing(&mut self, name: &str) -> io::Result<&mut File> {
        self.file_mut(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename_all(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.pending.push(change);
    }

    /// Replaces a file's bytes from `offset` on, up to the capacity.
    fn put(&mut self, name: &str, offset: usize, bytes: &[u8]) -> io::Result<()> {
        if !self.names.contains_key(name) {
            self.files.push(File::default());
            let set = Some((name.to_owned(), self.files.len() - 1));
            self.rename_all(Change { set, free: None });
        }
        let used: usize =
            self.names.keys().filter_map(|n| self.file(n)).map(|f| f.bytes.len()).sum();
        let capacity = self.capacity;
        let file = self.existing(name)?;
        let end = offset + bytes.len();
        let grows = end.saturating_sub(file.bytes.len());
        let room = capacity.map_or(usize::MAX, |capacity| capacity.saturating_sub(used));
        let fits = bytes.len() - grows.saturating_sub(room).min(bytes.len());
        let bytes = bytes.get(..fits).unwrap_or_default();
        if file.bytes.len() < offset + fits {
            file.bytes.resize(offset + fits, 0);
        }
        if let Some(target) = file.bytes.get_mut(offset..offset + fits) {
            target.copy_from_slice(bytes);
        }
        if grows > room { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl File {
    /// What a power loss leaves: each block that differs is the old one or the new one, and the
    /// length too; bytes that were never written are zero.
    fn survivor(&self, chance: &mut Chance) -> Self {
        let length = if chance.survives() { self.bytes.len() } else { self.flushed.len() };
        let mut bytes = vec![0; length];
        for (index, block) in bytes.chunks_mut(BLOCK).enumerate() {
            let source = if chance.survives() { &self.bytes } else { &self.flushed };
            for (byte, old) in block.iter_mut().zip(source.iter().skip(index * BLOCK)) {
                *byte = *old;
            }
        }
        Self { flushed: bytes.clone(), bytes }
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        if let Some(free) = &self.free {
            names.remove(free);
        }
        if let Some((name, file)) = &self.set {
            names.insert(name.clone(), *file);
        }
    }
}

impl Storage for Disk {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.state().file(name).map(|file| file.bytes.clone()))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.change()?;
        if let Some(file) = state.file_mut(name) {
            file.bytes.clear();
        }
        state.put(name, 0, bytes)
    }

    fn write_at(&self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.change()?.put(name, offset, bytes)
    }

    fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.change()?.existing(name)?.bytes.resize(length, 0);
        Ok(())
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        let mut state = self.change()?;
        let file = state.existing(name)?;
        file.flushed.clone_from(&file.bytes);
        Ok(())
    }

    fn link(&self, name: &str, second: &str) -> io::Result<()> {
        let mut state = self.change()?;
        let file = *state.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        if state.links_refused {
            return Err(io::ErrorKind::Unsupported.into());
        }
        if state.names.contains_key(second) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.rename_all(Change { set: Some((second.to_owned(), file)), free: None });
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.change()?;
        let file = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        let (set, free) = (Some((to.to_owned(), file)), Some(from.to_owned()));
        state.rename_all(Change { set, free });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.change()?;
        if state.names.contains_key(name) {
            state.rename_all(Change { set: None, free: Some(name.to_owned()) });
        }
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        let mut state = self.change()?;
        state.flushed_names = state.names.clone();
        state.pending.clear();
        Ok(())
    }
}

/// A repeatable source of random bits.
struct Chance {
    seed: u64,
    state: u64,
}

impl Chance {
    fn survives(&mut self) -> bool {
        match self.seed {
            0 => false,
            1 => true,
            // SplitMix64.
            _ => {
                self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = self.state;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                (z ^ (z >> 31)) & 1 == 1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_flushed_may_be_lost() {
        let disk = Disk::new();
        disk.write("a", b"flushed").unwrap();
        disk.sync("a").unwrap();
        disk.sync_folder().unwrap();
        disk.write("a", b"changed").unwrap();
        disk.write("b", b"new").unwrap();
        let worst = disk.after_power_loss(0);
        assert_eq!(worst.read("a").unwrap().unwrap(), b"flushed");
        assert_eq!(worst.read("b").unwrap(), None);
        let best = disk.after_power_loss(1);
        assert_eq!(best.read("a").unwrap().unwrap(), b"changed");
        assert_eq!(best.read("b").unwrap().unwrap(), b"new");
    }

    #[test]
    fn name_without_its_bytes_is_an_empty_file() {
        let disk = Disk::new();
        disk.write("a", b"not flushed").unwrap();
        disk.sync_folder().unwrap();
        assert_eq!(disk.after_power_loss(0).read("a").unwrap().unwrap(), b"");
    }

    #[test]
    fn full_disk_takes_a_part() {
        let disk = Disk::new();
        disk.set_capacity(Some(4));
        let error = disk.write("a", b"123456").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.read("a").unwrap().unwrap(), b"1234");
        disk.write_at("a", 0, b"4321").unwrap();
    }

    #[test]
    fn nothing_changes_once_cut_off() {
        let disk = Disk::new();
        disk.cut_after(1);
        disk.write("a", b"1").unwrap();
        assert!(disk.sync("a").is_err());
        assert!(disk.write("a", b"2").is_err());
        assert_eq!(disk.read("a").unwrap().unwrap(), b"1");
    }
}
