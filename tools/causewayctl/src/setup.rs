//! `setup`: a new BMC to its first working login.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use ipmi_proto::{AccessMode, ChannelNumber, Medium, Privilege};
use openbmc_dbus::execute;
use serde::Serialize;

use crate::bmc::{Bmc, Channel, ChannelAccess, Setting};
use crate::cli::Global;
use crate::error::Error;
use crate::output::{Cell, Report, Style};
use crate::password::{self, Source};
use crate::raw::Level;
use crate::{hex, user};

/// How long a bridge that was started may take to be on the bus, and the pause between two looks.
const STARTING: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// LAN parameter 3: the IP address (IPMI v2.0 Table 23-4).
const IP_ADDRESS: u8 = 3;
/// LAN parameter 8: the RMCP port, and what clients take without another (ASF v2.0 §3.2.2).
const PORT: u8 = 8;
const RMCP: u16 = 623;

/// Set up a new BMC: its first user, who can log in over LAN at once
///
/// What is not given by an option is asked for on a terminal; elsewhere the defaults are taken. Opens the channel
/// for messages, adds the user, and shows the ipmitool line to try. Weak passwords are refused unless --allow-weak is given.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The user's name [default: admin]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The number of the LAN channel [default: the first one]
    #[arg(long, value_name = "NUMBER", value_parser = user::channel)]
    channel: Option<ChannelNumber>,
    /// Enable and start ipmid, and netipmid on this network interface, before; its channel is the LAN channel
    #[arg(long, value_name = "NAME", conflicts_with = "channel", value_parser = interface)]
    interface: Option<String>,
    /// What the user may do [default: administrator]
    #[arg(long, value_enum, value_name = "LEVEL")]
    privilege: Option<Level>,
    #[command(flatten)]
    password: Source,
}

/// The JSON of the subcommand.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Setup {
    user: String,
    id: u8,
    channel: u8,
    privilege: &'static str,
    /// What was changed of the channel.
    channel_opened: bool,
    /// A command that logs in, from another machine.
    login: String,
    /// What is still missing for a login; null if nothing.
    missing: Option<String>,
    remedy: Option<String>,
}

pub(crate) async fn run(arguments: &Arguments, global: &Global) -> Result<Report, Error> {
    if let Some(interface) = &arguments.interface {
        start(interface)?;
    }
    let bmc = Bmc::connect(global).await?;
    let channel = channel(arguments, &bmc).await?;
    let name = match &arguments.user {
        Some(name) => name.clone(),
        None => password::ask("User name", "admin")?,
    };
    let privilege = privilege(arguments)?;
    let id = user::free_id(&bmc, &name, None).await?;
    // Before anything is changed.
    let password = arguments.password.read(&name)?;
    let channel_opened = open(&bmc, channel.number, privilege).await?;
    user::create(&bmc, id, &name, &password, &[channel], privilege).await?;
    let (missing, remedy) = missing(&bmc).await?.unzip();
    let setup = Setup {
        login: login(&bmc, channel.number, &name, privilege).await?,
        user: name,
        id,
        channel: channel.number.value(),
        privilege: hex::privilege(privilege),
        channel_opened,
        missing,
        remedy,
    };
    Ok(Report::new(&setup, |page| {
        let Setup { user, id, channel, privilege, login, .. } = &setup;
        let done = format!("user {user} (id {id}) may log in on channel {channel} as {privilege}");
        page.line(Cell::new(done, Style::Good));
        if channel_opened {
            page.line(format!("channel {channel} takes messages now, and after a restart"));
        }
        if let Some(missing) = &setup.missing {
            page.line(Cell::new(missing.clone(), Style::Bad));
        }
        if let Some(remedy) = &setup.remedy {
            page.line(format!("  try: {remedy}"));
        }
        page.line("log in from another machine, which asks for the password:");
        page.line(format!("  {login}"));
    }))
}

/// The name of a network interface, which becomes a part of a unit's name.
fn interface(name: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    // The kernel's IFNAMSIZ has room for a NUL.
    if (1..16).contains(&name.len()) && name.chars().all(is_plain) && !name.starts_with('-') {
        Ok(name.to_owned())
    } else {
        Err(format!("{name:?} is no name of a network interface"))
    }
}

/// Has systemd start the daemons now and at each start of the machine.
fn start(interface: &str) -> Result<(), Error> {
    let netipmid = format!("netipmid@{interface}");
    let failed = |error: &dyn std::fmt::Display| {
        Error::failed(format_args!("cannot start ipmid and {netipmid}: {error}"))
            .remedy(format_args!("journalctl -u ipmid -u {netipmid}; causewayctl config check"))
    };
    let mut command = Command::new("systemctl");
    command.args(["--quiet", "enable", "--now", "ipmid", &netipmid]).stdin(Stdio::null());
    let output = command.output().map_err(|error| failed(&format_args!("systemctl: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(failed(&text.lines().next().unwrap_or("systemctl has failed")))
}

/// The number of a channel whose bridge was just started.
async fn served(bmc: &Bmc, channel: &str) -> Result<ChannelNumber, Error> {
    let deadline = Instant::now() + STARTING;
    loop {
        match bmc.channel_of(channel).await {
            Err(_) if Instant::now() < deadline => tokio::time::sleep(PAUSE).await,
            number => return number,
        }
    }
}

/// The LAN channel.
async fn channel(arguments: &Arguments, bmc: &Bmc) -> Result<Channel, Error> {
    let wanted = match &arguments.interface {
        // A VLAN's channel has its name with `_` for the dot.
        Some(interface) => Some(served(bmc, &interface.replace('.', "_")).await?),
        None => arguments.channel,
    };
    let mut channels = bmc.session_channels(wanted).await?;
    let is_lan = |channel: &Channel| {
        [Medium::Lan.value(), Medium::OtherLan.value()].contains(&channel.medium)
    };
    channels.retain(is_lan);
    let Some(first) = channels.first().copied() else {
        return Err(Error::failed("there is no LAN channel")
            .remedy("add a [[channel]] of medium \"lan\" to causeway.toml"));
    };
    if channels.len() == 1 {
        return Ok(first);
    }
    let numbers: Vec<_> =
        channels.iter().map(|channel| channel.number.value().to_string()).collect();
    let question = format!("LAN channel ({})", numbers.join(", "));
    let answer = password::ask(&question, &first.number.value().to_string())?;
    let number = user::channel(&answer).map_err(Error::usage)?;
    channels
        .into_iter()
        .find(|channel| channel.number == number)
        .ok_or_else(|| Error::usage(format_args!("channel {answer} is no LAN channel")))
}

fn privilege(arguments: &Arguments) -> Result<Privilege, Error> {
    if let Some(level) = arguments.privilege {
        return Ok(level.into());
    }
    let answer = password::ask("Privilege", hex::privilege(Privilege::Administrator))?;
    let mut levels = (0..=0x0f).filter_map(Privilege::new);
    levels
        .find(|level| hex::privilege(*level) == answer)
        .ok_or_else(|| Error::usage(format_args!("{answer:?} is no privilege level")))
}

/// Has the channel take messages, of at least `privilege`; whether it did not.
async fn open(bmc: &Bmc, channel: ChannelNumber, privilege: Privilege) -> Result<bool, Error> {
    let mut opened = false;
    for setting in [Setting::NonVolatile, Setting::Volatile] {
        let access = bmc.channel_access(channel, setting).await?;
        let limit = access.privilege.unwrap_or(privilege).max(privilege);
        let wanted =
            ChannelAccess { mode: AccessMode::AlwaysAvailable, privilege: Some(limit), ..access };
        if wanted != access {
            bmc.set_channel_access(channel, setting, wanted).await?;
            opened = true;
        }
    }
    Ok(opened)
}

/// What is missing for a login beside the user, and what to do about it.
async fn missing(bmc: &Bmc) -> Result<Option<(String, String)>, Error> {
    for name in bmc.bus.names().await? {
        if name.starts_with(execute::CHANNEL_PREFIX)
            && let Some(pid) = bmc.bus.process_of(&name).await
        {
            let process = std::fs::read_to_string(format!("/proc/{pid}/comm"));
            if process.is_ok_and(|process| process.trim_end() == "netipmid") {
                return Ok(None);
            }
        }
    }
    let missing =
        "netipmid is not on the bus: requests from the network are not answered".to_owned();
    Ok(Some((missing, "systemctl enable --now netipmid@INTERFACE".to_owned())))
}

/// An ipmitool line that logs in, and asks for the password.
async fn login(
    bmc: &Bmc,
    channel: ChannelNumber,
    name: &str,
    privilege: Privilege,
) -> Result<String, Error> {
    let address = bmc.lan_parameter(channel, IP_ADDRESS).await?;
    let address = address.and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(Ipv4Addr::from);
    let address = address.filter(|address| !address.is_unspecified());
    let address = address.map_or_else(|| "BMC".to_owned(), |address| address.to_string());
    let port = bmc.lan_parameter(channel, PORT).await?;
    let port = port.and_then(|bytes| <[u8; 2]>::try_from(bytes).ok()).map(u16::from_le_bytes);
    let port = port.filter(|port| *port != RMCP).map(|port| format!(" -p {port}"));
    let port = port.unwrap_or_default();
    // ipmitool asks for administrator by default.
    let level = match privilege {
        Privilege::Administrator => String::new(),
        level => format!(" -L {}", hex::privilege(level).to_uppercase()),
    };
    Ok(format!("ipmitool -I lanplus -H {address}{port} -U {}{level} -a mc info", quoted(name)))
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    if word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_plain_names() {
        for name in ["eth0", "eth0.5", "br-lan", "end0", "a23456789012345"] {
            assert!(interface(name).is_ok(), "{name}");
        }
        for name in ["", "-q", "eth0/..", "eth 0", "a234567890123456", "eth0;x", "é"] {
            assert!(interface(name).is_err(), "{name}");
        }
    }

    #[test]
    fn names_are_quoted_for_the_shell() {
        for (name, word) in
            [("admin", "admin"), ("a b", "'a b'"), ("o'neil", "'o'\\''neil'"), ("$x", "'$x'")]
        {
            assert_eq!(quoted(name), word);
        }
    }
}
