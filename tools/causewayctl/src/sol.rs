//! `sol`: the SOL payload of the LAN channels and the host's console behind it, by what the bridges publish.

mod attach;
mod escape;

use clap::{ArgGroup, Args, Subcommand};
use openbmc_dbus::client::{CallError, ObjectAt};
use openbmc_dbus::execute::CHANNEL_PREFIX;
use openbmc_dbus::ipmi::names::CHANNEL_PATH_PREFIX;
use openbmc_dbus::ipmi::sol_payload;
use serde::Serialize;

use crate::bmc::Bmc;
use crate::cli::Global;
use crate::error::Error;
use crate::output::{Cell, Report, Style};

/// SOL parameter 6: the volatile bit rate (IPMI v2.0 Table 26-5).
const VOLATILE_BIT_RATE: u8 = 6;

/// Show and release the SOL payload, and use the host's console from the BMC itself
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Status(Status),
    Release(Release),
    Attach(attach::Attach),
}

/// Show the host's console and who has it over LAN
#[derive(Args, Debug)]
struct Status {
    #[command(flatten)]
    which: Which,
}

/// End the SOL payload of a session, which is notified; the session stays
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("instances"))]
struct Release {
    #[command(flatten)]
    which: Which,
    /// The payload instance; 1 may type
    #[arg(group = "instances", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=15))]
    instance: u8,
    /// All instances
    #[arg(long, group = "instances")]
    all: bool,
}

/// The channel of a command.
#[derive(Args, Debug)]
struct Which {
    /// The LAN channel, by name; needed where there are several
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
}

/// A bridge with a SOL payload, as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Payload {
    channel: String,
    enabled: bool,
    console: String,
    connected: bool,
    bit_rate: Option<u32>,
    capacity: u8,
    instances: Vec<Instance>,
    attached: u8,
    bytes_from_host: u64,
    bytes_to_host: u64,
    #[serde(skip)]
    object: ObjectAt,
}

/// An instance that a session has, as JSON.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Instance {
    instance: u8,
    may_type: bool,
    /// In hexadecimal, as `session list` has it.
    session: String,
    user_id: u8,
    user: String,
    encrypted: bool,
}

pub(crate) async fn run(arguments: &Arguments, global: &Global) -> Result<Report, Error> {
    let bmc = Bmc::connect(global).await?;
    match &arguments.command {
        Command::Status(status) => {
            let payloads = payloads(&bmc, &status.which).await?;
            Ok(Report::new(&payloads, |page| {
                page.table(&HEAD, payloads.iter().flat_map(Payload::rows).collect());
            }))
        }
        Command::Release(release) => self::release(release, &bmc).await,
        Command::Attach(attach) => {
            let payload = one(&bmc, &attach.which).await?;
            attach::run(attach, &bmc.bus, &payload, global.output.json).await
        }
    }
}

const HEAD: [&str; 10] = [
    "CHANNEL",
    "SOL",
    "CONSOLE",
    "",
    "BIT RATE",
    "INSTANCE",
    "SESSION",
    "USER",
    "FROM HOST",
    "TO HOST",
];

impl Payload {
    /// A row for each instance, or one.
    fn rows(&self) -> Vec<Vec<Cell>> {
        let states = |good, yes: &'static str, no: &'static str| match good {
            true => Cell::new(yes, Style::Good),
            false => Cell::new(no, Style::Bad),
        };
        let row = |instance: Option<&Instance>| {
            let or_dash = |text: Option<String>| Cell::from(text.unwrap_or_else(|| "-".to_owned()));
            let number = |instance: &Instance| {
                let role = if instance.may_type { "types" } else { "reads" };
                format!("{} ({role})", instance.instance)
            };
            let user = |instance: &Instance| format!("{} ({})", instance.user, instance.user_id);
            vec![
                self.channel.clone().into(),
                states(self.enabled, "enabled", "disabled"),
                self.console.clone().into(),
                states(self.connected, "connected", "not connected"),
                or_dash(self.bit_rate.map(|rate| rate.to_string())),
                or_dash(instance.map(number)),
                or_dash(instance.map(|instance| instance.session.clone())),
                or_dash(instance.map(user)),
                self.bytes_from_host.to_string().into(),
                self.bytes_to_host.to_string().into(),
            ]
        };
        match self.instances.as_slice() {
            [] => vec![row(None)],
            instances => instances.iter().map(|instance| row(Some(instance))).collect(),
        }
    }
}

/// The payloads of all bridges, or of the one of the command line, by channel.
async fn payloads(bmc: &Bmc, which: &Which) -> Result<Vec<Payload>, Error> {
    let mut payloads = Vec::new();
    for service in bmc.bus.names().await? {
        let Some(channel) = service.strip_prefix(CHANNEL_PREFIX) else { continue };
        if which.channel.as_ref().is_none_or(|name| name == channel) {
            payloads.extend(payload(bmc, &service, channel).await?);
        }
    }
    if payloads.is_empty() {
        let channel = which.channel.as_ref().map(|name| format!(" of channel {name}"));
        let text = format!("no bridge{} with SOL is on the bus", channel.unwrap_or_default());
        return Err(Error::failed(text).remedy("systemctl enable --now netipmid@INTERFACE"));
    }
    payloads.sort_by(|a, b| a.channel.cmp(&b.channel));
    Ok(payloads)
}

/// The payload of the only bridge, or of the one of the command line.
async fn one(bmc: &Bmc, which: &Which) -> Result<Payload, Error> {
    let mut payloads = payloads(bmc, which).await?;
    match (payloads.pop(), payloads.is_empty()) {
        (Some(payload), true) => Ok(payload),
        _ => Err(Error::usage("there are several channels with SOL")
            .remedy("--channel NAME, by causewayctl sol status")),
    }
}

/// The payload of a bridge; `None` if it has none.
async fn payload(bmc: &Bmc, service: &str, channel: &str) -> Result<Option<Payload>, Error> {
    let object_name = channel.replace('-', "_");
    let object = ObjectAt::new(service, format!("{CHANNEL_PATH_PREFIX}{object_name}"));
    let client = bmc.bus.client();
    let properties = match client.get_all(&object, sol_payload::NAME).await {
        Ok(properties) if properties.is_empty() => return Ok(None),
        Ok(properties) => properties,
        // The bridge of a host's interface, or one that ended meanwhile.
        Err(CallError::Gone(_) | CallError::NotFound(_)) => return Ok(None),
        Err(CallError::Refused(call)) if call.cause.contains(".InvalidArgs") => return Ok(None),
        Err(error) => return Err(Error::failed(format_args!("{service}: {error}"))),
    };
    let mut instances = Vec::new();
    for (instance, session, user_id, encrypted) in
        properties.get(sol_payload::INSTANCES).map_err(Error::failed)?
    {
        // Without ipmid the id says it.
        let user = bmc.user_name(user_id).await.unwrap_or_default();
        let (session, may_type) = (format!("{session:x}"), instance == 1);
        instances.push(Instance { instance, may_type, session, user_id, user, encrypted });
    }
    let bit_rate = match bmc.channel_of(channel).await {
        Ok(number) => bmc.sol_parameter(number, VOLATILE_BIT_RATE).await.ok().flatten(),
        Err(_) => None,
    };
    let payload = Payload {
        channel: channel.to_owned(),
        enabled: properties.get(sol_payload::ENABLED).map_err(Error::failed)?,
        console: properties.get(sol_payload::CONSOLE).map_err(Error::failed)?,
        connected: properties.get(sol_payload::CONNECTED).map_err(Error::failed)?,
        bit_rate: bit_rate.and_then(|bytes| self::bit_rate(*bytes.first()?)),
        capacity: properties.get(sol_payload::CAPACITY).map_err(Error::failed)?,
        instances,
        attached: properties.get(sol_payload::ATTACHED).map_err(Error::failed)?,
        bytes_from_host: properties.get(sol_payload::BYTES_FROM_HOST).map_err(Error::failed)?,
        bytes_to_host: properties.get(sol_payload::BYTES_TO_HOST).map_err(Error::failed)?,
        object,
    };
    Ok(Some(payload))
}

/// The bit rate of a code (IPMI v2.0 Table 26-5, parameters 5 and 6); `None` for "as configured".
const fn bit_rate(code: u8) -> Option<u32> {
    match code & 0x0f {
        0x06 => Some(9_600),
        0x07 => Some(19_200),
        0x08 => Some(38_400),
        0x09 => Some(57_600),
        0x0a => Some(115_200),
        _ => None,
    }
}

/// What was released, as JSON.
#[derive(Serialize)]
struct Released {
    channel: String,
    released: Vec<Instance>,
}

async fn release(release: &Release, bmc: &Bmc) -> Result<Report, Error> {
    let Payload { channel, instances, object, .. } = one(bmc, &release.which).await?;
    let wanted = |instance: &Instance| release.all || instance.instance == release.instance;
    let mut released = Vec::new();
    for instance in instances.into_iter().filter(wanted) {
        let number = instance.instance;
        let call = bmc.bus.client().call(&object, sol_payload::RELEASE, &(number,)).await;
        let (was_active,): (bool,) = call.map_err(|error| {
            Error::failed(format_args!("cannot release instance {number} of {channel}: {error}"))
        })?;
        if was_active {
            released.push(instance);
        }
    }
    if released.is_empty() && !release.all {
        let number = release.instance;
        let text = format!("instance {number} of channel {channel} is not active");
        return Err(Error::failed(text).remedy("causewayctl sol status"));
    }
    let released = Released { channel, released };
    Ok(Report::new(&released, |page| {
        for Instance { instance, session, user, user_id, .. } in &released.released {
            page.line(format!(
                "instance {instance} of channel {} is released: it was {user}'s (id {user_id}), session {session}",
                released.channel
            ));
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_rates_are_those_of_the_specification() {
        assert_eq!(bit_rate(0x06), Some(9_600));
        assert_eq!(bit_rate(0x0a), Some(115_200));
        for code in [0x00, 0x01, 0x05, 0x0b, 0x0f] {
            assert_eq!(bit_rate(code), None, "{code:02x}");
        }
    }
}
