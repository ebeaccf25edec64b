//! Following sensors over one connection.
//!
//! Calls and signals go through one stream in the order in which the bus delivered them: a reply with
//! all objects of a service and the changes after it are always applied in the right order.
//! It waits for nothing but the next message, so the connection is always drained.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::time::Duration;

use futures_util::StreamExt;
use openbmc_dbus::bus::{self, owners_rule};
use openbmc_dbus::sensor::{ROOT, value};
use openbmc_dbus::state::chassis;
use openbmc_dbus::{inventory, mapper};
use serde::Serialize;
use tokio::time::{self, Instant};
use tracing::{debug, info};
use zbus::wire::DynamicType;
use zbus::{Connection, Message, message};

use super::super::{SERVICES, add_match, remove_match};
use super::SensorFeed;
use super::messages::{self, STATES, SensorSignal};
use super::numbering::Numbering;
use crate::model::sensors::{Interfaces, Update};

/// The mapper is asked so long after a service started, when the service has published its objects.
const SETTLE: Duration = Duration::from_millis(500);
/// How long readers wait for the replies of all services. A later reply counts from when it comes.
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);
/// How many late replies are expected at most; of more, the oldest calls are forgotten.
const MOST_LATE: usize = 256;

/// Always followed: objects that are added and removed, limits, alarms and states.
const ALWAYS: [&str; 10] = [
    "type='signal',interface='org.freedesktop.DBus.ObjectManager',member='InterfacesAdded',\
     arg0path='/xyz/openbmc_project/sensors/'",
    "type='signal',interface='org.freedesktop.DBus.ObjectManager',member='InterfacesRemoved',\
     arg0path='/xyz/openbmc_project/sensors/'",
    "type='signal',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',\
     path_namespace='/xyz/openbmc_project/sensors',\
     arg0namespace='xyz.openbmc_project.Sensor.Threshold'",
    "type='signal',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',\
     path_namespace='/xyz/openbmc_project/sensors',\
     arg0namespace='xyz.openbmc_project.State.Decorator'",
    "type='signal',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',\
     path_namespace='/xyz/openbmc_project/sensors',\
     arg0='xyz.openbmc_project.Chassis.Intrusion'",
    "type='signal',interface='org.freedesktop.DBus.ObjectManager',member='InterfacesAdded',\
     arg0path='/xyz/openbmc_project/inventory/'",
    "type='signal',interface='org.freedesktop.DBus.ObjectManager',member='InterfacesRemoved',\
     arg0path='/xyz/openbmc_project/inventory/'",
    "type='signal',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',\
     path_namespace='/xyz/openbmc_project/inventory',\
     arg0='xyz.openbmc_project.Inventory.Item'",
    "type='signal',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',\
     path_namespace='/xyz/openbmc_project/inventory',\
     arg0namespace='xyz.openbmc_project.State.Decorator'",
    "type='signal',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',\
     path_namespace='/xyz/openbmc_project/state',\
     arg0='xyz.openbmc_project.State.Chassis'",
];
/// Followed while readings are wanted.
const READINGS: &str = "type='signal',interface='org.freedesktop.DBus.Properties',\
    member='PropertiesChanged',path_namespace='/xyz/openbmc_project/sensors',\
    arg0='xyz.openbmc_project.Sensor.Value'";
/// While readings are followed, one of each service is read so often: a service that cannot know its subscribers, such as
/// `platformd`, signals changes for five minutes after a reading was read.
const RENEW: Duration = Duration::from_secs(240);
/// Names whose owners have no sensors: the bridges and this daemon.
const NO_SENSORS: &str = "xyz.openbmc_project.Ipmi.";

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// systemd, which knows whether the system is starting.
const SYSTEMD: &str = "org.freedesktop.systemd1";
const SYSTEMD_PATH: &str = "/org/freedesktop/systemd1";
const SYSTEMD_MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// Paths at which a service may have its object manager, tried in turn.
const MANAGERS: [&str; 4] = [ROOT, "/", inventory::ROOT, chassis::PATH];

/// A call whose reply has not arrived.
enum PendingReply {
    /// Which services have sensors.
    Services,
    /// The objects of a service, asked at one of [`MANAGERS`].
    Objects { service: String, manager: usize },
    /// The reading of a sensor, which its events are to carry.
    Reading { path: String },
    /// Whether the system is starting.
    Startup,
}

/// Follows the sensors of all services until the connection ends.
pub(super) async fn follow(feed: &SensorFeed, connection: &Connection) -> zbus::Result<()> {
    let mut messages = bus::messages(connection);
    let mut follower = SensorFollower {
        feed,
        connection,
        awaited: HashMap::new(),
        late: BTreeMap::new(),
        services: BTreeMap::new(),
        announced: HashMap::new(),
        rescan: None,
        reply_deadline: None,
        readings: false,
        renewal: None,
        numbering: (!feed.store.is_settled()).then(|| Numbering::begin(Instant::now())),
    };
    feed.set_current(false);
    for rule in ALWAYS {
        add_match(connection, rule).await?;
    }
    add_match(connection, &owners_rule(SERVICES)?.to_string()).await?;
    follower.scan().await?;
    loop {
        let timer = follower.next_timer();
        tokio::select! {
            message = messages.next() => match message {
                Some(Ok(message)) => follower.handle(&message).await?,
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
            () = feed.readings_wanted.notified() => follower.follow_readings().await?,
            () = time::sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => {
                follower.on_timer().await?;
            }
        }
    }
}

struct SensorFollower<'a> {
    feed: &'a SensorFeed,
    connection: &'a Connection,
    awaited: HashMap<NonZeroU32, PendingReply>,
    /// Calls whose replies no reader waits for any more, by their serials: a service may be busy while the BMC starts.
    late: BTreeMap<NonZeroU32, PendingReply>,
    /// The services that have sensors, or had them when they left, and their paths. One process may own several service
    /// names.
    services: BTreeMap<String, BTreeSet<String>>,
    /// By unique name, the paths of `InterfacesAdded` signals.
    announced: HashMap<String, BTreeSet<String>>,
    /// When the mapper is asked again.
    rescan: Option<Instant>,
    /// When no reader waits any longer for services that have not replied.
    reply_deadline: Option<Instant>,
    /// Whether readings are followed.
    readings: bool,
    /// When the services are to see again that readings are followed.
    renewal: Option<Instant>,
    /// What the numbers of the first sensors wait for.
    numbering: Option<Numbering>,
}

impl SensorFollower<'_> {
    async fn handle(&mut self, message: &Message) -> zbus::Result<()> {
        match message.message_type() {
            message::Type::MethodReturn | message::Type::Error => {
                self.handle_reply(message).await?
            }
            message::Type::Signal => self.handle_signal(message).await?,
            message::Type::MethodCall => {}
        }
        self.ask_wanted(message).await?;
        if self.awaited.is_empty() {
            self.complete();
        }
        // Limits without an alarm may have come with an object.
        if !self.readings && self.feed.followed_until().is_some() {
            self.follow_readings().await?;
        }
        Ok(())
    }

    async fn handle_signal(&mut self, message: &Message) -> zbus::Result<()> {
        match messages::signal(message) {
            Some(SensorSignal::Sensor(update)) => {
                if let (Update::Object { path, .. }, Some(sender)) =
                    (&update, message.header().sender())
                {
                    let announced = self.announced.entry(sender.to_string()).or_default();
                    announced.insert(path.clone());
                    self.note_arrival();
                }
                self.feed.store.apply(update);
            }
            Some(SensorSignal::Owner { name, old, new }) => {
                self.handle_owner_change(&name, &old, &new).await?
            }
            None => {}
        }
        Ok(())
    }

    async fn handle_owner_change(&mut self, name: &str, old: &str, new: &str) -> zbus::Result<()> {
        let listed = self.services.get(name).filter(|_| !old.is_empty()).cloned();
        let announced = self.announced.remove(old);
        let paths: Vec<String> = listed.into_iter().chain(announced).flatten().collect();
        if !paths.is_empty() {
            info!(
                name,
                sensors = paths.len(),
                "a sensor service left the bus; its sensors are unavailable"
            );
            self.feed.store.apply(Update::Offline { paths });
        }
        if new.is_empty() || name.starts_with(NO_SENSORS) {
            return Ok(());
        }
        self.note_arrival();
        if self.services.contains_key(name) {
            if self.readings {
                self.show_interest_in(name).await?;
            }
            return self.ask_objects(name.to_owned(), 0).await;
        }
        self.rescan = Some(Instant::now() + SETTLE);
        Ok(())
    }

    async fn handle_reply(&mut self, reply: &Message) -> zbus::Result<()> {
        let serial = reply.header().reply_serial();
        let Some(awaited) = serial.and_then(|serial| self.take_call(serial)) else {
            return Ok(());
        };
        let is_error = reply.message_type() == message::Type::Error;
        match awaited {
            PendingReply::Services if is_error => debug!(
                "cannot ask the object mapper for sensors; asking again when a service starts"
            ),
            PendingReply::Services => {
                for service in messages::services(reply).unwrap_or_default() {
                    self.ask_objects(service, 0).await?;
                }
            }
            PendingReply::Reading { path } => {
                let value = messages::reading(reply);
                self.feed.store.apply(Update::Reading { path, value });
            }
            PendingReply::Startup => {
                let state = messages::text(reply);
                if let Some(numbering) = &mut self.numbering {
                    numbering.answered(state.as_deref(), Instant::now());
                }
            }
            PendingReply::Objects { service, manager } if is_error => {
                if manager + 1 < MANAGERS.len() {
                    self.ask_objects(service, manager + 1).await?;
                }
            }
            PendingReply::Objects { service, manager } => {
                let body = reply.body();
                let Some(objects) = messages::objects(&body) else {
                    return Ok(());
                };
                // No sensors below this object manager; the service may have another one for them.
                if objects.len() == 0 && manager + 1 < MANAGERS.len() {
                    return self.ask_objects(service, manager + 1).await;
                }
                let is_new = self.services.get(&service).is_none_or(BTreeSet::is_empty);
                self.update_objects(service.clone(), objects);
                if is_new && self.readings {
                    self.show_interest_in(&service).await?;
                }
            }
        }
        Ok(())
    }

    /// The call with this serial, whose reply has come.
    fn take_call(&mut self, serial: NonZeroU32) -> Option<PendingReply> {
        self.awaited.remove(&serial).or_else(|| self.late.remove(&serial))
    }

    /// Updates all sensors of a service, and removes those that it no longer has.
    fn update_objects(
        &mut self,
        service: String,
        objects: impl Iterator<Item = (String, Interfaces)>,
    ) {
        let mut present = BTreeSet::new();
        self.note_arrival();
        for (path, interfaces) in objects {
            present.insert(path.clone());
            self.feed.store.apply(Update::Object { path, interfaces });
        }
        let before = self.services.insert(service, present).unwrap_or_default();
        let is_there = |path: &String| self.services.values().any(|paths| paths.contains(path));
        let gone: Vec<String> = before.into_iter().filter(|path| !is_there(path)).collect();
        for path in gone {
            self.feed.store.apply(Update::Removed { path });
        }
    }

    /// Starts to follow readings, and asks for the current ones.
    async fn follow_readings(&mut self) -> zbus::Result<()> {
        if self.readings || self.feed.followed_until().is_none() {
            return Ok(());
        }
        self.readings = true;
        add_match(self.connection, READINGS).await?;
        // Before the readings are asked for: what changes after that is signalled.
        self.show_interest().await?;
        let services: Vec<String> = self.services.keys().cloned().collect();
        for service in services {
            self.ask_objects(service, 0).await?;
        }
        if self.awaited.is_empty() {
            self.complete();
        }
        Ok(())
    }

    /// Reads a reading of each service.
    async fn show_interest(&mut self) -> zbus::Result<()> {
        self.renewal = Some(Instant::now() + RENEW);
        let services: Vec<String> = self.services.keys().cloned().collect();
        for service in services {
            self.show_interest_in(&service).await?;
        }
        Ok(())
    }

    async fn show_interest_in(&mut self, service: &str) -> zbus::Result<()> {
        let paths = self.services.get(service);
        let path = paths.and_then(|paths| paths.iter().find(|path| path.starts_with(ROOT)));
        match path.cloned() {
            Some(path) => self.ask_reading(service, path).await,
            None => Ok(()),
        }
    }

    async fn ask_reading(&mut self, service: &str, path: String) -> zbus::Result<()> {
        let body = (value::NAME, value::VALUE.name);
        let serial = self.send(service, &path, PROPERTIES, "Get", &body).await?;
        self.await_reply(serial, PendingReply::Reading { path });
        Ok(())
    }

    /// Notes that a service or an object has come, after which the first sensors wait a little longer for their numbers.
    fn note_arrival(&mut self) {
        if let Some(numbering) = &mut self.numbering {
            numbering.note(Instant::now());
        }
    }

    /// Whether replies are awaited that bring sensors.
    fn awaits_objects(&self) -> bool {
        let brings = |reply: &PendingReply| {
            matches!(reply, PendingReply::Services | PendingReply::Objects { .. })
        };
        self.rescan.is_some() || self.awaited.values().chain(self.late.values()).any(brings)
    }

    /// Numbers the first sensors when they are there, and asks whether the system is starting.
    async fn number(&mut self) -> zbus::Result<()> {
        let (awaited, now) = (self.awaits_objects(), Instant::now());
        let Some(numbering) = &mut self.numbering else {
            return Ok(());
        };
        if numbering.is_over(awaited, now) {
            self.numbering = None;
            self.feed.store.number();
            if self.awaited.is_empty() {
                self.complete();
            }
        } else if numbering.is_to_ask(now) {
            let body = (SYSTEMD_MANAGER, "SystemState");
            let serial = self.send(SYSTEMD, SYSTEMD_PATH, PROPERTIES, "Get", &body).await?;
            self.await_reply(serial, PendingReply::Startup);
        }
        Ok(())
    }

    /// Asks for the readings that events wait for: the services that have the sensors, or the sender of `message`.
    async fn ask_wanted(&mut self, message: &Message) -> zbus::Result<()> {
        let header = message.header();
        for path in self.feed.store.take_wanted() {
            let owner = self.services.iter().find(|(_, paths)| paths.contains(&path));
            let owner = owner.map(|(service, _)| service.clone());
            let sender = || header.sender().map(ToString::to_string);
            let Some(service) = owner.or_else(sender) else {
                self.feed.store.apply(Update::Reading { path, value: None });
                continue;
            };
            self.ask_reading(&service, path).await?;
        }
        Ok(())
    }

    /// Lets no reader and no event wait any longer for replies.
    fn give_up(&mut self) {
        for (serial, reply) in std::mem::take(&mut self.awaited) {
            if let PendingReply::Reading { path } = reply {
                self.feed.store.apply(Update::Reading { path, value: None });
            } else {
                self.late.insert(serial, reply);
            }
        }
        while self.late.len() > MOST_LATE {
            self.late.pop_first();
        }
    }

    /// All services have replied, or their time is over: the readings are current, unless sensors have no numbers yet.
    fn complete(&mut self) {
        self.reply_deadline = None;
        if self.numbering.is_some() && self.feed.store.unnumbered() > 0 {
            return;
        }
        if *self.feed.current.borrow() != self.readings {
            self.feed.set_current(self.readings);
        }
    }

    fn next_timer(&self) -> Option<Instant> {
        // Readings that are no longer wanted: stop at once.
        let unread = self.readings.then(|| self.feed.followed_until().unwrap_or_else(Instant::now));
        let awaited = self.awaits_objects();
        let numbered = self.numbering.as_ref().map(|numbering| numbering.due(awaited));
        let timers = [self.rescan, self.reply_deadline, self.renewal, unread, numbered];
        timers.into_iter().flatten().min()
    }

    async fn on_timer(&mut self) -> zbus::Result<()> {
        let now = Instant::now();
        if self.reply_deadline.is_some_and(|at| at <= now) {
            self.give_up();
            self.complete();
        }
        if self.rescan.is_some_and(|at| at <= now) {
            self.rescan = None;
            self.scan().await?;
        }
        self.number().await?;
        if self.readings && self.feed.followed_until().is_none() {
            debug!("no client reads sensors; stopped following readings");
            self.readings = false;
            self.renewal = None;
            self.feed.set_current(false);
            remove_match(self.connection, READINGS).await?;
        }
        if self.renewal.is_some_and(|at| at <= now) {
            self.show_interest().await?;
        }
        Ok(())
    }

    async fn scan(&mut self) -> zbus::Result<()> {
        let method = mapper::GET_SUB_TREE;
        let sensors = [value::NAME, openbmc_dbus::chassis::intrusion::NAME];
        let supplies = [inventory::power_supply::NAME];
        for (root, interfaces) in
            [(ROOT, &sensors[..]), (inventory::ROOT, &supplies), (STATES, &[chassis::NAME])]
        {
            let body = (root, 0_i32, interfaces);
            let serial =
                self.send(mapper::SERVICE, mapper::PATH, method.interface, method.name, &body);
            let serial = serial.await?;
            self.await_reply(serial, PendingReply::Services);
        }
        Ok(())
    }

    async fn ask_objects(&mut self, service: String, manager: usize) -> zbus::Result<()> {
        let Some(path) = MANAGERS.get(manager) else {
            return Ok(());
        };
        let interface = "org.freedesktop.DBus.ObjectManager";
        let serial = self.send(&service, path, interface, "GetManagedObjects", &()).await?;
        self.services.entry(service.clone()).or_default();
        self.await_reply(serial, PendingReply::Objects { service, manager });
        Ok(())
    }

    fn await_reply(&mut self, serial: NonZeroU32, what: PendingReply) {
        self.awaited.insert(serial, what);
        self.reply_deadline.get_or_insert(Instant::now() + REPLY_TIMEOUT);
    }

    async fn send<B: Serialize + DynamicType>(
        &self,
        service: &str,
        path: &str,
        interface: &str,
        member: &str,
        body: &B,
    ) -> zbus::Result<NonZeroU32> {
        let message = Message::method_call(path, member)
            .destination(service)
            .interface(interface)
            .build(body)?;
        self.connection.send(&message).await?;
        Ok(message.primary_header().serial_num())
    }
}
