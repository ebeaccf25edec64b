//! Which channel a caller on the bus is, and whether it may call at all.
//!
//! A bridge owns `xyz.openbmc_project.Ipmi.Channel.<name>`; the channel of that name is the one its
//! requests come on. OpenBMC's btbridge, which has another name, is the first channel of the BT protocol.
//! A caller that cannot be a bridge is the `INTRABMC` channel, where one is configured ([`identity`] decides). Names and
//! owners are followed by signals, so a known caller costs no bus call.

mod callers;
mod follow;
mod identity;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use accounts::{Channel, ChannelTable};
use daemon::RateLimit;
use ipmi_proto::{ChannelProtocol, CompletionCode};
use openbmc_dbus::execute::{CHANNEL_PREFIX, CallOptions, LinkRefusal};
use serde::Deserialize;
use tokio::sync::Notify;
use tracing::{info, warn};
use zbus::fdo::DBusProxy;
use zbus::names::BusName;
use zbus::{Connection, fdo};

pub use self::callers::Callers;
use self::identity::{Claim, Facts, Refusal, User};
use crate::model::persistent::lock;

/// The channel of callers on the bus that are no bridge.
const INTRABMC: &str = "INTRABMC";

/// Callers that are remembered. Beyond that, those that have disconnected are forgotten.
const MAX_CALLERS: usize = 256;
/// How often the bus is asked about a caller while owners change.
const MAX_QUERIES: usize = 8;
/// Refusals that are logged.
static REFUSED: RateLimit = RateLimit::new(10, Duration::from_secs(60));
/// Bridges that start and stop, as far as they are logged.
static CHANGED: RateLimit = RateLimit::new(60, Duration::from_secs(60));

/// `[ipmid]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct IpmidConfig {
    /// Users, by name or number, whose processes may call `execute()` beside root and this
    /// daemon's own; the bridges' users where it is not given.
    pub callers: Callers,
    /// Whether bridges that ask for it are given a direct link, on which requests bypass the bus daemon.
    pub direct: bool,
}

impl Default for IpmidConfig {
    fn default() -> Self {
        Self { callers: Callers::default(), direct: true }
    }
}

/// The callers that are known, and how to find out about others.
#[derive(Debug)]
pub struct Channels {
    table: Arc<ChannelTable>,
    config: IpmidConfig,
    known: Mutex<Known>,
    arrivals: Notify,
}

#[derive(Debug, Default)]
struct Known {
    /// `None` while there is no bus.
    bus: Option<Connection>,
    /// Bridge name to the unique name that owns it.
    owners: HashMap<String, String>,
    /// Unique name to what the bus said of it.
    callers: HashMap<String, KnownCaller>,
    /// Counts changes of owners, so that an answer of the bus that they have overtaken is noticed.
    changes: u64,
}

/// A caller. Its names are known from signals before its user is asked for.
#[derive(Debug, Default)]
struct KnownCaller {
    facts: Facts,
    is_complete: bool,
}

impl Channels {
    /// Over the configured channels, for the callers that `config` accepts.
    #[must_use]
    pub fn new(table: Arc<ChannelTable>, config: IpmidConfig) -> Arc<Self> {
        Arc::new(Self { table, config, known: Mutex::default(), arrivals: Notify::new() })
    }

    /// Waits until a bridge has started since the last time.
    pub async fn arrival(&self) {
        self.arrivals.notified().await;
    }

    /// Knows callers of `bus` from now on, and forgets those of the one before.
    ///
    /// # Errors
    ///
    /// When the bus does not answer who owns what.
    pub async fn attach(self: &Arc<Self>, bus: &Connection) -> zbus::Result<()> {
        *lock(&self.known) = Known { bus: Some(bus.clone()), ..Known::default() };
        follow::start(Arc::clone(self), bus).await
    }

    /// The channel that a request of `caller` (a unique bus name) with these options came on.
    ///
    /// # Errors
    ///
    /// `D3h` for a caller that may not call, and for one that is no channel's bridge but may be a bridge.
    pub async fn of_caller(
        &self,
        caller: &str,
        options: &CallOptions,
    ) -> Result<&Channel, CompletionCode> {
        self.identify(caller, options.into()).await.map_err(|refusal| {
            if let Some(pass) = REFUSED.admit() {
                let swallowed = pass.swallowed;
                warn!(
                    caller,
                    swallowed, "request refused with D3h: the caller may not send it: {refusal}"
                );
            }
            CompletionCode::DESTINATION_UNAVAILABLE
        })
    }

    /// Whether `caller` (a unique bus name) is given a direct link.
    ///
    /// # Errors
    ///
    /// Why it is not.
    pub async fn may_link(&self, caller: &str) -> Result<(), LinkRefusal> {
        if !self.config.direct {
            return Err(LinkRefusal::NotOffered);
        }
        match self.identify(caller, Claim::Itself).await {
            Ok(_) => Ok(()),
            Err(refusal) => Err(LinkRefusal::Caller(refusal.to_string())),
        }
    }

    async fn identify(&self, caller: &str, claim: Claim) -> Result<&Channel, Refusal> {
        if let Some(known) = lock(&self.known).callers.get(caller)
            && known.is_complete
            // A caller without a name that speaks for others: its name may just not have been signalled yet.
            && (claim == Claim::Itself || !known.facts.ever_owned.is_empty())
        {
            return identity::decide(&known.facts, claim, &self.table);
        }
        let facts = self.query_bus(caller).await?;
        identity::decide(&facts, claim, &self.table)
    }

    /// Asks the bus about a caller, until no change of owners has overtaken the answers.
    async fn query_bus(&self, caller: &str) -> Result<Facts, Refusal> {
        let unknown = |error: &dyn std::fmt::Display| Refusal::Unknown(error.to_string());
        let bus = lock(&self.known).bus.clone();
        let bus = bus.ok_or_else(|| unknown(&"there is no bus"))?;
        let bus = DBusProxy::new(&bus).await.map_err(|error| unknown(&error))?;
        for _ in 0..MAX_QUERIES {
            let before = lock(&self.known).changes;
            let found = self.query_once(&bus, caller).await.map_err(|error| unknown(&error))?;
            if let Some(facts) = self.remember(caller, found, before) {
                return Ok(facts);
            }
        }
        Err(unknown(&"bridges come and go"))
    }

    async fn query_once(&self, bus: &DBusProxy<'_>, caller: &str) -> fdo::Result<Found> {
        let uid = bus.get_connection_unix_user(BusName::try_from(caller)?).await?;
        let names: Vec<String> = bus.list_names().await?.iter().map(ToString::to_string).collect();
        let mut owned = BTreeSet::new();
        for name in names.iter().filter(|name| identity::is_bridge_name(name)) {
            if owns(bus, caller, name).await? {
                owned.insert(name.clone());
            }
        }
        Ok(Found { user: self.config.callers.user(uid), owned, connected: names })
    }

    /// Remembers what the bus said, unless owners have changed since `before`; gives what is known then.
    fn remember(&self, caller: &str, found: Found, before: u64) -> Option<Facts> {
        let mut known = lock(&self.known);
        if known.changes != before {
            return None;
        }
        if known.callers.len() >= MAX_CALLERS {
            known.callers.retain(|caller, _| found.connected.contains(caller));
        }
        if known.callers.len() >= MAX_CALLERS {
            // Those that never owned a name are asked for again; no history is lost with them.
            known.callers.retain(|_, caller| !caller.facts.ever_owned.is_empty());
        }
        let entry = known.callers.entry(caller.to_owned()).or_default();
        entry.facts.user = found.user;
        entry.facts.ever_owned.extend(found.owned.iter().cloned());
        entry.facts.owned = found.owned;
        entry.is_complete = true;
        Some(entry.facts.clone())
    }

    /// How often owners have changed.
    fn changes(&self) -> u64 {
        lock(&self.known).changes
    }

    /// A bridge's name has another owner, or none.
    fn owner_changed(&self, name: &str, owner: Option<&str>) {
        let mut known = lock(&self.known);
        known.changes += 1;
        if let Some(old) = known.owners.remove(name)
            && let Some(caller) = known.callers.get_mut(&old)
        {
            caller.facts.owned.remove(name);
        }
        if let Some(owner) = owner {
            known.owners.insert(name.to_owned(), owner.to_owned());
            if known.callers.len() >= 4 * MAX_CALLERS {
                known
                    .callers
                    .retain(|_, caller| caller.is_complete || !caller.facts.owned.is_empty());
            }
            let facts = &mut known.callers.entry(owner.to_owned()).or_default().facts;
            facts.owned.insert(name.to_owned());
            facts.ever_owned.insert(name.to_owned());
        }
        drop(known);
        if owner.is_some() {
            self.arrivals.notify_one();
        }
        self.log_change(name, owner);
    }

    fn log_change(&self, name: &str, owner: Option<&str>) {
        let Some(channel) = name.strip_prefix(CHANNEL_PREFIX) else {
            return;
        };
        let Some(pass) = CHANGED.admit() else {
            return;
        };
        let swallowed = pass.swallowed;
        match owner {
            Some(owner) if self.table.by_name(channel).is_some() => {
                info!(channel, owner, swallowed, "bridge started");
            }
            Some(owner) => warn!(
                channel,
                owner,
                swallowed,
                "bridge of a channel that is not configured; its requests are refused"
            ),
            None => info!(channel, swallowed, "bridge stopped"),
        }
    }
}

/// What the bus answered about a caller.
struct Found {
    user: User,
    owned: BTreeSet<String>,
    /// All names on the bus, unique ones included.
    connected: Vec<String>,
}

/// The channel on which requests of OpenBMC's btbridge come.
#[must_use]
pub fn first_bt(table: &ChannelTable) -> Option<&Channel> {
    let bt = [ChannelProtocol::Bt10, ChannelProtocol::Bt15];
    table.iter().find(|channel| bt.contains(&channel.protocol))
}

/// Whether `caller` owns the bus name `name`.
///
/// # Errors
///
/// When the bus does not answer; that nobody owns the name is an answer.
async fn owns(bus: &DBusProxy<'_>, caller: &str, name: &str) -> fdo::Result<bool> {
    match bus.get_name_owner(BusName::try_from(name)?).await {
        Ok(owner) => Ok(owner.as_str() == caller),
        Err(fdo::Error::NameHasNoOwner(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
