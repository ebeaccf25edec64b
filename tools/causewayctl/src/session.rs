//! `session`: who is logged in over LAN, by the sessions that the bridges publish.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::Ipv4Addr;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use ipmi_proto::Privilege;
use openbmc_dbus::client::{CallError, ObjectAt, Properties};
use openbmc_dbus::execute::CHANNEL_PREFIX;
use openbmc_dbus::ipmi::session_info as info;
use serde::Serialize;

use crate::bmc::Bmc;
use crate::cli::Global;
use crate::error::Error;
use crate::output::{Cell, Report};
#[cfg(feature = "trace")]
use crate::record::{self, Recorded};
use crate::{hex, time, user};

/// How long a bridge may take to close a session.
const CLOSING: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);

/// List, show and close the sessions of the LAN channels
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Show(Show),
    Close(Close),
}

/// List the sessions
#[derive(Args, Debug)]
struct List {}

/// Show one session, and its last requests as its bridge has recorded them
#[derive(Args, Debug)]
struct Show {
    /// The session's handle, or its id in hexadecimal
    session: String,
}

/// Close sessions; their clients have to log in again
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("which").required(true))]
struct Close {
    /// The session's handle, or its id in hexadecimal
    #[arg(group = "which")]
    session: Option<String>,
    /// All sessions of this user, by name or id
    #[arg(long, value_name = "USER", group = "which")]
    user: Option<String>,
    /// All sessions
    #[arg(long, group = "which")]
    all: bool,
}

/// A session, as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Session {
    handle: u8,
    /// In hexadecimal, as in logs and in the object's path.
    id: String,
    channel: u8,
    user_id: u8,
    user: String,
    privilege: Option<&'static str>,
    /// Null for an IPv6 address that the bridge, another's, does not publish.
    address: Option<String>,
    port: u16,
    protocol: &'static str,
    /// The number of the cipher suite; null where there is none, or the bridge does not publish it.
    suite: Option<u8>,
    /// When it was logged in to; null where the bridge does not publish it.
    since: Option<String>,
    state: &'static str,
    /// The last requests, of one session that is shown.
    #[cfg(feature = "trace")]
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<Vec<Recorded>>,
    #[serde(skip)]
    object: ObjectAt,
}

impl Session {
    /// The session of an object; `None` for session zero, which is no session.
    fn new(object: ObjectAt, properties: &Properties) -> Result<Option<Self>, CallError> {
        let last = object.path.rsplit('/').next().unwrap_or_default();
        let Some((id, _)) = last.split_once('_') else { return Ok(None) };
        // First octet in the lowest byte.
        let address = Ipv4Addr::from(properties.get(info::REMOTE_IP_ADDR)?.to_le_bytes());
        let address = match properties.find(info::REMOTE_ADDRESS)? {
            Some(address) => Some(address),
            None => (!address.is_unspecified()).then(|| address.to_string()),
        };
        let is_rmcp_plus = properties.find(info::RMCP_PLUS)?.unwrap_or(true);
        let suite = properties.find(info::CIPHER_SUITE)?;
        let since: Option<u64> = properties.find(info::SINCE)?;
        Ok(Some(Self {
            handle: properties.get(info::SESSION_HANDLE)?,
            id: id.to_owned(),
            channel: properties.get(info::CHANNEL_NUM)?,
            user_id: properties.get(info::USER_ID)?,
            user: String::new(),
            privilege: Privilege::new(properties.get(info::CURRENT_PRIVILEGE)?).map(hex::privilege),
            address,
            port: properties.get(info::REMOTE_PORT)?,
            protocol: if is_rmcp_plus { "RMCP+" } else { "IPMI 1.5" },
            suite: suite.filter(|suite| *suite != info::NO_SUITE),
            since: since.map(|micros| time::utc(micros / 1_000_000)),
            state: match properties.get(info::STATE)? {
                info::SETUP => "setup",
                info::ACTIVE => "active",
                info::TEAR_DOWN => "closing",
                _ => "inactive",
            },
            #[cfg(feature = "trace")]
            requests: None,
            object,
        }))
    }

    fn is(&self, session: &str) -> bool {
        session.parse() == Ok(self.handle) || session.trim_start_matches("0x") == self.id
    }

    fn row(&self) -> Vec<Cell> {
        let address = match self.address.as_deref() {
            Some(address) if address.contains(':') => format!("[{address}]"),
            address => address.unwrap_or("(IPv6)").to_owned(),
        };
        let suite = self.suite.map_or_else(|| "-".to_owned(), |suite| suite.to_string());
        vec![
            self.handle.to_string().into(),
            self.id.clone().into(),
            self.channel.to_string().into(),
            format!("{} ({})", self.user, self.user_id).into(),
            self.privilege.unwrap_or("-").into(),
            format!("{address}:{}", self.port).into(),
            self.protocol.into(),
            suite.into(),
            self.since.as_deref().unwrap_or("-").into(),
            self.state.into(),
        ]
    }
}

pub(crate) async fn run(arguments: &Arguments, global: &Global) -> Result<Report, Error> {
    let bmc = Bmc::connect(global).await?;
    let sessions = sessions(&bmc).await?;
    match &arguments.command {
        Command::List(List {}) => Ok(report(&sessions)),
        Command::Show(show) => {
            let session = one(sessions, &show.session)?;
            #[cfg(feature = "trace")]
            let session = with_requests(&bmc, session).await?;
            Ok(report(&[session]))
        }
        Command::Close(close) => self::close(close, &bmc, sessions).await,
    }
}

const HEAD: [&str; 10] =
    ["HANDLE", "ID", "CHANNEL", "USER", "PRIVILEGE", "FROM", "PROTOCOL", "SUITE", "SINCE", "STATE"];

fn report(sessions: &[Session]) -> Report {
    Report::new(&sessions, |page| {
        page.table(&HEAD, sessions.iter().map(Session::row).collect());
        #[cfg(feature = "trace")]
        for requests in sessions.iter().filter_map(|session| session.requests.as_ref()) {
            page.line("");
            record::table(requests, page);
        }
    })
}

/// The session with what its bridge has recorded of it.
#[cfg(feature = "trace")]
async fn with_requests(bmc: &Bmc, mut session: Session) -> Result<Session, Error> {
    let channel = session.object.service.strip_prefix(CHANNEL_PREFIX).unwrap_or_default();
    let id = u32::from_str_radix(&session.id, 16).unwrap_or_default();
    session.requests = Some(record::of_session(&bmc.bus, channel, id).await?);
    Ok(session)
}

fn one(sessions: Vec<Session>, session: &str) -> Result<Session, Error> {
    let found = sessions.into_iter().find(|known| known.is(session));
    found.ok_or_else(|| {
        Error::failed(format_args!("there is no session {session}"))
            .remedy("causewayctl session list")
    })
}

/// All sessions, by handle.
async fn sessions(bmc: &Bmc) -> Result<Vec<Session>, Error> {
    let mut sessions = Vec::new();
    let mut names: BTreeMap<u8, String> = BTreeMap::new();
    for service in bmc.bus.names().await? {
        if !service.starts_with(CHANNEL_PREFIX) {
            continue;
        }
        let root = ObjectAt::new(service.as_str(), info::ROOT);
        let objects = match bmc.bus.client().managed_objects(&root).await {
            Ok(objects) => objects,
            // A bridge without sessions, or one that ended meanwhile.
            Err(
                CallError::Gone { .. } | CallError::NotFound { .. } | CallError::Refused { .. },
            ) => continue,
            Err(error) => return Err(Error::failed(error)),
        };
        for (path, mut interfaces) in objects {
            let Some(properties) = interfaces.remove(info::NAME) else { continue };
            let object = ObjectAt::new(service.as_str(), path);
            let session = Session::new(object, &properties.into()).map_err(Error::failed)?;
            let Some(mut session) = session else { continue };
            session.user = match names.entry(session.user_id) {
                Entry::Occupied(name) => name.get().clone(),
                // Without ipmid the id says it.
                Entry::Vacant(entry) => {
                    let name = bmc.user_name(session.user_id).await.unwrap_or_default();
                    entry.insert(name).clone()
                }
            };
            sessions.push(session);
        }
    }
    sessions.sort_by_key(|session| (session.channel, session.handle));
    Ok(sessions)
}

async fn close(close: &Close, bmc: &Bmc, mut sessions: Vec<Session>) -> Result<Report, Error> {
    if let Some(session) = &close.session {
        sessions = vec![one(sessions, session)?];
    } else if let Some(user) = &close.user {
        let id = user::find(bmc, user).await?;
        sessions.retain(|session| session.user_id == id);
    }
    for session in &sessions {
        let client = bmc.bus.client();
        match client.set(&session.object, info::STATE, info::TEAR_DOWN).await {
            // It ended by itself.
            Ok(()) | Err(CallError::Gone { .. } | CallError::NotFound { .. }) => {}
            Err(error) => {
                let handle = session.handle;
                return Err(Error::failed(format_args!("cannot close session {handle}: {error}")));
            }
        }
    }
    let is_closing = |other: &Session| sessions.iter().any(|closed| closed.object == other.object);
    let closed = async {
        while self::sessions(bmc).await?.iter().any(is_closing) {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    };
    match tokio::time::timeout(CLOSING, closed).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(error),
        Err(_) => {
            return Err(Error::failed("the bridge has not closed all of the sessions")
                .remedy("causewayctl session list"));
        }
    }
    let closed: Vec<_> =
        sessions.into_iter().map(|session| Session { state: "closed", ..session }).collect();
    Ok(report(&closed))
}
