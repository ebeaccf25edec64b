//! The control protocol, messages of type 0 (DSP0236, "MCTP control messages").
//!
//! - [`ControlHeader`], [`Command`], [`CompletionCode`]: what each message begins with.
//! - [`requester`]: what to ask of others, and what they answer.
//! - [`responder`]: answers what others ask of this endpoint.
//! - [`bus_owner`]: finds endpoints, assigns ids to them, and polls them.
//!
//! Left out, and answered with [`CompletionCode::UNSUPPORTED_COMMAND`]: network ids, Query Hop,
//! Resolve UUID, rate limiting and Query Supported Interfaces.

pub mod bus_owner;
pub mod requester;
pub mod responder;

use alloc::vec::Vec;

use crate::DropReason;

const REQUEST: u8 = 0x80;
const DATAGRAM: u8 = 0x40;
const INSTANCE_MASK: u8 = 0x1f;

/// A control command's number (DSP0236, "MCTP control command codes").
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Command(pub u8);

impl Command {
    /// Set Endpoint ID.
    pub const SET_ENDPOINT_ID: Self = Self(0x01);
    /// Get Endpoint ID.
    pub const GET_ENDPOINT_ID: Self = Self(0x02);
    /// Get Endpoint UUID.
    pub const GET_ENDPOINT_UUID: Self = Self(0x03);
    /// Get MCTP Version Support.
    pub const GET_VERSION_SUPPORT: Self = Self(0x04);
    /// Get Message Type Support.
    pub const GET_MESSAGE_TYPE_SUPPORT: Self = Self(0x05);
    /// Get Vendor Defined Message Support.
    pub const GET_VENDOR_MESSAGE_SUPPORT: Self = Self(0x06);
    /// Resolve Endpoint ID.
    pub const RESOLVE_ENDPOINT_ID: Self = Self(0x07);
    /// Allocate Endpoint IDs.
    pub const ALLOCATE_ENDPOINT_IDS: Self = Self(0x08);
    /// Routing Information Update.
    pub const ROUTING_INFORMATION_UPDATE: Self = Self(0x09);
    /// Get Routing Table Entries.
    pub const GET_ROUTING_TABLE_ENTRIES: Self = Self(0x0a);
    /// Prepare for Endpoint Discovery.
    pub const PREPARE_FOR_ENDPOINT_DISCOVERY: Self = Self(0x0b);
    /// Endpoint Discovery.
    pub const ENDPOINT_DISCOVERY: Self = Self(0x0c);
    /// Discovery Notify.
    pub const DISCOVERY_NOTIFY: Self = Self(0x0d);
}

/// What a response says first (DSP0236, "MCTP control message completion codes").
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CompletionCode(pub u8);

impl CompletionCode {
    /// Done.
    pub const SUCCESS: Self = Self(0x00);
    /// Failed for a reason that has no code.
    pub const ERROR: Self = Self(0x01);
    /// A value out of range.
    pub const INVALID_DATA: Self = Self(0x02);
    /// Too few or too many bytes.
    pub const INVALID_LENGTH: Self = Self(0x03);
    /// Not now.
    pub const NOT_READY: Self = Self(0x04);
    /// Not known here.
    pub const UNSUPPORTED_COMMAND: Self = Self(0x05);
    /// Get MCTP Version Support: the message type is not supported.
    pub const TYPE_NOT_SUPPORTED: Self = Self(0x80);
}

/// What every control message begins with, the type byte included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ControlHeader {
    /// A request, or a datagram; otherwise a response.
    pub request: bool,
    /// No response is wanted.
    pub datagram: bool,
    /// Distinguishes requests of one sender, 0 to 31; a response has its request's.
    pub instance: u8,
    /// What is asked, or was.
    pub command: Command,
}

impl ControlHeader {
    /// Splits a message, from its type byte on, into header and data.
    ///
    /// # Errors
    ///
    /// [`DropReason::Truncated`] for fewer than 3 bytes, [`DropReason::Framing`] when the first is
    /// not 0 (control messages have no integrity check).
    pub fn parse(message: &[u8]) -> Result<(Self, &[u8]), DropReason> {
        let (&[kind, flags, command], data) =
            message.split_first_chunk().ok_or(DropReason::Truncated)?;
        if kind != 0 {
            return Err(DropReason::Framing);
        }
        let header = Self {
            request: flags & REQUEST != 0,
            datagram: flags & DATAGRAM != 0,
            instance: flags & INSTANCE_MASK,
            command: Command(command),
        };
        Ok((header, data))
    }

    /// A request that wants a response.
    #[must_use]
    pub const fn request(command: Command, instance: u8) -> Self {
        Self { request: true, datagram: false, instance: instance & INSTANCE_MASK, command }
    }

    /// The header of the response to this request.
    #[must_use]
    pub const fn response(self) -> Self {
        Self { request: false, datagram: false, ..self }
    }

    /// A whole message with this header.
    #[must_use]
    pub fn message(&self, data: &[u8]) -> Vec<u8> {
        let request = if self.request { REQUEST } else { 0 };
        let datagram = if self.datagram { DATAGRAM } else { 0 };
        let mut out = Vec::with_capacity(3 + data.len());
        out.extend_from_slice(&[0, request | datagram | self.instance, self.command.0]);
        out.extend_from_slice(data);
        out
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn header_matches_golden_bytes() {
        let request = ControlHeader::request(Command::GET_ENDPOINT_ID, 5);
        let datagram = ControlHeader { datagram: true, ..request };
        for (name, bytes, header) in [
            ("request", hex!("00 85 02"), request),
            ("datagram", hex!("00 c5 02"), datagram),
            ("response", hex!("00 05 02"), datagram.response()),
        ] {
            assert_eq!(ControlHeader::parse(&bytes), Ok((header, &[][..])), "parse: {name}");
            assert_eq!(header.message(&[]), bytes, "emit: {name}");
        }
    }

    #[test]
    fn header_cut_short_or_of_another_type_is_refused() {
        for len in 0..3 {
            assert_eq!(ControlHeader::parse(&[0; 3][..len]), Err(DropReason::Truncated));
        }
        assert_eq!(ControlHeader::parse(&[0x80, 0x80, 2]), Err(DropReason::Framing));
    }
}
