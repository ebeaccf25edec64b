//! `ping`: whether BMCs answer over LAN, by the ASF presence ping (ASF v2.0 §3.2.4.2; IPMI v2.0 §13.2.3).

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, value_parser};
use rmcp_proto::wire::asf::{PresencePing, PresencePong};
use rmcp_proto::wire::rmcp::{Class, RmcpMessage};
use serde::Serialize;
use tokio::net::{UdpSocket, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::cli::Global;
use crate::error::Error;
use crate::output::{Cell, Report, Style};

/// The port of RMCP (ASF v2.0 §3.2.2).
const PORT: u16 = 623;
/// The most addresses that one call asks.
const MOST: usize = 10_000;
/// Addresses that are asked at a time.
const AT_A_TIME: usize = 64;
/// Time between two pings to an address that has not answered.
const INTERVAL: Duration = Duration::from_millis(500);
/// The longest answer that is looked at.
const LONGEST: usize = 64;

/// Ask BMCs over LAN whether they are there
///
/// Sends the presence ping of ASF, which needs no login, and reports who does not answer as an IPMI device. The exit code is 1 if
/// anybody does not: a probe of a container, for example.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// HOST, HOST:PORT, or HOST:FIRST-LAST for a row of ports; an IPv6 address in brackets
    #[arg(value_name = "ADDRESS", required = true, value_parser = target)]
    targets: Vec<Target>,
    /// How long to wait for answers
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = value_parser!(u64).range(1..=60))]
    wait: u64,
    /// Print only those that do not answer
    #[arg(long)]
    quiet: bool,
}

/// A host, and a row of its ports.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Target {
    host: String,
    first: u16,
    last: u16,
}

/// One address, as JSON.
#[derive(Serialize)]
struct Answer {
    address: String,
    answers: bool,
    dcmi: bool,
    milliseconds: Option<u64>,
}

impl Answer {
    fn row(&self) -> Vec<Cell> {
        let state = if self.answers {
            Cell::new("answers", Style::Good)
        } else {
            Cell::new("no answer", Style::Bad)
        };
        let time = self.milliseconds.map(|time| format!("{time} ms")).unwrap_or_default();
        vec![self.address.clone().into(), state, time.into()]
    }
}

pub(crate) async fn run(arguments: &Arguments, _global: &Global) -> Result<Report, Error> {
    let addresses = addresses(&arguments.targets).await?;
    let limit = Duration::from_secs(arguments.wait);
    let mut answers = Vec::with_capacity(addresses.len());
    for some in addresses.chunks(AT_A_TIME) {
        let mut pings = JoinSet::new();
        for (index, address) in some.iter().copied().enumerate() {
            pings.spawn(async move { (index, ping(address, limit).await) });
        }
        let mut done = pings.join_all().await;
        done.sort_by_key(|(index, _)| *index);
        answers.extend(done.into_iter().map(|(_, answer)| answer));
    }
    let is_missing = answers.iter().any(|answer| !answer.answers);
    let report = Report::new(&answers, |page| {
        let shown = answers.iter().filter(|answer| !arguments.quiet || !answer.answers);
        let rows: Vec<_> = shown.map(Answer::row).collect();
        if !rows.is_empty() {
            page.table(&["ADDRESS", "STATE", "TIME"], rows);
        }
    });
    Ok(report.failed_if(is_missing))
}

/// The addresses of all targets; of a name its first one.
async fn addresses(targets: &[Target]) -> Result<Vec<SocketAddr>, Error> {
    let mut addresses = Vec::new();
    for target in targets {
        let found = lookup_host((target.host.as_str(), target.first)).await;
        let unknown = |reason: &str| Error::failed(format_args!("{}: {reason}", target.host));
        let mut found = found.map_err(|error| unknown(&error.to_string()))?;
        let found = found.next().ok_or_else(|| unknown("the name has no address"))?;
        addresses
            .extend((target.first..=target.last).map(|port| SocketAddr::new(found.ip(), port)));
        if addresses.len() > MOST {
            return Err(Error::usage(format_args!("more than {MOST} addresses")));
        }
    }
    Ok(addresses)
}

/// Pings an address until it answers, or `limit` is over. An address that cannot be sent to does not answer.
async fn ping(address: SocketAddr, limit: Duration) -> Answer {
    let begin = Instant::now();
    let pong = timeout(limit, until_pong(address)).await.ok();
    Answer {
        address: address.to_string(),
        answers: pong.is_some(),
        dcmi: pong.is_some_and(|pong| pong.dcmi),
        milliseconds: pong.map(|_| u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX)),
    }
}

/// Never returns without a pong.
async fn until_pong(address: SocketAddr) -> PresencePong {
    let own: SocketAddr =
        if address.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    let mut socket = None;
    for tag in (0..u8::MAX).cycle() {
        if socket.is_none() {
            socket = connect(own, address).await;
        }
        let pong = async {
            match &socket {
                Some(socket) => exchange(socket, tag).await,
                None => std::future::pending().await,
            }
        };
        if let Ok(pong) = timeout(INTERVAL, pong).await {
            return pong;
        }
    }
    std::future::pending().await
}

async fn connect(own: SocketAddr, address: SocketAddr) -> Option<UdpSocket> {
    let socket = UdpSocket::bind(own).await.ok()?;
    socket.connect(address).await.ok()?;
    Some(socket)
}

/// One ping, and its pong; pongs of earlier pings count too.
async fn exchange(socket: &UdpSocket, tag: u8) -> PresencePong {
    let (mut body, mut datagram) = (Vec::new(), Vec::new());
    PresencePing { tag }.emit(&mut body);
    RmcpMessage::Data { sequence: None, class: Class::Asf, body: &body }.emit(&mut datagram);
    // A refusal of an earlier datagram is reported here, and nobody may listen yet.
    let _refused = socket.send(&datagram).await;
    let mut buffer = [0; LONGEST];
    loop {
        match socket.recv(&mut buffer).await {
            Ok(count) => {
                if let Some(pong) = parse(buffer.get(..count).unwrap_or_default()) {
                    return pong;
                }
            }
            // Nobody listens: the next ping may find somebody.
            Err(_) => std::future::pending().await,
        }
    }
}

fn parse(datagram: &[u8]) -> Option<PresencePong> {
    match RmcpMessage::parse(datagram).ok()? {
        RmcpMessage::Data { class: Class::Asf, body, .. } => PresencePong::parse(body).ok(),
        _ => None,
    }
}

/// Reads a target of the command line.
fn target(text: &str) -> Result<Target, String> {
    let whole = |host: &str| Target { host: host.to_owned(), first: PORT, last: PORT };
    let (host, ports) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        Some((host, "")) => return Ok(whole(host)),
        Some((host, rest)) => (host, rest.strip_prefix(':').ok_or("a port begins with a colon")?),
        None => match text.split_once(':') {
            None => return Ok(whole(text)),
            Some((_, more)) if more.contains(':') => {
                return Err("an IPv6 address has brackets".to_owned());
            }
            Some(parts) => parts,
        },
    };
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let port = |text: &str| {
        text.parse().ok().filter(|port| *port != 0).ok_or_else(|| "a port is 1 to 65535".to_owned())
    };
    let (first, last) = (port(first)?, port(last)?);
    if host.is_empty() || first > last {
        return Err("an address is HOST, HOST:PORT or HOST:FIRST-LAST".to_owned());
    }
    Ok(Target { host: host.to_owned(), first, last })
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    #[test]
    fn targets_are_hosts_with_ports() {
        for (text, host, first, last) in [
            ("bmc", "bmc", 623, 623),
            ("bmc:6230", "bmc", 6230, 6230),
            ("192.0.2.1:6230-6279", "192.0.2.1", 6230, 6279),
            ("[2001:db8::1]", "2001:db8::1", 623, 623),
            ("[::1]:1-2", "::1", 1, 2),
        ] {
            assert_eq!(target(text), Ok(Target { host: host.to_owned(), first, last }), "{text}");
        }
        for text in
            ["::1", "bmc:", "bmc:0", "bmc:2-1", "bmc:70000", "[::1]6230", ":623", "bmc:1-2-3"]
        {
            assert!(target(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_pong_of_an_ipmi_device_is_an_answer() {
        let pong = hex!(
            "06 00 ff 06 00 00 11 be 40 01 00 10 00 00 11 be 00 00 00 00 81 00 00 00 00 00 00 00"
        );
        assert!(parse(&pong).is_some());
        let mut other = pong;
        other[20] = 0x01;
        assert!(parse(&other).is_none(), "without IPMI");
        assert!(parse(&hex!("06 00 ff 06 00 00 11 be 80 01 00 00")).is_none(), "a ping");
        assert!(parse(&pong[..20]).is_none() && parse(&[]).is_none());
    }

    #[tokio::test]
    async fn a_ping_is_repeated_until_somebody_listens() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let mut buffer = [0; 64];
            // The first ping is lost.
            let _lost = socket.recv_from(&mut buffer).await.unwrap();
            let (count, peer) = socket.recv_from(&mut buffer).await.unwrap();
            let ping = buffer[..count].to_vec();
            let tail = hex!("00 10 00 00 11 be 00 00 00 00 81 00 00 00 00 00 00 00");
            let pong = [&hex!("06 00 ff 06 00 00 11 be 40")[..], &[ping[9]], &tail].concat();
            socket.send_to(&pong, peer).await.unwrap();
            ping
        });
        let answer = ping(address, Duration::from_secs(30)).await;
        assert!(answer.answers && !answer.dcmi);
        assert_eq!(server.await.unwrap()[..9], hex!("06 00 ff 06 00 00 11 be 80"));
    }
}
