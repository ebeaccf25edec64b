//! `raw`: one request to `ipmid`, and its response.

use std::fmt;

use clap::{Args, ValueEnum};
use ipmi_proto::{CompletionCode, Lun, NetFn, Privilege, Request};
use serde::Serialize;
use zbus::wire::Variant;

use crate::bus::{Bus, Options};
use crate::cli::Global;
use crate::error::Error;
use crate::hex;
use crate::output::{Cell, Report, Style};

/// Send a request to ipmid and print the response
///
/// Numbers are as ipmitool takes them: 0x06 or 06h is hexadecimal, 6 is decimal. Without --channel the request is one of a
/// program on the BMC, with the privilege of the system (channel INTRABMC). With --channel it is one of
/// that channel's bridge, whose bus name has to be free; docs/dbus.md says what ipmid believes of whom.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Send it as the bridge of this channel, by the channel's name
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// The user id of the session, on a channel with sessions
    #[arg(long, value_name = "ID", requires = "channel", value_parser = clap::value_parser!(u8).range(0..=63))]
    user_id: Option<u8>,
    /// The privilege of the session
    #[arg(
        long,
        value_enum,
        value_name = "LEVEL",
        requires = "user_id",
        default_value = "administrator"
    )]
    privilege: Level,
    /// The id of the session
    #[arg(long, value_name = "ID", requires = "user_id", default_value = "1")]
    session: u32,
    /// The address of the satellite that sends it, on an IPMB
    #[arg(long, value_name = "ADDRESS", requires = "channel", conflicts_with = "user_id", value_parser = hex::byte)]
    satellite: Option<u8>,
    /// The logical unit
    #[arg(long, value_name = "LUN", default_value = "0", value_parser = clap::value_parser!(u8).range(0..=3))]
    lun: u8,
    /// The network function
    #[arg(value_name = "NETFN", value_parser = hex::byte)]
    netfn: u8,
    /// The command
    #[arg(value_name = "COMMAND", value_parser = hex::byte)]
    command: u8,
    /// The bytes after the command
    #[arg(value_name = "BYTE", value_parser = hex::byte)]
    data: Vec<u8>,
}

/// A privilege level on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Level {
    Callback,
    User,
    Operator,
    Administrator,
    Oem,
}

impl From<Level> for Privilege {
    fn from(level: Level) -> Self {
        match level {
            Level::Callback => Self::Callback,
            Level::User => Self::User,
            Level::Operator => Self::Operator,
            Level::Administrator => Self::Administrator,
            Level::Oem => Self::Oem,
        }
    }
}

/// The JSON of the subcommand. The request's data are left out: they may hold a password.
#[derive(Serialize)]
struct Raw {
    netfn: u8,
    lun: u8,
    command: u8,
    completion: Completion,
    /// The bytes after the completion code, in hexadecimal.
    data: String,
}

/// A completion code and what it means.
#[derive(Debug, Serialize)]
pub(crate) struct Completion {
    code: u8,
    text: &'static str,
}

impl From<CompletionCode> for Completion {
    fn from(completion: CompletionCode) -> Self {
        Self { code: completion.0, text: completion.text() }
    }
}

impl Completion {
    /// The code itself.
    pub(crate) const fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}h {}", self.code, self.text)
    }
}

impl Arguments {
    fn options(&self) -> Options {
        let mut options = Options::new();
        if let Some(user) = self.user_id {
            options.insert("userId", Variant::from(i32::from(user)));
            let level = Privilege::from(self.privilege).value();
            options.insert("privilege", Variant::from(i32::from(level)));
            options.insert("currentSessionId", Variant::from(self.session));
        }
        if let Some(address) = self.satellite {
            options.insert("rqSA", Variant::from(i32::from(address)));
            options.insert("hostId", Variant::from(0_i32));
        }
        options
    }
}

pub(crate) async fn run(arguments: &Arguments, global: &Global) -> Result<Report, Error> {
    let netfn =
        NetFn::new(arguments.netfn).filter(|netfn| netfn.is_request()).ok_or_else(|| {
            Error::usage("the network function of a request is an even number from 0 to 3Eh")
        })?;
    let lun = Lun::new(arguments.lun).unwrap_or_default();
    let request = Request { netfn, lun, command: arguments.command, data: arguments.data.clone() };
    let bus = Bus::connect(global).await?;
    if let Some(channel) = &arguments.channel {
        bus.become_bridge_of(channel).await?;
    }
    let response = bus.execute(&request, &arguments.options()).await?;
    let completion = response.completion;
    let raw = Raw {
        netfn: arguments.netfn,
        lun: arguments.lun,
        command: arguments.command,
        completion: completion.into(),
        data: hex::plain(&response.data),
    };
    let is_failure = completion.0 != 0;
    let report = Report::new(&raw, |page| {
        let style = if is_failure { Style::Bad } else { Style::Good };
        page.line(Cell::new(raw.completion.to_string(), style));
        for bytes in response.data.chunks(16) {
            page.line(hex::spaced(bytes));
        }
    });
    Ok(report.failed_if(is_failure))
}
