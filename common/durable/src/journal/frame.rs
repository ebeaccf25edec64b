//! A journal's bytes: frames one after the other.
//!
//! | offset | length | what |
//! |---|---|---|
//! | 0 | 1 | C5h |
//! | 1 | 1 | position in its batch: bit 0 first, bit 1 last |
//! | 2 | 2 | length of the record |
//! | 4 | 4 | number of the batch |
//! | 8 | 4 | CRC-32 of bytes 1 to 7 and the record |
//! | 12 | | the record |
//!
//! Numbers are little-endian. Batch numbers ascend.

use super::Limits;

pub(super) const HEADER_LENGTH: usize = 12;

const START: u8 = 0xc5;
const FIRST: u8 = 0x01;
const LAST: u8 = 0x02;

/// The position of a record in its batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct BatchPosition {
    pub(super) first: bool,
    pub(super) last: bool,
}

impl BatchPosition {
    /// A batch of one.
    pub(super) const ONLY: Self = Self { first: true, last: true };

    fn from_bits(bits: u8) -> Option<Self> {
        (bits & !(FIRST | LAST) == 0)
            .then_some(Self { first: bits & FIRST != 0, last: bits & LAST != 0 })
    }

    fn bits(self) -> u8 {
        (u8::from(self.first) * FIRST) | (u8::from(self.last) * LAST)
    }
}

/// One record and its position in the batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Frame<'a> {
    position: BatchPosition,
    batch: u32,
    length: u16,
    record: &'a [u8],
}

impl<'a> Frame<'a> {
    /// A frame around `record`; `None` if that is longer than `limit`.
    pub(super) fn new(
        position: BatchPosition,
        batch: u32,
        record: &'a [u8],
        limit: u16,
    ) -> Option<Self> {
        let length = u16::try_from(record.len()).ok().filter(|&length| length <= limit)?;
        Some(Self { position, batch, length, record })
    }

    pub(super) fn emit(&self, out: &mut Vec<u8>) {
        out.push(START);
        out.extend(self.checked_header());
        out.extend(self.checksum().to_le_bytes());
        out.extend(self.record);
    }

    /// The frame at the beginning of `bytes`, if there is a good one of up to `limit` bytes.
    fn parse(bytes: &'a [u8], limit: u16) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_LENGTH>()?;
        let &[START, position, l0, l1, b0, b1, b2, b3, c0, c1, c2, c3] = header else {
            return None;
        };
        let length = u16::from_le_bytes([l0, l1]);
        if length > limit {
            return None;
        }
        let frame = Self {
            position: BatchPosition::from_bits(position)?,
            batch: u32::from_le_bytes([b0, b1, b2, b3]),
            length,
            record: rest.get(..usize::from(length))?,
        };
        (frame.checksum() == u32::from_le_bytes([c0, c1, c2, c3])).then_some(frame)
    }

    fn size(&self) -> usize {
        HEADER_LENGTH + self.record.len()
    }

    fn checked_header(&self) -> [u8; 7] {
        let [l0, l1] = self.length.to_le_bytes();
        let [b0, b1, b2, b3] = self.batch.to_le_bytes();
        [self.position.bits(), l0, l1, b0, b1, b2, b3]
    }

    fn checksum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.checked_header());
        hasher.update(self.record);
        hasher.finalize()
    }
}

/// What a journal's bytes hold.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Recovered<'a> {
    /// The records of complete batches, and the good ones of damaged batches.
    pub(super) records: Vec<&'a [u8]>,
    /// The bytes up to the end of the last frame that counts.
    pub(super) length: u64,
    pub(super) next_batch: u32,
    /// Whether there was damage that no torn append explains.
    pub(super) damaged: bool,
}

/// Finds the good records in `bytes`.
///
/// Only the last batch can have been torn by a power loss, because each is on the medium before the next
/// begins: it counts only if it is complete. Where the bytes after the last complete batch are more than
/// one torn batch leaves, or other ones, the good records among them count, as those of an earlier batch.
pub(super) fn recover(bytes: &[u8], limits: Limits) -> Recovered<'_> {
    let found = scan(bytes, limits.record);
    let last_batch = found.last().map(|found| found.frame.batch);
    let tail = found.iter().position(|found| Some(found.frame.batch) == last_batch).unwrap_or(0);
    let (before, last) = found.split_at(tail);
    let complete = is_complete(last);
    let whole = if complete { &found[..] } else { before };
    let damaged = before.iter().any(|found| found.after_gap)
        || !all_whole(before)
        || complete && last.first().is_some_and(|found| found.after_gap)
        || !is_torn_batch(bytes.get(end(whole)..).unwrap_or_default(), limits);
    let counted = if damaged { &found[..] } else { whole };
    Recovered {
        records: counted.iter().map(|found| found.frame.record).collect(),
        length: end(counted) as u64,
        next_batch: last_batch.map_or(0, |batch| batch.wrapping_add(1)),
        damaged,
    }
}

/// Whether an append that was interrupted can have left `tail`: no more than one batch, whose first byte is
/// that of a frame, or 0 where it did not reach the medium.
fn is_torn_batch(tail: &[u8], limits: Limits) -> bool {
    tail.len() <= limits.batch_bytes() && matches!(tail.first(), None | Some(&(START | 0)))
}

/// Where the last of `frames` ends.
fn end(frames: &[Found<'_>]) -> usize {
    frames.last().map_or(0, |found| found.at + found.frame.size())
}

/// A good frame, and where it was found.
struct Found<'a> {
    at: usize,
    /// Whether there are bytes before it that are no good frame.
    after_gap: bool,
    frame: Frame<'a>,
}

/// All good frames, in order; other bytes are skipped.
fn scan(bytes: &[u8], limit: u16) -> Vec<Found<'_>> {
    let mut found: Vec<Found<'_>> = Vec::new();
    let mut at = 0;
    let mut after_gap = false;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let next = found.last().map_or(0, |found| found.frame.batch);
        match Frame::parse(rest, limit) {
            // Batch numbers ascend; what looks like a frame of an older batch is a record's contents.
            Some(frame) if frame.batch >= next => {
                found.push(Found { at, after_gap, frame });
                at += frame.size();
                after_gap = false;
            }
            _ => {
                let skip = rest.iter().skip(1).position(|&byte| byte == START);
                at += skip.map_or(rest.len(), |skip| skip + 1);
                after_gap = true;
            }
        }
    }
    found
}

/// Whether `frames` are one batch from its first record to its last, without a gap.
fn is_complete(frames: &[Found<'_>]) -> bool {
    let joined = frames.iter().skip(1).all(|found| !found.after_gap);
    let begun = frames.first().is_some_and(|found| found.frame.position.first);
    let ended = frames.last().is_some_and(|found| found.frame.position.last);
    joined && begun && ended
}

/// Whether every batch in `frames` begins and ends.
fn all_whole(frames: &[Found<'_>]) -> bool {
    let mut open = false;
    for Found { frame: Frame { position, .. }, .. } in frames {
        if position.first == open {
            return false;
        }
        open = !position.last;
    }
    !open
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_matches_golden_bytes() {
        let golden = b"\xc5\x03\x02\x00\x07\x00\x00\x00\x16\xd0\xa1\xb8ok";
        let frame = Frame::new(BatchPosition::ONLY, 7, b"ok", 2).unwrap();
        let mut bytes = Vec::new();
        frame.emit(&mut bytes);
        assert_eq!(bytes, golden);
        assert_eq!(Frame::parse(&bytes, 2), Some(frame));
        assert_eq!(Frame::new(BatchPosition::ONLY, 7, b"too", 2), None);
        assert_eq!(Frame::parse(&bytes, 1), None);
        for cut in 0..bytes.len() {
            assert_eq!(Frame::parse(&bytes[..cut], 2), None, "cut at {cut}");
        }
    }
}
