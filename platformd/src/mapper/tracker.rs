//! Follows which services are on the bus, and which objects they have.
//!
//! It has a connection of its own, so that a service which is slow to describe itself, or a flood
//! of signals, does not delay replies of the server.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt as _;
use openbmc_dbus::bus;
use tokio::sync::mpsc::{self, Sender};
use tracing::debug;
use zbus::message::{Message, Type};
use zbus::wire::{ObjectPath, OwnedVariant};
use zbus::{Connection, MatchRule};

use super::foreign::{MOST_OBJECTS, MOST_SERVICES, Objects, Update};
use super::walk::walk;

/// The bus's name, which is its interface's too.
const BUS: &str = "org.freedesktop.DBus";
/// The bus's object.
const BUS_PATH: &str = "/org/freedesktop/DBus";
/// How long to wait before a service that did not describe itself is asked again, at first; each time twice as long.
const AGAIN: Duration = Duration::from_millis(500);
/// How long to wait at most.
const LONGEST: Duration = Duration::from_secs(60);
/// How long to wait before the bus is followed again.
const RETRY: Duration = Duration::from_secs(1);

/// Follows the bus as long as somebody takes the updates.
pub(crate) async fn track(own: BTreeSet<String>, updates: Sender<Update>) {
    loop {
        if let Err(error) = follow(own.clone(), updates.clone()).await {
            debug!(%error, "the services on the bus are not followed; retrying");
        }
        if updates.send(Update::Lost).await.is_err() {
            return;
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Follows the bus until the connection ends, or the bus does not say what is on it.
async fn follow(own: BTreeSet<String>, updates: Sender<Update>) -> zbus::Result<()> {
    let connection = bus::connect().await;
    let mut stream = bus::messages(&connection);
    let (walked, mut done) = mpsc::channel(MOST_SERVICES);
    // The rules and the first list are asked for while the stream is being drained.
    let starting = subscribe(connection.clone(), own.clone());
    let mut tracker = Tracker { connection, own, updates, walked, services: BTreeMap::new() };
    tokio::pin!(starting);
    let mut started = false;
    loop {
        tokio::select! {
            names = &mut starting, if !started => {
                started = true;
                for (name, owner) in names? {
                    tracker.came(name, owner).await;
                }
            }
            message = stream.next() => match message {
                Some(Ok(message)) => tracker.message(&message).await,
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
            Some(walked) = done.recv() => tracker.walked(walked).await,
        }
    }
}

/// Asks for the signals, then for the names and owners that are there.
async fn subscribe(
    connection: Connection,
    own: BTreeSet<String>,
) -> zbus::Result<Vec<(String, String)>> {
    let owners = MatchRule::builder().msg_type(Type::Signal).sender(BUS).member("NameOwnerChanged");
    let objects =
        MatchRule::builder().msg_type(Type::Signal).interface("org.freedesktop.DBus.ObjectManager");
    for rule in [owners, objects] {
        bus::add_match(&connection, &rule.build()?).await?;
    }
    let reply = connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "ListNames", &()).await?;
    let names: Vec<String> = reply.body().deserialize()?;
    let mut owners = Vec::new();
    for name in names.into_iter().filter(|name| is_tracked(name, &own)) {
        let body = (&name,);
        let asked = connection.call_method(Some(BUS), BUS_PATH, Some(BUS), "GetNameOwner", &body);
        match asked.await {
            Ok(reply) => owners.push((name, reply.body().deserialize()?)),
            // The name is released by now; NameOwnerChanged reports that too.
            Err(zbus::Error::MethodError(..)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(owners)
}

/// Whether the objects of a name's owner are looked up by anybody: not our own, and not those that this suite's
/// programs find by their names alone, which every daemon has.
fn is_tracked(name: &str, own: &BTreeSet<String>) -> bool {
    !name.starts_with(':')
        && !name.starts_with("org.causeway.")
        && name != BUS
        && !own.contains(name)
}

struct Tracker {
    connection: Connection,
    /// The names that are ours.
    own: BTreeSet<String>,
    updates: Sender<Update>,
    walked: Sender<Walked>,
    services: BTreeMap<String, Service>,
}

/// The result of a walk.
struct Walked {
    service: String,
    owner: String,
    objects: Option<Objects>,
}

/// One other service.
struct Service {
    owner: String,
    /// What changed since the walk under way began, which its result may lack; `None` without a walk.
    meanwhile: Option<Vec<Update>>,
    /// How often it did not describe itself.
    attempts: u32,
}

impl Tracker {
    async fn message(&mut self, message: &Message) {
        let header = message.header();
        if header.message_type() != Type::Signal {
            return;
        }
        match header.member().map(zbus::names::MemberName::as_str) {
            Some("NameOwnerChanged") => {
                let body = message.body();
                if let Ok((name, _, new)) = body.deserialize::<(String, String, String)>() {
                    if new.is_empty() {
                        self.left(name).await;
                    } else {
                        self.came(name, new).await;
                    }
                }
            }
            Some("InterfacesAdded") => {
                type Properties = BTreeMap<String, OwnedVariant>;
                let body = message.body();
                if let Ok((path, interfaces)) =
                    body.deserialize::<(ObjectPath<'_>, BTreeMap<String, Properties>)>()
                {
                    let interfaces: Vec<_> = interfaces.into_keys().collect();
                    self.changed(&header, |service| Update::Added {
                        service,
                        path: path.to_string(),
                        interfaces: interfaces.clone(),
                    })
                    .await;
                }
            }
            Some("InterfacesRemoved") => {
                let body = message.body();
                if let Ok((path, interfaces)) = body.deserialize::<(ObjectPath<'_>, Vec<String>)>()
                {
                    self.changed(&header, |service| Update::Removed {
                        service,
                        path: path.to_string(),
                        interfaces: interfaces.clone(),
                    })
                    .await;
                }
            }
            _ => {}
        }
    }

    async fn came(&mut self, name: String, owner: String) {
        if !is_tracked(&name, &self.own) {
            return;
        }
        let known = self.services.get(&name).is_some_and(|service| service.owner == owner);
        if known || self.services.len() >= MOST_SERVICES {
            return;
        }
        let service = Service { owner: owner.clone(), meanwhile: Some(Vec::new()), attempts: 0 };
        self.services.insert(name.clone(), service);
        // Objects that appear from now on are known at once, however long the walk takes.
        self.publish(Update::Service { service: name.clone(), objects: Objects::new() }).await;
        self.walk(name, owner, Duration::ZERO);
    }

    async fn left(&mut self, name: String) {
        if self.services.remove(&name).is_some() {
            self.publish(Update::Gone { service: name }).await;
        }
    }

    /// An object of a service changed: for all names which its sender owns.
    async fn changed(
        &mut self,
        header: &zbus::message::Header<'_>,
        update: impl Fn(String) -> Update,
    ) {
        let Some(sender) = header.sender() else {
            return;
        };
        let mut updates = Vec::new();
        for (name, service) in &mut self.services {
            if service.owner == sender.as_str() {
                let meanwhile = service.meanwhile.as_mut();
                if let Some(meanwhile) =
                    meanwhile.filter(|meanwhile| meanwhile.len() < MOST_OBJECTS)
                {
                    meanwhile.push(update(name.clone()));
                }
                updates.push(update(name.clone()));
            }
        }
        for update in updates {
            self.publish(update).await;
        }
    }

    fn walk(&self, service: String, owner: String, delay: Duration) {
        let (connection, walked) = (self.connection.clone(), self.walked.clone());
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let objects = walk(&connection, &owner).await;
            let result = Walked { service, owner, objects };
            // The tracker, and with it the receiver, ends when the bus closes.
            let _ = walked.send(result).await;
        });
    }

    async fn walked(&mut self, walked: Walked) {
        let (name, objects) = (walked.service, walked.objects);
        let service = self.services.get_mut(&name);
        // The name may have another owner by now; that one has a walk of its own.
        let Some(service) = service.filter(|service| service.owner == walked.owner) else {
            return;
        };
        let Some(objects) = objects else {
            let delay = (AGAIN * (1 << service.attempts.min(7))).min(LONGEST);
            service.attempts += 1;
            debug!(
                service = name,
                ?delay,
                "a service did not describe its objects; asking it again"
            );
            self.walk(name, walked.owner, delay);
            return;
        };
        let meanwhile = service.meanwhile.take();
        self.publish(Update::Service { service: name, objects }).await;
        for update in meanwhile.into_iter().flatten() {
            self.publish(update).await;
        }
    }

    async fn publish(&self, update: Update) {
        // The server drops the receiver only when it aborts this task.
        let _ = self.updates.send(update).await;
    }
}
