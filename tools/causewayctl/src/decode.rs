//! `decode`: what bytes mean, offline, from the codecs that the daemons use.

mod fields;
mod ipmi;
mod lan;
mod layer;
mod mctp;
mod names;
mod pcap;
mod records;

use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ipmi_proto::NetFn;
use serde::Serialize;

pub(crate) use self::layer::Layer;
use crate::error::Error;
use crate::hex;
use crate::output::{Cell, Page, Report, Style};

/// Decode an IPMI or MCTP message, record or packet, field by field
///
/// The bytes are hexadecimal words of the command line, a file (--file: hexadecimal text, or the bytes themselves), or
/// hexadecimal text on standard input. Spaces, colons and 0x are skipped. Passwords and keys are not printed.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// What the bytes are
    #[arg(value_enum)]
    kind: Kind,
    /// The bytes, in hexadecimal
    #[arg(value_name = "HEX", conflicts_with = "file")]
    words: Vec<String>,
    /// Read the bytes from this file
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The port of the BMC in a capture, beside 623 and 664
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
}

/// What bytes can be decoded as.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Kind {
    /// An IPMI request: network function and LUN, command, data (as on KCS)
    Request,
    /// An IPMI response: network function and LUN, command, completion code, data
    Response,
    /// An IPMB frame, request or response, with its checksums
    Ipmb,
    /// A record of the system event log: 16 bytes
    Sel,
    /// A sensor data record, with its header
    Sdr,
    /// A FRU inventory image
    Fru,
    /// A datagram of IPMI over LAN: RMCP, ASF, IPMI 1.5 or RMCP+
    Lan,
    /// An MCTP packet, from its header on
    Mctp,
    /// An MCTP message, from its message type on
    MctpMessage,
    /// A capture of packets (tcpdump -w, mctp-demuxd --capture): those that are IPMI over LAN or MCTP
    Pcap,
}

/// The JSON of the subcommand.
#[derive(Serialize)]
struct Decoded<'a> {
    length: usize,
    layers: &'a [Layer],
}

pub(crate) fn run(arguments: &Arguments) -> Result<Report, Error> {
    let bytes = arguments.bytes()?;
    let layers = decode(arguments, &bytes)?;
    let decoded = Decoded { length: bytes.len(), layers: &layers };
    Ok(Report::new(&decoded, |page| layers.iter().for_each(|layer| show(layer, page))))
}

fn decode(arguments: &Arguments, bytes: &[u8]) -> Result<Vec<Layer>, Error> {
    match arguments.kind {
        Kind::Request => ipmi::request(bytes),
        Kind::Response => ipmi::response(bytes),
        Kind::Ipmb => ipmi::ipmb(bytes),
        Kind::Sel => records::sel(bytes),
        Kind::Sdr => records::sdr(bytes),
        Kind::Fru => records::fru(bytes),
        Kind::Lan => lan::datagram(bytes),
        Kind::Mctp => mctp::packet(bytes),
        Kind::MctpMessage => mctp::message(bytes),
        Kind::Pcap => pcap::capture(bytes, arguments.port),
    }
}

/// The layers of an MCTP packet, from its header on.
#[cfg(feature = "trace")]
pub(crate) fn mctp_packet(bytes: &[u8]) -> Result<Vec<Layer>, Error> {
    mctp::packet(bytes)
}

/// The layers of an MCTP message, from its message type on.
#[cfg(any(feature = "exchange", feature = "trace"))]
pub(crate) fn mctp_message(bytes: &[u8]) -> Result<Vec<Layer>, Error> {
    mctp::message(bytes)
}

/// The layers of a request, as on KCS; what cannot be decoded is left out.
pub(crate) fn request(bytes: &[u8]) -> Vec<Layer> {
    ipmi::request(bytes).unwrap_or_default()
}

/// The layers of a response, as on KCS; what cannot be decoded is left out.
pub(crate) fn response(bytes: &[u8]) -> Vec<Layer> {
    ipmi::response(bytes).unwrap_or_default()
}

/// The name of a command; empty if `ipmid` has none of this number.
pub(crate) fn command_name(netfn: NetFn, command: u8, data: &[u8]) -> String {
    names::command(netfn, command, data)
}

/// Adds a layer to a page.
pub(crate) fn show(layer: &Layer, page: &mut Page) {
    let reference =
        layer.reference.as_ref().map(|reference| format!(" ({reference})")).unwrap_or_default();
    page.line(Cell::new(format!("{}{reference}", layer.name), Style::Head));
    let rows = layer
        .fields
        .iter()
        .map(|field| vec![Cell::from(format!("  {}", field.name)), field.value.clone().into()]);
    page.table(&[], rows.collect());
}

impl Arguments {
    fn bytes(&self) -> Result<Vec<u8>, Error> {
        if let Some(path) = &self.file {
            let content = fs::read(path)
                .map_err(|error| Error::failed(format_args!("{}: {error}", path.display())))?;
            // The bytes themselves, unless the file is hexadecimal text.
            let text = std::str::from_utf8(&content).ok().and_then(|text| hex::bytes(text).ok());
            return Ok(text.unwrap_or(content));
        }
        let text = if self.words.is_empty() {
            let mut text = String::new();
            io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| Error::failed(format_args!("standard input: {error}")))?;
            text
        } else {
            self.words.join(" ")
        };
        hex::bytes(&text).map_err(Error::usage)
    }
}
