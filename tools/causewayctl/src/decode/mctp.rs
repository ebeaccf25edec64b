//! MCTP packets and messages (DSP0236).

use mctp_proto::MessageType;
use mctp_proto::control::{Command, CompletionCode, ControlHeader};
use mctp_proto::packet::Header;

use super::layer::Layer;
use crate::error::Error;

pub(super) fn packet(bytes: &[u8]) -> Result<Vec<Layer>, Error> {
    let (header, payload) = Header::parse(bytes)
        .map_err(|reason| Error::failed(format_args!("MCTP packet: {}", reason.name())))?;
    let flags = bytes.get(3).copied().unwrap_or_default();
    let layer = Layer::new("MCTP packet", "DSP0236 §8.1")
        .byte("Destination EID", header.destination.0)
        .byte("Source EID", header.source.0)
        .flag("Start of message", header.start)
        .flag("End of message", header.end)
        .with("Packet sequence", (flags >> 4 & 3).to_string())
        .flag("Tag owner", header.tag_owner)
        .with("Message tag", header.tag.value().to_string());
    let inner = match (header.start, header.end) {
        (true, true) => message(payload)?,
        (true, false) => {
            let kind = payload.first().map(|byte| MessageType::from_first_byte(*byte));
            let layer = Layer::new("First part of a message", "DSP0236 §8.1");
            vec![with_type(layer, kind).bytes("Data", payload)]
        }
        (false, _) => vec![Layer::new("Part of a message", "DSP0236 §8.1").bytes("Data", payload)],
    };
    Ok([vec![layer], inner].concat())
}

pub(super) fn message(bytes: &[u8]) -> Result<Vec<Layer>, Error> {
    let (&first, data) =
        bytes.split_first().ok_or_else(|| Error::failed("MCTP message: no message type"))?;
    let kind = MessageType::from_first_byte(first);
    let layer = with_type(Layer::new("MCTP message", "DSP0236 §8.1"), Some(kind));
    let layer = layer.flag("Integrity check", first & MessageType::INTEGRITY_CHECK != 0);
    if kind == MessageType::CONTROL && first == kind.value() {
        return Ok(vec![layer, control(bytes)?]);
    }
    Ok(vec![layer.bytes("Data", data)])
}

fn with_type(layer: Layer, kind: Option<MessageType>) -> Layer {
    match kind {
        Some(kind) => layer.named("Message type", kind.value(), type_name(kind)),
        None => layer,
    }
}

const fn type_name(kind: MessageType) -> &'static str {
    match kind {
        MessageType::CONTROL => "MCTP control",
        MessageType::PLDM => "PLDM",
        MessageType::NCSI => "NC-SI",
        MessageType::ETHERNET => "Ethernet",
        MessageType::NVME_MI => "NVMe-MI",
        MessageType::SPDM => "SPDM",
        MessageType::SECURED => "secured message",
        MessageType::CXL_FM_API => "CXL fabric manager API",
        MessageType::CXL_CCI => "CXL component command interface",
        MessageType::PCIE_MI => "PCIe management interface",
        MessageType::VENDOR_PCI => "vendor, by PCI id",
        MessageType::VENDOR_IANA => "vendor, by IANA number",
        _ => "",
    }
}

fn control(message: &[u8]) -> Result<Layer, Error> {
    let (header, data) = ControlHeader::parse(message)
        .map_err(|reason| Error::failed(format_args!("MCTP control message: {}", reason.name())))?;
    let kind = match (header.request, header.datagram) {
        (true, false) => "request",
        (true, true) => "datagram",
        (false, _) => "response",
    };
    let layer = Layer::new("MCTP control", "DSP0236 §11")
        .with("Kind", kind)
        .with("Instance", header.instance.to_string())
        .named("Command", header.command.0, command_name(header.command));
    if header.request {
        return Ok(layer.bytes("Data", data));
    }
    Ok(match data.split_first() {
        Some((&code, data)) => {
            let code = CompletionCode(code);
            layer.named("Completion code", code.0, completion_name(code)).bytes("Data", data)
        }
        None => layer.with("Missing", "the message ends before its completion code"),
    })
}

const fn command_name(command: Command) -> &'static str {
    match command {
        Command::SET_ENDPOINT_ID => "Set Endpoint ID",
        Command::GET_ENDPOINT_ID => "Get Endpoint ID",
        Command::GET_ENDPOINT_UUID => "Get Endpoint UUID",
        Command::GET_VERSION_SUPPORT => "Get MCTP Version Support",
        Command::GET_MESSAGE_TYPE_SUPPORT => "Get Message Type Support",
        Command::GET_VENDOR_MESSAGE_SUPPORT => "Get Vendor Defined Message Support",
        Command::RESOLVE_ENDPOINT_ID => "Resolve Endpoint ID",
        Command::ALLOCATE_ENDPOINT_IDS => "Allocate Endpoint IDs",
        Command::ROUTING_INFORMATION_UPDATE => "Routing Information Update",
        Command::GET_ROUTING_TABLE_ENTRIES => "Get Routing Table Entries",
        Command::PREPARE_FOR_ENDPOINT_DISCOVERY => "Prepare for Endpoint Discovery",
        Command::ENDPOINT_DISCOVERY => "Endpoint Discovery",
        Command::DISCOVERY_NOTIFY => "Discovery Notify",
        _ => "",
    }
}

const fn completion_name(code: CompletionCode) -> &'static str {
    match code {
        CompletionCode::SUCCESS => "success",
        CompletionCode::ERROR => "error",
        CompletionCode::INVALID_DATA => "invalid data",
        CompletionCode::INVALID_LENGTH => "invalid length",
        CompletionCode::NOT_READY => "not ready",
        CompletionCode::UNSUPPORTED_COMMAND => "unsupported command",
        _ => "command-specific",
    }
}
