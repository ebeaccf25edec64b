//! The bounded memory between the host's console and those who read it.

use std::collections::VecDeque;

/// How many places of loss are remembered; older ones among more than that fall together.
const LOSSES: usize = 16;

/// The last characters of the console, addressed by their place in its whole output.
///
/// Every reader (the payload instances) keeps its own place. Writing overwrites the oldest
/// characters: whoever must not lose any asks for [`room`](Self::room) first.
#[derive(Debug)]
pub struct Ring {
    bytes: Box<[u8]>,
    /// Characters written since the start: the place of the next one.
    head: u64,
    /// Places before which the source itself lost characters, oldest first.
    losses: VecDeque<u64>,
}

impl Ring {
    /// An empty ring for `capacity` characters, at least one.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            bytes: vec![0; capacity.max(1)].into_boxed_slice(),
            head: 0,
            losses: VecDeque::new(),
        }
    }

    /// The place after the last character.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.head
    }

    /// The place of the oldest character that is still there.
    #[must_use]
    pub fn tail(&self) -> u64 {
        self.head.saturating_sub(self.capacity())
    }

    /// How many characters can be written before the one at `place` is overwritten.
    #[must_use]
    pub fn room(&self, place: u64) -> usize {
        let used = self.head.saturating_sub(place);
        usize::try_from(self.capacity().saturating_sub(used)).unwrap_or(usize::MAX)
    }

    /// How many characters there are from `place` on.
    #[must_use]
    pub fn available(&self, place: u64) -> usize {
        usize::try_from(self.head - place.clamp(self.tail(), self.head)).unwrap_or(usize::MAX)
    }

    /// Appends `chars`, overwriting the oldest.
    pub fn write(&mut self, chars: &[u8]) {
        let skipped = chars.len().saturating_sub(self.bytes.len());
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
        while self.losses.front().is_some_and(|&place| place < tail) {
            self.losses.pop_front();
        }
    }

    /// Notes that the source lost characters here: the next one written comes after a gap.
    pub fn mark_loss(&mut self) {
        if self.losses.back() == Some(&self.head) {
            return;
        }
        if self.losses.len() == LOSSES {
            self.losses.remove(1);
        }
        self.losses.push_back(self.head);
    }

    /// Appends to `out` up to `max` characters from `place` on, without a gap among them.
    pub fn read(&self, place: u64, max: usize, out: &mut Vec<u8>) {
        let place = place.clamp(self.tail(), self.head);
        let end = self.losses.iter().copied().find(|&loss| loss > place).unwrap_or(self.head);
        let mut len = usize::try_from(end - place).unwrap_or(usize::MAX).min(max);
        let mut at = self.index(place);
        while len > 0 {
            let piece = self.bytes.get(at..).unwrap_or_default();
            let piece = piece.get(..len).unwrap_or(piece);
            out.extend_from_slice(piece);
            len -= piece.len();
            at = 0;
        }
    }

    /// Whether characters are missing just before the one at `place`.
    #[must_use]
    pub fn lost_before(&self, place: u64) -> bool {
        self.losses.contains(&place)
    }

    fn capacity(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn index(&self, place: u64) -> usize {
        usize::try_from(place % self.capacity()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(ring: &Ring, place: u64, max: usize) -> String {
        let mut out = Vec::new();
        ring.read(place, max, &mut out);
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
    fn room_is_what_can_be_written_without_touching_a_place() {
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
    fn a_read_stops_where_the_source_lost_characters() {
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
