//! `mctp send` and `mctp ping`: one message and its answer, and whether an endpoint answers at all.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use clap::Args;
use mctp_client::Client;
use mctp_proto::control::requester::{Request, Response, ResponseError};
use mctp_proto::protocols::{Reading, Role, fits};
use openbmc_dbus::client::{CallError, ObjectAt};
use openbmc_dbus::interface::Method;
use serde::Serialize;

use super::{DEMUX, PATH, SERVICE};
use crate::bus::Bus;
#[cfg(feature = "decode")]
use crate::decode;
use crate::error::Error;
use crate::hex;
use crate::output::{Cell, Report, Style};

/// Get Endpoint ID to an endpoint: its response, and the round trip in microseconds.
const PING: Method = Method { interface: DEMUX, name: "Ping", input: "y", output: "ayt" };

/// The longest time for an answer, in seconds.
const LONGEST: u16 = 600;

/// Send one message to an endpoint, and show its answer
///
/// Goes through the socket of mctp-demuxd, as the message of one more client. Control messages (type 0) are
/// mctp-demuxd's own: see ping.
#[derive(Args, Debug)]
pub(super) struct Send {
    /// The endpoint's id
    #[arg(value_parser = hex::byte)]
    eid: u8,
    /// The message type: 1 is PLDM, 4 NVMe-MI, 5 SPDM, 7Eh a PCI vendor's
    #[arg(value_name = "TYPE", value_parser = kind)]
    kind: u8,
    /// What follows the type byte, in hexadecimal
    #[arg(value_name = "HEX", required = true)]
    words: Vec<String>,
    /// How long to wait for the answer; 0 does not wait
    #[arg(long, value_name = "SECONDS", default_value_t = 6)]
    #[arg(value_parser = clap::value_parser!(u16).range(..=i64::from(LONGEST)))]
    timeout: u16,
    /// The abstract socket of mctp-demuxd
    #[arg(long, value_name = "NAME", default_value = mctp_client::DEFAULT_SOCKET)]
    socket: String,
}

/// Ask an endpoint for its id, and show how long that takes
///
/// Sends Get Endpoint ID (DSP0236). Exit code 1 if an answer is missing.
#[derive(Args, Debug)]
pub(super) struct Ping {
    /// The endpoint's id
    #[arg(value_parser = hex::byte)]
    eid: u8,
    /// How often
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,
}

fn kind(text: &str) -> Result<u8, String> {
    match hex::byte(text)? {
        0 => Err("control messages are mctp-demuxd's own; mctp ping sends one".to_owned()),
        kind @ 1..=0x7f => Ok(kind),
        _ => Err("a message type is 1 to 7Fh".to_owned()),
    }
}

/// A message and its answer, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Exchange {
    eid: u8,
    request: String,
    /// Null if none was waited for.
    response: Option<String>,
    microseconds: Option<u64>,
    /// The response, decoded.
    #[cfg(feature = "decode")]
    layers: Vec<decode::Layer>,
}

pub(super) fn send(send: &Send) -> Result<Report, Error> {
    let Send { eid, kind, socket, .. } = send;
    let body = hex::bytes(&send.words.join(" ")).map_err(Error::usage)?;
    let mut client = Client::connect_to(socket, *kind).map_err(|error| {
        Error::failed(format_args!("no MCTP demultiplexer at the socket @{socket}: {error}"))
            .remedy("systemctl enable --now mctp-demuxd")
    })?;
    let request = [&[*kind], body.as_slice()].concat();
    let sent = Instant::now();
    client.send(*eid, &body).map_err(|error| failed(&error, send))?;
    let response = match send.timeout {
        0 => None,
        seconds => {
            let limit = Duration::from_secs(seconds.into());
            Some(answer(&mut client, *eid, &request, sent + limit).map_err(|e| failed(&e, send))?)
        }
    };
    let took = response.as_ref().map(|_| sent.elapsed());
    let exchange = Exchange {
        eid: *eid,
        request: hex::plain(&request),
        response: response.as_deref().map(hex::plain),
        microseconds: took.map(microseconds),
        #[cfg(feature = "decode")]
        layers: match response.as_deref() {
            Some(response) => decode::mctp_message(response)?,
            None => Vec::new(),
        },
    };
    Ok(Report::new(&exchange, |page| {
        let Some(response) = &response else { return };
        let took = took.unwrap_or_default();
        page.line(format!("answer of endpoint {eid} after {}", milliseconds(took)));
        page.line(format!("  {}", hex::spaced(response)));
        #[cfg(feature = "decode")]
        exchange.layers.iter().for_each(|layer| decode::show(layer, page));
    }))
}

/// The endpoint's answer, from its type byte on. Its requests, and answers to others, are skipped.
fn answer(client: &mut Client, eid: u8, request: &[u8], deadline: Instant) -> io::Result<Vec<u8>> {
    let asked = Reading::of(request);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::WouldBlock.into());
        }
        client.set_timeout(Some(left))?;
        let (from, body) = client.receive()?;
        let kind = request.get(..1).unwrap_or_default();
        let message = [kind, body].concat();
        let reading = Reading::of(&message);
        let is_answer = matches!(reading.role, Role::Response | Role::Unmarked);
        if from == eid && is_answer && fits(reading.key, asked.key) {
            return Ok(message);
        }
    }
}

fn failed(error: &io::Error, send: &Send) -> Error {
    let Send { eid, timeout, .. } = send;
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            Error::failed(format_args!("endpoint {eid} has not answered within {timeout} s"))
                .remedy("causewayctl mctp endpoints; causewayctl mctp ping")
        }
        ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
            Error::failed("mctp-demuxd has closed the connection")
                .remedy("journalctl -u mctp-demuxd")
        }
        _ => Error::failed(format_args!("the socket of mctp-demuxd: {error}")),
    }
}

/// One ping, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Pong {
    eid: u8,
    answered: bool,
    microseconds: Option<u64>,
    /// The id that the endpoint reports.
    reported_eid: Option<u8>,
    /// Whether it says that it is a bridge or bus owner.
    is_bridge: Option<bool>,
    /// What is wrong with the answer, or why there is none.
    error: Option<String>,
}

pub(super) async fn ping(ping: &Ping, bus: &Bus) -> Result<Report, Error> {
    let mut pongs = Vec::new();
    for _ in 0..ping.count {
        pongs.push(once(bus, ping.eid).await?);
    }
    let lost = pongs.iter().any(|pong| pong.error.is_some());
    let report = Report::new(&pongs, |page| {
        for pong in &pongs {
            page.line(pong.line());
        }
    });
    Ok(report.failed_if(lost))
}

impl Pong {
    fn line(&self) -> Cell {
        let eid = self.eid;
        match (&self.error, self.microseconds) {
            (None, took) => {
                let kind = if self.is_bridge == Some(true) { "a bridge" } else { "an endpoint" };
                let took = milliseconds(Duration::from_micros(took.unwrap_or_default()));
                let reported = self.reported_eid.unwrap_or_default();
                Cell::new(
                    format!("endpoint {eid} answers: it is {kind} with id {reported}, {took}"),
                    Style::Good,
                )
            }
            (Some(error), _) => Cell::new(error.clone(), Style::Bad),
        }
    }
}

async fn once(bus: &Bus, eid: u8) -> Result<Pong, Error> {
    let object = ObjectAt::new(SERVICE, PATH);
    let lost = |error: String| Pong {
        eid,
        answered: false,
        microseconds: None,
        reported_eid: None,
        is_bridge: None,
        error: Some(error),
    };
    let call = bus.client().call(&object, PING, &(eid,)).await;
    let (message, microseconds): (Vec<u8>, u64) = match call {
        Ok(answer) => answer,
        Err(CallError::Gone(_)) => return Err(super::not_running()),
        Err(CallError::Refused(call)) => {
            // After the error's name.
            let text = call.cause.split_once(": ").map_or(call.cause.as_str(), |(_, text)| text);
            return Ok(lost(text.to_owned()));
        }
        Err(error) => return Err(Error::failed(format_args!("mctp-demuxd: {error}"))),
    };
    let instance = message.get(1).copied().unwrap_or_default() & 0x1f;
    let answered = Pong { answered: true, microseconds: Some(microseconds), ..lost(String::new()) };
    Ok(match Response::parse(Request::GetEndpointId, instance, &message) {
        Ok(Response::EndpointId(reported, is_bridge)) => Pong {
            reported_eid: Some(reported.0),
            is_bridge: Some(is_bridge),
            error: None,
            ..answered
        },
        Err(ResponseError::Refused(code)) => {
            let error = format!("endpoint {eid} refuses Get Endpoint ID: {:02X}h", code.0);
            Pong { error: Some(error), ..answered }
        }
        Ok(_) | Err(_) => {
            let error = format!("endpoint {eid} answers no sense: {}", hex::spaced(&message));
            Pong { error: Some(error), ..answered }
        }
    })
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A time as people read it.
fn milliseconds(time: Duration) -> String {
    let micros = time.as_micros();
    format!("{}.{:03} ms", micros / 1000, micros % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_milliseconds() {
        for (micros, text) in [(0, "0.000 ms"), (1_234, "1.234 ms"), (6_000_000, "6000.000 ms")] {
            assert_eq!(milliseconds(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn types_are_those_of_messages_of_clients() {
        for (text, expected) in [("1", Some(1)), ("0x7e", Some(0x7e)), ("7Fh", Some(0x7f))] {
            assert_eq!(kind(text).ok(), expected, "{text}");
        }
        for text in ["0", "128", "0x80", "256", "pldm"] {
            assert!(kind(text).is_err(), "{text}");
        }
    }
}
