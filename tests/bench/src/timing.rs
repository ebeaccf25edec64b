//! The time from RAKP 1 to RAKP 2, by user name.
//!
//! The names take turns, so that other load on the machine affects all alike. Two names'
//! times are compared by the two-sample Kolmogorov-Smirnov statistic: the largest distance between
//! their distribution functions, which is below 1.63 * sqrt(2 / n) in 99 of 100 comparisons where there
//! is nothing to tell apart. With several pairs the bound is wider, so that 99 of 100 runs find no difference.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use lexopt::{Arg, Parser, ValueExt};
use rmcp_proto::suite::CipherSuite;
use rmcp_proto::wire::open_session::{OpenSessionRequest, OpenSessionResponse};
use rmcp_proto::wire::rakp::{Rakp1, Rakp2, Role, UserName};
use rmcp_proto::wire::v20::{self, PayloadType, V20Header, V20Packet};

const USAGE: &str = "\
Usage: rakp-timing --bmc HOST:PORT [--samples N] [--pace MICROSECONDS] NAME NAME...

Asks for RAKP 2 as each of the users in turn and compares how long it takes, with a
statistic for each pair. Give an enabled user, a disabled one, and names of no user.

Options:
  --samples N          for each name (default 20000)
  --pace MICROSECONDS  between samples (default 600: under the BMC's limit per source)
";

/// How long a response may take; after that the packet counts as lost, and the sample is taken again.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);
/// The number of tries for a sample.
const TRIES: usize = 10;
/// The share of runs that may raise a false alarm.
const FALSE_ALARMS: f64 = 0.01;

/// Runs the program, and returns the text to print.
///
/// # Errors
///
/// A bad command line, or a BMC that does not respond.
pub fn run(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<String> {
    let mut parser = Parser::from_iter(args);
    let (mut bmc, mut names) = (None, Vec::new());
    let (mut samples, mut pace) = (20_000, 600);
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("help") | Arg::Short('h') => return Ok(USAGE.to_owned()),
            Arg::Long("bmc") => bmc = Some(parser.value()?.string()?),
            Arg::Long("samples") => samples = parser.value()?.parse()?,
            Arg::Long("pace") => pace = parser.value()?.parse()?,
            Arg::Value(name) => names.push(name.string()?),
            arg => return Err(arg.unexpected().into()),
        }
    }
    let bmc = bmc.context("--bmc is missing")?;
    let address = bmc.to_socket_addrs()?.next().with_context(|| format!("{bmc}: no address"))?;
    if names.len() < 2 {
        bail!("two names at least");
    }
    let times = measure(address, &names, samples, Duration::from_micros(pace))?;
    Ok(report(&names, &times))
}

/// The sorted times for each name.
fn measure(
    bmc: SocketAddr,
    names: &[String],
    samples: usize,
    pace: Duration,
) -> anyhow::Result<Vec<Vec<Duration>>> {
    let any: SocketAddr = match bmc {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(bmc)?;
    socket.set_read_timeout(Some(RESPONSE_TIMEOUT))?;
    let mut times = vec![Vec::with_capacity(samples); names.len()];
    let mut tag = 0u8;
    let mut order: Vec<usize> = (0..names.len()).collect();
    for round in 0..samples {
        // Another order each round, so that no name gains from the name before it.
        let turn = round % order.len();
        order.rotate_left(turn);
        order.swap(0, turn);
        for &index in &order {
            let (Some(name), Some(times)) = (names.get(index), times.get_mut(index)) else {
                continue;
            };
            times.push(answered(&socket, name, &mut tag)?);
            sleep(pace);
        }
    }
    for times in &mut times {
        times.sort_unstable();
    }
    Ok(times)
}

/// One sample, taken again as often as a packet of it is lost.
fn answered(socket: &UdpSocket, name: &str, tag: &mut u8) -> anyhow::Result<Duration> {
    let name = UserName::new(name.as_bytes()).context("a name has 16 bytes at most")?;
    for _ in 0..TRIES {
        *tag = tag.wrapping_add(1);
        if let Some(took) = sample(socket, name, *tag)? {
            return Ok(took);
        }
    }
    bail!("the BMC does not answer");
}

/// One Open Session and one RAKP 1: how long RAKP 2 took, or `None` for a packet that was lost.
fn sample(socket: &UdpSocket, name: UserName, tag: u8) -> anyhow::Result<Option<Duration>> {
    let Some(managed_id) = open_session(socket, tag)? else {
        return Ok(None);
    };
    let rakp_1 = Rakp1 {
        tag,
        managed_id,
        console_random: [tag; 16],
        role: Role::name_only(4),
        name_length: name.length(),
        name: Some(name),
    };
    let mut payload = Vec::new();
    rakp_1.emit(&mut payload);
    let start = Instant::now();
    send(socket, PayloadType::RAKP_1, &payload)?;
    let mut buffer = [0; 256];
    loop {
        let Some(answer) = receive(socket, &mut buffer)? else {
            return Ok(None);
        };
        let took = start.elapsed();
        match Rakp2::parse(answer) {
            Ok(Rakp2 { header, body: Some(_) }) if header.tag == tag => return Ok(Some(took)),
            Ok(Rakp2 { header, body: None }) if header.tag == tag => {
                bail!("RAKP 1 refused with {}", header.status);
            }
            _ => {}
        }
    }
}

/// Opens a handshake: the BMC's id of it, or `None` for a packet that was lost.
fn open_session(socket: &UdpSocket, tag: u8) -> anyhow::Result<Option<u32>> {
    let console_id = u32::from(tag) + 1;
    let suite = CipherSuite::from_id(17).context("suite 17")?;
    let proposals = suite.algorithms().into();
    let mut payload = Vec::new();
    OpenSessionRequest { tag, role: 0, console_id, proposals }.emit(&mut payload);
    send(socket, PayloadType::OPEN_SESSION_REQUEST, &payload)?;
    let mut buffer = [0; 256];
    loop {
        let Some(answer) = receive(socket, &mut buffer)? else {
            return Ok(None);
        };
        match OpenSessionResponse::parse(answer) {
            Ok(OpenSessionResponse::Accepted { tag: of, managed_id, .. }) if of == tag => {
                return Ok(Some(managed_id));
            }
            Ok(OpenSessionResponse::Refused { tag: of, status, .. }) if of == tag => {
                bail!("Open Session refused with {status}");
            }
            _ => {}
        }
    }
}

fn send(socket: &UdpSocket, kind: PayloadType, payload: &[u8]) -> anyhow::Result<()> {
    let mut datagram = Vec::new();
    v20::emit_plain(&V20Header::sessionless(kind), payload, &mut datagram)?;
    socket.send(&datagram)?;
    Ok(())
}

/// The next payload; `None` when none comes.
fn receive<'a>(socket: &UdpSocket, buffer: &'a mut [u8]) -> anyhow::Result<Option<&'a [u8]>> {
    let Ok(length) = socket.recv(buffer) else {
        return Ok(None);
    };
    let body = buffer.get(4..length).unwrap_or_default();
    Ok(V20Packet::parse(body).ok().map(|packet| packet.payload))
}

fn report(names: &[String], times: &[Vec<Duration>]) -> String {
    let mut text = String::new();
    for (name, times) in names.iter().zip(times) {
        let at = |percent: usize| {
            let took = times.get(times.len() * percent / 100).copied().unwrap_or_default();
            took.as_secs_f64() * 1e6
        };
        let (p10, p50, p90) = (at(10), at(50), at(90));
        let count = times.len();
        let _ = writeln!(
            text,
            "{name:<16} {count} samples  p10 {p10:.1} us  p50 {p50:.1} us  p90 {p90:.1} us"
        );
    }
    let pairs = names.len() * names.len().saturating_sub(1) / 2;
    let factor = factor(FALSE_ALARMS / pairs.max(1) as f64);
    let pairs = (0..names.len()).flat_map(|a| (a + 1..names.len()).map(move |b| (a, b)));
    for (a, b) in pairs {
        let (Some(first), Some(second)) = (times.get(a), times.get(b)) else {
            continue;
        };
        let (Some(one), Some(other)) = (names.get(a), names.get(b)) else {
            continue;
        };
        let distance = kolmogorov_smirnov(first, second);
        let bound = factor * (2.0 / first.len() as f64).sqrt();
        let verdict = if distance < bound { "alike" } else { "DIFFERENT" };
        let _ = writeln!(text, "{one} / {other}: D = {distance:.4}, bound {bound:.4}: {verdict}");
    }
    text
}

/// The factor of the bound that a share of `false_alarms` among comparisons exceeds.
fn factor(false_alarms: f64) -> f64 {
    (-(false_alarms / 2.0).ln() / 2.0).sqrt()
}

/// The largest distance between the distribution functions of two sorted samples.
fn kolmogorov_smirnov(a: &[Duration], b: &[Duration]) -> f64 {
    let share = |sample: &[Duration], limit: &Duration| {
        sample.partition_point(|took| took <= limit) as f64 / sample.len() as f64
    };
    let distance = |limit| (share(a, limit) - share(b, limit)).abs();
    a.iter().chain(b).map(distance).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(microseconds: impl Iterator<Item = u64>) -> Vec<Duration> {
        microseconds.map(Duration::from_micros).collect()
    }

    #[test]
    fn distance_is_that_of_the_distribution_functions() {
        let same = times(0..1000);
        assert!(kolmogorov_smirnov(&same, &same) < 1e-9);
        let shifted = times(500..1500);
        assert!((kolmogorov_smirnov(&same, &shifted) - 0.5).abs() < 1e-9);
        let apart = times(2000..3000);
        assert!((kolmogorov_smirnov(&same, &apart) - 1.0).abs() < 1e-9);
        assert!((factor(0.01) - 1.6276).abs() < 1e-4);
        let names = ["a".to_owned(), "b".to_owned()];
        assert!(report(&names, &[same.clone(), same.clone()]).contains("alike"));
        assert!(report(&names, &[same, shifted]).contains("DIFFERENT"));
    }
}
