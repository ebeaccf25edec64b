//! Reading bits from bytes.

use super::DecodeError;

/// A position in a stream of bits.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// The bytes not yet used up; of the first, `used` bits are.
    bytes: &'a [u8],
    /// 0 to 7.
    used: u32,
    /// The first reserved bits that were set. An error once all is read: that the length is wrong comes before it.
    reserved: Option<u64>,
}

impl<'a> Reader<'a> {
    /// Starts at the first bit of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, used: 0, reserved: None }
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

    /// Takes the next `count` bits, which are reserved: [`finish`](Self::finish) refuses them unless all are 0.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Length`] when fewer remain.
    pub fn reserved(&mut self, count: u32) -> Result<(), DecodeError> {
        let value = self.bits(count)?;
        if value != 0 {
            self.reserved.get_or_insert(value);
        }
        Ok(())
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
    /// [`DecodeError::Length`] when anything is left over, [`DecodeError::Value`] when reserved bits were set.
    pub const fn finish(self) -> Result<(), DecodeError> {
        self.finish_before(0)
    }

    /// Ends the reading where `bits` that fill up the last byte remain.
    ///
    /// # Errors
    ///
    /// As [`finish`](Self::finish).
    pub(super) const fn finish_before(self, bits: usize) -> Result<(), DecodeError> {
        match self.reserved {
            _ if self.remaining() != bits => Err(DecodeError::Length),
            Some(value) => Err(DecodeError::Value { field: "reserved", value }),
            None => Ok(()),
        }
    }
}
