//! The RMCP+ session header, and where the trailer lies (IPMI v2.0 §13.6, Table 13-8).
//!
//! The contents of the trailer depend on the integrity algorithm: see [`crate::crypto`].

use super::{ParseError, nothing_left, rmcp, take};

/// The authentication type byte that marks the RMCP+ format.
pub(crate) const AUTH_TYPE: u8 = 0x06;
const ENCRYPTED: u8 = 0x80;
const AUTHENTICATED: u8 = 0x40;
/// Bytes from the authentication type to the payload, without the OEM fields.
const HEADER_LEN: usize = 12;

/// What a payload is (IPMI v2.0 §13.27.3, Table 13-16).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PayloadType(u8);

impl PayloadType {
    /// An IPMI message.
    pub const IPMI: Self = Self(0x00);
    /// Serial over LAN.
    pub const SOL: Self = Self(0x01);
    /// OEM explicit: the header says whose.
    pub const OEM_EXPLICIT: Self = Self(0x02);
    /// RMCP+ Open Session Request.
    pub const OPEN_SESSION_REQUEST: Self = Self(0x10);
    /// RMCP+ Open Session Response.
    pub const OPEN_SESSION_RESPONSE: Self = Self(0x11);
    /// RAKP Message 1.
    pub const RAKP_1: Self = Self(0x12);
    /// RAKP Message 2.
    pub const RAKP_2: Self = Self(0x13);
    /// RAKP Message 3.
    pub const RAKP_3: Self = Self(0x14);
    /// RAKP Message 4.
    pub const RAKP_4: Self = Self(0x15);

    /// The type whose six bits are `value`; `None` beyond 3Fh.
    #[must_use]
    pub const fn new(value: u8) -> Option<Self> {
        if value <= 0x3f { Some(Self(value)) } else { None }
    }

    /// The number itself.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}

/// Which protections a packet claims, or shall get.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Protection {
    /// The payload is encrypted with the session's confidentiality algorithm.
    pub encrypted: bool,
    /// A trailer authenticates header and payload with the session's integrity algorithm.
    pub authenticated: bool,
}

impl Protection {
    /// Neither.
    pub const NONE: Self = Self { encrypted: false, authenticated: false };
    /// Both.
    pub const FULL: Self = Self { encrypted: true, authenticated: true };
}

/// The fields before the payload length.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct V20Header {
    /// The payload type.
    pub payload_type: PayloadType,
    /// How the packet is protected.
    pub protection: Protection,
    /// The receiver's session id, 0 outside a session.
    pub session_id: u32,
    /// Session sequence number, 0 outside a session.
    pub sequence: u32,
}

impl V20Header {
    /// The header of a packet outside a session.
    #[must_use]
    pub const fn sessionless(payload_type: PayloadType) -> Self {
        Self { payload_type, protection: Protection::NONE, session_id: 0, sequence: 0 }
    }

    /// Appends the header of a payload of `length` bytes, from the authentication type on.
    pub(crate) fn emit(&self, length: u16, out: &mut Vec<u8>) {
        let mut kind = self.payload_type.0;
        if self.protection.encrypted {
            kind |= ENCRYPTED;
        }
        if self.protection.authenticated {
            kind |= AUTHENTICATED;
        }
        out.extend([AUTH_TYPE, kind]);
        out.extend(self.session_id.to_le_bytes());
        out.extend(self.sequence.to_le_bytes());
        out.extend(length.to_le_bytes());
    }
}

/// A packet in RMCP+ format, nothing verified yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct V20Packet<'a> {
    /// The fields before the payload length.
    pub header: V20Header,
    /// The payload as it travelled, encrypted or not.
    pub payload: &'a [u8],
    /// Integrity pad, pad length, next header and auth code; empty unless authenticated.
    pub trailer: &'a [u8],
    /// All of the packet: an integrity algorithm covers it less the auth code at its end.
    pub whole: &'a [u8],
}

impl<'a> V20Packet<'a> {
    /// Reads the body of an RMCP message of class IPMI.
    ///
    /// # Errors
    ///
    /// [`ParseError`] for another format, an OEM explicit payload (none is supported), a payload
    /// that ends early, or bytes after the payload of a packet that is not authenticated.
    pub fn parse(whole: &'a [u8]) -> Result<Self, ParseError> {
        let what = "RMCP+ session header";
        let (&[auth, kind], rest) = take(what, whole)?;
        if auth != AUTH_TYPE {
            return Err(ParseError::Unknown { what: "authentication type", value: auth.into() });
        }
        let payload_type = PayloadType(kind & 0x3f);
        if payload_type == PayloadType::OEM_EXPLICIT {
            return Err(ParseError::Unknown { what: "payload type", value: kind.into() });
        }
        let (&session_id, rest) = take(what, rest)?;
        let (&sequence, rest) = take(what, rest)?;
        let (&length, rest) = take(what, rest)?;
        let need = usize::from(u16::from_le_bytes(length));
        let (payload, trailer) =
            rest.split_at_checked(need).ok_or(super::truncated("RMCP+ payload", need, rest))?;
        let protection = Protection {
            encrypted: kind & ENCRYPTED != 0,
            authenticated: kind & AUTHENTICATED != 0,
        };
        if !protection.authenticated {
            nothing_left("RMCP+ payload", trailer)?;
        }
        let header = V20Header {
            payload_type,
            protection,
            session_id: u32::from_le_bytes(session_id),
            sequence: u32::from_le_bytes(sequence),
        };
        Ok(Self { header, payload, trailer, whole })
    }
}

/// Appends a whole datagram without protection to `out`.
///
/// # Errors
///
/// [`ParseError::TooLong`] for a payload beyond 65,535 bytes.
pub fn emit_plain(header: &V20Header, payload: &[u8], out: &mut Vec<u8>) -> Result<(), ParseError> {
    let over = ParseError::TooLong {
        what: "RMCP+ payload",
        extra: payload.len().saturating_sub(usize::from(u16::MAX)),
    };
    let length = u16::try_from(payload.len()).map_err(|_| over)?;
    out.reserve(4 + HEADER_LEN + payload.len());
    rmcp::emit_ipmi_header(out);
    header.emit(length, out);
    out.extend_from_slice(payload);
    Ok(())
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    /// An Open Session Request's header, cut to a payload of two bytes.
    const PLAIN: [u8; 18] = hex!("06 00 ff 07 06 10 00 00 00 00 00 00 00 00 02 00 aa bb");

    #[test]
    fn plain_packet_matches_golden_bytes() {
        let header = V20Header::sessionless(PayloadType::OPEN_SESSION_REQUEST);
        let packet = V20Packet::parse(&PLAIN[4..]).unwrap();
        assert_eq!(packet.header, header);
        assert_eq!(packet.payload, [0xaa, 0xbb]);
        let mut out = Vec::new();
        emit_plain(&header, &[0xaa, 0xbb], &mut out).unwrap();
        assert_eq!(out, PLAIN);
    }

    #[test]
    fn protected_packet_matches_golden_bytes() {
        let bytes = hex!("06 c0 78 56 34 12 05 00 00 00 02 00 aa bb ff ff ff 03");
        let packet = V20Packet::parse(&bytes).unwrap();
        let header = V20Header {
            payload_type: PayloadType::IPMI,
            protection: Protection::FULL,
            session_id: 0x1234_5678,
            sequence: 5,
        };
        assert_eq!(packet.header, header);
        assert_eq!(packet.trailer, hex!("ff ff ff 03"));
        let mut out = Vec::new();
        header.emit(2, &mut out);
        assert_eq!(out, bytes[..12]);
    }

    #[test]
    fn every_other_length_of_a_plain_packet_is_an_error() {
        let long = [&PLAIN[4..], &[0; 40]].concat();
        for end in (0..long.len()).filter(|&end| end != PLAIN.len() - 4) {
            assert!(V20Packet::parse(&long[..end]).is_err(), "{end} bytes");
        }
    }

    #[test]
    fn oem_explicit_payloads_are_refused() {
        let mut bytes = PLAIN;
        bytes[5] = 0x02;
        assert!(V20Packet::parse(&bytes[4..]).is_err());
    }
}
