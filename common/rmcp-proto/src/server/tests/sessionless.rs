//! What is answered without a session: ping, acknowledge, and three commands in either format.

use hex_literal::hex;
use ipmi_proto::ipmb::{IpmbAddress, IpmbHeader, IpmbRequest, IpmbResponse, IpmbSequence};

use super::*;
use crate::wire::v15::{self, V15Packet};
use crate::wire::v20::{self, V20Header, V20Packet};

fn frame(request: &Request) -> Vec<u8> {
    let header = IpmbHeader {
        responder: IpmbAddress::BMC,
        responder_lun: request.lun,
        requester: IpmbAddress::REMOTE_CONSOLE,
        requester_lun: Lun::BMC,
        sequence: IpmbSequence::new(9).unwrap(),
        netfn: request.netfn,
        command: request.command,
    };
    let mut message = Vec::new();
    IpmbRequest { header, data: &request.data }.emit(&mut message);
    message
}

/// The answer to `request` in one format; `None` for silence.
fn ask(bmc: &mut Bmc, rmcp_plus: bool, request: &Request) -> Option<(u8, Vec<u8>)> {
    let mut datagram = Vec::new();
    if rmcp_plus {
        let header = V20Header::sessionless(PayloadType::IPMI);
        v20::emit_plain(&header, &frame(request), &mut datagram).unwrap();
    } else {
        v15::emit_sessionless(&frame(request), &mut datagram).unwrap();
    }
    let answer = bmc.handle(peer(1), &datagram).pop()?;
    let message = if rmcp_plus {
        V20Packet::parse(&answer[4..]).unwrap().payload
    } else {
        V15Packet::parse(&answer[4..]).unwrap().message
    };
    let response = IpmbResponse::parse(message).unwrap();
    assert_eq!(response.header.sequence.value(), 9);
    Some((response.completion.0, response.data.to_vec()))
}

#[test]
fn a_ping_gets_a_pong() {
    let answers = Bmc::usual().handle(peer(1), &hex!("06 00 ff 06 00 00 11 be 80 2a 00 00"));
    let pong =
        hex!("06 00 ff 06 00 00 11 be 40 2a 00 10 00 00 11 be 00 00 00 00 81 00 00 00 00 00 00 00");
    assert_eq!(answers, [pong]);
}

#[test]
fn a_message_with_a_sequence_number_is_acknowledged() {
    let answers = Bmc::usual().handle(peer(1), &hex!("06 00 07 06 00 00 11 be 80 2a 00 00"));
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0], hex!("06 00 07 86"));
    assert!(Bmc::usual().handle(peer(1), &hex!("06 00 07 86")).is_empty(), "no reply to those");
}

#[test]
fn questions_are_answered_in_the_format_they_came_in() {
    let mut bmc = Bmc::usual();
    for rmcp_plus in [false, true] {
        let mut ask = |command, data: &[u8]| ask(&mut bmc, rmcp_plus, &app(command, data));
        assert_eq!(ask(0x37, &[]), Some((0, GUID.to_vec())));
        assert_eq!(ask(0x38, &[0x8e, 4]), Some((0, hex!("01 80 04 02 00 00 00 00").to_vec())));
        assert_eq!(ask(0x38, &[0x0e, 4]), Some((0, hex!("01 00 04 00 00 00 00 00").to_vec())));
        assert_eq!(ask(0x38, &[0x81, 4]).map(|(code, _)| code), Some(0));
        for (data, code) in [(&[0x8e, 0][..], 0xcc), (&[0x82, 4], 0xcc), (&[0x8e], 0xc7)] {
            assert_eq!(ask(0x38, data), Some((code, vec![])), "{data:02x?}");
        }
        assert_eq!(ask(0x37, &[0]), Some((0xc7, vec![])));
        assert_eq!(ask(0x01, &[]), None, "Get Device ID needs a session");
        assert_eq!(ask(0x3b, &[4]), None);
    }
    assert_eq!(bmc.counted(Reason::NeedsSession), 4);
}

#[test]
fn the_kg_bit_is_set_if_there_is_a_kg() {
    let kg = UserKey::from_password(b"site key");
    let mut bmc = Bmc::new(config(), Table { kg, ..Table::usual() });
    let (_, data) = ask(&mut bmc, false, &app(0x38, &[0x8e, 4])).unwrap();
    assert_eq!(data[2], 0x24);
}

#[test]
fn cipher_suites_come_in_blocks_of_sixteen() {
    let mut bmc = Bmc::usual();
    let mut list = Vec::new();
    for index in 0..8 {
        let (code, data) = ask(&mut bmc, true, &app(0x54, &[0x0e, 0, 0x80 | index])).unwrap();
        assert_eq!((code, data[0]), (0, 1));
        list.extend_from_slice(&data[1..]);
        let wanted = (11 * 5usize).saturating_sub(16 * usize::from(index)).min(16);
        assert_eq!(data.len() - 1, wanted, "block {index}");
    }
    assert_eq!(list[..5], hex!("c0 01 01 40 80"));
    assert_eq!(list[50..], hex!("c0 11 03 44 81"));
    let (_, data) = ask(&mut bmc, true, &app(0x54, &[0x0e, 0, 0])).unwrap();
    assert_eq!(data, hex!("01 01 02 03 40 41 42 43 44 80 81"));
    for data in [&[0x0e, 5, 0][..], &[2, 0, 0]] {
        assert_eq!(ask(&mut bmc, true, &app(0x54, data)), Some((0xcc, vec![])));
    }
    assert_eq!(ask(&mut bmc, true, &app(0x54, &[0x0e, 0])), Some((0xc7, vec![])));
}
