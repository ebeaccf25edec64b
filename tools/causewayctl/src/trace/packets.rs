//! `trace --mctp`: the MCTP packets of mctp-demuxd, as they pass.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::net;
use std::time::Duration;

use mctp_proto::packet::Header;
use mctp_proto::reassembly::{Limits, Reassembler};
use mctp_proto::{Address, DropCounts, LinkId};
use openbmc_dbus::client::{CallError, ObjectAt};
use openbmc_dbus::interface::Method;
use serde::Serialize;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use super::Arguments;
use super::capture::Capture;
use crate::bus::Bus;
use crate::decode::{self, Layer};
use crate::error::Error;
use crate::output::{Cell, Page, Report};
use crate::{hex, mctp, time};

/// A socket with packets: messages that are the parts of a pcap file, and of eight bytes how many were lost.
const TRACE: Method = Method { interface: mctp::DEMUX, name: "Trace", input: "", output: "h" };

/// More than the largest record.
const BUFFER: usize = 1 << 16;

/// A record's own header, and the cooked header of `LINKTYPE_LINUX_SLL2`.
const RECORD: usize = 16;
const COOKED: usize = 20;

/// The packet type of a cooked header of what this machine has sent.
const SENT_BY_US: u8 = 4;

/// A packet, as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Packet {
    time: String,
    binding: String,
    direction: &'static str,
    /// The physical address, in hexadecimal; empty on a medium without.
    address: String,
    packet: String,
    #[serde(skip)]
    bytes: Vec<u8>,
    /// Since 1970.
    #[serde(skip)]
    at: Duration,
    #[serde(skip)]
    link: LinkId,
}

/// A packet with what its bytes mean, as JSON.
#[derive(Serialize)]
struct Traced<'a> {
    packet: &'a Packet,
    layers: &'a [Layer],
}

/// What was written, as JSON.
#[derive(Serialize)]
struct Written {
    file: String,
    packets: u64,
    lost: u64,
}

/// Prints or writes packets until the program is interrupted, or has as many as are wanted.
pub(super) async fn run(arguments: &Arguments, bus: &Bus, json: bool) -> Result<Report, Error> {
    let bindings = mctp::binding_names(bus).await?;
    let mut socket = subscribe(bus).await?;
    let mut output = Output {
        capture: arguments.write.as_deref().map(Capture::open).transpose()?,
        bindings,
        messages: Reassembler::new(Limits::default()),
        json,
    };
    let (mut packets, mut lost) = (0, 0);
    let mut buffer = vec![0; BUFFER];
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    while arguments.count.is_none_or(|most| packets < most) {
        let length = tokio::select! {
            length = socket.read(&mut buffer) => length.unwrap_or_default(),
            _ = &mut interrupted => break,
        };
        let message = buffer.get(..length).unwrap_or_default();
        if message.is_empty() {
            return Err(Error::failed("mctp-demuxd has ended").remedy("causewayctl status"));
        }
        if let Some((count, [])) = message.split_first_chunk::<8>() {
            lost += u64::from_ne_bytes(*count);
            continue;
        }
        let is_packet = message.len() > RECORD + COOKED;
        packets += u64::from(is_packet);
        if !output.put(message)? {
            break;
        }
    }
    let Some(file) = &arguments.write else { return Ok(Report::nothing()) };
    let written = Written { file: file.display().to_string(), packets, lost };
    Ok(Report::new(&written, |page| {
        let Written { file, packets, lost } = &written;
        page.line(format!("{packets} packets written to {file}, {lost} lost"));
    }))
}

/// Has mctp-demuxd send its packets from now on.
async fn subscribe(bus: &Bus) -> Result<UnixStream, Error> {
    let object = ObjectAt::new(mctp::SERVICE, mctp::PATH);
    let call = bus.client().call(&object, TRACE, &()).await;
    let socket: zbus::OwnedFd = call.map_err(|error| match error {
        CallError::Gone(_) => mctp::not_running(),
        error => Error::failed(format_args!("mctp-demuxd: {error}")).remedy("run it as root"),
    })?;
    // Each read of it is one message, as of every socket that has messages.
    let stream = net::UnixStream::from(OwnedFd::from(socket));
    let stream = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
    stream.map_err(|error| Error::failed(format_args!("the packets of mctp-demuxd: {error}")))
}

/// Where packets go.
struct Output {
    capture: Option<Capture>,
    /// By their numbers.
    bindings: BTreeMap<u8, String>,
    /// Messages whose last packet is still to come.
    messages: Reassembler,
    json: bool,
}

impl Output {
    /// Prints or writes a part of the file; `false` once the output is closed.
    fn put(&mut self, part: &[u8]) -> Result<bool, Error> {
        if let Some(capture) = &mut self.capture {
            capture.add(part)?;
            return Ok(true);
        }
        let Some(packet) = Packet::parse(part, &self.bindings) else { return Ok(true) };
        let layers = self.layers(&packet);
        let report = Report::new(&Traced { packet: &packet, layers: &layers }, |page| {
            show(&packet, &layers, page);
        });
        report.write(self.json).map_err(Error::failed)
    }

    /// The layers of a packet, and of the message that it completes.
    fn layers(&mut self, packet: &Packet) -> Vec<Layer> {
        let failed = |error: Error| vec![Layer::failed("MCTP packet", &error)];
        let mut layers = decode::mctp_packet(&packet.bytes).unwrap_or_else(failed);
        let Ok((header, payload)) = Header::parse(&packet.bytes) else { return layers };
        let (messages, mut drops) = (&mut self.messages, DropCounts::default());
        messages.handle_timeout(packet.at, |_| {});
        let (at, link) = (packet.at, packet.link);
        let message = messages.accept(at, link, Address::None, &header, payload, &mut drops);
        // One of a single packet is decoded as its content.
        if let Some(message) = message.filter(|_| !header.start) {
            let whole = decode::mctp_message(&message);
            layers
                .extend(whole.unwrap_or_else(|error| vec![Layer::failed("MCTP message", &error)]));
        }
        layers
    }
}

fn show(packet: &Packet, layers: &[Layer], page: &mut Page) {
    let Packet { time, binding, direction, address, .. } = packet;
    let cells = [time, binding, *direction, address].map(Cell::from);
    page.table(&[], vec![cells.into()]);
    layers.iter().for_each(|layer| decode::show(layer, page));
    page.line("");
}

impl Packet {
    /// A record of the file; `None` for its header.
    fn parse(part: &[u8], bindings: &BTreeMap<u8, String>) -> Option<Self> {
        let (record, rest) = part.split_first_chunk::<RECORD>()?;
        let (cooked, bytes) = rest.split_first_chunk::<COOKED>()?;
        let [a, b, c, d, e, f, g, h, ..] = *record;
        let seconds = u32::from_ne_bytes([a, b, c, d]);
        let micros = u32::from_ne_bytes([e, f, g, h]);
        let at = Duration::from_secs(seconds.into()) + Duration::from_micros(micros.into());
        // Interfaces count from 1.
        let link = cooked[7].checked_sub(1)?;
        let address = cooked.get(12..12 + usize::from(cooked[11])).unwrap_or_default();
        Some(Self {
            time: time::utc_micros(u64::try_from(at.as_micros()).unwrap_or(u64::MAX)),
            binding: bindings.get(&link).cloned().unwrap_or_else(|| link.to_string()),
            direction: if cooked[10] == SENT_BY_US { "out" } else { "in" },
            address: hex::plain(address),
            packet: hex::plain(bytes),
            bytes: bytes.to_vec(),
            at,
            link: LinkId(link),
        })
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    fn record(direction: u8, packet: &[u8]) -> Vec<u8> {
        let head = [1_700_000_000_u32, 250_000, 27, 27].map(u32::to_ne_bytes).concat();
        let cooked = hex!("00fa 0000 00000002 0122 00 01 1d00000000000000");
        let mut record = [&head[..], &cooked, packet].concat();
        record[RECORD + 10] = direction;
        record
    }

    fn output() -> Output {
        let messages = Reassembler::new(Limits::default());
        Output { capture: None, bindings: BTreeMap::new(), messages, json: false }
    }

    #[test]
    fn record_has_time_binding_direction_and_address() {
        let bindings = BTreeMap::from([(1, "i2c:/dev/i2c-2".to_owned())]);
        let bytes = record(4, &hex!("01 08 09 c8 00 80 02"));
        let packet = Packet::parse(&bytes, &bindings).unwrap();
        assert_eq!(packet.time, "2023-11-14T22:13:20.250000Z");
        assert_eq!((packet.binding.as_str(), packet.direction), ("i2c:/dev/i2c-2", "out"));
        assert_eq!((packet.address.as_str(), packet.packet.as_str()), ("1d", "010809c8008002"));
        assert_eq!(Packet::parse(&bytes, &BTreeMap::new()).unwrap().binding, "1");
        for length in 0..RECORD + COOKED {
            assert!(Packet::parse(&bytes[..length], &bindings).is_none(), "{length}");
        }
    }

    #[test]
    fn message_of_several_packets_is_decoded_with_its_last_one() {
        let mut output = output();
        // Get Endpoint UUID's answer, in two packets.
        let packets = [&hex!("01 08 09 80 00 00 03 00")[..], &hex!("01 08 09 50 aa bb cc dd")];
        let layers = packets.map(|packet| {
            let packet = Packet::parse(&record(0, packet), &BTreeMap::new()).unwrap();
            output.layers(&packet)
        });
        let names =
            layers.map(|layers| layers.into_iter().map(|layer| layer.name).collect::<Vec<_>>());
        assert_eq!(names[0], ["MCTP packet", "First part of a message"]);
        assert_eq!(names[1], ["MCTP packet", "Part of a message", "MCTP message", "MCTP control"]);
    }

    #[test]
    fn packet_that_is_none_says_why() {
        let packet = Packet::parse(&record(0, &[1, 2]), &BTreeMap::new()).unwrap();
        let layers = output().layers(&packet);
        assert_eq!((layers.len(), layers[0].fields[0].name.as_str()), (1, "Error"));
    }
}
