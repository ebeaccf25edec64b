//! The command line.

use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use ipmi_proto::{Lun, NetFn, Request};
use lexopt::{Arg, Parser, ValueExt};
use rmcp_proto::console::Credentials;
use rmcp_proto::crypto::UserKey;
use rmcp_proto::suite::CipherSuite;
use rmcp_proto::wire::rakp::{Role, UserName};

/// What `--help` prints.
pub const USAGE: &str = "\
Usage: bench --bmc HOST:PORT --user NAME --password WORD [OPTIONS]

Sends Get Device ID over RMCP+, or another request, one outstanding in each session, and prints
the rate, the median and the 99th percentile of the time to an answer, and the CPU
time of the BMC's processes per request.

Options:
  --bmc HOST:PORT    the BMC
  --user NAME        who logs in
  --password WORD    with which password (or in the variable IPMI_PASSWORD)
  --suite N          cipher suite (default 17)
  --sessions N       how many sessions (default 1)
  --request BYTES    netFn, command and data of another request, in hexadecimal: 0a2300000000010000ff
  --logins           measure logins: one session after the other is opened and closed
  --privilege N      asked for, 2 to 4 (default 4)
  --time SECONDS     how long to measure (default 5)
  --warm-up SECONDS  how long to run before (default 1)
  --process NAME=PID a process whose CPU time is printed; may be given several times
  --counter FILE     a file of eight bytes in which another program counts something, such as the
                     instructions of a guest; its growth per request is printed, without that of an idle BMC
  --label TEXT       what the line begins with (default the BMC)
  --help             print this and end
";

/// A complete command line.
#[derive(Debug)]
pub struct Arguments {
    /// The BMC.
    pub bmc: SocketAddr,
    /// Who logs in, and how.
    pub login: Login,
    /// The number of sessions.
    pub sessions: u16,
    /// What is requested.
    pub request: Request,
    /// Whether logins are measured, and not requests.
    pub logins: bool,
    /// How long to measure.
    pub time: Duration,
    /// How long to run before the measurement.
    pub warm_up: Duration,
    /// Processes whose CPU time is measured: name and id.
    pub processes: Vec<(String, u32)>,
    /// A counter whose growth is measured.
    pub counter: Option<PathBuf>,
    /// The name at the beginning of the printed line.
    pub label: String,
}

/// Who logs in, and how; each of the programs has these options.
#[derive(Clone, Debug)]
pub struct Login {
    /// The user name.
    pub user: UserName,
    /// The password.
    pub key: UserKey,
    /// The proposed cipher suite.
    pub suite: CipherSuite,
    /// The requested privilege.
    pub privilege: u8,
}

impl Login {
    /// What a console needs for it.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        Credentials {
            user: self.user,
            key: self.key.clone(),
            kg: None,
            suite: self.suite,
            role: Role::name_only(self.privilege),
        }
    }
}

/// The options of a [`Login`] as they are read.
#[derive(Debug)]
pub(crate) struct LoginOptions {
    user: Option<String>,
    password: Option<String>,
    suite: u8,
    privilege: u8,
}

impl Default for LoginOptions {
    fn default() -> Self {
        let password = std::env::var("IPMI_PASSWORD").ok();
        Self { user: None, password, suite: 17, privilege: 4 }
    }
}

impl LoginOptions {
    /// Takes the option `name`, if it is one of these.
    pub(crate) fn take(&mut self, name: &str, parser: &mut Parser) -> anyhow::Result<bool> {
        match name {
            "user" => self.user = Some(parser.value()?.string()?),
            "password" => self.password = Some(parser.value()?.string()?),
            "suite" => self.suite = parser.value()?.parse()?,
            "privilege" => self.privilege = parser.value()?.parse()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The login.
    pub(crate) fn login(self) -> anyhow::Result<Login> {
        let user = self.user.context("--user is missing")?;
        let password = self.password.context("--password is missing")?;
        Ok(Login {
            user: UserName::new(user.as_bytes()).context("--user: at most 16 bytes")?,
            key: UserKey::from_password(password.as_bytes())
                .context("--password: at most 20 bytes")?,
            suite: CipherSuite::from_id(self.suite)
                .with_context(|| format!("--suite: {} is not supported", self.suite))?,
            privilege: self.privilege,
        })
    }
}

/// What the command line requests.
#[derive(Debug)]
pub enum Invocation {
    /// The text of `--help`.
    Help,
    /// A measurement.
    Run(Box<Arguments>),
}

/// Reads a command line, the program's name included.
///
/// # Errors
///
/// What is missing, unknown or malformed.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<Invocation> {
    let mut parser = Parser::from_iter(args);
    let (mut bmc, mut label, mut login) = (None::<String>, None, LoginOptions::default());
    let (mut sessions, mut logins, mut processes) = (1, false, Vec::new());
    let (mut request, mut counter) = (device_id(), None);
    let (mut time, mut warm_up) = (5.0, 1.0);
    while let Some(option) = next_option(&mut parser)? {
        match option.as_str() {
            "help" => return Ok(Invocation::Help),
            "bmc" => bmc = Some(parser.value()?.string()?),
            "sessions" => sessions = parser.value()?.parse()?,
            "request" => request = parse_request(&parser.value()?.string()?)?,
            "counter" => counter = Some(parser.value()?.into()),
            "logins" => logins = true,
            "time" => time = parser.value()?.parse()?,
            "warm-up" => warm_up = parser.value()?.parse()?,
            "label" => label = Some(parser.value()?.string()?),
            "process" => processes.push(process(&parser.value()?.string()?)?),
            name if login.take(name, &mut parser)? => {}
            name => return Err(Arg::Long(name).unexpected().into()),
        }
    }
    let bmc = bmc.context("--bmc is missing")?;
    if !(1..=62).contains(&sessions) {
        bail!("--sessions: {sessions} is not between 1 and 62");
    }
    Ok(Invocation::Run(Box::new(Arguments {
        bmc: address(&bmc)?,
        login: login.login()?,
        sessions,
        request,
        logins,
        time: seconds("--time", time)?,
        warm_up: seconds("--warm-up", warm_up)?,
        processes,
        counter,
        label: label.unwrap_or(bmc),
    })))
}

/// The name of the next option; there are no other arguments.
pub(crate) fn next_option(parser: &mut Parser) -> anyhow::Result<Option<String>> {
    Ok(match parser.next()? {
        None => None,
        Some(Arg::Long(name)) => Some(name.to_owned()),
        Some(Arg::Short('h')) => Some("help".to_owned()),
        Some(arg) => return Err(arg.unexpected().into()),
    })
}

/// The address of `bmc`, a HOST:PORT.
pub(crate) fn address(bmc: &str) -> anyhow::Result<SocketAddr> {
    let address = bmc.to_socket_addrs().with_context(|| bmc.to_owned())?.next();
    address.with_context(|| format!("{bmc}: no address"))
}

fn seconds(option: &str, seconds: f64) -> anyhow::Result<Duration> {
    Duration::try_from_secs_f64(seconds).with_context(|| option.to_owned())
}

/// Get Device ID.
fn device_id() -> Request {
    Request { netfn: NetFn::APP, lun: Lun::BMC, command: 0x01, data: Vec::new() }
}

/// A request from its netFn, command and data, two hexadecimal digits a byte.
fn parse_request(text: &str) -> anyhow::Result<Request> {
    let digits: Vec<u8> =
        text.chars().filter_map(|digit| digit.to_digit(16)).flat_map(u8::try_from).collect();
    if digits.len() != text.len() || !digits.len().is_multiple_of(2) {
        bail!("--request: {text} is not hexadecimal");
    }
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    let [netfn, command, data @ ..] = bytes.as_slice() else {
        bail!("--request: netFn and command are needed");
    };
    let netfn = NetFn::new(*netfn).with_context(|| format!("--request: no netFn {netfn:02x}h"))?;
    Ok(Request { netfn, lun: Lun::BMC, command: *command, data: data.to_vec() })
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
                    --time 0.5 --process ipmid=12 --process bus=13 --label ours --request 0a2300ff";
        let Ok(Invocation::Run(args)) = line(text) else { panic!("{text}") };
        assert_eq!((args.login.suite.id(), args.sessions), (3, 8));
        assert_eq!(args.time, Duration::from_millis(500));
        assert_eq!((args.request.netfn, args.request.command), (NetFn::STORAGE, 0x23));
        assert_eq!(args.request.data, [0x00, 0xff]);
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
            ("--request 0a2", "hexadecimal"),
            ("--request 0a", "command"),
            ("--request xxxx", "hexadecimal"),
        ] {
            let error = line(&format!("{good} {more}")).unwrap_err();
            assert!(format!("{error:#}").contains(culprit), "{error:#}");
        }
        assert!(line("bench").is_err());
        assert!(matches!(line("bench --help"), Ok(Invocation::Help)));
    }
}
