//! What was decoded: layers, from the outermost to the innermost, with fields.

use serde::Serialize;

use crate::hex;

/// A header, record or body.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Layer {
    pub(super) name: String,
    /// Where it is specified.
    pub(super) reference: Option<String>,
    pub(super) fields: Vec<Field>,
}

/// One field, as people read it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Field {
    pub(super) name: String,
    pub(super) value: String,
}

impl Layer {
    pub(super) fn new(name: impl Into<String>, reference: impl Into<String>) -> Self {
        Self { name: name.into(), reference: Some(reference.into()), fields: Vec::new() }
    }

    /// The same with one more field.
    pub(super) fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.push(Field { name: name.into(), value: value.into() });
        self
    }

    /// The same with a number of one byte.
    pub(super) fn byte(self, name: &str, value: u8) -> Self {
        self.with(name, format!("{value:02X}h"))
    }

    /// The same with a number of one byte and what it means.
    pub(super) fn named(self, name: &str, value: u8, meaning: &str) -> Self {
        match meaning {
            "" => self.byte(name, value),
            meaning => self.with(name, format!("{value:02X}h {meaning}")),
        }
    }

    /// The same with a number of four bytes.
    pub(super) fn word(self, name: &str, value: u32) -> Self {
        self.with(name, format!("{value:08X}h"))
    }

    /// The same with a yes or no.
    pub(super) fn flag(self, name: &str, value: bool) -> Self {
        self.with(name, if value { "yes" } else { "no" })
    }

    /// The same with bytes, unless there are none.
    pub(super) fn bytes(self, name: &str, bytes: &[u8]) -> Self {
        if bytes.is_empty() { self } else { self.with(name, hex::spaced(bytes)) }
    }
}
