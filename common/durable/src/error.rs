//! Errors of files.

use std::io;

/// An operation failed; the state is what it was before.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused: no space, no permission, a failing medium.
    #[error("cannot {operation} {name}")]
    Storage {
        /// The operation.
        operation: &'static str,
        /// The file or folder.
        name: String,
        /// The system's error.
        source: io::Error,
    },
    /// Another process writes in the folder.
    #[error("another process writes in the state folder")]
    InUse,
    /// The value has no form as JSON, such as a map whose keys are not strings.
    #[error("cannot encode {name}")]
    Encode {
        /// The file.
        name: String,
        /// The encoder's error.
        source: serde_json::Error,
    },
    /// A journal would exceed its limit: compact it, or refuse the record.
    #[error("{name} is full: {limit} bytes")]
    Full {
        /// The file.
        name: String,
        /// Its limit.
        limit: u64,
    },
    /// The records of one append are larger together than the journal's limit for a batch.
    #[error("a batch of {length} bytes is too large for {name}")]
    BatchTooLarge {
        /// The file.
        name: String,
        /// The batch's length.
        length: usize,
    },
    /// A record is larger than the journal's limit for one.
    #[error("a record of {length} bytes is too large for {name}")]
    RecordTooLarge {
        /// The file.
        name: String,
        /// The record's length.
        length: usize,
    },
}

impl Error {
    /// Whether the medium or the journal is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::Storage { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Self::Encode { .. }
            | Self::InUse
            | Self::BatchTooLarge { .. }
            | Self::RecordTooLarge { .. } => false,
        }
    }
}

/// Adds the operation and the file to an I/O error.
pub(crate) fn storage(operation: &'static str, name: &str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Storage { operation, name: name.to_owned(), source }
}
