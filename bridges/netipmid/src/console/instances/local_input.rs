//! Input from programs on the BMC that waits for the host.

use std::collections::VecDeque;

/// Characters at most.
const MAX: usize = 4096;

/// The characters, the oldest first.
#[derive(Debug, Default)]
pub struct LocalInput(VecDeque<u8>);

impl LocalInput {
    /// How many characters may be added now.
    #[must_use]
    pub fn room(&self) -> usize {
        MAX.saturating_sub(self.0.len())
    }

    /// Adds at most [`room`](Self::room) characters.
    pub fn push(&mut self, chars: &[u8]) {
        let room = self.room();
        self.0.extend(chars.iter().take(room));
    }

    /// The next ones; empty only if there are none.
    pub(super) fn chars(&self) -> &[u8] {
        self.0.as_slices().0
    }

    /// Removes `count` characters, which were written to the host's console.
    pub(super) fn consume(&mut self, count: usize) {
        self.0.drain(..count.min(self.0.len()));
    }
}
