//! `user`: the users of the BMC.

use clap::{Args, Subcommand, ValueEnum};
use ipmi_proto::{ChannelNumber, Privilege};
use serde::Serialize;

use crate::bmc::{Bmc, Channel, UserAccess};
use crate::cli::Global;
use crate::error::Error;
use crate::hex;
use crate::output::{Cell, Report, Style};
use crate::password::Source;
use crate::raw::Level;

/// List, add, change and remove users
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Add(Add),
    Passwd(Passwd),
    Access(Access),
    Remove(Remove),
}

/// List the users, and what they may do on which channel
#[derive(Args, Debug)]
struct List {
    /// Only access to this channel
    #[arg(long, value_name = "NUMBER", value_parser = channel)]
    channel: Option<ChannelNumber>,
    /// Free user ids too
    #[arg(long)]
    all: bool,
}

/// Add a user who may log in at once
///
/// The password is asked for on the terminal, unless it comes from a file or a descriptor. If a step fails, the
/// user is removed again.
#[derive(Args, Debug)]
struct Add {
    /// The user's name
    name: String,
    /// The user id [default: the first free one above 1]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=63))]
    id: Option<u8>,
    /// What the user may do
    #[arg(long, value_enum, default_value = "administrator", value_name = "LEVEL")]
    privilege: Level,
    /// The channel on which the user may do it [default: all with sessions]
    #[arg(long, value_name = "NUMBER", value_parser = channel)]
    channel: Option<ChannelNumber>,
    #[command(flatten)]
    password: Source,
}

/// Set a user's password
#[derive(Args, Debug)]
struct Passwd {
    /// The user's name or id
    user: String,
    #[command(flatten)]
    password: Source,
}

/// Change what a user may do; what no option names stays
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("change").multiple(true).required(true))]
struct Access {
    /// The user's name or id
    user: String,
    /// The channel [default: all with sessions]
    #[arg(long, value_name = "NUMBER", value_parser = channel)]
    channel: Option<ChannelNumber>,
    /// The privilege limit, or none for no access to the channel
    #[arg(long, value_enum, value_name = "LEVEL", group = "change")]
    privilege: Option<Limit>,
    /// Whether the user may log in for IPMI messages
    #[arg(long, value_enum, value_name = "SWITCH", group = "change")]
    messaging: Option<Switch>,
    /// Whether the account is enabled, on all channels
    #[arg(long, value_enum, value_name = "SWITCH", group = "change")]
    enabled: Option<Switch>,
}

/// Remove a user, with password and access
#[derive(Args, Debug)]
struct Remove {
    /// The user's name or id
    user: String,
}

/// A privilege limit on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Limit {
    Callback,
    User,
    Operator,
    Administrator,
    Oem,
    None,
}

impl From<Limit> for Option<Privilege> {
    fn from(limit: Limit) -> Self {
        Some(match limit {
            Limit::Callback => Privilege::Callback,
            Limit::User => Privilege::User,
            Limit::Operator => Privilege::Operator,
            Limit::Administrator => Privilege::Administrator,
            Limit::Oem => Privilege::Oem,
            Limit::None => return None,
        })
    }
}

/// On or off.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

/// A channel's number on the command line.
pub(crate) fn channel(text: &str) -> Result<ChannelNumber, String> {
    let number = hex::byte(text).ok().and_then(ChannelNumber::new);
    let number = number.filter(|number| *number != ChannelNumber::CURRENT);
    number.ok_or_else(|| format!("{text:?} is no channel's number (0 to 13, or 15)"))
}

/// A user, as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct User {
    pub(crate) id: u8,
    pub(crate) name: String,
    pub(crate) enabled: bool,
    pub(crate) access: Vec<ChannelUser>,
}

/// A user's access to a channel, as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ChannelUser {
    pub(crate) channel: u8,
    pub(crate) privilege: Option<&'static str>,
    pub(crate) messaging: bool,
    link_authentication: bool,
    callback_only: bool,
}

impl ChannelUser {
    fn new(channel: ChannelNumber, access: UserAccess) -> Self {
        Self {
            channel: channel.value(),
            privilege: access.privilege.map(hex::privilege),
            messaging: access.messaging,
            link_authentication: access.link_authentication,
            callback_only: access.callback_only,
        }
    }

    fn text(&self) -> String {
        match (self.privilege, self.messaging) {
            (Some(privilege), true) => format!("{}: {privilege}", self.channel),
            (Some(privilege), false) => format!("{}: {privilege}, no messaging", self.channel),
            (None, _) => format!("{}: none", self.channel),
        }
    }
}

impl User {
    /// Whether the id is in use.
    fn exists(&self) -> bool {
        !self.name.is_empty() || self.enabled
    }

    fn row(&self) -> Vec<Cell> {
        let access: Vec<_> = self.access.iter().map(ChannelUser::text).collect();
        let enabled = match self.enabled {
            true => Cell::new("yes", Style::Good),
            false => "no".into(),
        };
        vec![
            self.id.to_string().into(),
            self.name.clone().into(),
            enabled,
            access.join("; ").into(),
        ]
    }
}

pub(crate) async fn run(arguments: &Arguments, global: &Global) -> Result<Report, Error> {
    let bmc = Bmc::connect(global).await?;
    match &arguments.command {
        Command::List(list) => self::list(list, &bmc).await,
        Command::Add(add) => self::add(add, &bmc).await,
        Command::Passwd(passwd) => {
            let id = find(&bmc, &passwd.user).await?;
            let name = bmc.user_name(id).await?;
            bmc.set_password(id, &passwd.password.read(&name)?).await?;
            let channels = bmc.session_channels(None).await?;
            let changed = [user(&bmc, &channels, id).await?];
            Ok(Report::new(&changed, |page| {
                page.line(format!("user {name} (id {id}) has a new password"));
            }))
        }
        Command::Access(access) => self::access(access, &bmc).await,
        Command::Remove(remove) => {
            let id = find(&bmc, &remove.user).await?;
            let name = bmc.user_name(id).await?;
            bmc.set_user_name(id, "").await?;
            let channels = bmc.session_channels(None).await?;
            let left = [user(&bmc, &channels, id).await?];
            Ok(Report::new(&left, |page| page.line(format!("user {name} (id {id}) is removed"))))
        }
    }
}

/// The users with all ids, and their access to `channels`.
pub(crate) async fn users(bmc: &Bmc, channels: &[Channel]) -> Result<Vec<User>, Error> {
    let mut users = Vec::new();
    let Some(first) = channels.first() else { return Ok(users) };
    let ids = bmc.user(first.number, 1).await?.ids;
    for id in 1..=ids {
        users.push(user(bmc, channels, id).await?);
    }
    Ok(users)
}

async fn user(bmc: &Bmc, channels: &[Channel], id: u8) -> Result<User, Error> {
    let mut user = User { id, name: bmc.user_name(id).await?, enabled: false, access: Vec::new() };
    for channel in channels {
        let state = bmc.user(channel.number, id).await?;
        user.enabled = state.enabled;
        user.access.push(ChannelUser::new(channel.number, state.access));
    }
    Ok(user)
}

async fn list(list: &List, bmc: &Bmc) -> Result<Report, Error> {
    let channels = bmc.session_channels(list.channel).await?;
    let mut users = users(bmc, &channels).await?;
    users.retain(|user| list.all || user.exists());
    Ok(report(&users))
}

fn report(users: &[User]) -> Report {
    Report::new(&users, |page| {
        let rows = users.iter().map(User::row).collect();
        page.table(&["ID", "NAME", "ENABLED", "ACCESS BY CHANNEL"], rows);
    })
}

/// The user as it is after a change.
async fn changed(bmc: &Bmc, id: u8) -> Result<Report, Error> {
    let channels = bmc.session_channels(None).await?;
    Ok(report(&[user(bmc, &channels, id).await?]))
}

/// The id of a user, by name or id.
pub(crate) async fn find(bmc: &Bmc, user: &str) -> Result<u8, Error> {
    let channels = bmc.session_channels(None).await?;
    let users = users(bmc, &channels).await?;
    let named = users.iter().find(|known| !known.name.is_empty() && known.name == user);
    let found = named.or_else(|| {
        let id: u8 = user.parse().ok()?;
        users.iter().find(|known| known.id == id)
    });
    found.map(|user| user.id).ok_or_else(|| {
        Error::failed(format_args!("there is no user {user:?}"))
            .remedy("causewayctl user list --all")
    })
}

async fn add(add: &Add, bmc: &Bmc) -> Result<Report, Error> {
    let channels = bmc.session_channels(add.channel).await?;
    let id = free_id(bmc, &add.name, add.id).await?;
    // Before anything is changed.
    let password = add.password.read(&add.name)?;
    create(bmc, id, &add.name, &password, &channels, add.privilege.into()).await?;
    changed(bmc, id).await
}

/// An id for a new user.
pub(crate) async fn free_id(bmc: &Bmc, name: &str, wanted: Option<u8>) -> Result<u8, Error> {
    if name.is_empty() {
        return Err(Error::usage("a user needs a name"));
    }
    let channels = bmc.session_channels(None).await?;
    let users = users(bmc, &channels).await?;
    if let Some(present) = users.iter().find(|user| user.name == name) {
        let id = present.id;
        return Err(Error::failed(format_args!("there is a user {name:?} already, with id {id}"))
            .remedy(format_args!("causewayctl user passwd {name}")));
    }
    match wanted {
        Some(id) => match users.iter().find(|user| user.id == id) {
            Some(user) if !user.exists() => Ok(id),
            Some(user) => Err(Error::failed(format_args!("user id {id} is {:?}'s", user.name))),
            None => Err(Error::failed(format_args!("user ids end at {}", users.len()))
                .remedy("[access] user-ids in causeway.toml")),
        },
        // Id 1 is the null user, whose name is fixed.
        None => {
            users.iter().find(|user| user.id > 1 && !user.exists()).map(|user| user.id).ok_or_else(
                || {
                    Error::failed(format_args!("all {} user ids are in use", users.len()))
                        .remedy("causewayctl user remove, or [access] user-ids in causeway.toml")
                },
            )
        }
    }
}

/// Makes a user with a free id; a user that cannot be finished is removed.
pub(crate) async fn create(
    bmc: &Bmc,
    id: u8,
    name: &str,
    password: &[u8],
    channels: &[Channel],
    privilege: Privilege,
) -> Result<(), Error> {
    bmc.set_user_name(id, name).await?;
    let finished = finish(bmc, id, password, channels, privilege).await;
    if finished.is_err() {
        // The first error counts.
        let _removed = bmc.set_user_name(id, "").await;
    }
    finished
}

async fn finish(
    bmc: &Bmc,
    id: u8,
    password: &[u8],
    channels: &[Channel],
    privilege: Privilege,
) -> Result<(), Error> {
    bmc.set_password(id, password).await?;
    for channel in channels {
        let access = bmc.user(channel.number, id).await?.access;
        let access = UserAccess { privilege: Some(privilege), messaging: true, ..access };
        bmc.set_user_access(channel.number, id, access).await?;
    }
    bmc.enable(id, true).await
}

async fn access(arguments: &Access, bmc: &Bmc) -> Result<Report, Error> {
    let channels = bmc.session_channels(arguments.channel).await?;
    let id = find(bmc, &arguments.user).await?;
    if arguments.privilege.is_some() || arguments.messaging.is_some() {
        for channel in &channels {
            let mut access = bmc.user(channel.number, id).await?.access;
            if let Some(limit) = arguments.privilege {
                access.privilege = limit.into();
            }
            if let Some(messaging) = arguments.messaging {
                access.messaging = messaging == Switch::On;
            }
            bmc.set_user_access(channel.number, id, access).await?;
        }
    }
    if let Some(enabled) = arguments.enabled {
        bmc.enable(id, enabled == Switch::On).await?;
    }
    changed(bmc, id).await
}
