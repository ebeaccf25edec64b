//! A message cut into packets.

use crate::packet::{Header, Sequence};
use crate::{Eid, Tag};

/// Where in a message its next packet starts. The message itself stays with the caller.
#[derive(Clone, Copy, Debug)]
pub struct Fragmenter {
    header: Header,
    mtu: usize,
    sent: usize,
}

impl Fragmenter {
    /// Cuts a message into payloads of `mtu` bytes (at least 1), all but the last of equal size.
    #[must_use]
    pub fn new(destination: Eid, source: Eid, tag_owner: bool, tag: Tag, mtu: usize) -> Self {
        let header = Header {
            destination,
            source,
            start: true,
            end: false,
            sequence: Sequence::from_bits(0),
            tag_owner,
            tag,
        };
        Self { header, mtu: mtu.max(1), sent: 0 }
    }

    /// The next packet of `message`, which must be the same at each call; `None` after the last.
    pub fn next<'a>(&mut self, message: &'a [u8]) -> Option<(Header, &'a [u8])> {
        let rest = message.get(self.sent..).filter(|rest| !rest.is_empty())?;
        let payload = rest.get(..self.mtu).unwrap_or(rest);
        let header = Header { end: payload.len() == rest.len(), ..self.header };
        self.sent += payload.len();
        self.header.start = false;
        self.header.sequence = self.header.sequence.next();
        Some((header, payload))
    }

    /// To whom the message goes.
    #[must_use]
    pub const fn destination(&self) -> Eid {
        self.header.destination
    }

    /// Under which tag it goes.
    #[must_use]
    pub const fn tag(&self) -> Tag {
        self.header.tag
    }

    /// Whether a packet of the message has been sent.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        self.sent > 0
    }

    /// How many bytes of the message have been sent.
    #[must_use]
    pub const fn sent(&self) -> usize {
        self.sent
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn cut(len: usize) -> Vec<(Header, usize)> {
        let message = alloc::vec![5; len];
        let mut fragmenter = Fragmenter::new(Eid(9), Eid(8), true, Tag::from_bits(2), 64);
        core::iter::from_fn(|| fragmenter.next(&message).map(|(h, p)| (h, p.len()))).collect()
    }

    #[test]
    fn sizes_around_the_transmission_unit() {
        for (len, sizes) in
            [(1, &[1][..]), (64, &[64]), (65, &[64, 1]), (128, &[64, 64]), (129, &[64, 64, 1])]
        {
            let got: Vec<usize> = cut(len).iter().map(|(_, size)| *size).collect();
            assert_eq!(got, sizes, "{len}");
        }
        assert!(cut(0).is_empty());
    }

    #[test]
    fn first_and_last_are_marked_and_numbers_count_modulo_four() {
        let packets = cut(64 * 6);
        for (index, (header, _)) in packets.iter().enumerate() {
            assert_eq!(header.start, index == 0);
            assert_eq!(header.end, index == 5);
            assert_eq!(header.sequence, Sequence::from_bits(u8::try_from(index % 4).unwrap()));
        }
    }
}
