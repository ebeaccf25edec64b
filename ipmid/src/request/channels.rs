//! Which channel a caller on the bus is, and whether it may call at all.
//!
//! A bridge owns `xyz.openbmc_project.Ipmi.Channel.<name>`; the channel of that name is the one its
//! requests come on. OpenBMC's btbridge, which has another name, is the first channel of the BT protocol.
//! A caller that owns no such name is the `INTRABMC` channel, where one is configured. Names and owners are
//! followed by signals, so a known caller costs no bus call.

mod callers;
mod follow;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use accounts::{Channel, ChannelTable};
use ipmi_proto::{ChannelNumber, ChannelProtocol, CompletionCode};
use openbmc_dbus::execute::CHANNEL_PREFIX;
use openbmc_dbus::ipmi::host_ipmi;
use serde::Deserialize;
use tokio::sync::Notify;
use tracing::{info, warn};
use zbus::fdo::DBusProxy;
use zbus::names::BusName;
use zbus::{Connection, fdo};

pub use self::callers::Callers;
use crate::model::persistent::lock;

/// The channel of callers on the bus that are no bridge.
const INTRABMC: &str = "INTRABMC";

/// Callers remembered that own no channel name; beyond that the memory starts anew.
const MAX_STRANGERS: usize = 256;

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
    /// Channel name to the unique name that owns it.
    owners: HashMap<String, String>,
    /// Unique name to the channel its requests come on; `None` for one that may not call.
    callers: HashMap<String, Option<ChannelNumber>>,
}

impl Channels {
    /// Over the configured channels, for the callers that `config` says.
    #[must_use]
    pub fn new(table: Arc<ChannelTable>, config: IpmidConfig) -> Arc<Self> {
        Arc::new(Self { table, config, known: Mutex::default(), arrivals: Notify::new() })
    }

    /// Waits until a bridge has come since the last time.
    pub async fn arrival(&self) {
        self.arrivals.notified().await;
    }

    /// Knows callers of `bus` from now on, and forgets those of the one before.
    ///
    /// # Errors
    ///
    /// When the bus does not tell who owns what.
    pub async fn attach(self: &Arc<Self>, bus: &Connection) -> zbus::Result<()> {
        *lock(&self.known) = Known { bus: Some(bus.clone()), ..Known::default() };
        follow::start(Arc::clone(self), bus).await
    }

    /// The channel that a request of `caller` (a unique bus name) came on.
    ///
    /// # Errors
    ///
    /// `D3h` for a caller that may not call or is no channel.
    pub async fn of_caller(&self, caller: &str) -> Result<&Channel, CompletionCode> {
        let known = lock(&self.known).callers.get(caller).copied();
        let number = match known {
            Some(number) => number,
            None => self.find_out(caller).await.unwrap_or_else(|error| {
                warn!(%error, caller, "a caller's identity is not to be had");
                None
            }),
        };
        number
            .and_then(|number| self.table.get(number))
            .ok_or(CompletionCode::DESTINATION_UNAVAILABLE)
    }

    /// Whether `caller` (a unique bus name) is given a link that goes round the bus.
    pub async fn may_link(&self, caller: &str) -> bool {
        self.config.direct && self.of_caller(caller).await.is_ok()
    }

    /// Asks the bus about a caller whose names no signal has told yet.
    async fn find_out(&self, caller: &str) -> fdo::Result<Option<ChannelNumber>> {
        let Some(bus) = lock(&self.known).bus.clone() else {
            return Ok(None);
        };
        let bus = DBusProxy::new(&bus).await?;
        let mut number = None;
        if self.may_call(&bus, caller).await? {
            for channel in self.table.iter() {
                let name = format!("{CHANNEL_PREFIX}{}", channel.name);
                if owns(&bus, caller, name).await? {
                    number = Some(channel.number());
                }
            }
            if number.is_none() && owns(&bus, caller, host_ipmi::SERVICE.to_owned()).await? {
                number = first_bt(&self.table).map(Channel::number);
            }
            number = number.or_else(|| self.table.by_name(INTRABMC).map(Channel::number));
        }
        self.remember_stranger(caller, number);
        Ok(number)
    }

    async fn may_call(&self, bus: &DBusProxy<'_>, caller: &str) -> fdo::Result<bool> {
        let caller = BusName::try_from(caller)?;
        let uid = bus.get_connection_unix_user(caller.clone()).await?;
        let accepted = self.config.callers.accept(uid);
        if !accepted {
            warn!(uid, caller = caller.as_str(), "a caller that is not accepted");
        }
        Ok(accepted)
    }

    fn remember_stranger(&self, caller: &str, number: Option<ChannelNumber>) {
        let mut known = lock(&self.known);
        if known.callers.len() >= MAX_STRANGERS {
            let owners: Vec<_> = known.owners.values().cloned().collect();
            known.callers.retain(|caller, _| owners.contains(caller));
        }
        known.callers.insert(caller.to_owned(), number);
    }

    /// A bridge's name has another owner, or none.
    async fn owner_changed(&self, bus: &DBusProxy<'_>, name: &str, owner: Option<&str>) {
        if owner.is_some() {
            self.arrivals.notify_one();
        }
        let Some(channel) = name.strip_prefix(CHANNEL_PREFIX) else {
            return;
        };
        let number = self.table.by_name(channel).map(Channel::number);
        if number.is_none() {
            warn!(channel, "a bridge of a channel that is not configured");
        }
        let accepted = match owner {
            Some(owner) => self.may_call(bus, owner).await.unwrap_or(false),
            None => false,
        };
        let mut known = lock(&self.known);
        if let Some(old) = known.owners.remove(channel) {
            known.callers.remove(&old);
        }
        if let (Some(owner), Some(number), true) = (owner, number, accepted) {
            info!(channel, owner, "a bridge is here");
            known.owners.insert(channel.to_owned(), owner.to_owned());
            known.callers.insert(owner.to_owned(), Some(number));
        } else if owner.is_none() {
            info!(channel, "a bridge is gone");
        }
    }
}

/// The channel on which requests of OpenBMC's btbridge come.
#[must_use]
pub fn first_bt(table: &ChannelTable) -> Option<&Channel> {
    let bt = [ChannelProtocol::Bt10, ChannelProtocol::Bt15];
    table.iter().find(|channel| bt.contains(&channel.protocol))
}

/// Whether `caller` owns the bus name `name`.
async fn owns(bus: &DBusProxy<'_>, caller: &str, name: String) -> fdo::Result<bool> {
    let owner = bus.get_name_owner(BusName::try_from(name)?).await;
    Ok(owner.is_ok_and(|owner| owner.as_str() == caller))
}

#[cfg(test)]
mod tests;
