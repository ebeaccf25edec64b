//! `channel`: the channels, and who may use them.

use clap::{Args, Subcommand, ValueEnum};
use ipmi_proto::{AccessMode, ChannelNumber, SessionSupport};
use serde::Serialize;

use crate::bmc::{Bmc, Channel, ChannelAccess, Setting};
use crate::cli::Global;
use crate::error::Error;
use crate::hex;
use crate::output::{Cell, Report};
use crate::raw::Level;
use crate::user::{self, Switch};

/// List the channels, and set their access
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Set(Set),
}

/// List the channels
///
/// Access is that of now, and in parentheses that after a restart where it differs.
#[derive(Args, Debug)]
struct List {}

/// Set a channel's access, now and after a restart; what no option names stays
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("change").multiple(true).required(true))]
struct Set {
    /// The channel's number
    #[arg(value_parser = user::channel)]
    channel: ChannelNumber,
    /// When the channel takes messages
    #[arg(long, value_enum, value_name = "MODE", group = "change")]
    mode: Option<Mode>,
    /// The privilege limit of the channel
    #[arg(long, value_enum, value_name = "LEVEL", group = "change")]
    privilege: Option<Level>,
    /// Whether the channel sends alerts
    #[arg(long, value_enum, value_name = "SWITCH", group = "change")]
    alerting: Option<Switch>,
    /// Only until the next restart
    #[arg(long, conflicts_with = "persistent")]
    volatile: bool,
    /// Only from the next restart on
    #[arg(long)]
    persistent: bool,
}

/// An access mode on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    Disabled,
    PreBoot,
    Always,
    Shared,
}

impl From<Mode> for AccessMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Disabled => Self::Disabled,
            Mode::PreBoot => Self::PreBoot,
            Mode::Always => Self::AlwaysAvailable,
            Mode::Shared => Self::Shared,
        }
    }
}

/// A channel, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct ChannelJson {
    number: u8,
    medium: &'static str,
    protocol: &'static str,
    sessions: &'static str,
    active_sessions: u8,
    access: Option<AccessJson>,
    access_after_restart: Option<AccessJson>,
}

/// Access to a channel, as JSON.
#[derive(Clone, Copy, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct AccessJson {
    mode: &'static str,
    privilege: Option<&'static str>,
    alerting: bool,
    user_authentication: bool,
    message_authentication: bool,
}

impl From<ChannelAccess> for AccessJson {
    fn from(access: ChannelAccess) -> Self {
        Self {
            mode: access.mode.name(),
            privilege: access.privilege.map(hex::privilege),
            alerting: !access.alerting_off,
            user_authentication: !access.user_auth_off,
            message_authentication: !access.message_auth_off,
        }
    }
}

impl ChannelJson {
    async fn read(bmc: &Bmc, channel: &Channel) -> Result<Self, Error> {
        let mut json = Self {
            number: channel.number.value(),
            medium: channel.medium(),
            protocol: channel.protocol(),
            sessions: channel.sessions.name(),
            active_sessions: channel.active,
            access: None,
            access_after_restart: None,
        };
        if channel.has_sessions() {
            let access = async |setting| bmc.channel_access(channel.number, setting).await;
            json.access = Some(access(Setting::Volatile).await?.into());
            json.access_after_restart = Some(access(Setting::NonVolatile).await?.into());
        }
        Ok(json)
    }

    fn row(&self) -> Vec<Cell> {
        let both = |text: fn(&AccessJson) -> &'static str| {
            let (now, later) =
                (self.access.as_ref().map(text), self.access_after_restart.as_ref().map(text));
            match (now, later) {
                (Some(now), Some(later)) if now != later => format!("{now} ({later})"),
                (Some(now), _) => now.to_owned(),
                (None, _) => "-".to_owned(),
            }
        };
        let sessions = if self.sessions == SessionSupport::SessionLess.name() {
            "-".to_owned()
        } else {
            self.active_sessions.to_string()
        };
        vec![
            self.number.to_string().into(),
            self.medium.into(),
            self.protocol.into(),
            sessions.into(),
            both(|access| access.mode).into(),
            both(|access| access.privilege.unwrap_or("-")).into(),
            both(|access| if access.alerting { "on" } else { "off" }).into(),
        ]
    }
}

pub(crate) async fn run(arguments: &Arguments, global: &Global) -> Result<Report, Error> {
    let bmc = Bmc::connect(global).await?;
    match &arguments.command {
        Command::List(List {}) => report(&bmc, &bmc.channels().await?).await,
        Command::Set(set) => self::set(set, &bmc).await,
    }
}

async fn report(bmc: &Bmc, channels: &[Channel]) -> Result<Report, Error> {
    let mut list = Vec::new();
    for channel in channels {
        list.push(ChannelJson::read(bmc, channel).await?);
    }
    Ok(Report::new(&list, |page| {
        let head = ["CHANNEL", "MEDIUM", "PROTOCOL", "SESSIONS", "ACCESS", "PRIVILEGE", "ALERTING"];
        page.table(&head, list.iter().map(ChannelJson::row).collect());
    }))
}

async fn set(set: &Set, bmc: &Bmc) -> Result<Report, Error> {
    let channels = bmc.session_channels(Some(set.channel)).await?;
    let both = [Setting::NonVolatile, Setting::Volatile];
    let settings = both.into_iter().filter(|setting| match setting {
        Setting::NonVolatile => !set.volatile,
        Setting::Volatile => !set.persistent,
    });
    for setting in settings {
        let mut access = bmc.channel_access(set.channel, setting).await?;
        if let Some(mode) = set.mode {
            access.mode = mode.into();
        }
        if let Some(level) = set.privilege {
            access.privilege = Some(level.into());
        }
        if let Some(alerting) = set.alerting {
            access.alerting_off = alerting == Switch::Off;
        }
        bmc.set_channel_access(set.channel, setting, access).await?;
    }
    report(bmc, &channels).await
}
