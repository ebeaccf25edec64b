//! RMCP+ Open Session Request and Response (IPMI v2.0 §13.17-18, Tables 13-9 and 13-10).

use super::{ParseError, StatusCode, exactly, take};
use crate::suite::Algorithms;

/// What a console proposes for one algorithm.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Proposal {
    /// A null payload: the BMC may choose.
    Any,
    /// This algorithm.
    Algorithm(u8),
}

impl Proposal {
    /// Whether `algorithm` satisfies the proposal.
    #[must_use]
    pub const fn admits(self, algorithm: u8) -> bool {
        match self {
            Self::Any => true,
            Self::Algorithm(wanted) => wanted == algorithm,
        }
    }
}

/// The three algorithm payloads of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Proposals {
    /// Authentication (payload type 00h).
    pub authentication: Proposal,
    /// Integrity (payload type 01h).
    pub integrity: Proposal,
    /// Confidentiality (payload type 02h).
    pub confidentiality: Proposal,
}

impl From<Algorithms> for Proposals {
    fn from(algorithms: Algorithms) -> Self {
        Self {
            authentication: Proposal::Algorithm(algorithms.authentication.value()),
            integrity: Proposal::Algorithm(algorithms.integrity.value()),
            confidentiality: Proposal::Algorithm(algorithms.confidentiality.value()),
        }
    }
}

/// A console asks for a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OpenSessionRequest {
    /// Echoed by the response.
    pub tag: u8,
    /// Maximum privilege, bits 3:0; 0 asks for the highest that the suite allows.
    pub role: u8,
    /// The console's session id.
    pub console_id: u32,
    /// The algorithms it proposes.
    pub proposals: Proposals,
}

/// Payload types of the algorithm records.
const AUTHENTICATION: u8 = 0x00;
const INTEGRITY: u8 = 0x01;
const CONFIDENTIALITY: u8 = 0x02;
/// Length of an algorithm record.
const RECORD_LEN: u8 = 8;

impl OpenSessionRequest {
    /// Reads the payload of an Open Session Request.
    ///
    /// # Errors
    ///
    /// [`ParseError`] for another length than 32 bytes, records out of order, or a record length
    /// that is neither 0 nor 8.
    pub fn parse(payload: &[u8]) -> Result<Self, ParseError> {
        let bytes: &[u8; 32] = exactly("Open Session Request", payload)?;
        let (&[tag, role, _, _, a, b, c, d], records) = take("Open Session Request", bytes)?;
        let (authentication, records) = take::<8>("authentication payload", records)?;
        let (integrity, records) = take::<8>("integrity payload", records)?;
        let confidentiality = exactly::<8>("confidentiality payload", records)?;
        Ok(Self {
            tag,
            role: role & 0x0f,
            console_id: u32::from_le_bytes([a, b, c, d]),
            proposals: Proposals {
                authentication: proposal(AUTHENTICATION, authentication)?,
                integrity: proposal(INTEGRITY, integrity)?,
                confidentiality: proposal(CONFIDENTIALITY, confidentiality)?,
            },
        })
    }

    /// Appends the payload to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend([self.tag, self.role, 0, 0]);
        out.extend(self.console_id.to_le_bytes());
        emit_proposal(AUTHENTICATION, self.proposals.authentication, out);
        emit_proposal(INTEGRITY, self.proposals.integrity, out);
        emit_proposal(CONFIDENTIALITY, self.proposals.confidentiality, out);
    }
}

fn proposal(kind: u8, record: &[u8; 8]) -> Result<Proposal, ParseError> {
    match *record {
        [got, ..] if got != kind => {
            Err(ParseError::Unknown { what: "algorithm payload type", value: got.into() })
        }
        [_, _, _, 0, ..] => Ok(Proposal::Any),
        [_, _, _, RECORD_LEN, algorithm, ..] => Ok(Proposal::Algorithm(algorithm & 0x3f)),
        [_, _, _, length, ..] => {
            Err(ParseError::Unknown { what: "algorithm payload length", value: length.into() })
        }
    }
}

fn emit_proposal(kind: u8, proposal: Proposal, out: &mut Vec<u8>) {
    let (length, algorithm) = match proposal {
        Proposal::Any => (0, 0),
        Proposal::Algorithm(algorithm) => (RECORD_LEN, algorithm),
    };
    out.extend([kind, 0, 0, length, algorithm, 0, 0, 0]);
}

/// The BMC's answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OpenSessionResponse {
    /// The session may go on to RAKP 1.
    Accepted {
        /// The request's tag.
        tag: u8,
        /// Maximum privilege granted; never 0.
        role: u8,
        /// The console's session id.
        console_id: u32,
        /// The BMC's session id.
        managed_id: u32,
        /// The suite chosen.
        algorithms: Algorithms,
    },
    /// It may not.
    Refused {
        /// The request's tag.
        tag: u8,
        /// Why not.
        status: StatusCode,
        /// The console's session id.
        console_id: u32,
    },
}

impl OpenSessionResponse {
    /// Reads the payload of an Open Session Response.
    ///
    /// # Errors
    ///
    /// [`ParseError`] for a wrong length or algorithms that are not known.
    pub fn parse(payload: &[u8]) -> Result<Self, ParseError> {
        const WHAT: &str = "Open Session Response";
        let (&[tag, status, role, _, a, b, c, d], rest) = take(WHAT, payload)?;
        let console_id = u32::from_le_bytes([a, b, c, d]);
        let status = StatusCode(status);
        if !status.is_ok() {
            return Ok(Self::Refused { tag, status, console_id });
        }
        let (&managed_id, records) = take(WHAT, rest)?;
        let records: &[u8; 24] = exactly(WHAT, records)?;
        let &[
            _,
            _,
            _,
            _,
            authentication,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            integrity,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            c,
            ..,
        ] = records;
        let unknown = ParseError::Unknown { what: "algorithm", value: authentication.into() };
        let algorithms = Algorithms::new(authentication, integrity, c).ok_or(unknown)?;
        let managed_id = u32::from_le_bytes(managed_id);
        Ok(Self::Accepted { tag, role, console_id, managed_id, algorithms })
    }

    /// Appends the payload to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Accepted { tag, role, console_id, managed_id, algorithms } => {
                out.extend([tag, StatusCode::OK.0, role, 0]);
                out.extend(console_id.to_le_bytes());
                out.extend(managed_id.to_le_bytes());
                let chosen = Proposals::from(algorithms);
                emit_proposal(AUTHENTICATION, chosen.authentication, out);
                emit_proposal(INTEGRITY, chosen.integrity, out);
                emit_proposal(CONFIDENTIALITY, chosen.confidentiality, out);
            }
            Self::Refused { tag, status, console_id } => {
                out.extend([tag, status.0, 0, 0]);
                out.extend(console_id.to_le_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::suite::CipherSuite;

    /// ipmitool 1.8.19 with `-C 17`, role 0.
    const REQUEST: [u8; 32] = hex!(
        "00 00 00 00 a4 a3 a2 a0"
        "00 00 00 08 03 00 00 00 01 00 00 08 04 00 00 00 02 00 00 08 01 00 00 00"
    );
    const RESPONSE: [u8; 36] = hex!(
        "00 00 04 00 a4 a3 a2 a0 78 56 34 12"
        "00 00 00 08 03 00 00 00 01 00 00 08 04 00 00 00 02 00 00 08 01 00 00 00"
    );
    const REFUSAL: [u8; 8] = hex!("07 11 00 00 a4 a3 a2 a0");

    fn suite_17() -> Algorithms {
        CipherSuite::from_id(17).unwrap().algorithms()
    }

    #[test]
    fn messages_match_golden_bytes() {
        let request = OpenSessionRequest {
            tag: 0,
            role: 0,
            console_id: 0xa0a2_a3a4,
            proposals: suite_17().into(),
        };
        assert_eq!(OpenSessionRequest::parse(&REQUEST), Ok(request));
        let mut out = Vec::new();
        request.emit(&mut out);
        assert_eq!(out, REQUEST);

        let accepted = OpenSessionResponse::Accepted {
            tag: 0,
            role: 4,
            console_id: 0xa0a2_a3a4,
            managed_id: 0x1234_5678,
            algorithms: suite_17(),
        };
        let refused = OpenSessionResponse::Refused {
            tag: 7,
            status: StatusCode::NO_CIPHER_SUITE,
            console_id: 0xa0a2_a3a4,
        };
        for (bytes, response) in [(&RESPONSE[..], accepted), (&REFUSAL[..], refused)] {
            assert_eq!(OpenSessionResponse::parse(bytes), Ok(response));
            let mut out = Vec::new();
            response.emit(&mut out);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn null_algorithm_payload_leaves_the_choice_to_the_bmc() {
        let mut bytes = REQUEST;
        bytes[11] = 0;
        let request = OpenSessionRequest::parse(&bytes).unwrap();
        assert_eq!(request.proposals.authentication, Proposal::Any);
        assert!(request.proposals.authentication.admits(3));
        assert!(!request.proposals.integrity.admits(3));
    }

    #[test]
    fn every_other_length_is_an_error() {
        let long = [&REQUEST[..], &[0; 16]].concat();
        for end in (0..long.len()).filter(|&end| end != REQUEST.len()) {
            assert!(OpenSessionRequest::parse(&long[..end]).is_err(), "request of {end} bytes");
        }
        let long = [&RESPONSE[..], &[0; 16]].concat();
        for end in (0..long.len()).filter(|&end| end != RESPONSE.len()) {
            assert!(OpenSessionResponse::parse(&long[..end]).is_err(), "response of {end} bytes");
        }
    }

    #[test]
    fn records_out_of_order_or_of_odd_length_are_errors() {
        for (offset, value) in [(8, 1), (16, 0), (24, 1), (11, 7), (19, 9)] {
            let mut bytes = REQUEST;
            bytes[offset] = value;
            assert!(OpenSessionRequest::parse(&bytes).is_err(), "{value} at {offset}");
        }
    }
}
