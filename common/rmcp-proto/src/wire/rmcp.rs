//! RMCP: the four bytes before everything on the port (ASF v2.0 §3.2.2.2; IPMI v2.0 §13.1.3).

use super::{ParseError, nothing_left, take};

/// RMCP version 1.0.
const VERSION: u8 = 0x06;
/// The sequence number of a message that wants no acknowledge.
const NO_ACK: u8 = 0xff;
/// Bit 7 of the class byte: this is an acknowledge.
const ACK: u8 = 0x80;

/// Which protocol the message is of (class of message, bits 4:0).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// Alert Standard Format: presence ping and pong.
    Asf,
    /// IPMI.
    Ipmi,
    /// Defined by an OEM.
    Oem,
}

impl Class {
    const fn new(value: u8) -> Option<Self> {
        match value {
            0x06 => Some(Self::Asf),
            0x07 => Some(Self::Ipmi),
            0x08 => Some(Self::Oem),
            _ => None,
        }
    }

    const fn value(self) -> u8 {
        match self {
            Self::Asf => 0x06,
            Self::Ipmi => 0x07,
            Self::Oem => 0x08,
        }
    }
}

/// An RMCP message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RmcpMessage<'a> {
    /// A message; `sequence` is there if the sender wants an acknowledge.
    Data {
        /// 0 to FEh.
        sequence: Option<u8>,
        /// The class of `body`.
        class: Class,
        /// What follows the header.
        body: &'a [u8],
    },
    /// The acknowledge of a message.
    Ack {
        /// The message's sequence number.
        sequence: u8,
        /// The message's class.
        class: Class,
    },
}

impl<'a> RmcpMessage<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    ///
    /// [`ParseError`] for fewer than four bytes, another version, an unknown class, or an
    /// acknowledge with a body.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (&[version, _reserved, sequence, class], body) = take("RMCP header", bytes)?;
        if version != VERSION {
            return Err(ParseError::Unknown { what: "RMCP version", value: version.into() });
        }
        let unknown = ParseError::Unknown { what: "RMCP class", value: class.into() };
        if class & ACK != 0 {
            let class = Class::new(class & !ACK).ok_or(unknown)?;
            nothing_left("RMCP acknowledge", body)?;
            return Ok(Self::Ack { sequence, class });
        }
        let class = Class::new(class).ok_or(unknown)?;
        let sequence = (sequence != NO_ACK).then_some(sequence);
        Ok(Self::Data { sequence, class, body })
    }

    /// Appends the message to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Data { sequence, class, body } => {
                out.extend([VERSION, 0, sequence.unwrap_or(NO_ACK), class.value()]);
                out.extend_from_slice(body);
            }
            Self::Ack { sequence, class } => {
                out.extend([VERSION, 0, sequence, ACK | class.value()]);
            }
        }
    }
}

/// Appends the header of an IPMI message, which never asks for an acknowledge.
pub(crate) fn emit_ipmi_header(out: &mut Vec<u8>) {
    RmcpMessage::Data { sequence: None, class: Class::Ipmi, body: &[] }.emit(out);
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn messages_match_golden_bytes() {
        let cases: [(&[u8], RmcpMessage<'_>); 3] = [
            (
                &hex!("06 00 ff 07 aa"),
                RmcpMessage::Data { sequence: None, class: Class::Ipmi, body: &[0xaa] },
            ),
            (
                &hex!("06 00 05 06"),
                RmcpMessage::Data { sequence: Some(5), class: Class::Asf, body: &[] },
            ),
            (&hex!("06 00 05 86"), RmcpMessage::Ack { sequence: 5, class: Class::Asf }),
        ];
        for (bytes, message) in cases {
            assert_eq!(RmcpMessage::parse(bytes), Ok(message));
            let mut out = Vec::new();
            message.emit(&mut out);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn what_is_not_rmcp_is_refused() {
        let cases: [&[u8]; 6] = [
            &[],
            &hex!("06 00 ff"),
            &hex!("05 00 ff 07"),
            &hex!("06 00 ff 09"),
            &hex!("06 00 01 89"),
            &hex!("06 00 01 86 00"),
        ];
        for bytes in cases {
            assert!(RmcpMessage::parse(bytes).is_err(), "{bytes:02x?}");
        }
    }
}
