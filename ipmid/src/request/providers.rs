//! Commands that other processes answer: which there are, whose they are, and in which order they are asked.
//!
//! A provider stands before the handlers of a lower priority, and hands on what is not its own. While there is no
//! provider, a request costs one look at a flag.

pub mod bus;
mod circuit;
mod provider;
mod reserved;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use daemon::metrics::Metrics;

pub use self::provider::{
    Counters, Failure, Identity, Link, MAX_IN_FLIGHT, Offer, Offered, Outcome, PATIENCE, Provider,
    Request,
};
use crate::model::persistent::lock;
use crate::request::command::{Command, Family, Priority, Registry, WILDCARD};
use crate::request::filter::firewall::Firewall;

/// Commands of one provider.
pub const MAX_COMMANDS: usize = 256;
/// Providers in all: each costs a connection.
pub const MAX_PROVIDERS: usize = 32;
/// Providers of one user.
pub const MAX_OF_A_USER: usize = 16;

/// Why commands are not registered. None of the call's are then.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    /// Another handler answers the command at this priority, or one that is compiled in at a higher one.
    #[error("{name} ({family}, command {code:02X}h): {with} answers it at this priority")]
    Conflict {
        /// The provider's name for the command.
        name: String,
        /// The command's family.
        family: Family,
        /// Its number.
        code: u8,
        /// Who answers it.
        with: String,
    },
    /// Providers may not answer the command.
    #[error("{name} ({family}, command {code:02X}h): no provider may answer this command")]
    Reserved {
        /// The provider's name for the command.
        name: String,
        /// The command's family.
        family: Family,
        /// Its number.
        code: u8,
    },
    /// There are too many commands or providers.
    #[error("at most {0}")]
    Limit(String),
}

type Key = (Family, u8);

/// All providers and their commands.
#[derive(Debug)]
pub struct Providers {
    /// With what priority the commands that are compiled in are answered.
    base: HashMap<Key, Priority>,
    firewall: Arc<Firewall>,
    is_any: AtomicBool,
    registered: Mutex<Registered>,
}

#[derive(Debug, Default)]
struct Registered {
    providers: HashMap<String, Arc<Provider>>,
    /// Those of the highest priority come first.
    offers: HashMap<Key, Vec<Offered>>,
}

impl Registered {
    fn all(&self) -> impl Iterator<Item = &Offered> {
        self.offers.values().flatten()
    }

    fn count_of(&self, provider: &str) -> usize {
        self.all().filter(|offered| offered.provider.identity.name == provider).count()
    }
}

impl Providers {
    /// Without a provider yet, beside the commands of `registry`. `firewall` receives the list of commands.
    #[must_use]
    pub fn new(registry: &Registry, firewall: Arc<Firewall>) -> Self {
        let base = registry.priorities().collect();
        Self { base, firewall, is_any: AtomicBool::new(false), registered: Mutex::default() }
    }

    /// Those that answer a command before the one that is compiled in, in their order; `None` if there are none.
    #[must_use]
    pub fn find(&self, family: Family, code: u8) -> Option<Vec<Offered>> {
        if !self.is_any.load(Ordering::Acquire) {
            return None;
        }
        let registered = lock(&self.registered);
        let of = |key: Key| registered.offers.get(&key).into_iter().flatten().cloned();
        let mut found: Vec<_> = of((family, code)).collect();
        if !self.base.contains_key(&(family, code)) && !reserved::is_reserved(family, code) {
            found.extend(of((family, WILDCARD)));
        }
        (!found.is_empty()).then_some(found)
    }

    /// The provider with this unique name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<Provider>> {
        lock(&self.registered).providers.get(name).cloned()
    }

    /// How many commands the provider with this unique name answers.
    #[must_use]
    pub fn commands_of(&self, name: &str) -> usize {
        lock(&self.registered).count_of(name)
    }

    /// Whether there is room for one more provider of `user`.
    ///
    /// # Errors
    ///
    /// [`Refused::Limit`].
    pub fn has_room(&self, user: u32) -> Result<(), Refused> {
        let registered = lock(&self.registered);
        let providers = registered.providers.values();
        let of_user = providers.filter(|provider| provider.identity.user == user).count();
        if registered.providers.len() >= MAX_PROVIDERS {
            return Err(Refused::Limit(format!("{MAX_PROVIDERS} providers")));
        }
        if of_user >= MAX_OF_A_USER {
            return Err(Refused::Limit(format!("{MAX_OF_A_USER} providers of a user")));
        }
        Ok(())
    }

    /// Adds commands of `provider`: all or none.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub fn register(&self, provider: &Arc<Provider>, offers: Vec<Offer>) -> Result<(), Refused> {
        let mut registered = lock(&self.registered);
        let name = &provider.identity.name;
        if registered.count_of(name) + offers.len() > MAX_COMMANDS {
            return Err(Refused::Limit(format!("{MAX_COMMANDS} commands of a provider")));
        }
        for (index, offer) in offers.iter().enumerate() {
            let earlier = offers.get(..index).unwrap_or_default();
            self.may_register(offer, earlier, &registered)?;
        }
        registered.providers.insert(name.clone(), Arc::clone(provider));
        for offer in offers {
            let key = (offer.command.family, offer.command.code);
            let others = registered.offers.entry(key).or_default();
            let at = others.partition_point(|other| other.offer.priority > offer.priority);
            let provider = Arc::clone(provider);
            others.insert(at, Offered { offer: Arc::new(offer), provider });
        }
        self.publish(&registered);
        Ok(())
    }

    fn may_register(
        &self,
        offer: &Offer,
        earlier: &[Offer],
        registered: &Registered,
    ) -> Result<(), Refused> {
        let Command { family, code, .. } = offer.command;
        let name = offer.name.clone();
        if reserved::is_reserved(family, code) {
            return Err(Refused::Reserved { name, family, code });
        }
        let key = (family, code);
        let with = if self.base.get(&key).is_some_and(|base| *base >= offer.priority) {
            Some("ipmid".to_owned())
        } else if earlier.iter().any(|other| (other.command.family, other.command.code) == key) {
            Some("the same call".to_owned())
        } else {
            let others = registered.offers.get(&key).into_iter().flatten();
            let mut same = others.filter(|other| other.offer.priority == offer.priority);
            same.next().map(|other| other.provider.identity.to_string())
        };
        match with {
            Some(with) => Err(Refused::Conflict { name, family, code, with }),
            None => Ok(()),
        }
    }

    /// Adds how long each provider's command took.
    pub fn measure(&self, metrics: &mut Metrics) {
        for Offered { offer, .. } in lock(&self.registered).all() {
            let Some(times) = offer.times.get() else { continue };
            let priority = offer.priority.value().to_string();
            let more = [("name", offer.name.as_str()), ("priority", priority.as_str())];
            offer.command.measure(metrics, &more, times.read());
        }
    }

    /// Removes a provider and its commands. Requests that it has already go on until they end.
    pub fn withdraw(&self, name: &str) -> Option<Arc<Provider>> {
        let mut registered = lock(&self.registered);
        let provider = registered.providers.remove(name)?;
        registered.offers.retain(|_, offers| {
            offers.retain(|offered| offered.provider.identity.name != name);
            !offers.is_empty()
        });
        self.publish(&registered);
        Some(provider)
    }

    /// Removes all providers: their bus is gone.
    pub fn withdraw_all(&self) {
        let mut registered = lock(&self.registered);
        *registered = Registered::default();
        self.publish(&registered);
    }

    fn publish(&self, registered: &Registered) {
        self.firewall.learn_provided(registered.all().map(|offered| offered.offer.command));
        self.is_any.store(!registered.offers.is_empty(), Ordering::Release);
    }
}
