//! Reading bits from bytes.

use super::DecodeError;

/// A position in a stream of bits.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// The bytes not yet used up; of the first, `used` bits are.
    bytes: &'a [u8],
    /// 0 to 7.
    used: u32,
}

impl<'a> Reader<'a> {
    /// Starts at the first bit of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, used: 0 }
    }

    /// Takes the next `count` bits, at most 64, as an unsigned value.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Length`] when fewer remain.
    pub fn bits(&mut self, count: u32) -> Result<u64, DecodeError> {
        let mut value = 0;
        let mut have = 0;
        while have < count {
            let (&byte, rest) = self.bytes.split_first().ok_or(DecodeError::Length)?;
            let take = (8 - self.used).min(count - have);
            let mask = (1_u64 << take) - 1;
            value |= (u64::from(byte >> self.used) & mask) << have;
            have += take;
            self.used += take;
            if self.used == 8 {
                self.used = 0;
                self.bytes = rest;
            }
        }
        Ok(value)
    }

    /// How many bits remain.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.bytes.len() * 8 - self.used as usize
    }

    /// Takes all that remains; a last byte that is not full has zero bits on top.
    pub fn rest(&mut self) -> Vec<u8> {
        if self.used == 0 {
            return std::mem::take(&mut self.bytes).to_vec();
        }
        let mut rest = Vec::with_capacity(self.bytes.len());
        while self.remaining() > 0 {
            let count = if self.remaining() < 8 { 8 - self.used } else { 8 };
            let [low, ..] = self.bits(count).unwrap_or_default().to_le_bytes();
            rest.push(low);
        }
        rest
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Length`] when anything is left over.
    pub const fn finish(self) -> Result<(), DecodeError> {
        if self.remaining() == 0 { Ok(()) } else { Err(DecodeError::Length) }
    }
}
