//! What the record formats (SDR, SEL, FRU) share: why one is refused, and a reader that cannot run
//! past the end.

/// Why a record or an area was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end before the structure does.
    #[error("{what}: {have} bytes where {need} are needed")]
    Truncated {
        /// The structure.
        what: &'static str,
        /// The bytes it needs.
        need: usize,
        /// The bytes there are.
        have: usize,
    },
    /// A field holds a value the specification reserves.
    #[error("{what}: reserved value {value:#04x}")]
    Reserved {
        /// The field.
        what: &'static str,
        /// What it holds.
        value: u8,
    },
    /// A length within the structure contradicts the bytes there are.
    #[error("{what}: says {stated} bytes and has {have}")]
    Length {
        /// The structure.
        what: &'static str,
        /// The length it states.
        stated: usize,
        /// The length it has.
        have: usize,
    },
    /// The bytes do not add up to zero.
    #[error("{what}: wrong checksum")]
    Checksum {
        /// The structure.
        what: &'static str,
    },
}

/// The byte that makes `bytes` and itself add up to zero.
#[must_use]
pub fn zero_checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}

/// Takes a structure apart from its front.
pub(crate) struct Reader<'a> {
    what: &'static str,
    all: usize,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of `bytes`, which errors call `what`.
    pub(crate) const fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, all: bytes.len(), rest: bytes }
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(self.truncated(N))?;
        self.rest = rest;
        Ok(*head)
    }

    /// The next byte.
    pub(crate) fn u8(&mut self) -> Result<u8, RecordError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// The next two bytes, least significant first.
    pub(crate) fn u16(&mut self) -> Result<u16, RecordError> {
        self.array().map(u16::from_le_bytes)
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], RecordError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(self.truncated(count))?;
        self.rest = rest;
        Ok(head)
    }

    /// What is left.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    const fn truncated(&self, more: usize) -> RecordError {
        RecordError::Truncated {
            what: self.what,
            need: self.all - self.rest.len() + more,
            have: self.all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reader_names_what_ended_and_where() {
        let mut reader = Reader::new("thing", &[1, 2, 3]);
        assert_eq!(reader.u16(), Ok(0x0201));
        let error = RecordError::Truncated { what: "thing", need: 4, have: 3 };
        assert_eq!(reader.u16(), Err(error));
        assert_eq!(reader.rest(), [3]);
    }

    #[test]
    fn checksum_completes_to_zero() {
        assert_eq!(zero_checksum(&[0x01, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00]), 0xfe);
        assert_eq!(zero_checksum(&[]), 0);
    }
}
