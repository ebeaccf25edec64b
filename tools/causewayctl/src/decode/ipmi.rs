//! IPMI requests and responses.

use ipmi_proto::ipmb::{IpmbHeader, IpmbRequest, IpmbResponse};
use ipmi_proto::{CompletionCode, Lun, NetFn, Request, Response, kcs};

use super::fields::{Message, Side};
use super::layer::Layer;
use super::names;
use crate::error::Error;

pub(super) fn request(bytes: &[u8]) -> Result<Vec<Layer>, Error> {
    let Request { netfn, lun, command, data } = kcs::parse_request(bytes).map_err(Error::failed)?;
    let name = names::command(netfn, command, &data);
    let head = head("IPMI request", netfn, lun, command, &name);
    Ok([vec![head], data_of_request(netfn, command, &data)].concat())
}

pub(super) fn response(bytes: &[u8]) -> Result<Vec<Layer>, Error> {
    let response = kcs::parse_response(bytes).map_err(Error::failed)?;
    let Response { netfn, lun, command, completion, data } = response;
    let request = request_of(netfn);
    let name = names::command(request, command, &data);
    let head = head("IPMI response", netfn, lun, command, &name);
    let head = with_completion(head, completion);
    Ok([vec![head], data_of_response(request, command, completion, &data)].concat())
}

/// A frame of IPMB, or the message of IPMI over LAN, whose form is the same.
pub(super) fn ipmb(bytes: &[u8]) -> Result<Vec<Layer>, Error> {
    // Network function and LUN are the second byte.
    let is_request = bytes.get(1).is_none_or(|byte| NetFn::split(*byte).0.is_request());
    if is_request {
        let IpmbRequest { header, data } = IpmbRequest::parse(bytes).map_err(Error::failed)?;
        let name = names::command(header.netfn, header.command, data);
        let frame = frame("IPMB request", &header, &name);
        return Ok([vec![frame], data_of_request(header.netfn, header.command, data)].concat());
    }
    let IpmbResponse { header, completion, data } =
        IpmbResponse::parse(bytes).map_err(Error::failed)?;
    let request = request_of(header.netfn);
    let name = names::command(request, header.command, data);
    let frame = with_completion(frame("IPMB response", &header, &name), completion);
    Ok([vec![frame], data_of_response(request, header.command, completion, data)].concat())
}

fn head(kind: &str, netfn: NetFn, lun: Lun, command: u8, name: &str) -> Layer {
    Layer::new(kind, "IPMI v2.0 §9.2")
        .named("Network function", netfn.value(), names::netfn(netfn))
        .with("LUN", lun.value().to_string())
        .named("Command", command, name)
}

fn frame(kind: &str, header: &IpmbHeader, name: &str) -> Layer {
    Layer::new(kind, "IPMI v2.0 §13.8")
        .named("Responder", header.responder.0, names::address(header.responder))
        .with("Responder LUN", header.responder_lun.value().to_string())
        .named("Network function", header.netfn.value(), names::netfn(header.netfn))
        .named("Requester", header.requester.0, names::address(header.requester))
        .with("Requester LUN", header.requester_lun.value().to_string())
        .with("Sequence", header.sequence.value().to_string())
        .named("Command", header.command, name)
        .with("Checksums", "right")
}

fn with_completion(layer: Layer, completion: CompletionCode) -> Layer {
    layer.named("Completion code", completion.0, completion.text())
}

/// The request's network function of a response's.
fn request_of(netfn: NetFn) -> NetFn {
    NetFn::new(netfn.value() & !1).unwrap_or(netfn)
}

fn data_of_request(netfn: NetFn, command: u8, data: &[u8]) -> Vec<Layer> {
    let layer = match Message::find(netfn.value(), command, Side::Request) {
        Some(message) => message.decode(data, Layer::new("Request data", message.reference())),
        None => plain("Request data", data),
    };
    has_fields(layer)
}

fn data_of_response(
    netfn: NetFn,
    command: u8,
    completion: CompletionCode,
    data: &[u8],
) -> Vec<Layer> {
    let message = Message::find(netfn.value(), command, Side::Response);
    let layer = match message.filter(|_| completion == CompletionCode::OK) {
        Some(message) => message.decode(data, Layer::new("Response data", message.reference())),
        None => plain("Response data", data),
    };
    has_fields(layer)
}

/// Data without a table.
fn plain(name: &str, data: &[u8]) -> Layer {
    Layer { name: name.to_owned(), reference: None, fields: Vec::new() }.bytes("Bytes", data)
}

fn has_fields(layer: Layer) -> Vec<Layer> {
    if layer.fields.is_empty() { Vec::new() } else { vec![layer] }
}
