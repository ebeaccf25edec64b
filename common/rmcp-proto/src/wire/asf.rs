//! ASF presence ping and pong (ASF v2.0 §3.2.4.2-3; IPMI v2.0 §13.2.3-4).

use super::{ParseError, exactly, take};

/// The ASF consortium's enterprise number, most significant byte first as all of ASF.
const ASF_IANA: [u8; 4] = 4542u32.to_be_bytes();
/// The DCMI forum's.
const DCMI_IANA: [u8; 4] = 36_465u32.to_be_bytes();
const PING: u8 = 0x80;
const PONG: u8 = 0x40;
/// Length of a pong's data.
const PONG_DATA: u8 = 0x10;
/// Supported entities: IPMI, ASF version 1.0.
const IPMI_AND_ASF_1_0: u8 = 0x81;

/// Presence ping.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PresencePing {
    /// Pairs the pong with the ping.
    pub tag: u8,
}

impl PresencePing {
    /// Reads the body of an RMCP message of class ASF.
    ///
    /// # Errors
    ///
    /// [`ParseError`] for a message that is not a presence ping, cut short or over-long.
    pub fn parse(body: &[u8]) -> Result<Self, ParseError> {
        let (&iana, rest) = take("ASF header", body)?;
        if iana != ASF_IANA {
            let value = u32::from_be_bytes(iana);
            return Err(ParseError::Unknown { what: "ASF enterprise number", value });
        }
        match *exactly("ASF presence ping", rest)? {
            [PING, tag, _reserved, 0] => Ok(Self { tag }),
            [PING, _, _, length] => {
                Err(ParseError::TooLong { what: "ASF presence ping", extra: length.into() })
            }
            [kind, ..] => Err(ParseError::Unknown { what: "ASF message type", value: kind.into() }),
        }
    }

    /// Appends the ping to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend(ASF_IANA);
        out.extend([PING, self.tag, 0, 0]);
    }
}

/// Presence pong of an IPMI BMC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PresencePong {
    /// The ping's tag.
    pub tag: u8,
    /// Whether it supports DCMI, which it says by the enterprise number in its data (DCMI v1.5 §3.1).
    pub dcmi: bool,
}

impl PresencePong {
    /// Reads the body of an RMCP message of class ASF.
    ///
    /// # Errors
    ///
    /// [`ParseError`] for a message that is not a pong of an IPMI device.
    pub fn parse(body: &[u8]) -> Result<Self, ParseError> {
        let bytes: &[u8; 24] = exactly("ASF presence pong", body)?;
        let &[_, _, _, _, _, tag, ..] = bytes;
        let is_this = |pong: &Self| {
            let mut wanted = Vec::with_capacity(bytes.len());
            pong.emit(&mut wanted);
            wanted == bytes
        };
        let known = [true, false].map(|dcmi| Self { tag, dcmi }).into_iter().find(is_this);
        known.ok_or(ParseError::Unknown { what: "ASF presence pong", value: tag.into() })
    }

    /// Appends the pong to `out`: nothing of an OEM, IPMI supported, no security extensions.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend(ASF_IANA);
        out.extend([PONG, self.tag, 0, PONG_DATA]);
        out.extend(if self.dcmi { DCMI_IANA } else { ASF_IANA });
        out.extend([0; 4]);
        out.extend([IPMI_AND_ASF_1_0, 0]);
        out.extend([0; 6]);
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    const PING_BYTES: [u8; 8] = hex!("00 00 11 be 80 07 00 00");
    const PONG_BYTES: [u8; 24] =
        hex!("00 00 11 be 40 07 00 10 00 00 11 be 00 00 00 00 81 00 00 00 00 00 00 00");
    const DCMI_PONG_BYTES: [u8; 24] =
        hex!("00 00 11 be 40 07 00 10 00 00 8e 71 00 00 00 00 81 00 00 00 00 00 00 00");

    #[test]
    fn ping_and_pong_match_golden_bytes() {
        let mut out = Vec::new();
        assert_eq!(PresencePing::parse(&PING_BYTES), Ok(PresencePing { tag: 7 }));
        PresencePing { tag: 7 }.emit(&mut out);
        assert_eq!(out, PING_BYTES);
        for (bytes, dcmi) in [(PONG_BYTES, false), (DCMI_PONG_BYTES, true)] {
            out.clear();
            assert_eq!(PresencePong::parse(&bytes), Ok(PresencePong { tag: 7, dcmi }));
            PresencePong { tag: 7, dcmi }.emit(&mut out);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn every_other_length_is_an_error() {
        let long = [&PONG_BYTES[..], &[0; 8]].concat();
        for end in (0..long.len()).filter(|&end| end != PONG_BYTES.len()) {
            assert!(PresencePong::parse(&long[..end]).is_err(), "pong of {end} bytes");
        }
        let long = [&PING_BYTES[..], &[0; 8]].concat();
        for end in (0..long.len()).filter(|&end| end != PING_BYTES.len()) {
            assert!(PresencePing::parse(&long[..end]).is_err(), "ping of {end} bytes");
        }
    }

    #[test]
    fn a_pong_is_no_ping() {
        assert!(PresencePing::parse(&PONG_BYTES).is_err());
        assert!(PresencePing::parse(&hex!("00 00 11 be 80 07 00 01")).is_err());
        assert!(PresencePing::parse(&hex!("00 00 11 bf 80 07 00 00")).is_err());
    }
}
