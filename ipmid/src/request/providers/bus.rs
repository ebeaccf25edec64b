//! `org.causeway.Ipmi.Providers`: processes on the bus register commands, are asked over
//! `org.causeway.Ipmi.Provider`, and lose their commands when they leave the bus (`docs/provider.md`).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use daemon::RateLimit;
use futures_util::StreamExt;
use ipmi_proto::{ChannelNumber, GroupBody, Iana, NetFn, Privilege};
use openbmc_dbus::bus;
use openbmc_dbus::callers::Callers;
use openbmc_dbus::provider::{self, CommandRow, PATH, ProviderError, kind};
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinSet;
use tracing::{info, warn};
use zbus::fdo::{DBusProxy, NameOwnerChangedStream};
use zbus::message::Header;
use zbus::names::{BusName, UniqueName};
use zbus::{Connection, interface};

use super::provider::{Counters, Failure, Identity, Link, Offer, Provider, Request};
use super::{MAX_COMMANDS, Providers, Refused};
use crate::model::persistent::lock;
use crate::request::command::{Access, Command, Family, Priority};
use crate::request::context::Session;

/// The longest name of a command.
const MAX_NAME: usize = 64;
/// Data bytes that a request has at most.
const MAX_DATA: usize = 255;
/// The name of every provider's command in the command table.
const NAME: &str = "a provider's command";
/// Registrations that are refused, as far as they are logged.
static REFUSED: RateLimit = RateLimit::new(5, std::time::Duration::from_secs(60));
/// Providers that come and go, as far as they are logged.
static CHANGED: RateLimit = RateLimit::new(60, std::time::Duration::from_secs(60));

/// The errors of the interface, by their names on the bus.
#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.causeway.Ipmi.Providers.Error")]
enum Error {
    #[zbus(error)]
    Zbus(zbus::Error),
    AccessDenied(String),
    InvalidCommand(String),
    Conflict(String),
    Reserved(String),
    LimitExceeded(String),
    NotRegistered(String),
    Unavailable(String),
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        let text = refused.to_string();
        match refused {
            Refused::Conflict { .. } => Self::Conflict(text),
            Refused::Reserved { .. } => Self::Reserved(text),
            Refused::Limit(_) => Self::LimitExceeded(text),
        }
    }
}

/// The D-Bus object that providers register at.
#[derive(Clone, Debug)]
pub struct Registration(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    providers: Arc<Providers>,
    allowed: Mutex<Callers>,
    /// One registration at a time.
    turn: AsyncMutex<()>,
    /// What follows the owners of names on the present connection.
    follower: Mutex<JoinSet<()>>,
}

impl Registration {
    /// Registers commands of the processes of these users with `providers`.
    #[must_use]
    pub fn new(providers: Arc<Providers>, allowed: Callers) -> Self {
        let allowed = Mutex::new(allowed);
        let (turn, follower) = (AsyncMutex::default(), Mutex::default());
        Self(Arc::new(Inner { providers, allowed, turn, follower }))
    }

    /// Lets the processes of other users register from now on; those that have registered stay.
    pub fn allow(&self, allowed: Callers) {
        *lock(&self.0.allowed) = allowed;
    }

    /// Publishes the object on `connection`, which takes the place of any that was before.
    ///
    /// # Errors
    ///
    /// When the bus does not take it.
    pub async fn publish(&self, connection: &Connection) -> zbus::Result<()> {
        let bus = DBusProxy::new(connection).await?;
        // Names without a new owner.
        let leaving = bus.receive_name_owner_changed_with_args(&[(2, "")]).await?;
        self.0.providers.withdraw_all();
        let mut follower = JoinSet::new();
        follower.spawn(follow(Arc::clone(&self.0), connection.clone(), leaving));
        *lock(&self.0.follower) = follower;
        connection.object_server().at(PATH, self.clone()).await.map(drop)
    }
}

/// Withdraws each provider that leaves the bus, and all of them with the bus.
async fn follow(inner: Arc<Inner>, connection: Connection, mut leaving: NameOwnerChangedStream) {
    while let Some(signal) = leaving.next().await {
        if let Ok(change) = signal.args() {
            inner.withdraw(&connection, change.name().as_str()).await;
        }
    }
    inner.providers.withdraw_all();
}

impl Inner {
    async fn withdraw(&self, connection: &Connection, name: &str) -> bool {
        let Some(provider) = self.providers.withdraw(name) else {
            return false;
        };
        if let Some(pass) = CHANGED.admit() {
            info!(provider = %provider.identity, swallowed = pass.swallowed, "a provider's commands are withdrawn");
        }
        let path = statistics_path(name);
        // There is none if the provider left while it was published.
        let _ = connection.object_server().remove::<Statistics, _>(path).await;
        true
    }

    async fn register(
        &self,
        connection: &Connection,
        identity: Identity,
        commands: Vec<CommandRow>,
        priority: u8,
    ) -> Result<(), Error> {
        let offers = offers(commands, priority)?;
        let name = identity.name.clone();
        let _turn = self.turn.lock().await;
        if let Some(provider) = self.providers.get(&name) {
            return Ok(self.providers.register(&provider, offers)?);
        }
        self.providers.has_room(identity.user)?;
        // A connection of its own: nothing that it sends is in the way of another's answer.
        let unavailable = |error: zbus::Error| Error::Unavailable(error.to_string());
        let link = BusLink {
            connection: bus::try_connect().await.map_err(unavailable)?,
            name: name.clone(),
        };
        let provider = Arc::new(Provider::new(identity, Box::new(link)));
        self.providers.register(&provider, offers)?;
        let statistics =
            Statistics { provider: Arc::clone(&provider), providers: Arc::clone(&self.providers) };
        connection.object_server().at(statistics_path(&name), statistics).await?;
        // If it left before it was registered, its leaving was not noticed.
        let unique = UniqueName::try_from(name.as_str())?;
        let bus = DBusProxy::new(connection).await?;
        let is_there = bus.name_has_owner(BusName::from(unique)).await;
        if !matches!(is_there, Ok(true)) {
            self.withdraw(connection, &name).await;
            is_there.map_err(|error| Error::Unavailable(error.to_string()))?;
        } else if let Some(pass) = CHANGED.admit() {
            let commands = self.providers.commands_of(&name);
            info!(provider = %provider.identity, commands, priority, swallowed = pass.swallowed, "a provider's commands are registered");
        }
        Ok(())
    }

    /// Who the sender of a call is, if it may register.
    async fn caller(&self, connection: &Connection, name: &str) -> Result<Identity, Error> {
        let denied = |error: &dyn std::fmt::Display| Error::AccessDenied(error.to_string());
        let unique = UniqueName::try_from(name).map_err(|error| denied(&error))?;
        let proxy = DBusProxy::new(connection).await?;
        let credentials = proxy.get_connection_credentials(BusName::from(unique)).await;
        let credentials = credentials.map_err(|error| denied(&error))?;
        let user = match credentials.unix_user_id() {
            Some(user) => Some(user),
            // An anonymous connection of a private bus.
            None => bus::user_of(connection, name).await.ok(),
        };
        let user = user.filter(|user| lock(&self.allowed).accept(*user));
        let user = user.ok_or_else(|| denied(&"[ipmid] providers does not name the user"))?;
        Ok(Identity { name: name.to_owned(), user, process: credentials.process_id() })
    }
}

#[interface(name = "org.causeway.Ipmi.Providers")]
impl Registration {
    /// Registers commands of the calling connection: all of them or none.
    async fn register(
        &self,
        commands: Vec<CommandRow>,
        priority: u8,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let sender = header.sender().map(|sender| sender.to_string()).unwrap_or_default();
        let registered = match self.0.caller(connection, &sender).await {
            Ok(caller) => self.0.register(connection, caller, commands, priority).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &registered
            && let Some(pass) = REFUSED.admit()
        {
            warn!(%error, provider = sender, swallowed = pass.swallowed, "commands of a provider are refused");
        }
        registered
    }

    /// Withdraws all commands of the calling connection.
    async fn unregister(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(), Error> {
        let sender = header.sender().map(|sender| sender.to_string()).unwrap_or_default();
        let _turn = self.0.turn.lock().await;
        if self.0.withdraw(connection, &sender).await {
            return Ok(());
        }
        Err(Error::NotRegistered("the caller has no commands here".to_owned()))
    }
}

/// The commands of a call.
fn offers(commands: Vec<CommandRow>, priority: u8) -> Result<Vec<Offer>, Error> {
    if commands.len() > MAX_COMMANDS {
        return Err(Refused::Limit(format!("{MAX_COMMANDS} commands of a provider")).into());
    }
    let priority = Priority::above_base(priority)
        .ok_or_else(|| Error::InvalidCommand("priority: 20, 30 or 40".to_owned()))?;
    commands.into_iter().map(|row| offer(row, priority).map_err(Error::InvalidCommand)).collect()
}

/// One command, or what is wrong with it.
fn offer(row: CommandRow, priority: Priority) -> Result<Offer, String> {
    let (kind, number, code, privilege, name, fewest, most, channels) = row;
    let invalid = |what: &str| format!("command {code:02X}h: {what}");
    let is_name = (1..=MAX_NAME).contains(&name.len()) && !name.chars().any(char::is_control);
    if !is_name {
        return Err(invalid("name: 1 to 64 bytes without control characters"));
    }
    let family = family(kind, number)
        .ok_or_else(|| invalid("family: 0 with an even NetFn but 2Ch and 2Eh, 1 with a group's body, or 2 with an enterprise number"))?;
    let privilege = Privilege::new(privilege).ok_or_else(|| invalid("privilege: 1 to 5"))?;
    let lengths = usize::from(fewest)..=usize::from(most);
    if lengths.is_empty() || *lengths.end() > MAX_DATA {
        return Err(invalid("lengths: at least 0, at most 255, the lower first"));
    }
    let channels = channels_of(&channels).ok_or_else(|| invalid("channels: each 0 to 15"))?;
    let command =
        Command { family, code, access: Access::AtLeast(privilege), changes: None, name: NAME };
    Ok(Offer { command, name, priority, lengths, channels, times: OnceLock::new() })
}

fn family(kind: u8, number: u32) -> Option<Family> {
    match kind {
        kind::NETFN => {
            let netfn = NetFn::new(u8::try_from(number).ok()?)?;
            let is_extension = [NetFn::GROUP, NetFn::OEM].contains(&netfn);
            (netfn.is_request() && !is_extension).then_some(Family::NetFn(netfn))
        }
        kind::GROUP => Some(Family::Group(GroupBody(u8::try_from(number).ok()?))),
        kind::OEM => Iana::new(number).map(Family::Oem),
        _ => None,
    }
}

/// A bit for each channel; all of them if none is named.
fn channels_of(channels: &[u8]) -> Option<u16> {
    if channels.is_empty() {
        return Some(u16::MAX);
    }
    let numbers: HashSet<u8> = channels.iter().copied().collect();
    let is_valid = numbers.iter().all(|&number| number <= ChannelNumber::SYSTEM_INTERFACE.value());
    is_valid.then(|| numbers.iter().fold(0, |bits, number| bits | 1 << number))
}

/// A connection for the requests to one provider.
#[derive(Debug)]
struct BusLink {
    connection: Connection,
    /// The provider's unique name.
    name: String,
}

#[async_trait]
impl Link for BusLink {
    async fn execute(&self, request: Request) -> Result<(u8, Vec<u8>), Failure> {
        let Request { context, netfn, data } = request;
        let session = context.session.unwrap_or(Session::NONE);
        let request = (
            context.channel.value(),
            session.user_id,
            context.privilege.value(),
            session.id,
            netfn.value(),
            context.lun.value(),
            context.command,
            data,
        );
        let answer = provider::execute(&self.connection, &self.name, &request).await;
        answer.map_err(|error| match error {
            ProviderError::NotMine => Failure::NotMine,
            ProviderError::Absent => Failure::Absent,
            ProviderError::Left => Failure::Left,
            ProviderError::Late => Failure::Late,
            ProviderError::Malformed | ProviderError::Failed(_) => {
                Failure::Invalid(error.to_string())
            }
        })
    }
}

/// Where the statistics of a provider are: `/org/causeway/Ipmi/Providers/1_42` of `:1.42`.
fn statistics_path(name: &str) -> String {
    let name: String =
        name.chars().filter(|c| *c != ':').map(|c| if c == '.' { '_' } else { c }).collect();
    format!("{PATH}/{name}")
}

/// What came of a provider's requests.
struct Statistics {
    provider: Arc<Provider>,
    providers: Arc<Providers>,
}

impl Statistics {
    fn counters(&self) -> &Counters {
        &self.provider.counters
    }
}

/// The value of a counter.
macro_rules! counted {
    ($self:ident.$counter:ident) => {
        $self.counters().$counter.load(std::sync::atomic::Ordering::Relaxed)
    };
}

#[interface(name = "org.causeway.Ipmi.Providers.Statistics")]
impl Statistics {
    /// The unique name of the provider.
    #[zbus(property(emits_changed_signal = "const"))]
    fn name(&self) -> String {
        self.provider.identity.name.clone()
    }

    /// Its user.
    #[zbus(property(emits_changed_signal = "const"))]
    fn user(&self) -> u32 {
        self.provider.identity.user
    }

    /// Its process; 0 where the bus does not say.
    #[zbus(property(emits_changed_signal = "const"))]
    fn process(&self) -> u32 {
        self.provider.identity.process.unwrap_or(0)
    }

    /// How many commands it has registered.
    #[zbus(property(emits_changed_signal = "false"))]
    fn commands(&self) -> u32 {
        let commands = self.providers.commands_of(&self.provider.identity.name);
        u32::try_from(commands).unwrap_or(u32::MAX)
    }

    /// Requests that it got.
    #[zbus(property(emits_changed_signal = "false"))]
    fn requests(&self) -> u64 {
        counted!(self.requests)
    }

    /// Requests that it answered.
    #[zbus(property(emits_changed_signal = "false"))]
    fn answered(&self) -> u64 {
        counted!(self.answered)
    }

    /// Requests that it handed on.
    #[zbus(property(emits_changed_signal = "false"))]
    fn not_mine(&self) -> u64 {
        counted!(self.not_mine)
    }

    /// Requests that it did not answer in time, or left the bus with.
    #[zbus(property(emits_changed_signal = "false"))]
    fn timed_out(&self) -> u64 {
        counted!(self.timed_out)
    }

    /// Answers that were no responses, or longer than the requester's channel allows.
    #[zbus(property(emits_changed_signal = "false"))]
    fn invalid(&self) -> u64 {
        counted!(self.invalid)
    }

    /// Requests that were answered C0h because too many were under way.
    #[zbus(property(emits_changed_signal = "false"))]
    fn busy(&self) -> u64 {
        counted!(self.busy)
    }

    /// Requests that passed it by while it did not answer.
    #[zbus(property(emits_changed_signal = "false"))]
    fn suspended(&self) -> u64 {
        counted!(self.suspended)
    }

    /// Whether requests pass it by now.
    #[zbus(property(emits_changed_signal = "false"))]
    fn is_suspended(&self) -> bool {
        self.provider.is_suspended()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> CommandRow {
        (kind::NETFN, 0x30, 1, 2, "Get Slot".to_owned(), 0, 4, Vec::new())
    }

    #[test]
    fn rows_become_commands() {
        let command =
            offer((2, 32473, 1, 2, "Get Slot".to_owned(), 0, 4, vec![1, 15]), Priority::ODM);
        let command = command.unwrap();
        assert_eq!(command.command.family, Family::Oem(Iana::new(32473).unwrap()));
        assert_eq!((command.lengths, command.channels), (0..=4, 0x8002));
        assert_eq!(offer(row(), Priority::OEM).unwrap().channels, 0xffff);
        let group = offer((1, 0xdc, 1, 2, "x".to_owned(), 0, 4, vec![]), Priority::OEM).unwrap();
        assert_eq!(group.command.family, Family::Group(GroupBody::DCMI));
    }

    #[test]
    fn rows_that_mean_nothing_are_refused() {
        let wrong: [fn(&mut CommandRow); 15] = [
            |row| row.0 = 3,
            |row| row.1 = 0x31,
            |row| row.1 = 0x40,
            |row| row.1 = 0x130,
            |row| row.1 = 0x2c,
            |row| row.1 = 0x2e,
            |row| (row.0, row.1) = (1, 0x100),
            |row| (row.0, row.1) = (2, 0x0100_0000),
            |row| row.3 = 0,
            |row| row.3 = 6,
            |row| row.4.clear(),
            |row| row.4 = "x".repeat(65),
            |row| row.4 = "a\nb".to_owned(),
            |row| (row.5, row.6) = (2, 1),
            |row| row.6 = 256,
        ];
        for change in wrong {
            let mut row = row();
            change(&mut row);
            assert!(offer(row.clone(), Priority::OEM).is_err(), "{row:?}");
        }
        let channel = (0, 0x30, 1, 2, "x".to_owned(), 0, 4, vec![16]);
        assert!(offer(channel, Priority::OEM).is_err());
        for priority in [0, 10, 21, 41, 255] {
            assert!(offers(vec![row()], priority).is_err());
        }
        assert!(offers(vec![row(); MAX_COMMANDS + 1], 20).is_err());
    }

    #[test]
    fn statistics_have_a_path_for_each_connection() {
        assert_eq!(statistics_path(":1.42"), "/org/causeway/Ipmi/Providers/1_42");
    }
}
