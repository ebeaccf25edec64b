//! `record`: the last requests and responses, as the bridges and `ipmid` have recorded them.

use clap::Args;
use ipmi_proto::{CompletionCode, Lun, NetFn, Request, Response, kcs};
use openbmc_dbus::execute::CHANNEL_PREFIX;
use openbmc_dbus::ipmi::names::CHANNEL_PATH_PREFIX;
use openbmc_dbus::recorder::object::{DUMP, IPMID_PATH, IPMID_SERVICE, RECORDER};
use openbmc_dbus::recorder::{Exchange, Origin};
use serde::Serialize;

use crate::bus::Bus;
use crate::cli::Global;
use crate::error::Error;
use crate::output::{Cell, Page, Report, Style};
use crate::raw::Completion;
use crate::{decode, hex, time};

/// Print the last requests and their responses, as the bridges have recorded them
///
/// Each bridge has the last requests of its channel, with the first bytes of their data ([recorder] of causeway.toml).
/// Passwords, keys and community strings are masked.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,
}

/// Which requests.
#[derive(Args, Debug)]
pub(crate) struct Which {
    /// Only requests of this channel, by its name
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
    /// Requests as ipmid has them, those of programs on the BMC too, in place of the bridges'
    #[arg(long)]
    ipmid: bool,
}

/// A process that records requests.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Source {
    pub(crate) service: String,
    pub(crate) path: String,
}

impl Which {
    /// The source that has `service` as its bus name, if it is one of these requests'.
    pub(crate) fn source(&self, service: &str) -> Option<Source> {
        let path = match service.strip_prefix(CHANNEL_PREFIX) {
            _ if self.ipmid => (service == IPMID_SERVICE).then(|| IPMID_PATH.to_owned())?,
            Some(channel) if self.has(channel) => {
                format!("{CHANNEL_PATH_PREFIX}{}", channel.replace('-', "_"))
            }
            _ => return None,
        };
        Some(Source { service: service.to_owned(), path })
    }

    /// All of them.
    ///
    /// # Errors
    ///
    /// When there are none.
    pub(crate) async fn sources(&self, bus: &Bus) -> Result<Vec<Source>, Error> {
        let mut sources: Vec<_> =
            bus.names().await?.iter().filter_map(|name| self.source(name)).collect();
        sources.sort_by(|a, b| a.service.cmp(&b.service));
        match (&self.channel, sources.is_empty()) {
            (_, true) if self.ipmid => {
                Err(Error::failed("ipmid is not on the bus, or older")
                    .remedy("systemctl start ipmid"))
            }
            (Some(channel), true) => {
                Err(Error::failed(format_args!("no bridge serves channel {channel}"))
                    .remedy("causewayctl status"))
            }
            _ => Ok(sources),
        }
    }

    /// The channel whose requests are wanted; empty for all.
    pub(crate) fn channel(&self) -> &str {
        self.channel.as_deref().unwrap_or_default()
    }

    fn has(&self, channel: &str) -> bool {
        self.channel.as_deref().is_none_or(|wanted| wanted == channel)
    }

    /// What they have recorded, in the order of time.
    pub(crate) async fn recorded(&self, bus: &Bus) -> Result<Vec<Exchange>, Error> {
        let mut exchanges = Vec::new();
        for source in self.sources(bus).await? {
            exchanges.extend(dump(bus, &source, self.channel()).await?);
        }
        exchanges.sort_by_key(|exchange| exchange.monotonic);
        Ok(exchanges)
    }
}

/// What a source has recorded of a channel, or of all if it is empty; nothing where it is another's, or older.
async fn dump(bus: &Bus, source: &Source, channel: &str) -> Result<Vec<Exchange>, Error> {
    let Source { service, path } = source;
    let dump = bus.call_if_there(service, path, RECORDER, DUMP, &(channel,)).await?;
    let (dump,): (Vec<Exchange>,) = dump.unwrap_or_default();
    Ok(dump)
}

/// What the bridge of a channel has recorded of a session.
pub(crate) async fn of_session(bus: &Bus, channel: &str, id: u32) -> Result<Vec<Recorded>, Error> {
    let which = Which { channel: None, ipmid: false };
    let Some(source) = which.source(&format!("{CHANNEL_PREFIX}{channel}")) else {
        return Ok(Vec::new());
    };
    let exchanges = dump(bus, &source, "").await?;
    let of_it = exchanges.iter().filter(|exchange| exchange.origin.session == id);
    Ok(of_it.map(Recorded::from).collect())
}

/// Adds a table of exchanges.
pub(crate) fn table(recorded: &[Recorded], page: &mut Page) {
    page.table(&HEAD, recorded.iter().map(Recorded::row).collect());
}

/// An exchange, as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Recorded {
    channel: String,
    number: u8,
    serial: u64,
    /// By the clock of the BMC.
    time: String,
    /// Microseconds of the monotonic clock.
    monotonic_us: u64,
    origin: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<u8>,
    /// In hexadecimal, as in `session list`.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<u8>,
    netfn: u8,
    lun: u8,
    command: u8,
    name: String,
    request: String,
    request_length: u32,
    state: &'static str,
    /// Null while there is no response, and for a broadcast.
    completion: Option<Completion>,
    duration_us: Option<u64>,
    response: String,
    response_length: u32,
}

impl From<&Exchange> for Recorded {
    fn from(exchange: &Exchange) -> Self {
        let Exchange { origin, state, .. } = exchange;
        let has_response = exchange.has_response();
        let is_session = origin.kind == Origin::SESSION;
        Self {
            channel: exchange.channel.clone(),
            number: exchange.number,
            serial: exchange.serial,
            time: time::utc_micros(exchange.wall),
            monotonic_us: exchange.monotonic,
            origin: match origin.kind {
                Origin::SESSION => "session",
                Origin::OUTSIDE => "no-session",
                Origin::SATELLITE => "satellite",
                Origin::BMC => "bmc",
                _ => "system",
            },
            user: is_session.then_some(origin.user),
            session: is_session.then(|| format!("{:08x}", origin.session)),
            address: [Origin::SATELLITE, Origin::BMC]
                .contains(&origin.kind)
                .then_some(origin.address),
            netfn: exchange.netfn,
            lun: exchange.lun,
            command: exchange.command,
            name: name(exchange),
            request: hex::plain(&exchange.request),
            request_length: exchange.request_length,
            state: match *state {
                Exchange::PENDING => "pending",
                Exchange::BROADCAST => "broadcast",
                Exchange::MISSED => "missed-deadline",
                _ => "answered",
            },
            completion: has_response.then(|| CompletionCode(exchange.completion).into()),
            duration_us: has_response.then_some(exchange.duration),
            response: hex::plain(&exchange.response),
            response_length: exchange.response_length,
        }
    }
}

/// The name of its command; empty if it has none.
fn name(exchange: &Exchange) -> String {
    let netfn = NetFn::new(exchange.netfn);
    let name = netfn.map(|netfn| decode::command_name(netfn, exchange.command, &exchange.request));
    name.unwrap_or_default()
}

/// The titles of [`Recorded::row`].
const HEAD: [&str; 8] = ["TIME", "CHANNEL", "FROM", "COMMAND", "DATA", "CODE", "TOOK", "RESPONSE"];

impl Recorded {
    /// The exchange as a line of a table.
    fn row(&self) -> Vec<Cell> {
        let [time, channel, from, command, code, took] = self.summary();
        let request = data(&self.request, self.request_length).into();
        let response = data(&self.response, self.response_length).into();
        vec![time, channel, from, command, request, code, took, response]
    }

    /// The exchange without its data: time, channel, sender, command, completion code, duration.
    pub(crate) fn summary(&self) -> [Cell; 6] {
        let from = match (&self.session, self.address) {
            (Some(session), _) => format!("user {} {session}", self.user.unwrap_or_default()),
            (None, Some(_)) if self.origin == "bmc" && self.state == "broadcast" => {
                "to all".to_owned()
            }
            (None, Some(address)) if self.origin == "bmc" => format!("to {address:02X}h"),
            (None, Some(address)) if self.state == "broadcast" => format!("{address:02X}h to all"),
            (None, Some(address)) => format!("{address:02X}h"),
            (None, None) => self.origin.to_owned(),
        };
        let code = match (&self.completion, self.state) {
            (None, "broadcast") => "".into(),
            (None, _) => Cell::new("pending", Style::Bad),
            (Some(completion), "missed-deadline") => {
                Cell::new(format!("{:02X}h late", completion.code()), Style::Bad)
            }
            (Some(completion), _) => format!("{:02X}h", completion.code()).into(),
        };
        let (netfn, command) = (self.netfn, self.command);
        let took =
            self.duration_us.map(|micros| format!("{}.{:03} ms", micros / 1000, micros % 1000));
        [
            self.time.clone().into(),
            self.channel.clone().into(),
            from.into(),
            format!("{netfn:02X}h {command:02X}h {}", self.name).trim_end().to_owned().into(),
            code,
            took.unwrap_or_default().into(),
        ]
    }
}

/// The data in hexadecimal, with a sign for bytes that were not recorded.
fn data(plain: &str, length: u32) -> String {
    let is_cut = u32::try_from(plain.len() / 2).is_ok_and(|recorded| recorded < length);
    if is_cut { format!("{plain}... ({length})") } else { plain.to_owned() }
}

/// Request and response as messages of the system interface (IPMI v2.0 §9.2); no response while there is none.
pub(crate) fn messages(exchange: &Exchange) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let Exchange { netfn, lun, command, completion, .. } = *exchange;
    let (netfn, lun) = (NetFn::new(netfn)?, Lun::new(lun)?);
    let (mut request, mut response) = (Vec::new(), Vec::new());
    let asked = Request { netfn, lun, command, data: exchange.request.clone() };
    kcs::emit_request(&asked, &mut request);
    if !exchange.has_response() {
        return Some((request, None));
    }
    let answer = Response::to(&asked, CompletionCode(completion), exchange.response.clone());
    kcs::emit_response(&answer, &mut response);
    Some((request, Some(response)))
}

pub(crate) async fn run(arguments: &Arguments, global: &Global) -> Result<Report, Error> {
    let bus = Bus::connect(global).await?;
    let exchanges = arguments.which.recorded(&bus).await?;
    let recorded: Vec<_> = exchanges.iter().map(Recorded::from).collect();
    Ok(Report::new(&recorded, |page| table(&recorded, page)))
}
