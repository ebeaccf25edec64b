//! A capture that Wireshark reads: pcap (draft-ietf-opsawg-pcap) with the link type IPMI_HPM_2, whose packets are
//! trace data blocks of PICMG HPM.2.
//!
//! Messages of an IPMB are frames of it. All others are messages of a KCS interface, the only other form that has a
//! dissector; those of a LAN have been decrypted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ipmi_proto::ipmb::{IpmbAddress, IpmbHeader, IpmbRequest, IpmbResponse, IpmbSequence};
use ipmi_proto::{CompletionCode, Lun, NetFn, Response};
use openbmc_dbus::recorder::{Exchange, Origin};

use crate::error::Error;
use crate::record;

/// `LINKTYPE_IPMI_HPM_2` of the pcap registry.
const LINKTYPE: u32 = 260;
const SNAP_LENGTH: u32 = 65_535;

/// Messages are for administrators.
const MODE: u32 = 0o600;

/// Data types of a block: channel protocols (IPMI v2.0 Table 6-2).
const IPMB: u8 = 0x01;
const KCS: u8 = 0x05;

/// Bit of a block's protocol data: to the controller.
const TO_BMC: u16 = 0x0080;

/// A capture file.
pub(super) struct Capture {
    file: File,
    path: PathBuf,
}

impl Capture {
    /// Starts a file of exchanges anew.
    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        let mut capture = Self::open(path)?;
        capture.add(&file_header())?;
        Ok(capture)
    }

    /// Starts a file anew, without a header.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(MODE).open(path);
        let file = file.map_err(|error| failed(path, &error))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Adds request and response of an exchange. One that is no message of IPMI is left out.
    pub(super) fn write(&mut self, exchange: &Exchange) -> Result<(), Error> {
        let bytes = packets(exchange);
        self.add(&bytes)
    }

    /// Adds bytes as they are.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|error| failed(&self.path, &error))
    }
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::failed(format_args!("{}: {error}", path.display()))
}

fn file_header() -> Vec<u8> {
    let mut out = Vec::with_capacity(24);
    out.extend(0xa1b2_c3d4_u32.to_le_bytes());
    out.extend(2_u16.to_le_bytes());
    out.extend(4_u16.to_le_bytes());
    out.extend([0; 8]);
    out.extend(SNAP_LENGTH.to_le_bytes());
    out.extend(LINKTYPE.to_le_bytes());
    out
}

/// The packets of an exchange.
fn packets(exchange: &Exchange) -> Vec<u8> {
    let frames = frames(exchange).map(|(request, response)| (IPMB, request, response));
    let messages =
        || record::messages(exchange).map(|(request, response)| (KCS, request, response));
    let Some((form, request, response)) = frames.or_else(messages) else { return Vec::new() };
    let missing = |length: u32, data: &[u8]| {
        length.saturating_sub(u32::try_from(data.len()).unwrap_or(u32::MAX))
    };
    let (there, back) = match exchange.origin.kind {
        Origin::BMC => (0, TO_BMC),
        _ => (TO_BMC, 0),
    };
    let head = Packet {
        channel: exchange.number,
        form,
        time: exchange.wall,
        direction: there,
        missing: missing(exchange.request_length, &exchange.request),
    };
    let mut out = head.emit(&request);
    if let Some(response) = response {
        let missing = missing(exchange.response_length, &exchange.response);
        let time = exchange.wall.saturating_add(exchange.duration);
        out.extend(Packet { time, direction: back, missing, ..head }.emit(&response));
    }
    out
}

/// Address of all controllers (IPMB v1.0 §2.4).
const BROADCAST: IpmbAddress = IpmbAddress(0x00);

/// Request and response as frames of an IPMB; `None` for others, and where bytes are missing that a checksum covers.
fn frames(exchange: &Exchange) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let is_whole = |length: u32, data: &[u8]| u32::try_from(data.len()) == Ok(length);
    let satellite = IpmbAddress(exchange.origin.address);
    let (requester, responder) = match exchange.origin.kind {
        Origin::SATELLITE if exchange.state == Exchange::BROADCAST => (satellite, BROADCAST),
        Origin::SATELLITE => (satellite, IpmbAddress::BMC),
        Origin::BMC => (IpmbAddress::BMC, satellite),
        _ => return None,
    };
    if !is_whole(exchange.request_length, &exchange.request)
        || !is_whole(exchange.response_length, &exchange.response)
    {
        return None;
    }
    let header = IpmbHeader {
        responder,
        responder_lun: Lun::new(exchange.lun)?,
        requester,
        requester_lun: Lun::BMC,
        sequence: IpmbSequence::new(u8::try_from(exchange.serial & 0x3f).ok()?)?,
        netfn: NetFn::new(exchange.netfn)?,
        command: exchange.command,
    };
    let (mut request, mut response) = (Vec::new(), Vec::new());
    let asked = IpmbRequest { header, data: &exchange.request };
    asked.emit(&mut request);
    // A satellite that did not answer has sent nothing.
    let is_silent = exchange.origin.kind == Origin::BMC && exchange.state == Exchange::MISSED;
    if !exchange.has_response() || is_silent {
        return Some((request, None));
    }
    let completion = CompletionCode(exchange.completion);
    let answer = Response::to(&asked.to_request(), completion, exchange.response.clone());
    IpmbResponse::answering(&header, &answer).emit(&mut response);
    Some((request, Some(response)))
}

/// What a packet has before its message.
#[derive(Clone, Copy)]
struct Packet {
    channel: u8,
    form: u8,
    /// Microseconds since 1970.
    time: u64,
    direction: u16,
    /// Bytes of the message that were not recorded.
    missing: u32,
}

impl Packet {
    fn emit(&self, message: &[u8]) -> Vec<u8> {
        let (seconds, micros) = (self.time / 1_000_000, self.time % 1_000_000);
        // The field holds 32 bits until 2106.
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        let micros = u32::try_from(micros).unwrap_or_default();
        let millis = u16::try_from(micros / 1000).unwrap_or_default();
        let block = BLOCK + u32::try_from(message.len()).unwrap_or(SNAP_LENGTH);
        let mut out = Vec::new();
        for field in [seconds, micros, block, block.saturating_add(self.missing)] {
            out.extend(field.to_le_bytes());
        }
        out.push(self.channel & 0x0f);
        out.extend(seconds.to_le_bytes());
        out.extend(millis.to_le_bytes());
        out.push(self.form);
        out.extend(self.direction.to_le_bytes());
        out.push(u8::try_from(message.len()).unwrap_or(u8::MAX));
        out.extend(message);
        out
    }
}

/// Bytes of a block before its message.
const BLOCK: u32 = 11;

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    fn exchange(origin: Origin) -> Exchange {
        Exchange {
            serial: 1,
            wall: 1_700_000_000_250_000,
            number: 0x0f,
            origin,
            netfn: 6,
            command: 1,
            state: Exchange::ANSWERED,
            duration: 2_000,
            response_length: 2,
            response: vec![0x20, 0x01],
            ..Exchange::default()
        }
    }

    #[test]
    fn a_request_and_its_response_are_two_blocks() {
        let bytes = packets(&exchange(Origin::host()));
        let request = hex!("00f15365 90d00300 0d000000 0d000000 0f 00f15365 fa00 05 8000 02 1801");
        let response =
            hex!("00f15365 60d80300 10000000 10000000 0f 00f15365 fc00 05 0000 05 1c01002001");
        assert_eq!(bytes, [&request[..], &response].concat());
    }

    #[test]
    fn satellites_have_frames_with_checksums() {
        let bytes = packets(&exchange(Origin::satellite(0x16)));
        assert_eq!(bytes[16 + 7], IPMB);
        assert_eq!(bytes[16 + 11..16 + 18], hex!("20 18 c8 2c 04 01 cf"));
        let cut = Exchange { response_length: 3, ..exchange(Origin::satellite(0x16)) };
        assert_eq!(packets(&cut)[16 + 7], KCS);
    }

    #[test]
    fn requests_to_satellites_leave_the_bmc_and_have_no_response_that_did_not_come() {
        let asked = exchange(Origin::to_satellite(0x24));
        let bytes = packets(&asked);
        assert_eq!(bytes[16 + 7..16 + 10], hex!("01 0000"));
        assert_eq!(bytes[16 + 11..16 + 18], hex!("24 18 c4 20 04 01 db"));
        let second = &bytes[16 + 18..];
        assert_eq!(second[16 + 7..16 + 10], hex!("01 8000"));
        let silent =
            Exchange { state: Exchange::MISSED, response_length: 0, response: vec![], ..asked };
        assert_eq!(packets(&silent).len(), 16 + 18);
    }

    #[test]
    fn broadcasts_are_to_all_controllers_and_have_no_response() {
        let unanswered = Exchange {
            state: Exchange::BROADCAST,
            response_length: 0,
            response: vec![],
            ..exchange(Origin::satellite(0x12))
        };
        let heard = packets(&unanswered);
        assert_eq!(heard[16 + 7..16 + 10], hex!("01 8000"));
        assert_eq!(heard[16 + 11..], hex!("00 18 e8 24 04 01 d7"));
        let sent = packets(&Exchange { origin: Origin::to_satellite(0), ..unanswered });
        assert_eq!(sent[16 + 7..16 + 10], hex!("01 0000"));
        assert_eq!(sent[16 + 11..], hex!("00 18 e8 20 04 01 db"));
    }

    #[test]
    fn bytes_that_were_not_recorded_are_missing_in_the_packet_and_counted_in_its_length() {
        let cut = Exchange { response_length: 60, ..exchange(Origin::host()) };
        let bytes = packets(&cut);
        let second = &bytes[16 + 13..];
        assert_eq!(second[8..16], hex!("10000000 4a000000"));
    }

    #[test]
    fn what_is_no_ipmi_message_is_left_out() {
        assert!(packets(&Exchange { netfn: 0xff, ..exchange(Origin::host()) }).is_empty());
        let pending = Exchange { state: Exchange::PENDING, ..exchange(Origin::host()) };
        assert_eq!(packets(&pending).len(), 16 + 13);
    }
}
