//! The IPMI 1.5 session header (IPMI v2.0 §13.6, Table 13-8).

use super::{ParseError, nothing_left, rmcp, take};

/// How a 1.5 packet is authenticated (IPMI v2.0 §13.6, "authentication type").
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AuthType {
    /// Not at all.
    None,
    /// Keyed MD2.
    Md2,
    /// Keyed MD5.
    Md5,
    /// The password itself.
    Password,
}

impl AuthType {
    /// The type that `value` stands for; `None` for reserved and OEM ones and for RMCP+ (06h).
    #[must_use]
    pub const fn new(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::None),
            1 => Some(Self::Md2),
            2 => Some(Self::Md5),
            4 => Some(Self::Password),
            _ => None,
        }
    }

    /// The type that the configuration calls so: `none`, `md2`, `md5`, `password`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "md2" => Some(Self::Md2),
            "md5" => Some(Self::Md5),
            "password" => Some(Self::Password),
            _ => None,
        }
    }

    /// The number on the wire; also its bit in Get Channel Authentication Capabilities.
    #[must_use]
    pub const fn value(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Md2 => 1,
            Self::Md5 => 2,
            Self::Password => 4,
        }
    }
}

/// The auth code of a packet whose type is not none.
pub type AuthCode = [u8; 16];

/// A packet in IPMI 1.5 format, from the authentication type on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct V15Packet<'a> {
    /// How it is authenticated.
    pub auth: AuthType,
    /// Present for every type but none.
    pub code: Option<AuthCode>,
    /// Session sequence number, 0 outside a session.
    pub sequence: u32,
    /// 0 outside a session.
    pub session_id: u32,
    /// The IPMI message.
    pub message: &'a [u8],
}

impl<'a> V15Packet<'a> {
    /// Reads the body of an RMCP message of class IPMI.
    ///
    /// # Errors
    ///
    /// [`ParseError`] for an unknown authentication type or a length that does not fit. One pad byte
    /// is accepted where the format asks for it.
    pub fn parse(body: &'a [u8]) -> Result<Self, ParseError> {
        const WHAT: &str = "IPMI 1.5 session header";
        let (&[auth], rest) = take(WHAT, body)?;
        let auth = AuthType::new(auth)
            .ok_or(ParseError::Unknown { what: "authentication type", value: auth.into() })?;
        let (&sequence, rest) = take(WHAT, rest)?;
        let (&session_id, rest) = take(WHAT, rest)?;
        let (code, rest) = match auth {
            AuthType::None => (None, rest),
            _ => {
                let (&code, rest) = take(WHAT, rest)?;
                (Some(code), rest)
            }
        };
        let (&[length], rest) = take(WHAT, rest)?;
        let need = usize::from(length);
        let (message, pad) =
            rest.split_at_checked(need).ok_or(super::truncated("IPMI 1.5 payload", need, rest))?;
        if !(pad.len() == 1 && needs_pad(body.len() - 1)) {
            nothing_left("IPMI 1.5 payload", pad)?;
        }
        let sequence = u32::from_le_bytes(sequence);
        Ok(Self { auth, code, sequence, session_id: u32::from_le_bytes(session_id), message })
    }

    /// Appends the whole datagram, RMCP header included, to `out`. Without the legacy pad, which a sender may
    /// add and need not (IPMI v2.0 §13.6): there are consoles that expect none.
    ///
    /// # Errors
    ///
    /// [`ParseError::TooLong`] for a message beyond 255 bytes, which the length byte cannot say.
    pub fn emit_datagram(&self, out: &mut Vec<u8>) -> Result<(), ParseError> {
        let over = ParseError::TooLong {
            what: "IPMI 1.5 payload",
            extra: self.message.len().saturating_sub(usize::from(u8::MAX)),
        };
        let length = u8::try_from(self.message.len()).map_err(|_| over)?;
        rmcp::emit_ipmi_header(out);
        out.push(self.auth.value());
        out.extend(self.sequence.to_le_bytes());
        out.extend(self.session_id.to_le_bytes());
        if self.auth != AuthType::None {
            out.extend(self.code.unwrap_or_default());
        }
        out.push(length);
        out.extend_from_slice(self.message);
        Ok(())
    }
}

const RMCP_HEADER: usize = 4;

/// Whether a datagram whose session part is `length` bytes has a pad byte, so that its length
/// avoids what some early network controllers could not pass (IPMI v2.0 §13.6, "legacy pad").
const fn needs_pad(length: usize) -> bool {
    matches!(length + RMCP_HEADER, 56 | 84 | 112 | 128 | 156)
}

/// The session header of a request outside a session: all zero, no auth code.
pub(crate) fn emit_sessionless(message: &[u8], out: &mut Vec<u8>) -> Result<(), ParseError> {
    V15Packet { auth: AuthType::None, code: None, sequence: 0, session_id: 0, message }
        .emit_datagram(out)
}

/// Whether the body's first byte says that it is in RMCP+ format.
pub(crate) fn is_rmcp_plus(body: &[u8]) -> bool {
    body.first() == Some(&super::v20::AUTH_TYPE)
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    /// Get Channel Authentication Capabilities as ipmitool 1.8.19 sends it first.
    const SESSIONLESS: [u8; 23] =
        hex!("06 00 ff 07 00 00 00 00 00 00 00 00 00 09 20 18 c8 81 00 38 8e 04 b5");
    const AUTHENTICATED: [u8; 33] = hex!(
        "06 00 ff 07 02 01 00 00 00 78 56 34 12 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f"
        "03 aa bb cc"
    );

    #[test]
    fn packets_match_golden_bytes() {
        let sessionless = V15Packet {
            auth: AuthType::None,
            code: None,
            sequence: 0,
            session_id: 0,
            message: &hex!("20 18 c8 81 00 38 8e 04 b5"),
        };
        let authenticated = V15Packet {
            auth: AuthType::Md5,
            code: Some(hex!("00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f")),
            sequence: 1,
            session_id: 0x1234_5678,
            message: &[0xaa, 0xbb, 0xcc],
        };
        let cases: [(&[u8], V15Packet<'_>); 2] =
            [(&SESSIONLESS, sessionless), (&AUTHENTICATED, authenticated)];
        for (bytes, packet) in cases {
            assert_eq!(V15Packet::parse(&bytes[4..]), Ok(packet));
            let mut out = Vec::new();
            packet.emit_datagram(&mut out).unwrap();
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn every_other_length_is_an_error() {
        for bytes in [&SESSIONLESS[4..], &AUTHENTICATED[4..]] {
            let long = [bytes, &[0; 40]].concat();
            for end in (0..long.len()).filter(|&end| end != bytes.len()) {
                assert!(V15Packet::parse(&long[..end]).is_err(), "{end} bytes");
            }
        }
    }

    #[test]
    fn legacy_pad_is_accepted_where_it_may_be_and_never_sent() {
        for length in 0..=255usize {
            let message = vec![0x55; length];
            let mut out = Vec::new();
            emit_sessionless(&message, &mut out).unwrap();
            assert_eq!(out.len(), 4 + 10 + length);
            assert_eq!(V15Packet::parse(&out[4..]).map(|p| p.message), Ok(&message[..]));
            let may_be_padded = matches!(out.len(), 56 | 84 | 112 | 128 | 156);
            out.push(0);
            let padded = V15Packet::parse(&out[4..]).map(|p| p.message);
            assert_eq!(padded.is_ok(), may_be_padded, "{length}");
            assert!(padded.is_err() || padded == Ok(&message[..]));
        }
        assert!(emit_sessionless(&[0; 256], &mut Vec::new()).is_err());
    }

    #[test]
    fn reserved_types_are_refused() {
        for auth in [3, 5, 6, 7, 255] {
            let mut bytes = SESSIONLESS;
            bytes[4] = auth;
            assert!(V15Packet::parse(&bytes[4..]).is_err());
        }
        assert!(is_rmcp_plus(&[6]) && !is_rmcp_plus(&[0]) && !is_rmcp_plus(&[]));
    }
}
