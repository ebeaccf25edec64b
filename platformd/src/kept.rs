//! What outlives the process: values of settings, on disk.

use std::collections::BTreeMap;
use std::path::Path;

use durable::{Folder, Modes, Retention, StateFile};
use serde::{Deserialize, Serialize};
use tracing::warn;
use zbus::wire::{Type, Variant};

use crate::tree::Kept;

/// The file's name in the state directory.
const FILE: &str = "platform.json";

/// The file with the values.
pub(crate) struct Store {
    /// `None` when the directory cannot be used: then nothing outlives the process.
    file: Option<StateFile<Content>>,
}

/// Path, then `interface.property`.
type Content = BTreeMap<String, BTreeMap<String, Value>>;

/// The D-Bus types that settings have, each by its letter, so that a value comes back as it went.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Value {
    #[serde(rename = "b")]
    Bool(bool),
    #[serde(rename = "y")]
    U8(u8),
    #[serde(rename = "q")]
    U16(u16),
    #[serde(rename = "u")]
    U32(u32),
    #[serde(rename = "t")]
    U64(u64),
    #[serde(rename = "i")]
    I32(i32),
    #[serde(rename = "d")]
    F64(f64),
    #[serde(rename = "s")]
    Text(String),
    #[serde(rename = "as")]
    Texts(Vec<String>),
    #[serde(rename = "ay")]
    Bytes(Vec<u8>),
}

impl Store {
    /// Opens the file in `folder`; logs one line when that cannot be.
    pub(crate) fn open(folder: &Path) -> Self {
        let opened = std::fs::create_dir_all(folder)
            .map_err(|error| error.to_string())
            .and_then(|()| Folder::open(folder, Modes::PRIVATE).map_err(|error| error.to_string()));
        match opened {
            Ok(folder) => Self { file: Some(StateFile::open(folder, FILE, Retention::Previous)) },
            Err(error) => {
                let folder = folder.display();
                warn!(%folder, error, "settings will be lost at the end");
                Self { file: None }
            }
        }
    }

    /// What an earlier process saved.
    pub(crate) fn load(&self) -> Kept {
        let Some(file) = &self.file else {
            return Kept::new();
        };
        let values = |values: &BTreeMap<String, Value>| {
            values.iter().map(|(name, value)| (name.clone(), variant(value))).collect()
        };
        file.value().iter().map(|(path, object)| (path.clone(), values(object))).collect()
    }

    /// Saves everything; it is on disk afterwards, or the log tells why not.
    pub(crate) fn save(&mut self, kept: &Kept) {
        let Some(file) = &mut self.file else { return };
        let values = |values: &BTreeMap<String, Variant<'static>>| {
            values
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), content(value)?)))
                .collect()
        };
        let content = kept.iter().map(|(path, object)| (path.clone(), values(object))).collect();
        if let Err(error) = file.save(content) {
            warn!(%error, "settings are not saved");
        }
    }
}

fn content(value: &Variant<'static>) -> Option<Value> {
    Some(match value {
        Variant::Bool(value) => Value::Bool(*value),
        Variant::U8(value) => Value::U8(*value),
        Variant::U16(value) => Value::U16(*value),
        Variant::U32(value) => Value::U32(*value),
        Variant::U64(value) => Value::U64(*value),
        Variant::I32(value) => Value::I32(*value),
        Variant::F64(value) => Value::F64(*value),
        Variant::Str(value) => Value::Text(value.to_string()),
        Variant::Array(array) if array.signature() == <Vec<u8> as Type>::SIGNATURE => {
            Value::Bytes(value.clone().downcast().ok()?)
        }
        Variant::Array(_) => Value::Texts(value.clone().downcast().ok()?),
        _ => return None,
    })
}

fn variant(value: &Value) -> Variant<'static> {
    match value {
        Value::Bool(value) => Variant::from(*value),
        Value::U8(value) => Variant::from(*value),
        Value::U16(value) => Variant::from(*value),
        Value::U32(value) => Variant::from(*value),
        Value::U64(value) => Variant::from(*value),
        Value::I32(value) => Variant::from(*value),
        Value::F64(value) => Variant::from(*value),
        Value::Text(value) => Variant::from(value.clone()),
        Value::Texts(value) => Variant::from(value.clone()),
        Value::Bytes(value) => Variant::from(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_with_their_types() {
        let folder = tempfile::tempdir().unwrap();
        let values: BTreeMap<String, Variant<'static>> = [
            ("b", Variant::from(true)),
            ("y", Variant::from(1_u8)),
            ("t", Variant::from(u64::MAX)),
            ("i", Variant::from(-1_i32)),
            ("d", Variant::from(0.5_f64)),
            ("s", Variant::from("text")),
            ("as", Variant::from(vec!["a".to_owned()])),
            ("ay", Variant::from(vec![0_u8, 255])),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        let kept = Kept::from([("/a".to_owned(), values)]);
        Store::open(folder.path()).save(&kept);
        assert_eq!(Store::open(folder.path()).load(), kept);
    }

    #[test]
    fn a_folder_that_cannot_be_used_keeps_nothing() {
        let mut store = Store::open(Path::new("/dev/null/x"));
        store.save(&Kept::new());
        assert!(store.load().is_empty());
    }
}
