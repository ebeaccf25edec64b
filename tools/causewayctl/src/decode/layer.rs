//! What was decoded: layers, from the outermost to the innermost, with fields.

use serde::Serialize;

use crate::error::Error;
use crate::hex;

/// A header, record or body.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Layer {
    pub(crate) name: String,
    /// Where it is specified.
    pub(crate) reference: Option<String>,
    pub(crate) fields: Vec<Field>,
}

/// One field, as people read it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl Layer {
    pub(crate) fn new(name: impl Into<String>, reference: impl Into<String>) -> Self {
        Self { name: name.into(), reference: Some(reference.into()), fields: Vec::new() }
    }

    /// In place of one that cannot be decoded.
    pub(crate) fn failed(name: &str, error: &Error) -> Self {
        Self { name: name.to_owned(), reference: None, fields: Vec::new() }
            .with("Error", error.to_string())
    }

    /// The same with one more field.
    pub(crate) fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.push(Field { name: name.into(), value: value.into() });
        self
    }

    /// The same with a number of one byte.
    pub(crate) fn byte(self, name: &str, value: u8) -> Self {
        self.with(name, format!("{value:02X}h"))
    }

    /// The same with a number of one byte and what it means.
    pub(crate) fn named(self, name: &str, value: u8, meaning: &str) -> Self {
        match meaning {
            "" => self.byte(name, value),
            meaning => self.with(name, format!("{value:02X}h {meaning}")),
        }
    }

    /// The same with a number of four bytes.
    pub(crate) fn word(self, name: &str, value: u32) -> Self {
        self.with(name, format!("{value:08X}h"))
    }

    /// The same with a yes or no.
    pub(crate) fn flag(self, name: &str, value: bool) -> Self {
        self.with(name, if value { "yes" } else { "no" })
    }

    /// The same with bytes, unless there are none.
    pub(crate) fn bytes(self, name: &str, bytes: &[u8]) -> Self {
        if bytes.is_empty() { self } else { self.with(name, hex::spaced(bytes)) }
    }
}
