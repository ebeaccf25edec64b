//! The follower: lists the sensors of all services, then goes by their signals.
//!
//! Signals are taken while lists are under way. That is safe: a service's messages come in the order
//! in which it sent them, so the last one about a property is the newest, list or signal.

use std::{
    collections::{BTreeSet, HashMap},
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use openbmc_dbus::{
    bus,
    chassis::intrusion,
    client::{CallError, Client, ObjectAt},
    mapper, sensor,
};
use tokio::{sync::watch, time};
use tracing::debug;
use zbus::{Connection, MessageStream};

use super::news::{self, News};
use crate::{
    state::lock,
    stores::sensors::{Interfaces, SensorStore, Update},
};

/// The bus itself: its name and its interface.
const BUS: &str = "org.freedesktop.DBus";

/// What the follower wants to be told.
fn rules() -> [String; 3] {
    let root = sensor::ROOT;
    [
        format!(
            "type='signal',interface='org.freedesktop.DBus.Properties',\
             member='PropertiesChanged',path_namespace='{root}'"
        ),
        format!("type='signal',interface='org.freedesktop.DBus.ObjectManager',arg0path='{root}/'"),
        format!("type='signal',sender='{BUS}',interface='{BUS}',member='NameOwnerChanged'"),
    ]
}

/// Follows the sensors.
pub(super) struct Follower {
    store: Arc<SensorStore>,
    listed: watch::Sender<bool>,
    /// The sensors' paths by the unique name that has them.
    owners: HashMap<String, BTreeSet<String>>,
}

/// The sensors of one service.
struct List {
    owner: String,
    objects: Vec<(String, Interfaces)>,
}

/// Something that is asked for while signals are taken.
enum Answer {
    /// The services that have sensors.
    Services(BTreeSet<String>),
    /// One service's sensors; `None` when it has none or does not tell.
    List(Option<List>),
}

type Question = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Why following ended.
pub(super) enum Ended {
    BusLost,
    Unread,
}

impl Follower {
    pub(super) fn new(store: Arc<SensorStore>, listed: watch::Sender<bool>) -> Self {
        Self {
            store,
            listed,
            owners: HashMap::new(),
        }
    }

    /// Follows until nobody has read for as long as `unread`; a bus that goes is waited for.
    pub(super) async fn run(mut self, read: Arc<Mutex<Instant>>, unread: Duration) {
        loop {
            let connection = bus::connect().await;
            let ended = self.follow(&connection, &read, unread).await;
            let paths = self.owners.drain().flat_map(|(_, paths)| paths).collect();
            self.store.apply(Update::Offline { paths });
            match ended {
                Ended::BusLost => {}
                Ended::Unread => return,
            }
        }
    }

    pub(super) async fn follow(
        &mut self,
        connection: &Connection,
        read: &Mutex<Instant>,
        unread: Duration,
    ) -> Ended {
        let mut stream = MessageStream::from(connection);
        let client = Client::new(connection.clone(), bus::METHOD_TIMEOUT);
        let mut questions = FuturesUnordered::<Question>::new();
        questions.push(Box::pin(subscribe(client.clone())));
        loop {
            let idle = *lock(read) + unread;
            tokio::select! {
                message = stream.next() => match message {
                    Some(Ok(message)) => {
                        if let Some(news) = news::read(&message) {
                            self.take(&client, &mut questions, news);
                        }
                    }
                    Some(Err(_)) | None => return Ended::BusLost,
                },
                Some(answer) = questions.next() => {
                    match answer {
                        Answer::Services(services) => {
                            for service in services {
                                questions.push(Box::pin(list(client.clone(), service)));
                            }
                        }
                        Answer::List(list) => self.take_list(list),
                    }
                    if questions.is_empty() {
                        self.listed.send_replace(true);
                    }
                }
                () = time::sleep_until(idle.into()) => {
                    if *lock(read) + unread <= Instant::now() {
                        return Ended::Unread;
                    }
                }
            }
        }
    }

    fn take(&mut self, client: &Client, questions: &mut FuturesUnordered<Question>, news: News) {
        match news {
            News::Sensor {
                sender,
                path,
                update,
            } => {
                let known = self.owners.entry(sender).or_default();
                match update {
                    Update::Removed { .. } => {
                        known.remove(&path);
                    }
                    Update::Object { .. } => {
                        known.insert(path);
                    }
                    Update::Changed { .. } | Update::Offline { .. } => {}
                }
                self.store.apply(update);
            }
            News::Owner { name, owner } if owner.is_empty() => {
                if let Some(paths) = self.owners.remove(&name) {
                    let paths = paths.into_iter().collect();
                    self.store.apply(Update::Offline { paths });
                }
            }
            News::Owner { name, .. } if name == mapper::SERVICE => {
                questions.push(Box::pin(services(client.clone())));
            }
            // A service that was away: its objects may have been there before its name.
            News::Owner { name, .. } if !name.starts_with(':') => {
                questions.push(Box::pin(list(client.clone(), name)));
            }
            News::Owner { .. } => {}
        }
    }

    fn take_list(&mut self, list: Option<List>) {
        let Some(List { owner, objects }) = list else {
            return;
        };
        let known = self.owners.entry(owner).or_default();
        for (path, interfaces) in objects {
            known.insert(path.clone());
            self.store.apply(Update::Object { path, interfaces });
        }
    }
}

/// Asks for the signals, then for the services that have sensors.
async fn subscribe(client: Client) -> Answer {
    for rule in rules() {
        let path = "/org/freedesktop/DBus";
        let body = (rule,);
        let asked = client
            .connection()
            .call_method(Some(BUS), path, Some(BUS), "AddMatch", &body)
            .await;
        if let Err(error) = asked {
            // The connection is at its end; the stream tells that too.
            debug!(%error, "cannot follow the sensors");
        }
    }
    services(client).await
}

/// The services that have sensors, as the mapper knows them.
async fn services(client: Client) -> Answer {
    let interfaces = [sensor::value::NAME, intrusion::NAME];
    let services = match client.sub_tree(sensor::ROOT, 0, &interfaces).await {
        Ok(tree) => tree
            .into_values()
            .flat_map(mapper::Owners::into_keys)
            .collect(),
        Err(error) => {
            // No mapper yet: it is asked when it comes. No sensors: they are told when they come.
            debug!(%error, "no sensors in the mapper");
            BTreeSet::new()
        }
    };
    Answer::Services(services)
}

/// All sensors of one service: one call, as long as it has an object manager.
async fn list(client: Client, service: String) -> Answer {
    let owner = match owner_of(&client, &service).await {
        Some(owner) => owner,
        None => return Answer::List(None),
    };
    for root in [sensor::ROOT, "/"] {
        let manager = ObjectAt::new(owner.as_str(), root);
        match client.managed_objects(&manager).await {
            Ok(objects) => {
                let objects: Vec<_> = objects
                    .iter()
                    .filter(|(path, _)| news::is_sensor(path))
                    .map(|(path, bags)| (path.clone(), news::interfaces(bags)))
                    .collect();
                if !objects.is_empty() {
                    return Answer::List(Some(List { owner, objects }));
                }
            }
            Err(CallError::NotFound { .. } | CallError::Refused { .. }) => {}
            Err(error) => {
                debug!(%error, service, "its sensors are not known");
                break;
            }
        }
    }
    Answer::List(None)
}

async fn owner_of(client: &Client, service: &str) -> Option<String> {
    let body = (service,);
    let call = client.connection().call_method(
        Some(BUS),
        "/org/freedesktop/DBus",
        Some(BUS),
        "GetNameOwner",
        &body,
    );
    call.await.ok()?.body().deserialize().ok()
}
