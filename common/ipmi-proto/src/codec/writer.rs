//! Putting bits into bytes.

/// A growing stream of bits.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    /// Bits of the last byte that are in use; 0 when it is full or there is none.
    used: u32,
}

impl Writer {
    /// Appends the lowest `count` bits of `value`, at most 64.
    pub fn bits(&mut self, mut value: u64, count: u32) {
        let mut left = count;
        while left > 0 {
            if self.used == 0 {
                self.bytes.push(0);
            }
            let take = (8 - self.used).min(left);
            let [low, ..] = value.to_le_bytes();
            let part = low & (0xff_u8 >> (8 - take));
            if let Some(last) = self.bytes.last_mut() {
                *last |= part << self.used;
            }
            value >>= take;
            left -= take;
            self.used = (self.used + take) % 8;
        }
    }

    /// Appends whole bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        if self.used == 0 {
            self.bytes.extend_from_slice(bytes);
        } else {
            bytes.iter().for_each(|&byte| self.bits(byte.into(), 8));
        }
    }

    /// The bytes; a last one that is not full has zero bits on top.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
