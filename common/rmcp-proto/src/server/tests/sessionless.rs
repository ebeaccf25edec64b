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
        hex!("06 00 ff 06 00 00 11 be 40 2a 00 10 00 00 8e 71 00 00 00 00 81 00 00 00 00 00 00 00");
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

#[test]
fn dcmi_discovery_is_the_bmcs_to_answer_in_the_format_it_came_in() {
    let mut bmc = Bmc::usual();
    let request = |data: &[u8]| {
        let data = data.to_vec();
        Request { netfn: NetFn::GROUP, lun: Lun::BMC, command: 0x01, data }
    };
    for rmcp_plus in [false, true] {
        assert_eq!(ask(&mut bmc, rmcp_plus, &request(&[0xdc, 1])), None);
        let asked = std::iter::from_fn(|| bmc.server.poll_event()).find_map(|event| match event {
            Event::Outside { asked, request } => Some((asked, request)),
            _ => None,
        });
        let (asked, request) = asked.expect("a request for the BMC");
        assert_eq!((request.command, &request.data[..]), (0x01, &[0xdc, 1][..]));
        let data = hex!("dc 01 05 02 00 01 01").to_vec();
        bmc.server.respond_outside(&asked, &Response::to(&request, CompletionCode::OK, data));
        let answer = bmc.server.poll_transmit().expect("an answer");
        assert_eq!(answer.route.peer, peer(1));
        let message = if rmcp_plus {
            V20Packet::parse(&answer.bytes[4..]).unwrap().payload.to_vec()
        } else {
            V15Packet::parse(&answer.bytes[4..]).unwrap().message.to_vec()
        };
        let response = IpmbResponse::parse(&message).unwrap();
        assert_eq!((response.completion.0, response.header.sequence.value()), (0, 9));
        assert_eq!(response.data, hex!("dc 01 05 02 00 01 01"));
        // No other group, and nothing else of this one.
        for other in [request_of(0x01, &[0xdb, 1]), request_of(0x02, &[0xdc, 1])] {
            assert_eq!(ask(&mut bmc, rmcp_plus, &other), None);
        }
        assert!(
            std::iter::from_fn(|| bmc.server.poll_event())
                .all(|event| !matches!(event, Event::Outside { .. }))
        );
    }
    assert_eq!(bmc.counted(Reason::NeedsSession), 4);
}

fn request_of(command: u8, data: &[u8]) -> Request {
    Request { netfn: NetFn::GROUP, lun: Lun::BMC, command, data: data.to_vec() }
}

#[test]
fn logins_of_ipmi_15_are_refused_at_once_while_it_is_off() {
    let mut bmc = Bmc::usual();
    let challenge = [&[2][..], b"admin", &[0; 11]].concat();
    assert_eq!(ask(&mut bmc, false, &app(0x39, &challenge)), Some((0xcc, vec![])));
    assert_eq!(ask(&mut bmc, false, &app(0x39, &[2])), Some((0xc7, vec![])));
    let activate = [&[2, 4][..], &[0; 16], &[1, 0, 0, 0]].concat();
    assert_eq!(ask(&mut bmc, false, &app(0x3a, &activate)), Some((0x85, vec![])));
    // With the session id of a challenge that nobody gave.
    let message = frame(&app(0x3a, &activate));
    let packet = V15Packet {
        auth: v15::AuthType::Md5,
        code: Some([7; 16]),
        sequence: 0,
        session_id: 0x1234_5678,
        message: &message,
    };
    let mut datagram = Vec::new();
    packet.emit_datagram(&mut datagram).unwrap();
    let answer = bmc.handle(peer(1), &datagram).pop().expect("an answer");
    let answer = V15Packet::parse(&answer[4..]).unwrap();
    assert_eq!((answer.auth, answer.session_id), (v15::AuthType::None, 0x1234_5678));
    assert_eq!(IpmbResponse::parse(answer.message).unwrap().completion.0, 0x85);
    assert_eq!(bmc.counted(Reason::VersionDisabled), 1);
    // Nothing but that command, and no more than the rate allows.
    let message = frame(&app(0x01, &[]));
    datagram.clear();
    V15Packet { message: &message, ..packet }.emit_datagram(&mut datagram).unwrap();
    assert!(bmc.handle(peer(1), &datagram).is_empty());
    let message = frame(&app(0x3a, &activate));
    datagram.clear();
    V15Packet { message: &message, ..packet }.emit_datagram(&mut datagram).unwrap();
    let packets = Rate { burst: 3, period: Duration::from_secs(1) };
    let mut bmc = Bmc::new(Config { packets, ..config() }, Table::usual());
    let answered = (0..10).filter(|_| !bmc.handle(peer(2), &datagram).is_empty()).count();
    assert_eq!(answered, 3);
}
