//! The command line.

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, bail};
use lexopt::{Arg, Parser, ValueExt};
use rmcp_proto::crypto::UserKey;
use rmcp_proto::suite::CipherSuite;
use rmcp_proto::wire::rakp::UserName;

/// What `--help` prints.
pub const USAGE: &str = "\
Usage: bench --bmc HOST:PORT --user NAME --password WORD [OPTIONS]

Sends Get Device ID over RMCP+, one request outstanding in each session, and prints
the rate, the median and the 99th percentile of the time to an answer, and the CPU
time of the BMC's processes per request.

Options:
  --bmc HOST:PORT    the BMC
  --user NAME        who logs in
  --password WORD    with which password (or in the variable IPMI_PASSWORD)
  --suite N          cipher suite (default 17)
  --sessions N       how many sessions (default 1)
  --logins           measure logins: one session after the other is opened and closed
  --privilege N      asked for, 2 to 4 (default 4)
  --time SECONDS     how long to measure (default 5)
  --warm-up SECONDS  how long to run before (default 1)
  --process NAME=PID a process whose CPU time is printed; may be given several times
  --label TEXT       what the line begins with (default the BMC)
  --help             print this and end
";

/// A complete command line.
#[derive(Debug)]
pub struct Arguments {
    /// The BMC.
    pub bmc: SocketAddr,
    /// The user name.
    pub user: UserName,
    /// The password.
    pub key: UserKey,
    /// The proposed cipher suite.
    pub suite: CipherSuite,
    /// The number of sessions.
    pub sessions: u16,
    /// Whether logins are measured, and not requests.
    pub logins: bool,
    /// The requested privilege.
    pub privilege: u8,
    /// How long to measure.
    pub time: Duration,
    /// How long to run before the measurement.
    pub warm_up: Duration,
    /// Processes whose CPU time is measured: name and id.
    pub processes: Vec<(String, u32)>,
    /// The name at the beginning of the printed line.
    pub label: String,
}

/// What the command line requests.
#[derive(Debug)]
pub enum Invocation {
    /// The text of `--help`.
    Help,
    /// A measurement.
    Run(Arguments),
}

/// Reads a command line, the program's name included.
///
/// # Errors
///
/// What is missing, unknown or malformed.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<Invocation> {
    let mut parser = Parser::from_iter(args);
    let (mut bmc, mut user, mut label) = (None::<String>, None, None);
    let mut password = std::env::var("IPMI_PASSWORD").ok();
    let (mut suite, mut sessions, mut privilege, mut logins) = (17, 1, 4, false);
    let (mut time, mut warm_up, mut processes) = (5.0, 1.0, Vec::new());
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("help") | Arg::Short('h') => return Ok(Invocation::Help),
            Arg::Long("bmc") => bmc = Some(parser.value()?.string()?),
            Arg::Long("user") => user = Some(parser.value()?.string()?),
            Arg::Long("password") => password = Some(parser.value()?.string()?),
            Arg::Long("suite") => suite = parser.value()?.parse()?,
            Arg::Long("sessions") => sessions = parser.value()?.parse()?,
            Arg::Long("logins") => logins = true,
            Arg::Long("privilege") => privilege = parser.value()?.parse()?,
            Arg::Long("time") => time = parser.value()?.parse()?,
            Arg::Long("warm-up") => warm_up = parser.value()?.parse()?,
            Arg::Long("label") => label = Some(parser.value()?.string()?),
            Arg::Long("process") => processes.push(process(&parser.value()?.string()?)?),
            arg => return Err(arg.unexpected().into()),
        }
    }
    let bmc = bmc.context("--bmc is missing")?;
    let address = bmc.to_socket_addrs().with_context(|| bmc.clone())?.next();
    let user = user.context("--user is missing")?;
    let password = password.context("--password is missing")?;
    if !(1..=62).contains(&sessions) {
        bail!("--sessions: {sessions} is not between 1 and 62");
    }
    Ok(Invocation::Run(Arguments {
        bmc: address.with_context(|| format!("{bmc}: no address"))?,
        user: UserName::new(user.as_bytes()).context("--user: at most 16 bytes")?,
        key: UserKey::from_password(password.as_bytes()).context("--password: at most 20 bytes")?,
        suite: CipherSuite::from_id(suite)
            .with_context(|| format!("--suite: {suite} is not supported"))?,
        sessions,
        logins,
        privilege,
        time: seconds("--time", time)?,
        warm_up: seconds("--warm-up", warm_up)?,
        processes,
        label: label.unwrap_or(bmc),
    }))
}

fn seconds(option: &str, seconds: f64) -> anyhow::Result<Duration> {
    Duration::try_from_secs_f64(seconds).with_context(|| option.to_owned())
}

fn process(text: &str) -> anyhow::Result<(String, u32)> {
    let (name, id) = text.split_once('=').context("--process takes NAME=PID")?;
    Ok((name.to_owned(), id.parse().with_context(|| format!("--process {text}"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> anyhow::Result<Invocation> {
        parse(text.split_whitespace().map(OsString::from))
    }

    #[test]
    fn a_whole_line_is_read() {
        let text = "bench --bmc 127.0.0.1:6230 --user root --password x --suite 3 --sessions 8 \
                    --time 0.5 --process ipmid=12 --process bus=13 --label ours";
        let Ok(Invocation::Run(args)) = line(text) else { panic!("{text}") };
        assert_eq!((args.suite.id(), args.sessions), (3, 8));
        assert_eq!(args.time, Duration::from_millis(500));
        assert_eq!(args.processes, [("ipmid".to_owned(), 12), ("bus".to_owned(), 13)]);
    }

    #[test]
    fn mistakes_are_reported() {
        let good = "bench --bmc 127.0.0.1:1 --user root --password x";
        for (more, culprit) in [
            ("--suite 0", "suite"),
            ("--sessions 63", "63"),
            ("--process x", "NAME=PID"),
            ("--colour", "--colour"),
            ("--time -1", "--time"),
        ] {
            let error = line(&format!("{good} {more}")).unwrap_err();
            assert!(format!("{error:#}").contains(culprit), "{error:#}");
        }
        assert!(line("bench").is_err());
        assert!(matches!(line("bench --help"), Ok(Invocation::Help)));
    }
}
