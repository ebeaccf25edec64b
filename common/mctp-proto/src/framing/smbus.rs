//! Packets in SMBus block writes (DSP0237, "MCTP SMBus/I2C transport binding").
//!
//! `destination << 1 | 0f | count | source << 1 | 1 | packet | PEC`, one packet in each transaction.

use alloc::vec::Vec;

use crate::DropReason;
use crate::crc::pec;
use crate::packet::Header;

const COMMAND: u8 = 0x0f;

/// Bytes before the packet.
const PREFIX: usize = 4;

/// The longest packet: the count byte also counts the source address.
pub const MAX_PACKET: usize = 254;

/// The longest transaction, its address byte and PEC included.
pub const MAX_FRAME: usize = PREFIX + MAX_PACKET + 1;

/// One transaction as its target sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame<'a> {
    /// The target's 7-bit address.
    pub destination: u8,
    /// The master's 7-bit address, where answers go.
    pub source: u8,
    /// Header and payload.
    pub packet: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes a whole transaction, from the address byte to the PEC.
    ///
    /// # Errors
    ///
    /// [`DropReason::Framing`] for another command, length or address form,
    /// [`DropReason::Truncated`] for less than a header, [`DropReason::Checksum`] for a wrong PEC.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DropReason> {
        let (&check, covered) = bytes.split_last().ok_or(DropReason::Truncated)?;
        let (&[destination, command, count, source], packet) =
            covered.split_first_chunk::<PREFIX>().ok_or(DropReason::Truncated)?;
        if command != COMMAND
            || usize::from(count) != packet.len() + 1
            || destination & 1 != 0
            || source & 1 != 1
        {
            return Err(DropReason::Framing);
        }
        if pec(covered) != check {
            return Err(DropReason::Checksum);
        }
        if packet.len() < Header::LEN {
            return Err(DropReason::Truncated);
        }
        Ok(Self { destination: destination >> 1, source: source >> 1, packet })
    }
}

/// Appends a transaction, from the address byte to the PEC, that holds `header` and `payload`.
///
/// # Errors
///
/// [`DropReason::Framing`] when the packet is longer than [`MAX_PACKET`]; nothing is appended.
pub fn emit(
    destination: u8,
    source: u8,
    header: [u8; Header::LEN],
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), DropReason> {
    let count = u8::try_from(1 + header.len() + payload.len()).map_err(|_| DropReason::Framing)?;
    let start = out.len();
    out.extend_from_slice(&[destination << 1, COMMAND, count, source << 1 | 1]);
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
    let check = pec(out.get(start..).unwrap_or_default());
    out.push(check);
    Ok(())
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    const GOLDEN: &[u8] = &hex!("3a 0f 08 21 01 08 09 c8 00 80 02 7b");

    #[test]
    fn frame_matches_golden_bytes() {
        let packet = hex!("01 08 09 c8 00 80 02");
        let frame = Frame { destination: 0x1d, source: 0x10, packet: &packet };
        assert_eq!(Frame::parse(GOLDEN), Ok(frame));
        let mut out = Vec::new();
        emit(0x1d, 0x10, hex!("01 08 09 c8"), &hex!("00 80 02"), &mut out).unwrap();
        assert_eq!(out, GOLDEN);
    }

    #[test]
    fn frame_cut_short_or_drawn_out_is_refused() {
        for len in 0..GOLDEN.len() {
            assert!(Frame::parse(&GOLDEN[..len]).is_err(), "{len}");
        }
        assert!(Frame::parse(&[GOLDEN, &[0]].concat()).is_err());
    }

    #[test]
    fn every_single_bit_of_damage_is_seen() {
        for at in 0..GOLDEN.len() {
            for bit in 0..8 {
                let mut bytes = GOLDEN.to_vec();
                bytes[at] ^= 1 << bit;
                assert!(Frame::parse(&bytes).is_err(), "{at} {bit}");
            }
        }
    }

    #[test]
    fn a_wrong_check_byte_is_no_wrong_form() {
        let mut bytes = GOLDEN.to_vec();
        bytes[11] ^= 1;
        assert_eq!(Frame::parse(&bytes), Err(DropReason::Checksum));
        assert_eq!(
            Frame::parse(&hex!("3a 0e 08 21 01 08 09 c8 00 80 02 7b")),
            Err(DropReason::Framing)
        );
        let mut short = alloc::vec![0x3a, 0x0f, 4, 0x21, 1, 8, 9];
        short.push(pec(&short));
        assert_eq!(Frame::parse(&short), Err(DropReason::Truncated));
    }

    #[test]
    fn longest_packet_fits_and_a_longer_one_does_not() {
        let mut out = Vec::new();
        assert!(emit(0x1d, 0x10, [1, 8, 9, 0xc8], &[5; 251], &mut out).is_err());
        assert!(emit(0x1d, 0x10, [1, 8, 9, 0xc8], &[5; 250], &mut out).is_ok());
        assert_eq!(out.len(), MAX_FRAME);
        assert!(Frame::parse(&out).is_ok());
    }
}
