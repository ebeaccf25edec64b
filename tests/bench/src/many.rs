//! Logins and requests at many BMCs, which listen on consecutive ports of one address, one at a time.
//!
//! First it waits until each BMC has let the user in and has answered Get Chassis Status, in the order of the ports.
//! Then it visits BMCs in an order in which neighbours are far apart, so that each finds its processes as they are
//! when nobody has asked them for a while.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use ipmi_proto::{Lun, NetFn, Request};
use lexopt::{Arg, Parser, ValueExt};
use rmcp_proto::console::Credentials;

use crate::arguments::{Login, LoginOptions, address, next_option};
use crate::load::{Figures, Session};

const USAGE: &str = "\
Usage: many-logins --first HOST:PORT --count N --user NAME --password WORD [OPTIONS]

Waits until N BMCs, at consecutive ports, have let the user in and have answered Get
Chassis Status; prints \"ready\" and how long that took. Then measures logins and
Get Chassis Status at one BMC after the other; prints median and 99th percentile.

Options:
  --first HOST:PORT  the first BMC
  --count N          how many there are
  --user NAME        who logs in
  --password WORD    with which password (or in the variable IPMI_PASSWORD)
  --suite N          cipher suite (default 17)
  --privilege N      asked for, 2 to 4 (default 4)
  --patience SECONDS how long to wait for all of them (default 300)
  --samples N        how many logins to measure (default 1000)
  --help             print this and end
";

/// Get Chassis Status.
const GET_CHASSIS_STATUS: u8 = 0x01;
/// The pause before a BMC that does not answer yet is asked again.
const PAUSE: Duration = Duration::from_millis(20);

struct Arguments {
    first: SocketAddr,
    count: u16,
    login: Login,
    patience: Duration,
    samples: u32,
}

/// Runs the program, and returns the text to print.
///
/// # Errors
///
/// A bad command line, a BMC that does not answer in time, or one that stops answering.
pub fn run(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<String> {
    let Some(args) = parse(args)? else {
        return Ok(USAGE.to_owned());
    };
    let credentials = args.login.credentials();
    let start = Instant::now();
    for number in 0..args.count {
        wait_for(bmc(&args, number)?, &credentials, start + args.patience)?;
    }
    let mut text = format!("ready {:.2} s\n", start.elapsed().as_secs_f64());
    let (mut logins, mut requests) = (Vec::new(), Vec::new());
    for sample in 0..args.samples {
        let bmc = bmc(&args, visited(sample, args.count))?;
        let (login, request) = visit(bmc, &credentials).with_context(|| bmc.to_string())?;
        logins.push(login);
        requests.push(request);
    }
    for (name, took) in [("login", logins), ("status", requests)] {
        let figures = Figures::new(took, start.elapsed());
        let us = |percent| figures.percentile(percent).as_secs_f64() * 1e6;
        writeln!(text, "{name} p50 {:.0} us p99 {:.0} us", us(50), us(99))?;
    }
    Ok(text)
}

fn parse(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<Option<Arguments>> {
    let mut parser = Parser::from_iter(args);
    let (mut first, mut count, mut login) = (None::<String>, 1, LoginOptions::default());
    let (mut patience, mut samples) = (300, 1000);
    while let Some(option) = next_option(&mut parser)? {
        match option.as_str() {
            "help" => return Ok(None),
            "first" => first = Some(parser.value()?.string()?),
            "count" => count = parser.value()?.parse()?,
            "patience" => patience = parser.value()?.parse()?,
            "samples" => samples = parser.value()?.parse()?,
            name if login.take(name, &mut parser)? => {}
            name => return Err(Arg::Long(name).unexpected().into()),
        }
    }
    let first = address(&first.context("--first is missing")?)?;
    if count == 0 || first.port().checked_add(count - 1).is_none() {
        bail!("--count: {count} ports from {} on are not possible", first.port());
    }
    let (login, patience) = (login.login()?, Duration::from_secs(patience));
    Ok(Some(Arguments { first, count, login, patience, samples }))
}

/// The BMC at the `number`th port.
fn bmc(args: &Arguments, number: u16) -> anyhow::Result<SocketAddr> {
    let mut bmc = args.first;
    bmc.set_port(bmc.port().checked_add(number).context("no such port")?);
    Ok(bmc)
}

/// Which of `count` BMCs the `sample`th visit is to: by the golden ratio, all of them as often.
fn visited(sample: u32, count: u16) -> u16 {
    const TURN: u64 = 1 << 16;
    const GOLDEN: u64 = 40_503;
    let turn = u64::from(sample) * GOLDEN % TURN;
    u16::try_from(turn * u64::from(count) / TURN).unwrap_or_default()
}

fn wait_for(bmc: SocketAddr, credentials: &Credentials, end: Instant) -> anyhow::Result<()> {
    loop {
        match visit(bmc, credentials) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() >= end => {
                return Err(error.context(format!("{bmc} is not ready in time")));
            }
            Err(_) => sleep(PAUSE),
        }
    }
}

/// Logs in, asks once, and closes the session; the times of login and request.
fn visit(bmc: SocketAddr, credentials: &Credentials) -> anyhow::Result<(Duration, Duration)> {
    let start = Instant::now();
    let mut session = Session::open(bmc, credentials, 1)?;
    let login = start.elapsed();
    let data = Vec::new();
    let status =
        Request { netfn: NetFn::CHASSIS, lun: Lun::BMC, command: GET_CHASSIS_STATUS, data };
    let request = session.request(status)?;
    session.close()?;
    Ok((login, request))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> anyhow::Result<Option<Arguments>> {
        parse(text.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_line_names_the_ports() {
        let text = "many-logins --first 127.0.0.1:20000 --count 3 --user root --password x";
        let args = line(text).unwrap().unwrap();
        assert_eq!(bmc(&args, 2).unwrap(), "127.0.0.1:20002".parse().unwrap());
        assert!(line(&text.replace("20000", "65534")).is_err());
        assert!(line(&text.replace("--count 3", "--count 0")).is_err());
        assert!(line(&format!("{text} --colour")).is_err());
        assert!(line("many-logins --help").unwrap().is_none());
    }

    #[test]
    fn all_bmcs_are_visited_and_neighbours_are_far_apart() {
        let mut visits = [0; 10];
        for sample in 0..1000 {
            visits[usize::from(visited(sample, 10))] += 1;
        }
        assert!(visits.iter().all(|count| (95..=105).contains(count)), "{visits:?}");
        assert!(visited(1, 1000).abs_diff(visited(2, 1000)) > 100);
        assert_eq!(visited(999, 1), 0);
    }
}
