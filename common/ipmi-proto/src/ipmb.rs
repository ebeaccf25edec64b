//! The message frame of IPMB, and of IPMI over LAN (IPMI v2.0 §13.8, Table 13-8; IPMB v1.0 §2.11).
//!
//! Two addresses, network function and LUNs, a sequence number, the command, its data and two
//! checksums. On the wire a response swaps the addresses and LUNs of its request; here
//! [`IpmbHeader`] names them by role, so a response has its request's header unchanged.

use std::fmt;

use crate::{CompletionCode, Lun, NetFn, Request, Response};

/// An 8-bit slave address (bit 0 clear) or software id (bit 0 set).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct IpmbAddress(pub u8);

impl IpmbAddress {
    /// The BMC's slave address (IPMI v2.0 §5.4).
    pub const BMC: Self = Self(0x20);
    /// Remote console software (IPMI v2.0 §5.4, Table 5-4).
    pub const REMOTE_CONSOLE: Self = Self(0x81);
}

/// A requester's sequence number: six bits that pair a response with its request.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct IpmbSequence(u8);

impl IpmbSequence {
    /// The number whose six bits are `value`; `None` beyond 3Fh.
    #[must_use]
    pub const fn new(value: u8) -> Option<Self> {
        if value <= 0x3f { Some(Self(value)) } else { None }
    }

    /// The number itself, 0 to 3Fh.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }

    /// The number after this one, 0 after 3Fh.
    #[must_use]
    pub const fn next(self) -> Self {
        Self((self.0 + 1) & 0x3f)
    }

    const fn split(byte: u8) -> (Self, Lun) {
        (Self(byte >> 2), NetFn::split(byte).1)
    }

    const fn join(self, lun: Lun) -> u8 {
        self.0 << 2 | lun.value()
    }
}

/// Addresses, sequence and command: the same in a request and in its response.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct IpmbHeader {
    /// The responder (`rsAddr`/`rsSA`).
    pub responder: IpmbAddress,
    /// The responder's logical unit (`rsLUN`).
    pub responder_lun: Lun,
    /// The requester (`rqAddr`/`rqSA`).
    pub requester: IpmbAddress,
    /// The requester's logical unit (`rqLUN`).
    pub requester_lun: Lun,
    /// Pairs the response with the request (`rqSeq`).
    pub sequence: IpmbSequence,
    /// The network function as it travels: a request's, or a response's with bit 0 set.
    pub netfn: NetFn,
    /// The command number.
    pub command: u8,
}

impl IpmbHeader {
    /// The request of this header with `data`, without its frame.
    #[must_use]
    pub const fn request(&self, data: Vec<u8>) -> Request {
        Request { netfn: self.netfn, lun: self.responder_lun, command: self.command, data }
    }
}

/// Why bytes are no IPMB frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IpmbError {
    /// Fewer bytes than the smallest frame of its kind.
    #[error("frame of {have} bytes, where {need} is the least")]
    Truncated {
        /// Bytes needed.
        need: usize,
        /// Bytes present.
        have: usize,
    },
    /// The first checksum does not cover address and network function.
    #[error("header checksum does not match")]
    HeaderChecksum,
    /// The last byte is not the checksum of what follows the header.
    #[error("data checksum does not match")]
    DataChecksum,
}

/// Bytes around a request's data: header, two checksums.
const REQUEST_OVERHEAD: usize = 7;
/// Bytes around a response's data: one more, the completion code.
const RESPONSE_OVERHEAD: usize = 8;

/// A request frame.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct IpmbRequest<'a> {
    /// Addresses, network function, sequence, command.
    pub header: IpmbHeader,
    /// The bytes after the command.
    pub data: &'a [u8],
}

impl fmt::Debug for IpmbRequest<'_> {
    /// Without the data, which may hold a password or a key for a satellite.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IpmbRequest")
            .field("header", &self.header)
            .field("data", &format_args!("{} bytes", self.data.len()))
            .finish()
    }
}

impl<'a> IpmbRequest<'a> {
    /// Reads a request frame, checksums included.
    ///
    /// # Errors
    ///
    /// [`IpmbError`] for fewer than 7 bytes or a checksum that does not match.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, IpmbError> {
        let frame = Frame::parse(bytes, REQUEST_OVERHEAD)?;
        let (netfn, responder_lun) = NetFn::split(frame.netfn_lun);
        let (sequence, requester_lun) = IpmbSequence::split(frame.seq_lun);
        let header = IpmbHeader {
            responder: IpmbAddress(frame.to),
            responder_lun,
            requester: IpmbAddress(frame.from),
            requester_lun,
            sequence,
            netfn,
            command: frame.command,
        };
        Ok(Self { header, data: frame.body })
    }

    /// Appends the frame to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let h = &self.header;
        emit_head(out, h.responder.0, h.netfn.join(h.responder_lun));
        let start = out.len();
        out.extend([h.requester.0, h.sequence.join(h.requester_lun), h.command]);
        out.extend_from_slice(self.data);
        emit_tail(out, start);
    }

    /// The request without its frame, as bridges hand it on.
    #[must_use]
    pub fn to_request(&self) -> Request {
        self.header.request(self.data.to_vec())
    }
}

/// A response frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IpmbResponse<'a> {
    /// The request's header, its network function with bit 0 set.
    pub header: IpmbHeader,
    /// How the request ended.
    pub completion: CompletionCode,
    /// The bytes after the completion code.
    pub data: &'a [u8],
}

impl<'a> IpmbResponse<'a> {
    /// The frame of `response` to `request`.
    #[must_use]
    pub fn answering(request: &IpmbHeader, response: &'a Response) -> Self {
        Self {
            header: IpmbHeader { netfn: request.netfn.response(), ..*request },
            completion: response.completion,
            data: &response.data,
        }
    }

    /// Reads a response frame, checksums included.
    ///
    /// # Errors
    ///
    /// [`IpmbError`] for fewer than 8 bytes or a checksum that does not match.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, IpmbError> {
        let truncated = IpmbError::Truncated { need: RESPONSE_OVERHEAD, have: bytes.len() };
        let frame = Frame::parse(bytes, RESPONSE_OVERHEAD)?;
        let (netfn, requester_lun) = NetFn::split(frame.netfn_lun);
        let (sequence, responder_lun) = IpmbSequence::split(frame.seq_lun);
        let (&completion, data) = frame.body.split_first().ok_or(truncated)?;
        let header = IpmbHeader {
            responder: IpmbAddress(frame.from),
            responder_lun,
            requester: IpmbAddress(frame.to),
            requester_lun,
            sequence,
            netfn,
            command: frame.command,
        };
        Ok(Self { header, completion: CompletionCode(completion), data })
    }

    /// Appends the frame to `out`.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let h = &self.header;
        emit_head(out, h.requester.0, h.netfn.join(h.requester_lun));
        let start = out.len();
        let seq_lun = h.sequence.join(h.responder_lun);
        out.extend([h.responder.0, seq_lun, h.command, self.completion.0]);
        out.extend_from_slice(self.data);
        emit_tail(out, start);
    }
}

/// The frame's fields by position.
struct Frame<'a> {
    to: u8,
    netfn_lun: u8,
    from: u8,
    seq_lun: u8,
    command: u8,
    body: &'a [u8],
}

impl<'a> Frame<'a> {
    fn parse(bytes: &'a [u8], need: usize) -> Result<Self, IpmbError> {
        let truncated = IpmbError::Truncated { need, have: bytes.len() };
        if bytes.len() < need {
            return Err(truncated);
        }
        let (&[to, netfn_lun, check], rest) = bytes.split_first_chunk().ok_or(truncated)?;
        if checksum(&[to, netfn_lun]) != check {
            return Err(IpmbError::HeaderChecksum);
        }
        let (&check, covered) = rest.split_last().ok_or(truncated)?;
        if checksum(covered) != check {
            return Err(IpmbError::DataChecksum);
        }
        let (&[from, seq_lun, command], body) = covered.split_first_chunk().ok_or(truncated)?;
        Ok(Self { to, netfn_lun, from, seq_lun, command, body })
    }
}

fn emit_head(out: &mut Vec<u8>, to: u8, netfn_lun: u8) {
    out.extend([to, netfn_lun, checksum(&[to, netfn_lun])]);
}

fn emit_tail(out: &mut Vec<u8>, start: usize) {
    let check = checksum(out.get(start..).unwrap_or_default());
    out.push(check);
}

/// Two's complement of the sum: bytes and checksum together add up to zero.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, &byte| sum.wrapping_sub(byte))
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;

    fn header(netfn: NetFn) -> IpmbHeader {
        IpmbHeader {
            responder: IpmbAddress::BMC,
            responder_lun: Lun::BMC,
            requester: IpmbAddress::REMOTE_CONSOLE,
            requester_lun: Lun::BMC,
            sequence: IpmbSequence(4),
            netfn,
            command: 0x38,
        }
    }

    /// Get Channel Authentication Capabilities as ipmitool 1.8.19 asks for it, sequence moved to 4.
    const REQUEST: [u8; 9] = hex!("20 18 c8 81 10 38 8e 04 a5");
    const RESPONSE: [u8; 16] = hex!("81 1c 63 20 10 38 00 01 80 02 03 00 00 00 00 12");

    #[test]
    fn request_matches_golden_bytes() {
        let request = IpmbRequest { header: header(NetFn::APP), data: &[0x8e, 0x04] };
        assert_eq!(IpmbRequest::parse(&REQUEST), Ok(request));
        let mut out = Vec::new();
        request.emit(&mut out);
        assert_eq!(out, REQUEST);
    }

    #[test]
    fn response_matches_golden_bytes_and_keeps_its_requests_header() {
        let response = Response {
            netfn: NetFn::APP.response(),
            lun: Lun::BMC,
            command: 0x38,
            completion: CompletionCode::OK,
            data: hex!("01 80 02 03 00 00 00 00").to_vec(),
        };
        let frame = IpmbResponse::answering(&header(NetFn::APP), &response);
        let mut out = Vec::new();
        frame.emit(&mut out);
        assert_eq!(out, RESPONSE);
        assert_eq!(IpmbResponse::parse(&RESPONSE), Ok(frame));
    }

    #[test]
    fn luns_follow_their_address_through_a_response() {
        let lun = |value| Lun::new(value).unwrap();
        let header = IpmbHeader {
            responder_lun: lun(1),
            requester_lun: lun(2),
            ..header(NetFn::APP.response())
        };
        let frame = IpmbResponse { header, completion: CompletionCode::BUSY, data: &[] };
        let mut out = Vec::new();
        frame.emit(&mut out);
        assert_eq!(out[1], 0x1e);
        assert_eq!(out[4], 0x11);
        assert_eq!(IpmbResponse::parse(&out), Ok(frame));
    }

    #[test]
    fn every_cut_is_an_error() {
        for end in 0..REQUEST.len() {
            assert!(IpmbRequest::parse(&REQUEST[..end]).is_err(), "request cut at {end}");
        }
        for end in 0..RESPONSE.len() {
            assert!(IpmbResponse::parse(&RESPONSE[..end]).is_err(), "response cut at {end}");
        }
    }

    #[test]
    fn every_flipped_bit_is_a_checksum_error() {
        for bit in 0..REQUEST.len() * 8 {
            let mut bytes = REQUEST;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let wanted = if bit < 24 { IpmbError::HeaderChecksum } else { IpmbError::DataChecksum };
            assert_eq!(IpmbRequest::parse(&bytes), Err(wanted), "bit {bit}");
        }
    }

    #[test]
    fn sequence_numbers_wrap_at_six_bits() {
        assert_eq!(IpmbSequence::new(0x3f).map(IpmbSequence::next), IpmbSequence::new(0));
        assert_eq!(IpmbSequence::new(0x40), None);
    }

    proptest! {
        #[test]
        fn what_parses_is_emitted_the_same(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut framed = bytes.clone();
            if framed.len() >= 7 {
                framed[2] = checksum(&framed[..2]);
                let last = framed.len() - 1;
                framed[last] = checksum(&framed[3..last]);
            }
            for bytes in [bytes, framed] {
                let mut out = Vec::new();
                if let Ok(request) = IpmbRequest::parse(&bytes) {
                    request.emit(&mut out);
                    prop_assert_eq!(&out, &bytes);
                }
                out.clear();
                if let Ok(response) = IpmbResponse::parse(&bytes) {
                    response.emit(&mut out);
                    prop_assert_eq!(&out, &bytes);
                }
            }
        }
    }
}
