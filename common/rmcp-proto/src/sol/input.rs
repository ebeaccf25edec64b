//! What a console typed and the host's console has not accepted yet.

use std::collections::VecDeque;

/// Characters and breaks in the order in which they came.
#[derive(Debug)]
pub(super) struct Input {
    chars: VecDeque<u8>,
    capacity: usize,
    /// Characters that have left the front since the start.
    taken: u64,
    /// Positions of the breaks: each comes before the character at its position.
    breaks: VecDeque<u64>,
}

impl Input {
    /// Breaks that may be queued.
    const BREAKS: usize = 8;

    pub(super) fn new(capacity: usize) -> Self {
        Self { chars: VecDeque::new(), capacity, taken: 0, breaks: VecDeque::new() }
    }

    pub(super) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.chars.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chars.is_empty() && self.breaks.is_empty()
    }

    /// Queues as many characters as there is room for; returns how many.
    pub(super) fn push(&mut self, chars: &[u8]) -> usize {
        let len = chars.len().min(self.room());
        self.chars.extend(chars.iter().take(len));
        len
    }

    /// Whether another break may be queued.
    pub(super) fn has_break_room(&self) -> bool {
        self.breaks.len() < Self::BREAKS
    }

    /// Queues a break; `false` if there is no room for it.
    pub(super) fn push_break(&mut self) -> bool {
        let fits = self.has_break_room();
        if fits {
            self.breaks.push_back(self.taken + self.chars.len() as u64);
        }
        fits
    }

    /// Removes a break that is next; whether there was one.
    pub(super) fn take_break(&mut self) -> bool {
        self.breaks.pop_front_if(|position| *position <= self.taken).is_some()
    }

    /// The next characters, up to a break.
    pub(super) fn chars(&self) -> &[u8] {
        let (first, _) = self.chars.as_slices();
        let until_break =
            self.breaks.front().map_or(u64::MAX, |position| position.saturating_sub(self.taken));
        first.get(..usize::try_from(until_break).unwrap_or(usize::MAX)).unwrap_or(first)
    }

    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.chars.len());
        self.chars.drain(..count);
        self.taken += count as u64;
    }

    pub(super) fn clear(&mut self) {
        self.chars.clear();
        self.breaks.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_break_stays_between_the_same_characters() {
        let mut input = Input::new(8);
        assert_eq!(input.push(b"ab"), 2);
        assert!(input.push_break());
        assert_eq!(input.push(b"cdefghij"), 6);
        assert!(!input.take_break());
        assert_eq!(input.chars(), b"ab");
        input.consume(1);
        assert_eq!(input.chars(), b"b");
        input.consume(1);
        assert_eq!(input.chars(), b"");
        assert!(input.take_break());
        assert!(!input.take_break());
        assert_eq!(input.chars(), b"cdefgh");
        input.clear();
        assert!(input.is_empty());
    }

    #[test]
    fn breaks_are_bounded() {
        let mut input = Input::new(8);
        let taken = (0..1000).filter(|_| input.push_break()).count();
        assert_eq!(taken, Input::BREAKS);
    }
}
