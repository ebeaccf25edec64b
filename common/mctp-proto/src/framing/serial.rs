//! Packets on a serial line (DSP0253, "MCTP serial transport binding").
//!
//! `7e | 01 | count | packet, escaped | FCS high | FCS low | 7e`. Escapes are in the packet only;
//! the FCS is over revision, count and the packet unescaped, and is not complemented (as Linux and
//! libmctp have it).
//!
//! The receiver takes a flag inside a packet as the start of another frame, a flag between two
//! frames as the end of one and the start of the other, and looks through what turned out to be no
//! frame for a flag that may start one. So damage to one frame never costs the next whole one.

use alloc::vec::Vec;

use crate::DropReason;
use crate::crc::{FCS_START, fcs, fcs_byte};
use crate::packet::Header;

const FLAG: u8 = 0x7e;
const ESCAPE: u8 = 0x7d;
const ESCAPE_BIT: u8 = 0x20;
const REVISION: u8 = 0x01;

/// The longest packet that fits the count byte.
pub const MAX_PACKET: usize = 255;

/// The longest frame: everything in the packet escaped.
pub const MAX_FRAME: usize = 2 * MAX_PACKET + 6;

/// Appends one frame that holds `header` and `payload`.
///
/// # Errors
///
/// [`DropReason::Framing`] when the packet is longer than [`MAX_PACKET`]; nothing is appended.
pub fn emit(
    header: [u8; Header::LEN],
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), DropReason> {
    let count = u8::try_from(header.len() + payload.len()).map_err(|_| DropReason::Framing)?;
    let check = fcs(fcs(fcs(FCS_START, &[REVISION, count]), &header), payload);
    out.extend_from_slice(&[FLAG, REVISION, count]);
    escape(&header, out);
    escape(payload, out);
    out.extend_from_slice(&check.to_be_bytes());
    out.push(FLAG);
    Ok(())
}

fn escape(mut bytes: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = first_special(bytes) {
        let (plain, rest) = bytes.split_at(at);
        out.extend_from_slice(plain);
        let Some((&special, rest)) = rest.split_first() else {
            return;
        };
        out.extend_from_slice(&[ESCAPE, special ^ ESCAPE_BIT]);
        bytes = rest;
    }
    out.extend_from_slice(bytes);
}

/// Where the first byte is that has a meaning of its own.
fn first_special(bytes: &[u8]) -> Option<usize> {
    memchr::memchr2(FLAG, ESCAPE, bytes)
}

/// What the receiver awaits next.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Await {
    /// A flag; anything else is noise.
    #[default]
    Flag,
    Revision,
    Count,
    /// This many packet bytes more.
    Packet(u8),
    /// The packet byte after an escape, and this many more with it.
    Escaped(u8),
    FcsHigh,
    FcsLow,
    ClosingFlag,
}

/// Finds frames in a stream of bytes.
#[derive(Debug, Default)]
pub struct Decoder {
    state: Await,
    /// The packet so far, unescaped.
    packet: Vec<u8>,
    fcs: u16,
    received: [u8; 2],
    /// What came since the flag, in case a flag in it has to serve as the start of a frame.
    raw: Vec<u8>,
}

impl Decoder {
    /// Awaiting a first flag.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what was read and calls `found` for each packet, or each frame thrown away.
    pub fn feed(&mut self, bytes: &[u8], mut found: impl FnMut(Result<&[u8], DropReason>)) {
        let mut rest = bytes;
        while let Some(&byte) = rest.first() {
            rest = match self.take_run(rest) {
                0 => {
                    self.take_byte(byte, &mut found);
                    rest.get(1..).unwrap_or_default()
                }
                run => rest.get(run..).unwrap_or_default(),
            };
        }
    }

    /// Inside a packet: takes plain bytes at once, up to the next special one; gives how many.
    fn take_run(&mut self, bytes: &[u8]) -> usize {
        let Await::Packet(left) = self.state else {
            return 0;
        };
        let window = bytes.get(..usize::from(left)).unwrap_or(bytes);
        let run = first_special(window).unwrap_or(window.len());
        let plain = window.get(..run).unwrap_or_default();
        self.fcs = fcs(self.fcs, plain);
        self.packet.extend_from_slice(plain);
        self.raw.extend_from_slice(plain);
        let run_left = left.saturating_sub(u8::try_from(run).unwrap_or(left));
        self.state = if run_left == 0 { Await::FcsHigh } else { Await::Packet(run_left) };
        run
    }

    fn take_byte(&mut self, byte: u8, found: &mut impl FnMut(Result<&[u8], DropReason>)) {
        self.raw.push(byte);
        match (self.state, byte) {
            (Await::Flag, FLAG) | (Await::Revision, FLAG) => self.restart(),
            (Await::Flag, _) => self.raw.clear(),
            (Await::Revision, REVISION) => self.state = Await::Count,
            (Await::Revision, _) => self.hunt(),
            (Await::Count, count) => self.begin_packet(count, found),
            (Await::Packet(_) | Await::Escaped(_), FLAG) => {
                found(Err(DropReason::Framing));
                self.restart();
            }
            (Await::Packet(left), ESCAPE) => self.state = Await::Escaped(left),
            (Await::Packet(left), plain) => self.take_packet_byte(left, plain),
            (Await::Escaped(left), escaped) => self.take_packet_byte(left, escaped ^ ESCAPE_BIT),
            (Await::FcsHigh, high) => {
                self.received = [high, 0];
                self.state = Await::FcsLow;
            }
            (Await::FcsLow, low) => {
                let [high, _] = self.received;
                self.received = [high, low];
                self.state = Await::ClosingFlag;
            }
            (Await::ClosingFlag, closing) => self.end_frame(closing, found),
        }
    }

    fn begin_packet(&mut self, count: u8, found: &mut impl FnMut(Result<&[u8], DropReason>)) {
        if usize::from(count) < Header::LEN {
            found(Err(DropReason::Framing));
            self.resume(found);
            return;
        }
        self.packet.clear();
        self.fcs = fcs(FCS_START, &[REVISION, count]);
        self.state = Await::Packet(count);
    }

    fn take_packet_byte(&mut self, left: u8, byte: u8) {
        self.fcs = fcs_byte(self.fcs, byte);
        self.packet.push(byte);
        self.state = if left <= 1 { Await::FcsHigh } else { Await::Packet(left - 1) };
    }

    fn end_frame(&mut self, closing: u8, found: &mut impl FnMut(Result<&[u8], DropReason>)) {
        let good = u16::from_be_bytes(self.received) == self.fcs;
        if good && closing == FLAG {
            found(Ok(&self.packet));
            self.restart();
        } else {
            found(Err(if good { DropReason::Framing } else { DropReason::Checksum }));
            self.resume(found);
        }
    }

    /// A flag was just taken.
    fn restart(&mut self) {
        self.raw.clear();
        self.state = Await::Revision;
    }

    fn hunt(&mut self) {
        self.raw.clear();
        self.state = Await::Flag;
    }

    /// What came since the flag was no frame: goes on from the first flag that hides in it.
    ///
    /// One can hide only in the count, FCS and closing places, so at most four times per frame.
    fn resume(&mut self, found: &mut impl FnMut(Result<&[u8], DropReason>)) {
        let raw = core::mem::take(&mut self.raw);
        self.hunt();
        if let Some(at) = raw.iter().position(|&byte| byte == FLAG) {
            self.feed_again(raw.get(at..).unwrap_or_default(), found);
        }
        if self.raw.is_empty() {
            self.raw = raw;
            self.raw.clear();
        }
    }

    fn feed_again(&mut self, bytes: &[u8], found: &mut impl FnMut(Result<&[u8], DropReason>)) {
        for &byte in bytes {
            self.take_byte(byte, found);
        }
    }
}

#[cfg(test)]
mod tests;
