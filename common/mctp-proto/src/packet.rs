//! The transport header, first on every packet (DSP0236, "MCTP packet fields").

use crate::{DropReason, Eid, Tag};

/// The four bytes before each packet's payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// The receiver.
    pub destination: Eid,
    /// The sender.
    pub source: Eid,
    /// The first packet of its message.
    pub start: bool,
    /// The last packet of its message.
    pub end: bool,
    /// Counts packets of a message, modulo 4, from any start.
    pub sequence: Sequence,
    /// Set when the sender of this packet chose the tag: a request. Clear in an answer.
    pub tag_owner: bool,
    /// Which message of those under way between the two endpoints.
    pub tag: Tag,
}

/// A packet's sequence number, modulo 4.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sequence(u8);

impl Sequence {
    /// The number in the low two bits of `bits`.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 0x03)
    }

    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self((self.0 + 1) & 0x03)
    }
}

const VERSION: u8 = 0x01;
const VERSION_MASK: u8 = 0x0f;
const START: u8 = 0x80;
const END: u8 = 0x40;
const TAG_OWNER: u8 = 0x08;

impl Header {
    /// Bytes of a header on the wire.
    pub const LEN: usize = 4;

    /// Splits a packet into its header and its payload.
    ///
    /// The four reserved bits before the version are ignored.
    ///
    /// # Errors
    ///
    /// [`DropReason::Truncated`] for less than a header, [`DropReason::Version`] for another version.
    pub fn parse(packet: &[u8]) -> Result<(Self, &[u8]), DropReason> {
        let (&[version, destination, source, flags], payload) =
            packet.split_first_chunk().ok_or(DropReason::Truncated)?;
        if version & VERSION_MASK != VERSION {
            return Err(DropReason::Version);
        }
        let header = Self {
            destination: Eid(destination),
            source: Eid(source),
            start: flags & START != 0,
            end: flags & END != 0,
            sequence: Sequence::from_bits(flags >> 4),
            tag_owner: flags & TAG_OWNER != 0,
            tag: Tag::from_bits(flags),
        };
        Ok((header, payload))
    }

    /// The header as it stands on the wire.
    #[must_use]
    pub fn emit(&self) -> [u8; Self::LEN] {
        let flags = [
            (self.start, START),
            (self.end, END),
            (self.tag_owner, TAG_OWNER),
            (true, self.sequence.0 << 4),
            (true, self.tag.value()),
        ];
        let flags = flags.iter().filter(|(set, _)| *set).fold(0, |all, (_, bits)| all | bits);
        [VERSION, self.destination.0, self.source.0, flags]
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn header_matches_golden_bytes() {
        let request = Header {
            destination: Eid(8),
            source: Eid(9),
            start: true,
            end: true,
            sequence: Sequence::from_bits(0),
            tag_owner: true,
            tag: Tag::from_bits(0),
        };
        let middle = Header {
            destination: Eid(0xfe),
            start: false,
            end: false,
            sequence: Sequence::from_bits(3),
            tag_owner: false,
            tag: Tag::from_bits(5),
            ..request
        };
        for (name, bytes, header) in
            [("request", hex!("01 08 09 c8"), request), ("middle", hex!("01 fe 09 35"), middle)]
        {
            assert_eq!(Header::parse(&bytes), Ok((header, &[][..])), "parse: {name}");
            assert_eq!(header.emit(), bytes, "emit: {name}");
        }
    }

    #[test]
    fn header_cut_short_is_truncated() {
        for len in 0..Header::LEN {
            assert_eq!(Header::parse(&[1; 4][..len]), Err(DropReason::Truncated));
        }
    }

    #[test]
    fn reserved_bits_are_ignored_and_other_versions_are_not() {
        assert!(Header::parse(&hex!("f1 08 09 c8")).is_ok());
        for version in [0, 2, 0x0f] {
            assert_eq!(Header::parse(&[version, 8, 9, 0xc8]), Err(DropReason::Version));
        }
    }
}
