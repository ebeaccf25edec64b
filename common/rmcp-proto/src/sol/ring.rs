//! The bounded buffer between the host's console and its readers.

use std::collections::VecDeque;

/// How many positions of loss are stored; of more than that, the oldest are merged.
const LOSSES: usize = 16;

/// The last characters of the console, addressed by their position in its whole output.
///
/// Every reader (a payload instance) has its own position. Writing overwrites the oldest characters: a caller
/// that must not lose any checks [`room`](Self::room) first.
#[derive(Debug)]
pub struct Ring {
    /// Allocated with the first character: many hosts have no console.
    bytes: Vec<u8>,
    capacity: usize,
    /// Characters written since the start: the position of the next one.
    head: u64,
    /// Positions before which the host's console itself lost characters, oldest first.
    losses: VecDeque<u64>,
}

impl Ring {
    /// An empty ring for `capacity` characters, at least one.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { bytes: Vec::new(), capacity: capacity.max(1), head: 0, losses: VecDeque::new() }
    }

    /// The position after the last character.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.head
    }

    /// The position of the oldest character in the ring.
    #[must_use]
    pub fn tail(&self) -> u64 {
        self.head.saturating_sub(self.capacity())
    }

    /// How many characters can be written before the one at `position` is overwritten.
    #[must_use]
    pub fn room(&self, position: u64) -> usize {
        let used = self.head.saturating_sub(position);
        usize::try_from(self.capacity().saturating_sub(used)).unwrap_or(usize::MAX)
    }

    /// How many characters there are from `position` on.
    #[must_use]
    pub fn available(&self, position: u64) -> usize {
        usize::try_from(self.head - position.clamp(self.tail(), self.head)).unwrap_or(usize::MAX)
    }

    /// Appends `chars`, overwriting the oldest.
    pub fn write(&mut self, chars: &[u8]) {
        if self.bytes.is_empty() {
            self.bytes = vec![0; self.capacity];
        }
        let skipped = chars.len().saturating_sub(self.capacity);
        self.head += skipped as u64;
        let mut rest = chars.get(skipped..).unwrap_or_default();
        while !rest.is_empty() {
            let at = self.index(self.head);
            let Some(free) = self.bytes.get_mut(at..) else {
                return;
            };
            let len = free.len().min(rest.len());
            let (now, later) = rest.split_at(len);
            for (slot, byte) in free.iter_mut().zip(now) {
                *slot = *byte;
            }
            self.head += len as u64;
            rest = later;
        }
        let tail = self.tail();
        while self.losses.front().is_some_and(|&position| position < tail) {
            self.losses.pop_front();
        }
    }

    /// Notes that the host's console lost characters here: the next one written comes after a gap.
    pub fn mark_loss(&mut self) {
        if self.losses.back() == Some(&self.head) {
            return;
        }
        if self.losses.len() == LOSSES {
            self.losses.remove(1);
        }
        self.losses.push_back(self.head);
    }

    /// Appends to `out` up to `max` characters from `position` on, without a gap among them.
    pub fn read(&self, position: u64, max: usize, out: &mut Vec<u8>) {
        let position = position.clamp(self.tail(), self.head);
        let end = self.losses.iter().copied().find(|&loss| loss > position).unwrap_or(self.head);
        let mut len = usize::try_from(end - position).unwrap_or(usize::MAX).min(max);
        let mut at = self.index(position);
        while len > 0 {
            let piece = self.bytes.get(at..).unwrap_or_default();
            let piece = piece.get(..len).unwrap_or(piece);
            out.extend_from_slice(piece);
            len -= piece.len();
            at = 0;
        }
    }

    /// Whether characters are missing just before the one at `position`.
    #[must_use]
    pub fn lost_before(&self, position: u64) -> bool {
        self.losses.contains(&position)
    }

    fn capacity(&self) -> u64 {
        self.capacity as u64
    }

    fn index(&self, position: u64) -> usize {
        usize::try_from(position % self.capacity()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(ring: &Ring, position: u64, max: usize) -> String {
        let mut out = Vec::new();
        ring.read(position, max, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_oldest_characters_are_overwritten() {
        let mut ring = Ring::new(8);
        ring.write(b"abcdef");
        assert_eq!((ring.tail(), ring.head()), (0, 6));
        assert_eq!(read(&ring, 2, 3), "cde");
        ring.write(b"ghij");
        assert_eq!((ring.tail(), ring.head()), (2, 10));
        assert_eq!(read(&ring, 0, 100), "cdefghij");
        assert_eq!(read(&ring, 7, 100), "hij");
        ring.write(b"0123456789");
        assert_eq!(read(&ring, 0, 100), "23456789");
        assert_eq!(ring.head(), 20);
    }

    #[test]
    fn room_is_what_can_be_written_without_overwriting_a_position() {
        let mut ring = Ring::new(8);
        assert_eq!(ring.room(0), 8);
        ring.write(b"abcdef");
        assert_eq!(ring.room(0), 2);
        assert_eq!(ring.room(4), 6);
        ring.write(b"gh");
        assert_eq!(ring.room(0), 0);
        assert_eq!(ring.available(0), 8);
        assert_eq!(ring.available(8), 0);
    }

    #[test]
    fn a_read_stops_where_characters_were_lost() {
        let mut ring = Ring::new(16);
        ring.write(b"abc");
        ring.mark_loss();
        ring.mark_loss();
        ring.write(b"xyz");
        assert_eq!(read(&ring, 0, 100), "abc");
        assert!(ring.lost_before(3));
        assert_eq!(read(&ring, 3, 100), "xyz");
        assert!(!ring.lost_before(0));
    }

    #[test]
    fn many_losses_cost_no_memory_and_are_not_forgotten() {
        let mut ring = Ring::new(1000);
        for _ in 0..100 {
            ring.write(b".");
            ring.mark_loss();
        }
        assert_eq!(ring.losses.len(), LOSSES);
        assert!(ring.lost_before(100));
        ring.write(&[b'.'; 2000]);
        assert!(ring.losses.is_empty());
    }
}
