//! One value in one file, replaced as a whole.
//!
//! The file is JSON, to be read by people, and ends with a line that holds a checksum:
//!
//! ```text
//! {
//!   "level": 3
//! }
//! #crc32=4d0c3491
//! ```
//!
//! A file edited by hand does not fit its checksum and counts as damaged; settings that are meant to
//! be edited are in the configuration file.
//!
//! | name | what it is |
//! |---|---|
//! | `NAME` | the value |
//! | `NAME.previous` | the value before, with [`Retention::Previous`] |
//! | `NAME.new` | the next value, not yet complete; removed at the start |
//! | `NAME.corrupt` | a damaged file, set aside; at most one |

use std::io::Write;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::storage::{corrupt_name, new_name, replace};
use crate::{Error, Folder, Storage, error};

/// How the line with the checksum begins.
const TRAILER: &[u8] = b"\n#crc32=";
/// The length of that line: its beginning, eight digits and the newline.
const TRAILER_LENGTH: usize = TRAILER.len() + 9;

/// A value of type `T` that is on the medium when [`save`](Self::save) has returned.
#[derive(Debug)]
pub struct StateFile<T, S = Folder> {
    storage: S,
    name: String,
    retention: Retention,
    value: T,
    origin: Origin,
    /// Whether the file of this name holds a valid value.
    current_is_good: bool,
}

/// Which values are stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retention {
    /// The previous value too, which is used if the current one is damaged.
    Previous,
    /// Only the current value, where a replaced one must not come back, such as a password.
    CurrentOnly,
}

/// Where the value at the start came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// There was no file: the default.
    New,
    /// The file.
    Current,
    /// The file was damaged or missing, and the previous value is used.
    Previous,
    /// All files were damaged: the default.
    Lost,
}

/// The content of a file that this process does not write.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Content<T> {
    /// There is no such file.
    Absent,
    /// The value.
    Good(T),
    /// No value, and why.
    Damaged(String),
}

/// Reads the value `name` and changes nothing: for processes that do not write it.
///
/// If the current value is damaged and the previous one is stored, that one is returned.
pub fn read<T: DeserializeOwned>(
    storage: &impl Storage,
    name: &str,
    retention: Retention,
) -> Content<T> {
    let current = read_file(storage, name);
    if retention == Retention::CurrentOnly || matches!(current, Content::Good(_)) {
        return current;
    }
    match read_file(storage, &previous_name(name)) {
        Content::Good(value) => Content::Good(value),
        Content::Absent | Content::Damaged(_) => current,
    }
}

fn read_file<T: DeserializeOwned>(storage: &impl Storage, name: &str) -> Content<T> {
    match storage.read(name) {
        Ok(None) => Content::Absent,
        Ok(Some(bytes)) => match decode(&bytes) {
            Ok(value) => Content::Good(value),
            Err(reason) => Content::Damaged(reason),
        },
        Err(error) => Content::Damaged(format!("cannot read it: {error}")),
    }
}

impl<T, S> StateFile<T, S>
where
    T: Serialize + DeserializeOwned + Default,
    S: Storage,
{
    /// Opens the file `name`, or begins with the default if there is none.
    ///
    /// A damaged file is set aside with a line in the log; this never fails.
    pub fn open(storage: S, name: &str, retention: Retention) -> Self {
        let file = Self::open_unlogged(storage, name, retention);
        match file.origin {
            Origin::New | Origin::Current => {}
            Origin::Previous => {
                tracing::error!(
                    name,
                    "state file is damaged and set aside; using the last good copy"
                );
            }
            Origin::Lost => {
                tracing::error!(name, "state file is damaged and set aside; using the defaults");
            }
        }
        file
    }

    /// Opens the file like [`open`](Self::open), and leaves logging to the caller, which learns from
    /// [`origin`](Self::origin) what was found.
    pub fn open_unlogged(storage: S, name: &str, retention: Retention) -> Self {
        // Left by a save that a power loss interrupted: the file that it was to replace is the value.
        let _absent = storage.remove(&new_name(name));
        let (value, origin) = load(&storage, name, retention);
        let current_is_good = origin == Origin::Current;
        Self { storage, name: name.to_owned(), retention, value, origin, current_is_good }
    }

    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Where the value came from when the file was opened.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Replaces the value; it is on the medium afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] when it cannot be written, e.g. on a full disk; the value is unchanged then.
    pub fn save(&mut self, value: T) -> Result<(), Error> {
        let bytes =
            encode(&value).map_err(|source| Error::Encode { name: self.name.clone(), source })?;
        if self.retention == Retention::Previous && self.current_is_good {
            let previous = previous_name(&self.name);
            // A second name, not a rename, so that the file always has its own name. Without hard links
            // there is no previous value; the current one does not depend on it.
            let _unsupported = self
                .storage
                .remove(&previous)
                .and_then(|()| self.storage.link(&self.name, &previous));
        }
        replace(&self.storage, &self.name, &bytes).map_err(error::storage("write", &self.name))?;
        self.value = value;
        self.current_is_good = true;
        Ok(())
    }

    /// Changes the value; it is on the medium afterwards.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save).
    pub fn update(&mut self, change: impl FnOnce(&mut T)) -> Result<(), Error>
    where
        T: Clone,
    {
        let mut value = self.value.clone();
        change(&mut value);
        self.save(value)
    }
}

/// The value to start with.
fn load<T: DeserializeOwned + Default>(
    storage: &impl Storage,
    name: &str,
    retention: Retention,
) -> (T, Origin) {
    let damaged = match read_file(storage, name) {
        Content::Good(value) => return (value, Origin::Current),
        Content::Absent => false,
        Content::Damaged(reason) => {
            tracing::debug!(name, reason, "damaged");
            set_aside(storage, name);
            true
        }
    };
    let previous = match retention {
        Retention::Previous => read_file(storage, &previous_name(name)),
        Retention::CurrentOnly => Content::Absent,
    };
    match previous {
        Content::Good(value) => (value, Origin::Previous),
        Content::Absent if damaged => (T::default(), Origin::Lost),
        Content::Absent => (T::default(), Origin::New),
        Content::Damaged(_) => {
            set_aside(storage, &previous_name(name));
            (T::default(), Origin::Lost)
        }
    }
}

/// Renames a damaged file to `NAME.corrupt`, replacing an older one.
fn set_aside(storage: &impl Storage, name: &str) {
    // If this fails (a read-only medium), the next start finds the same file and tries again.
    let _read_only = storage.rename(name, &corrupt_name(name)).and_then(|()| storage.sync_folder());
}

fn previous_name(name: &str) -> String {
    format!("{name}.previous")
}

fn encode<T: Serialize>(value: &T) -> serde_json::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    let checksum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(TRAILER);
    writeln!(bytes, "{checksum:08x}").map_err(serde_json::Error::io)?;
    Ok(bytes)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let (json, trailer) = bytes
        .len()
        .checked_sub(TRAILER_LENGTH)
        .and_then(|length| bytes.split_at_checked(length))
        .ok_or("cut short")?;
    let expected = format!("{:08x}\n", crc32fast::hash(json));
    if trailer.strip_prefix(TRAILER) != Some(expected.as_bytes()) {
        return Err("the checksum does not fit".to_owned());
    }
    serde_json::from_slice(json).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::simulated::Disk;

    type Value = BTreeMap<String, u32>;

    fn value(level: u32) -> Value {
        BTreeMap::from([("level".to_owned(), level), ("padding, so that".to_owned(), 1)])
    }

    fn open(disk: &Disk) -> StateFile<Value, Disk> {
        StateFile::open(disk.clone(), "x.json", Retention::Previous)
    }

    fn saved(values: impl IntoIterator<Item = u32>) -> Disk {
        let disk = Disk::new();
        let mut file = open(&disk);
        for level in values {
            file.save(value(level)).unwrap();
        }
        disk
    }

    #[test]
    fn file_matches_golden_bytes() {
        let golden = "{\n  \"level\": 3\n}\n#crc32=4d0c3491\n";
        let value = Value::from([("level".to_owned(), 3)]);
        assert_eq!(String::from_utf8(encode(&value).unwrap()).unwrap(), golden);
        assert_eq!(decode::<Value>(golden.as_bytes()), Ok(value));
    }

    #[test]
    fn value_is_there_at_the_next_start() {
        let disk = saved([1, 2, 3]);
        let file = open(&disk);
        assert_eq!((file.value(), file.origin()), (&value(3), Origin::Current));
        assert_eq!(disk.names(), ["x.json", "x.json.previous"]);
        assert_eq!(open(&Disk::new()).origin(), Origin::New);
    }

    /// Cuts a save off after each of its operations, and lets each of many outcomes be what the
    /// medium holds then: it is the old value or the new one, and the next save works.
    #[test]
    fn power_loss_leaves_the_old_value_or_the_new() {
        for saves_before in 1..4_u32 {
            let mut reached_the_end = false;
            for cut in 0.. {
                let disk = saved(1..=saves_before);
                let mut file = open(&disk);
                disk.cut_after(cut);
                let outcome = file.save(value(100));
                for seed in 0..60 {
                    check_after_loss(&disk, seed, saves_before, outcome.is_ok());
                }
                if outcome.is_ok() {
                    assert!(cut >= 4, "a save has at least four operations");
                    reached_the_end = true;
                    break;
                }
                assert_eq!(file.value(), &value(saves_before));
            }
            assert!(reached_the_end);
        }
    }

    fn check_after_loss(disk: &Disk, seed: u64, old: u32, returned: bool) {
        let survivor = disk.after_power_loss(seed);
        let mut file = open(&survivor);
        let found = file.value().clone();
        if returned {
            assert_eq!(found, value(100), "seed {seed}");
        }
        assert!([value(old), value(100)].contains(&found), "seed {seed}: {found:?}");
        assert!(!survivor.names().iter().any(|name| name.ends_with(".corrupt")), "seed {seed}");
        file.save(value(101)).unwrap();
        assert_eq!(open(&survivor.after_power_loss(0)).value(), &value(101), "seed {seed}");
    }

    #[test]
    fn damage_at_any_byte_brings_back_the_last_good_copy() {
        let length = saved([1, 2]).read("x.json").unwrap().unwrap().len();
        for at in 0..length {
            for bit in 0..8 {
                let disk = saved([1, 2]);
                disk.tamper("x.json", |bytes| bytes[at] ^= 1 << bit);
                let mut file = open(&disk);
                assert_eq!((file.value(), file.origin()), (&value(1), Origin::Previous));
                assert!(disk.names().contains(&"x.json.corrupt".to_owned()));
                file.save(value(3)).unwrap();
                assert_eq!(open(&disk).value(), &value(3));
            }
        }
    }

    #[test]
    fn file_cut_at_any_length_brings_back_the_last_good_copy() {
        let length = saved([1, 2]).read("x.json").unwrap().unwrap().len();
        for cut in 0..length {
            let disk = saved([1, 2]);
            disk.tamper("x.json", |bytes| bytes.truncate(cut));
            assert_eq!(open(&disk).value(), &value(1), "cut at {cut}");
        }
    }

    #[test]
    fn good_copy_survives_until_a_new_value_is_saved() {
        let disk = saved([1, 2]);
        disk.tamper("x.json", Vec::clear);
        for _ in 0..3 {
            assert_eq!(open(&disk).value(), &value(1));
        }
    }

    #[test]
    fn reader_gets_the_last_good_copy_and_changes_nothing() {
        let disk = saved([1, 2]);
        assert_eq!(read(&disk, "x.json", Retention::Previous), Content::Good(value(2)));
        disk.tamper("x.json", Vec::clear);
        let operations = disk.operations();
        assert_eq!(read(&disk, "x.json", Retention::Previous), Content::Good(value(1)));
        assert!(matches!(
            read::<Value>(&disk, "x.json", Retention::CurrentOnly),
            Content::Damaged(_)
        ));
        assert_eq!(read::<Value>(&disk, "y.json", Retention::Previous), Content::Absent);
        assert_eq!(disk.operations(), operations);
    }

    #[test]
    fn damaged_files_do_not_pile_up() {
        let disk = saved([1, 2]);
        for level in 0..20 {
            disk.tamper("x.json", Vec::clear);
            disk.tamper("x.json.previous", Vec::clear);
            let mut file = open(&disk);
            assert_eq!((file.value(), file.origin()), (&Value::new(), Origin::Lost));
            file.save(value(level)).unwrap();
            file.save(value(level)).unwrap();
        }
        assert_eq!(disk.names().len(), 4, "{:?}", disk.names());
    }

    #[test]
    fn replaced_value_that_must_not_come_back_does_not() {
        let disk = Disk::new();
        let mut file = StateFile::<Value, _>::open(disk.clone(), "x", Retention::CurrentOnly);
        file.save(value(1)).unwrap();
        file.save(value(2)).unwrap();
        assert_eq!(disk.names(), ["x"]);
        disk.tamper("x", |bytes| bytes[3] ^= 1);
        let file = StateFile::<Value, _>::open(disk, "x", Retention::CurrentOnly);
        assert_eq!((file.value(), file.origin()), (&Value::new(), Origin::Lost));
    }

    #[test]
    fn full_disk_is_an_error_and_keeps_the_old_value() {
        let disk = saved([1, 2]);
        disk.set_capacity(Some(0));
        let mut file = open(&disk);
        for _ in 0..3 {
            assert!(file.save(value(3)).unwrap_err().is_full());
        }
        assert_eq!(file.value(), &value(2));
        assert_eq!(open(&disk.after_power_loss(0)).value(), &value(2));
        disk.set_capacity(None);
        file.save(value(4)).unwrap();
        assert_eq!(open(&disk).value(), &value(4));
    }

    #[test]
    fn value_that_does_not_fit_the_type_is_damaged() {
        let disk = saved([1]);
        let file = StateFile::<Vec<u8>, _>::open(disk.clone(), "x.json", Retention::Previous);
        assert_eq!(file.origin(), Origin::Lost);
        assert_eq!(read_file::<Value>(&disk, "x.json"), Content::Absent);
        assert_eq!(read_file(&disk, "x.json.corrupt"), Content::Good(value(1)));
    }

    #[test]
    fn real_folder_behaves_as_the_simulated_one() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path(), crate::Modes::PRIVATE).unwrap();
        let open = || StateFile::<Value>::open(folder.clone(), "x", Retention::Previous);
        let mut file = open();
        file.save(value(1)).unwrap();
        file.update(|value| value.extend([("more".to_owned(), 2)])).unwrap();
        assert_eq!(open().value().len(), 3);
        std::fs::write(root.path().join("x"), b"{}").unwrap();
        assert_eq!((open().value(), open().origin()), (&value(1), Origin::Previous));
    }

    proptest! {
        #[test]
        fn any_value_survives(map: BTreeMap<String, u32>) {
            prop_assert_eq!(decode::<Value>(&encode(&map).unwrap()), Ok(map));
        }

        #[test]
        fn any_bytes_are_a_value_or_damaged(bytes: Vec<u8>) {
            let _ = decode::<Value>(&bytes);
        }
    }
}
