//! The serial protocol between QEMU's `ipmi-bmc-extern` device and a BMC outside of it.
//!
//! Not a standard: it comes from OpenIPMI's simulator, and QEMU's `hw/ipmi/ipmi_bmc_extern.c` is its
//! other end. A byte stream of frames without a start mark: A0h ends a message, A1h a control
//! command, and AAh escapes these three values as AAh, value with bit 4 set. A message is a
//! sequence number, the bytes of a KCS message, and a checksum that makes them add up to 0.

mod decoder;

pub use decoder::Decoder;

use crate::frame::{FrameError, zero_sum};
use crate::{Request, Response, kcs};

/// The protocol version that both ends send.
pub const VERSION: u8 = 1;

/// The most bytes of a frame before escaping, which is more than QEMU's buffers hold.
pub const MAX_FRAME: usize = 512;

/// Ends a message.
const END_MESSAGE: u8 = 0xa0;
/// Ends a control command.
const END_CONTROL: u8 = 0xa1;
/// Escapes the byte after it.
const ESCAPE: u8 = 0xaa;
/// Set in an escaped byte.
const ESCAPED: u8 = 0x10;

/// One frame of the stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Frame {
    /// A message, its checksum proven.
    Message {
        /// QEMU's count of requests; a response must have its request's.
        seq: u8,
        /// Request or response as on KCS: [`kcs::parse_request`], [`kcs::parse_response`].
        body: Vec<u8>,
    },
    /// A control command.
    Control(Control),
}

/// A control command, from either end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Control {
    /// To QEMU: the host's attention flag is down.
    ClearAttention,
    /// To QEMU: the host's attention flag is up.
    SetAttention,
    /// To QEMU: the host's attention flag is up, with an interrupt.
    SetAttentionInterrupt,
    /// To QEMU: cut the power.
    PowerOff,
    /// To QEMU: reset the host; from QEMU: the host was reset.
    Reset,
    /// To QEMU: responses and attention may interrupt. Off at the start.
    EnableInterrupt,
    /// To QEMU: responses and attention may not interrupt.
    DisableInterrupt,
    /// To QEMU: a non-maskable interrupt.
    Nmi,
    /// From QEMU: what it can do to the host.
    Capabilities(Capabilities),
    /// To QEMU: press the power button.
    GracefulShutdown,
    /// The sender's protocol version; the first frame of each end.
    Version(u8),
    /// One that is not known here.
    Other(u8),
}

/// What QEMU can do to the host: one bit for each.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Capabilities(pub u8);

impl Capabilities {
    /// [`Control::PowerOff`].
    pub const POWER: Self = Self(0x01);
    /// [`Control::Reset`].
    pub const RESET: Self = Self(0x02);
    /// [`Control::EnableInterrupt`].
    pub const INTERRUPT: Self = Self(0x04);
    /// [`Control::Nmi`].
    pub const NMI: Self = Self(0x08);
    /// [`Control::SetAttention`].
    pub const ATTENTION: Self = Self(0x10);
    /// [`Control::GracefulShutdown`].
    pub const GRACEFUL_SHUTDOWN: Self = Self(0x20);

    /// Whether all of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl Control {
    fn parse(bytes: &[u8]) -> Result<Self, FrameError> {
        let (&code, operand) = bytes.split_first().ok_or(FrameError::Truncated {
            what: "control command",
            need: 1,
            have: 0,
        })?;
        let operand = operand.first().copied().ok_or(FrameError::Truncated {
            what: "control command's operand",
            need: 2,
            have: 1,
        });
        Ok(match code {
            0x00 => Self::ClearAttention,
            0x01 => Self::SetAttention,
            0x02 => Self::SetAttentionInterrupt,
            0x03 => Self::PowerOff,
            0x04 => Self::Reset,
            0x05 => Self::EnableInterrupt,
            0x06 => Self::DisableInterrupt,
            0x07 => Self::Nmi,
            0x08 => Self::Capabilities(Capabilities(operand?)),
            0x09 => Self::GracefulShutdown,
            0xff => Self::Version(operand?),
            other => Self::Other(other),
        })
    }

    /// Appends the control command's frame to `out`.
    pub fn emit(self, out: &mut Vec<u8>) {
        match self {
            Self::ClearAttention => escape(&[0x00], out),
            Self::SetAttention => escape(&[0x01], out),
            Self::SetAttentionInterrupt => escape(&[0x02], out),
            Self::PowerOff => escape(&[0x03], out),
            Self::Reset => escape(&[0x04], out),
            Self::EnableInterrupt => escape(&[0x05], out),
            Self::DisableInterrupt => escape(&[0x06], out),
            Self::Nmi => escape(&[0x07], out),
            Self::Capabilities(Capabilities(bits)) => escape(&[0x08, bits], out),
            Self::GracefulShutdown => escape(&[0x09], out),
            Self::Version(version) => escape(&[0xff, version], out),
            Self::Other(code) => escape(&[code], out),
        }
        out.push(END_CONTROL);
    }
}

/// Appends the frame of `request` to `out`.
pub fn emit_request(seq: u8, request: &Request, out: &mut Vec<u8>) {
    let mut body = vec![seq];
    kcs::emit_request(request, &mut body);
    emit_message(body, out);
}

/// Appends the frame of `response` to `out`.
pub fn emit_response(seq: u8, response: &Response, out: &mut Vec<u8>) {
    let mut body = vec![seq];
    kcs::emit_response(response, &mut body);
    emit_message(body, out);
}

fn emit_message(mut body: Vec<u8>, out: &mut Vec<u8>) {
    body.push(zero_sum(&body));
    escape(&body, out);
    out.push(END_MESSAGE);
}

fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            END_MESSAGE | END_CONTROL | ESCAPE => out.extend([ESCAPE, byte | ESCAPED]),
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests;
