//! Packets in PCIe vendor defined messages (DSP0238, "MCTP PCIe VDM transport binding").
//!
//! Twelve bytes of PCIe header, whose last word before the MCTP header names DMTF, then the packet,
//! its payload padded with zeros to whole 4-byte words.

use alloc::vec::Vec;

use crate::DropReason;
use crate::packet::Header;

/// PCIe header bytes before the MCTP header.
const PREFIX: usize = 12;
/// `fmt` 3 (four words, with data) and `type` 10b in the upper five bits.
const FMT_TYPE: u8 = 0x70;
const ROUTING_MASK: u8 = 0x07;
/// Attributes 01b: no snoop.
const ATTRIBUTES: u8 = 0x10;
/// The TLP digest and poisoned bits.
const DIGEST: u8 = 0x80;
const POISONED: u8 = 0x40;
const LENGTH_HIGH_MASK: u8 = 0x03;
const VENDOR_MESSAGE: u8 = 0x7f;
const DMTF: [u8; 2] = [0x1a, 0xb4];
/// The MCTP code in the tag field; the pad length stands above it.
const VDM_CODE_MASK: u8 = 0x0f;
const PAD_SHIFT: u8 = 4;
const PAD_MASK: u8 = 0x03;
const WORD: usize = 4;

/// The longest payload that fits the length field: 1023 words.
pub const MAX_PAYLOAD: usize = 1023 * WORD;

/// How the message finds its way through the PCIe fabric.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Routing {
    /// To the root complex.
    ToRootComplex,
    /// To one function.
    ById,
    /// From the top to all.
    BroadcastFromRootComplex,
}

impl Routing {
    const fn code(self) -> u8 {
        match self {
            Self::ToRootComplex => 0,
            Self::ById => 2,
            Self::BroadcastFromRootComplex => 3,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::ToRootComplex),
            2 => Some(Self::ById),
            3 => Some(Self::BroadcastFromRootComplex),
            _ => None,
        }
    }
}

/// One vendor defined message with a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame<'a> {
    /// How it is routed.
    pub routing: Routing,
    /// Bus, device and function of the sender.
    pub requester: u16,
    /// Bus, device and function it is for; 0 unless routed by id.
    pub target: u16,
    /// The packet's header, as on the wire.
    pub header: [u8; Header::LEN],
    /// The packet's payload, without padding.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes one message in wire order. Bytes after its length (a digest) are left out.
    ///
    /// # Errors
    ///
    /// [`DropReason::Framing`] for another kind of message, a poisoned one, or one whose lengths
    /// disagree; [`DropReason::Truncated`] for less than a header.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DropReason> {
        let (prefix, rest) = bytes.split_first_chunk::<PREFIX>().ok_or(DropReason::Truncated)?;
        let (&header, data) = rest.split_first_chunk().ok_or(DropReason::Truncated)?;
        let &[kind, _, flags, length, r1, r0, tag, code, t1, t0, v1, v0] = prefix;
        let routing = Routing::from_code(kind & ROUTING_MASK).ok_or(DropReason::Framing)?;
        let ours = kind & !ROUTING_MASK == FMT_TYPE
            && code == VENDOR_MESSAGE
            && [v1, v0] == DMTF
            && tag & VDM_CODE_MASK == 0
            && flags & POISONED == 0;
        let words = u16::from_be_bytes([flags & LENGTH_HIGH_MASK, length]);
        let pad = usize::from((tag >> PAD_SHIFT) & PAD_MASK);
        let len = (WORD * usize::from(words)).checked_sub(pad);
        let payload = len.and_then(|len| data.get(..len));
        let padded = data.len() >= WORD * usize::from(words);
        match payload {
            Some(payload) if ours && padded => Ok(Self {
                routing,
                requester: u16::from_be_bytes([r1, r0]),
                target: u16::from_be_bytes([t1, t0]),
                header,
                payload,
            }),
            _ => Err(DropReason::Framing),
        }
    }

    /// Appends the message in wire order.
    ///
    /// # Errors
    ///
    /// [`DropReason::Framing`] for a payload over [`MAX_PAYLOAD`]; nothing is appended.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), DropReason> {
        if self.payload.len() > MAX_PAYLOAD {
            return Err(DropReason::Framing);
        }
        let words = self.payload.len().div_ceil(WORD);
        let pad = words * WORD - self.payload.len();
        let words = u16::try_from(words).map_err(|_| DropReason::Framing)?;
        let pad_bits = u8::try_from(pad).map_err(|_| DropReason::Framing)? << PAD_SHIFT;
        let [high, low] = words.to_be_bytes();
        out.extend_from_slice(&[FMT_TYPE | self.routing.code(), 0, ATTRIBUTES | high, low]);
        out.extend_from_slice(&self.requester.to_be_bytes());
        out.extend_from_slice(&[pad_bits, VENDOR_MESSAGE]);
        out.extend_from_slice(&self.target.to_be_bytes());
        out.extend_from_slice(&DMTF);
        out.extend_from_slice(&self.header);
        out.extend_from_slice(self.payload);
        out.extend_from_slice([0; WORD].get(..pad).unwrap_or_default());
        Ok(())
    }

    /// What follows the message that `bytes` begin with, its digest included, if that looks like
    /// another message; otherwise nothing.
    #[must_use]
    pub fn after(bytes: &'a [u8]) -> &'a [u8] {
        let &[_, _, flags, length, ..] = bytes else {
            return &[];
        };
        let words = usize::from(u16::from_be_bytes([flags & LENGTH_HIGH_MASK, length]));
        let digest = if flags & DIGEST != 0 { WORD } else { 0 };
        let rest = bytes.get(PREFIX + Header::LEN + WORD * words + digest..).unwrap_or_default();
        let is_message = rest.first().is_some_and(|kind| kind & !ROUTING_MASK == FMT_TYPE);
        if is_message { rest } else { &[] }
    }

    /// Whether a TLP digest follows the message, which the reader should have taken off.
    #[must_use]
    pub fn has_digest(bytes: &[u8]) -> bool {
        bytes.get(2).is_some_and(|flags| flags & DIGEST != 0)
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    /// From the layout of the specification: Get Endpoint ID, EID 9 to 8, 3 bytes and 1 of padding.
    const GOLDEN: &[u8] = &hex!("72 00 10 01 02 18 10 7f 01 00 1a b4 01 08 09 c8 00 80 02 00");

    #[test]
    fn frame_matches_golden_bytes() {
        let frame = Frame {
            routing: Routing::ById,
            requester: 0x0218,
            target: 0x0100,
            header: hex!("01 08 09 c8"),
            payload: &hex!("00 80 02"),
        };
        assert_eq!(Frame::parse(GOLDEN), Ok(frame));
        let mut out = Vec::new();
        frame.emit(&mut out).unwrap();
        assert_eq!(out, GOLDEN);
    }

    #[test]
    fn frame_cut_short_is_refused() {
        for len in 0..GOLDEN.len() {
            assert!(Frame::parse(&GOLDEN[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn other_messages_are_refused() {
        for (at, value) in [(0, 0x60), (0, 0x71), (2, 0x50), (6, 0x11), (7, 0x7e), (10, 0x1b)] {
            let mut bytes = GOLDEN.to_vec();
            bytes[at] = value;
            assert_eq!(Frame::parse(&bytes), Err(DropReason::Framing), "{at}");
        }
    }

    #[test]
    fn every_padding_goes_both_ways() {
        for len in 1..9_u8 {
            let payload: Vec<u8> = (0..len).collect();
            let frame = Frame {
                routing: Routing::ToRootComplex,
                requester: 0,
                target: 0,
                header: [1, 8, 9, 0xc8],
                payload: &payload,
            };
            let mut out = Vec::new();
            frame.emit(&mut out).unwrap();
            assert_eq!(out.len() % WORD, 0);
            assert_eq!(Frame::parse(&out), Ok(frame));
        }
    }

    #[test]
    fn messages_that_follow_each_other_are_found() {
        let mut with_digest = GOLDEN.to_vec();
        with_digest[2] |= DIGEST;
        let both = [&with_digest, &[1, 2, 3, 4][..], GOLDEN, &[0, 0]].concat();
        let second = Frame::after(&both);
        assert_eq!(second[..GOLDEN.len()], *GOLDEN);
        assert!(Frame::after(second).is_empty() && Frame::after(GOLDEN).is_empty());
    }

    #[test]
    fn padding_longer_than_the_data_is_refused() {
        let mut bytes = GOLDEN.to_vec();
        bytes[3] = 0;
        assert_eq!(Frame::parse(&bytes), Err(DropReason::Framing));
    }
}
