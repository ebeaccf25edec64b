//! Datagrams of IPMI over LAN.

use rmcp_proto::sol::{Operation, Packet};
use rmcp_proto::wire::asf::{PresencePing, PresencePong};
use rmcp_proto::wire::open_session::{OpenSessionRequest, OpenSessionResponse, Proposal};
use rmcp_proto::wire::rakp::{Rakp1, Rakp2, Rakp3, Rakp4, RakpHeader};
use rmcp_proto::wire::rmcp::{Class, RmcpMessage};
use rmcp_proto::wire::v15::{AuthType, V15Packet};
use rmcp_proto::wire::v20::{PayloadType, V20Packet};

use super::ipmi;
use super::layer::Layer;
use crate::error::Error;
use crate::hex;

pub(super) fn datagram(bytes: &[u8]) -> Result<Vec<Layer>, Error> {
    let rmcp = |class: Class, sequence: Option<u8>| {
        let layer = Layer::new("RMCP", "ASF v2.0 §3.2.2.2").with("Version", "1.0");
        let layer = match sequence {
            Some(sequence) => layer.byte("Sequence", sequence),
            None => layer.with("Sequence", "FFh no acknowledge wanted"),
        };
        layer.with("Class", class_name(class))
    };
    match RmcpMessage::parse(bytes).map_err(Error::failed)? {
        RmcpMessage::Ack { sequence, class } => {
            Ok(vec![rmcp(class, Some(sequence)).flag("Acknowledge", true)])
        }
        RmcpMessage::Data { sequence, class, body } => {
            let inner = match class {
                Class::Asf => asf(body)?,
                Class::Ipmi => session(body)?,
                Class::Oem => {
                    vec![Layer::new("OEM message", "ASF v2.0 §3.2.2.2").bytes("Data", body)]
                }
            };
            Ok([vec![rmcp(class, sequence)], inner].concat())
        }
    }
}

const fn class_name(class: Class) -> &'static str {
    match class {
        Class::Asf => "ASF",
        Class::Ipmi => "IPMI",
        Class::Oem => "OEM",
    }
}

fn asf(body: &[u8]) -> Result<Vec<Layer>, Error> {
    if let Ok(PresencePing { tag }) = PresencePing::parse(body) {
        return Ok(vec![Layer::new("ASF presence ping", "ASF v2.0 §3.2.4.2").byte("Tag", tag)]);
    }
    let PresencePong { tag, dcmi } = PresencePong::parse(body).map_err(Error::failed)?;
    let layer = Layer::new("ASF presence pong", "ASF v2.0 §3.2.4.3");
    Ok(vec![layer.byte("Tag", tag).flag("IPMI", true).flag("DCMI", dcmi)])
}

/// The authentication type byte of the RMCP+ format (IPMI v2.0 Table 13-8).
const RMCP_PLUS: u8 = 0x06;

fn session(body: &[u8]) -> Result<Vec<Layer>, Error> {
    if body.first() == Some(&RMCP_PLUS) {
        return v20(body);
    }
    let packet = V15Packet::parse(body).map_err(Error::failed)?;
    let auth = match packet.auth {
        AuthType::None => "none",
        AuthType::Md2 => "MD2",
        AuthType::Md5 => "MD5",
        AuthType::Password => "password",
    };
    let mut layer = Layer::new("IPMI 1.5 session", "IPMI v2.0 §13.6")
        .named("Authentication type", packet.auth.value(), auth)
        .word("Session sequence", packet.sequence)
        .word("Session ID", packet.session_id);
    if let Some(code) = packet.code {
        // Of authentication by password, it is the password itself.
        let code = if packet.auth == AuthType::Password {
            "(not shown)".to_owned()
        } else {
            hex::spaced(&code)
        };
        layer = layer.with("Authentication code", code);
    }
    let layer = layer.with("Message length", packet.message.len().to_string());
    Ok([vec![layer], ipmi::ipmb(packet.message)?].concat())
}

fn v20(body: &[u8]) -> Result<Vec<Layer>, Error> {
    let packet = V20Packet::parse(body).map_err(Error::failed)?;
    let header = packet.header;
    let kind = header.payload_type;
    let layer = Layer::new("RMCP+ session", "IPMI v2.0 §13.6")
        .named("Payload type", kind.value(), payload_name(kind))
        .flag("Encrypted", header.protection.encrypted)
        .flag("Authenticated", header.protection.authenticated)
        .word("Session ID", header.session_id)
        .word("Session sequence", header.sequence)
        .with("Payload length", packet.payload.len().to_string())
        .bytes("Session trailer", packet.trailer);
    let inner = if header.protection.encrypted {
        vec![Layer::new("Encrypted payload", "IPMI v2.0 §13.29").bytes("Data", packet.payload)]
    } else {
        payload(kind, packet.payload)?
    };
    Ok([vec![layer], inner].concat())
}

const fn payload_name(kind: PayloadType) -> &'static str {
    match kind {
        PayloadType::IPMI => "IPMI message",
        PayloadType::SOL => "SOL",
        PayloadType::OEM_EXPLICIT => "OEM explicit",
        PayloadType::OPEN_SESSION_REQUEST => "Open Session Request",
        PayloadType::OPEN_SESSION_RESPONSE => "Open Session Response",
        PayloadType::RAKP_1 => "RAKP Message 1",
        PayloadType::RAKP_2 => "RAKP Message 2",
        PayloadType::RAKP_3 => "RAKP Message 3",
        PayloadType::RAKP_4 => "RAKP Message 4",
        _ => "",
    }
}

fn payload(kind: PayloadType, payload: &[u8]) -> Result<Vec<Layer>, Error> {
    let layer = match kind {
        PayloadType::IPMI => return ipmi::ipmb(payload),
        PayloadType::SOL => sol(payload)?,
        PayloadType::OPEN_SESSION_REQUEST => open_request(payload)?,
        PayloadType::OPEN_SESSION_RESPONSE => open_response(payload)?,
        PayloadType::RAKP_1 => rakp_1(payload)?,
        PayloadType::RAKP_2 => rakp_2(payload)?,
        PayloadType::RAKP_3 => {
            let Rakp3 { header, code } = Rakp3::parse(payload).map_err(Error::failed)?;
            rakp("RAKP Message 3", "IPMI v2.0 §13.22", header).bytes("Key exchange code", code)
        }
        PayloadType::RAKP_4 => {
            let Rakp4 { header, check } = Rakp4::parse(payload).map_err(Error::failed)?;
            rakp("RAKP Message 4", "IPMI v2.0 §13.23", header).bytes("Integrity check", check)
        }
        _ => Layer::new("Payload", "IPMI v2.0 §13.27.3").bytes("Data", payload),
    };
    Ok(vec![layer])
}

/// A SOL packet; its fourth byte has a meaning for each direction, which the packet does not tell.
fn sol(payload: &[u8]) -> Result<Layer, Error> {
    let packet = Packet::<Operation>::parse(payload).map_err(Error::failed)?;
    let layer = Layer::new("SOL packet", "IPMI v2.0 §15.9");
    let layer = match packet.seq {
        Some(seq) => layer.with("Sequence", seq.get().to_string()),
        None => layer.with("Sequence", "0 acknowledges only"),
    };
    let layer = match packet.ack {
        Some(ack) => layer
            .with("Acknowledged sequence", ack.seq.get().to_string())
            .with("Accepted characters", ack.accepted.to_string()),
        None => layer,
    };
    let control = payload.get(3).copied().unwrap_or_default();
    let layer = layer.byte("Operation or status", control);
    Ok(layer.with("Characters", format!("\"{}\"", packet.chars.escape_ascii())))
}

fn open_request(payload: &[u8]) -> Result<Layer, Error> {
    let request = OpenSessionRequest::parse(payload).map_err(Error::failed)?;
    let proposal = |proposal: Proposal| match proposal {
        Proposal::Any => "any".to_owned(),
        Proposal::Algorithm(algorithm) => format!("{algorithm:02X}h"),
    };
    let proposals = request.proposals;
    Ok(Layer::new("Open Session Request", "IPMI v2.0 §13.17")
        .byte("Message tag", request.tag)
        .byte("Maximum privilege", request.role)
        .word("Console session ID", request.console_id)
        .with("Authentication algorithm", proposal(proposals.authentication))
        .with("Integrity algorithm", proposal(proposals.integrity))
        .with("Confidentiality algorithm", proposal(proposals.confidentiality)))
}

fn open_response(payload: &[u8]) -> Result<Layer, Error> {
    let layer = Layer::new("Open Session Response", "IPMI v2.0 §13.18");
    Ok(match OpenSessionResponse::parse(payload).map_err(Error::failed)? {
        OpenSessionResponse::Accepted { tag, role, console_id, managed_id, algorithms } => layer
            .byte("Message tag", tag)
            .with("Status", "00h")
            .byte("Maximum privilege", role)
            .word("Console session ID", console_id)
            .word("BMC session ID", managed_id)
            .byte("Authentication algorithm", algorithms.authentication.value())
            .byte("Integrity algorithm", algorithms.integrity.value())
            .byte("Confidentiality algorithm", algorithms.confidentiality.value()),
        OpenSessionResponse::Refused { tag, status, console_id } => layer
            .byte("Message tag", tag)
            .with("Status", status.to_string())
            .word("Console session ID", console_id),
    })
}

fn rakp_1(payload: &[u8]) -> Result<Layer, Error> {
    let rakp = Rakp1::parse(payload).map_err(Error::failed)?;
    let name = match rakp.name {
        Some(name) => format!("\"{}\"", name.as_bytes().escape_ascii()),
        None => format!("longer than allowed: {} bytes", rakp.name_length),
    };
    Ok(Layer::new("RAKP Message 1", "IPMI v2.0 §13.20")
        .byte("Message tag", rakp.tag)
        .word("BMC session ID", rakp.managed_id)
        .bytes("Console random number", &rakp.console_random)
        .byte("Maximum privilege", rakp.role.privilege())
        .flag("Look-up by name only", rakp.role.is_name_only())
        .with("User name", name))
}

fn rakp_2(payload: &[u8]) -> Result<Layer, Error> {
    let Rakp2 { header, body } = Rakp2::parse(payload).map_err(Error::failed)?;
    let layer = rakp("RAKP Message 2", "IPMI v2.0 §13.21", header);
    Ok(match body {
        Some(body) => layer
            .bytes("BMC random number", &body.managed_random)
            .bytes("BMC GUID", &body.guid)
            .bytes("Key exchange code", body.code),
        None => layer,
    })
}

fn rakp(name: &str, reference: &'static str, header: RakpHeader) -> Layer {
    Layer::new(name, reference)
        .byte("Message tag", header.tag)
        .with("Status", header.status.to_string())
        .word("Session ID", header.session_id)
}
