//! The formats on the wire: one file per format, each with `parse` and `emit`.
//!
//! `parse` is total over any bytes, borrows from them and takes the whole of them: bytes left over
//! are an error, because nothing that follows a message is ours to skip.

pub mod asf;
pub mod open_session;
pub mod rakp;
pub mod rmcp;
pub mod status;
pub mod v15;
pub mod v20;

pub use status::StatusCode;

/// Why bytes are not the message they are read as.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseError {
    /// The message ends before its last field.
    #[error("{what}: {have} bytes where {need} are needed")]
    Truncated {
        /// The message or field.
        what: &'static str,
        /// Bytes needed.
        need: usize,
        /// Bytes there.
        have: usize,
    },
    /// Bytes follow the last field.
    #[error("{what}: {extra} bytes too many")]
    TooLong {
        /// The message or field.
        what: &'static str,
        /// Bytes beyond its end.
        extra: usize,
    },
    /// A field holds a value that the format does not know.
    #[error("{what}: {value:#x} is not a value it takes")]
    Unknown {
        /// The field.
        what: &'static str,
        /// What it held.
        value: u32,
    },
}

/// `Truncated` for `what`, which needs `need` bytes and has `bytes`.
const fn truncated(what: &'static str, need: usize, bytes: &[u8]) -> ParseError {
    ParseError::Truncated { what, need, have: bytes.len() }
}

/// The first `N` bytes and the rest.
fn take<'a, const N: usize>(
    what: &'static str,
    bytes: &'a [u8],
) -> Result<(&'a [u8; N], &'a [u8]), ParseError> {
    bytes.split_first_chunk().ok_or(truncated(what, N, bytes))
}

/// Exactly `N` bytes.
fn exactly<'a, const N: usize>(
    what: &'static str,
    bytes: &'a [u8],
) -> Result<&'a [u8; N], ParseError> {
    let (head, rest) = take(what, bytes)?;
    nothing_left(what, rest)?;
    Ok(head)
}

/// An error unless `rest` is empty.
const fn nothing_left(what: &'static str, rest: &[u8]) -> Result<(), ParseError> {
    if rest.is_empty() { Ok(()) } else { Err(ParseError::TooLong { what, extra: rest.len() }) }
}
