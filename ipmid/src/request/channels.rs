//! Which channel a caller on the bus is, and whether it may call at all.
//!
//! A bridge owns `xyz.openbmc_project.Ipmi.Channel.<name>`; the channel of that name is the one its
//! requests come on. OpenBMC's btbridge, which has another name, is the first channel of the BT protocol.
//! A caller that cannot be a bridge is the `INTRABMC` channel, where one is configured (`identity` decides). Names and
//! owners are followed by signals, so a known caller costs no bus call.

mod callers;
mod identity;
mod owners;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use accounts::{Channel, ChannelTable};
use daemon::RateLimit;
use ipmi_proto::{ChannelNumber, ChannelProtocol, CompletionCode};
use openbmc_dbus::bus::user_of;
use openbmc_dbus::execute::{CHANNEL_PREFIX, CallOptions, LinkRefusal, OwnerChange};
use serde::Deserialize;
use tokio::sync::{Notify, watch};
use tokio::task;
use tracing::{info, warn};
use zbus::fdo::DBusProxy;
use zbus::names::BusName;
use zbus::{Connection, fdo};

pub use self::callers::Callers;
use self::identity::{Claim, Refusal, RefusalKind, User};
use self::owners::{Names, Owners};
use crate::model::persistent::lock;

/// The channel of callers on the bus that are not bridges.
const INTRABMC: &str = "INTRABMC";

/// Callers whose users are remembered. Beyond that, those of no bridge are asked for again.
const MAX_USERS: usize = 256;
/// Refusals that are logged, of each kind.
static REFUSED: [RateLimit; RefusalKind::COUNT] =
    [const { RateLimit::new(5, Duration::from_secs(60)) }; RefusalKind::COUNT];
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
    /// Users, by name or number, whose processes may register commands beside root's and this daemon's own.
    pub providers: openbmc_dbus::callers::Callers,
}

impl Default for IpmidConfig {
    fn default() -> Self {
        let providers = openbmc_dbus::callers::Callers::default();
        Self { callers: Callers::default(), direct: true, providers }
    }
}

/// The known callers, and how to identify others.
#[derive(Debug)]
pub struct Channels {
    table: Arc<ChannelTable>,
    config: Mutex<IpmidConfig>,
    known: Mutex<Known>,
    arrivals: Notify,
    listing: watch::Sender<Listing>,
}

/// The bus whose owners of bridges' names are known or being listed.
#[derive(Clone, Copy, Debug, Default)]
struct Listing {
    bus: u64,
    is_complete: bool,
}

/// What is known of one bus. Its callers' names come from signals alone, so that no answer can be older than a
/// request; a caller's user never changes.
#[derive(Debug, Default)]
struct Known {
    /// `None` while there is no bus.
    bus: Option<Bus>,
    /// How many there have been.
    buses: u64,
    owners: Owners,
    /// By unique name.
    users: HashMap<String, User>,
}

/// A connection to a bus, and how many there were before it: unique names are another's on each.
#[derive(Clone, Debug)]
struct Bus {
    connection: Connection,
    number: u64,
}

impl Known {
    /// Whether this is still what is known of `bus`.
    fn is_of(&self, bus: &Bus) -> bool {
        self.bus.as_ref().is_some_and(|known| known.number == bus.number)
    }

    fn remember_user(&mut self, caller: &str, user: User) {
        if self.users.len() >= MAX_USERS {
            let owners = &self.owners;
            self.users.retain(|caller, _| owners.is_owner(caller));
        }
        if self.users.len() >= MAX_USERS {
            self.users.clear();
        }
        self.users.insert(caller.to_owned(), user);
    }
}

/// A caller as it is known when its request arrives.
enum Arrival {
    Decided(Result<ChannelNumber, Refusal>),
    /// The bus has to be asked for its user.
    Stranger(Bus, Names),
    /// The owners of bridges' names are not known yet.
    Early(Bus),
}

/// The channel of a caller. The way of a request from a known caller is short, and its future small: the other one,
/// which holds calls on the bus, is apart.
enum Identity {
    Known(ChannelNumber),
    Sought(Pin<Box<dyn Future<Output = Result<ChannelNumber, Refusal>> + Send>>),
}

impl Channels {
    /// Over the configured channels, for the callers that `config` accepts.
    #[must_use]
    pub fn new(table: Arc<ChannelTable>, config: IpmidConfig) -> Arc<Self> {
        let (known, arrivals) = (Mutex::default(), Notify::new());
        let config = Mutex::new(config);
        Arc::new(Self { table, config, known, arrivals, listing: watch::Sender::default() })
    }

    /// Accepts the callers of another configuration from now on, those of running bridges included.
    pub fn configure(&self, config: IpmidConfig) {
        *lock(&self.config) = config;
        // Each is asked for once more, and judged by the new list.
        lock(&self.known).users.clear();
    }

    /// Waits until a bridge has started since the last time.
    pub async fn arrival(&self) {
        self.arrivals.notified().await;
    }

    /// Forgets all callers: from now on they are those of `connection`, on which their requests come.
    pub fn attach(&self, connection: &Connection) {
        let mut known = lock(&self.known);
        let number = known.buses;
        let bus = Some(Bus { connection: connection.clone(), number });
        *known = Known { bus, buses: number.wrapping_add(1), ..Known::default() };
        self.listing.send_replace(Listing { bus: number, is_complete: false });
    }

    /// Forgets all callers, and the connection.
    pub fn detach(&self) {
        let mut known = lock(&self.known);
        *known = Known { buses: known.buses, ..Known::default() };
        self.listing.send_replace(Listing { bus: known.buses, is_complete: false });
    }

    /// Waits until the owners of bridges' names on `bus` are known, or never will be.
    async fn listed(&self, bus: &Bus) {
        let mut listing = self.listing.subscribe();
        // The sender is our own.
        let _ = listing.wait_for(|now| now.bus != bus.number || now.is_complete).await;
    }

    /// The channel of this number.
    #[must_use]
    pub fn get(&self, number: ChannelNumber) -> Option<&Channel> {
        self.table.get(number)
    }

    /// The channel that a request of `caller` (a unique bus name) with these options came on, as its names are when
    /// this function is called; the future asks the bus for the user of a caller that is not known.
    ///
    /// # Errors
    ///
    /// `D3h` for a caller that may not call, and for one that is no channel's bridge but may be a bridge.
    pub fn of_caller(
        self: &Arc<Self>,
        caller: &str,
        options: &CallOptions,
    ) -> impl Future<Output = Result<ChannelNumber, CompletionCode>> + use<> {
        let identity = match self.identify(caller, options.into()) {
            Identity::Known(channel) => Ok(channel),
            Identity::Sought(decision) => Err((decision, caller.to_owned())),
        };
        async move {
            match identity {
                Ok(channel) => Ok(channel),
                Err((decision, caller)) => decision.await.map_err(|refusal| {
                    log_refusal(&caller, &refusal);
                    CompletionCode::DESTINATION_UNAVAILABLE
                }),
            }
        }
    }

    /// Whether `caller` (a unique bus name) is given a direct link; as [`of_caller`](Self::of_caller).
    ///
    /// # Errors
    ///
    /// Why it is not.
    pub fn may_link(
        self: &Arc<Self>,
        caller: &str,
    ) -> impl Future<Output = Result<(), LinkRefusal>> + use<> {
        let identity = self.identify(caller, Claim::Itself);
        let is_offered = lock(&self.config).direct;
        async move {
            let decision = match identity {
                Identity::Known(channel) => Ok(channel),
                Identity::Sought(decision) => decision.await,
            };
            match decision {
                Ok(_) if is_offered => Ok(()),
                Ok(_) => Err(LinkRefusal::NotOffered),
                Err(refusal) => Err(LinkRefusal::Caller(refusal.to_string())),
            }
        }
    }

    fn identify(self: &Arc<Self>, caller: &str, claim: Claim) -> Identity {
        let arrival = match self.arrived(caller, claim, None) {
            Arrival::Decided(Ok(channel)) => return Identity::Known(channel),
            arrival => arrival,
        };
        let (channels, caller) = (Arc::clone(self), caller.to_owned());
        Identity::Sought(Box::pin(async move { channels.seek(&caller, claim, arrival).await }))
    }

    async fn seek(
        &self,
        caller: &str,
        claim: Claim,
        arrival: Arrival,
    ) -> Result<ChannelNumber, Refusal> {
        let arrival = match arrival {
            Arrival::Early(bus) => {
                self.listed(&bus).await;
                self.arrived(caller, claim, Some(&bus))
            }
            arrival => arrival,
        };
        match arrival {
            Arrival::Decided(decision) => decision,
            Arrival::Stranger(bus, names) => {
                let user = self.ask_user(&bus, caller).await;
                let user = user.map_err(|error| Refusal::Unknown(error.to_string()))?;
                self.decide(user, &names, claim)
            }
            Arrival::Early(_) => Err(gone()),
        }
    }

    /// What is known of `caller`, if it is still of the bus that it was of.
    fn arrived(&self, caller: &str, claim: Claim, was_of: Option<&Bus>) -> Arrival {
        let known = lock(&self.known);
        let Some(bus) = known.bus.as_ref().filter(|_| was_of.is_none_or(|bus| known.is_of(bus)))
        else {
            return Arrival::Decided(Err(gone()));
        };
        if !known.owners.is_listed() {
            return Arrival::Early(bus.clone());
        }
        let Some(names) = known.owners.names_of(caller) else {
            let why = "too many others have owned bridges' names".to_owned();
            return Arrival::Decided(Err(Refusal::Unknown(why)));
        };
        match known.users.get(caller) {
            Some(user) => Arrival::Decided(self.decide(*user, &names, claim)),
            None => Arrival::Stranger(bus.clone(), names.into_owned()),
        }
    }

    fn decide(&self, user: User, names: &Names, claim: Claim) -> Result<ChannelNumber, Refusal> {
        identity::decide(user, names, claim, &self.table).map(Channel::number)
    }

    async fn ask_user(&self, bus: &Bus, caller: &str) -> fdo::Result<User> {
        let uid = user_of(&bus.connection, caller).await?;
        let user = lock(&self.config).callers.user(uid);
        let mut known = lock(&self.known);
        if known.is_of(bus) {
            known.remember_user(caller, user);
        }
        Ok(user)
    }

    /// A bridge's name has another owner, or none.
    pub fn owner_changed(self: &Arc<Self>, change: &OwnerChange) {
        let OwnerChange { name, old, new } = change;
        let bus = {
            let mut known = lock(&self.known);
            known.owners.change(change);
            known.bus.clone()
        };
        if new.is_some() {
            self.arrivals.notify_one();
        }
        if let (Some(old), Some(bus)) = (old, bus) {
            task::spawn(Arc::clone(self).forget_if_gone(bus, old.clone()));
        }
        self.log_change(name, new.as_deref());
    }

    /// Bridges' names and their owners.
    pub fn owners_listed(&self, owners: Vec<(String, String)>) {
        for (name, owner) in &owners {
            self.log_change(name, Some(owner));
        }
        lock(&self.known).owners.list(owners);
        self.listing.send_modify(|listing| listing.is_complete = true);
        self.arrivals.notify_one();
    }

    /// Forgets the names of a caller that has disconnected. One that is still there has its past.
    async fn forget_if_gone(self: Arc<Self>, bus: Bus, caller: String) {
        let ask = async {
            let proxy = DBusProxy::new(&bus.connection).await?;
            proxy.name_has_owner(BusName::try_from(caller.as_str())?).await
        };
        let is_gone = ask.await.is_ok_and(|is_there| !is_there);
        let mut known = lock(&self.known);
        if is_gone && known.is_of(&bus) {
            known.owners.forget(&caller);
            known.users.remove(&caller);
        }
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

/// The refusal of a request whose bus connection is closed or was replaced.
fn gone() -> Refusal {
    Refusal::Unknown("its bus is gone".to_owned())
}

fn log_refusal(caller: &str, refusal: &Refusal) {
    let limit = REFUSED.get(refusal.kind() as usize);
    if let Some(pass) = limit.and_then(RateLimit::admit) {
        let swallowed = pass.swallowed;
        warn!(caller, swallowed, "request refused with D3h: the caller may not send it: {refusal}");
    }
}

/// The channel on which requests of OpenBMC's btbridge come.
#[must_use]
pub fn first_bt(table: &ChannelTable) -> Option<&Channel> {
    let bt = [ChannelProtocol::Bt10, ChannelProtocol::Bt15];
    table.iter().find(|channel| bt.contains(&channel.protocol))
}

#[cfg(test)]
mod tests;
