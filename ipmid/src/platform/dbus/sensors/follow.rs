//! Following sensors over one connection.
//!
//! Calls and signals go through one stream in the order in which the bus delivered them: a reply that
//! tells all objects of a service and the changes after it can never be taken in the wrong order.
//! Nothing here waits but for the next message, so the connection is always drained.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::time::Duration;

use futures_util::StreamExt;
use openbmc_dbus::sensor::{ROOT, value};
use openbmc_dbus::state::chassis;
use openbmc_dbus::{inventory, mapper};
use serde::Serialize;
use tokio::time::{self, Instant};
use tracing::{debug, info};
use zbus::wire::DynamicType;
use zbus::{Connection, Message, MessageStream, message};

use super::super::{add_match, remove_match};
use super::SensorFeed;
use super::messages::{self, STATES, SensorSignal};
use crate::model::sensors::{Interfaces, Update};

/// How long after a service came the mapper is asked what is new.
const SETTLE: Duration = Duration::from_millis(500);
/// How long is waited for services that do not answer before the rest counts as all.
const ANSWER: Duration = Duration::from_secs(1);

/// What is always followed: that objects come and go, limits, alarms, states, and names of services.
const ALWAYS: [&str; 11] = [
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
    "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',\
     member='NameOwnerChanged',arg0namespace='xyz.openbmc_project'",
];
/// What is followed while readings are wanted.
const READINGS: &str = "type='signal',interface='org.freedesktop.DBus.Properties',\
    member='PropertiesChanged',path_namespace='/xyz/openbmc_project/sensors',\
    arg0='xyz.openbmc_project.Sensor.Value'";
/// Names whose owners have no sensors: the bridges and this daemon.
const NO_SENSORS: &str = "xyz.openbmc_project.Ipmi.";

/// Where a service's object manager is looked for, in turn.
const MANAGERS: [&str; 4] = [ROOT, "/", inventory::ROOT, chassis::PATH];

/// A call whose reply is to come.
enum Awaited {
    /// Which services have sensors.
    Services,
    /// The objects of a service, asked at one of [`MANAGERS`].
    Objects { service: String, manager: usize },
}

/// Follows the sensors of all services until the connection ends.
pub(super) async fn follow(feed: &SensorFeed, connection: &Connection) -> zbus::Result<()> {
    let mut messages = MessageStream::from(connection);
    let mut following = Following {
        feed,
        connection,
        awaited: HashMap::new(),
        services: BTreeMap::new(),
        announced: HashMap::new(),
        rescan: None,
        give_up: None,
        readings: false,
    };
    feed.set_current(false);
    for rule in ALWAYS {
        add_match(connection, rule).await?;
    }
    following.scan().await?;
    loop {
        let timer = following.next_timer();
        tokio::select! {
            message = messages.next() => match message {
                Some(Ok(message)) => following.take(&message).await?,
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
            () = feed.asked.notified() => following.follow_readings().await?,
            () = time::sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => {
                following.on_timer().await?;
            }
        }
    }
}

struct Following<'a> {
    feed: &'a SensorFeed,
    connection: &'a Connection,
    awaited: HashMap<NonZeroU32, Awaited>,
    /// The services that have sensors, or had when they were here last, and their paths. One process
    /// may be several services.
    services: BTreeMap<String, BTreeSet<String>>,
    /// Unique name to the paths that it announced since.
    announced: HashMap<String, BTreeSet<String>>,
    /// When the mapper is asked again.
    rescan: Option<Instant>,
    /// When those that have not answered are given up.
    give_up: Option<Instant>,
    /// Whether readings are followed.
    readings: bool,
}

impl Following<'_> {
    async fn take(&mut self, message: &Message) -> zbus::Result<()> {
        match message.message_type() {
            message::Type::MethodReturn | message::Type::Error => self.take_reply(message).await?,
            message::Type::Signal => self.take_signal(message).await?,
            message::Type::MethodCall => {}
        }
        if self.awaited.is_empty() {
            self.complete();
        }
        // Limits without an alarm may have come with an object.
        if !self.readings && self.feed.wanted_until().is_some() {
            self.follow_readings().await?;
        }
        Ok(())
    }

    async fn take_signal(&mut self, message: &Message) -> zbus::Result<()> {
        match messages::signal(message) {
            Some(SensorSignal::Sensor(update)) => {
                if let (Update::Object { path, .. }, Some(sender)) =
                    (&update, message.header().sender())
                {
                    let announced = self.announced.entry(sender.to_string()).or_default();
                    announced.insert(path.clone());
                }
                self.feed.store.apply(update);
            }
            Some(SensorSignal::Owner { name, old, new }) => {
                self.take_owner(&name, &old, &new).await?
            }
            None => {}
        }
        Ok(())
    }

    async fn take_owner(&mut self, name: &str, old: &str, new: &str) -> zbus::Result<()> {
        let listed = self.services.get(name).filter(|_| !old.is_empty()).cloned();
        let announced = self.announced.remove(old);
        let paths: Vec<String> = listed.into_iter().chain(announced).flatten().collect();
        if !paths.is_empty() {
            info!(name, sensors = paths.len(), "a sensor service left");
            self.feed.store.apply(Update::Offline { paths });
        }
        if new.is_empty() || name.starts_with(NO_SENSORS) {
            return Ok(());
        }
        if self.services.contains_key(name) {
            return self.ask_objects(name.to_owned(), 0).await;
        }
        self.rescan = Some(Instant::now() + SETTLE);
        Ok(())
    }

    async fn take_reply(&mut self, reply: &Message) -> zbus::Result<()> {
        let serial = reply.header().reply_serial();
        let Some(awaited) = serial.and_then(|serial| self.awaited.remove(&serial)) else {
            return Ok(());
        };
        let is_error = reply.message_type() == message::Type::Error;
        match awaited {
            Awaited::Services if is_error => debug!("no mapper tells where sensors are"),
            Awaited::Services => {
                for service in messages::services(reply).unwrap_or_default() {
                    self.ask_objects(service, 0).await?;
                }
            }
            Awaited::Objects { service, manager } if is_error => {
                if manager + 1 < MANAGERS.len() {
                    self.ask_objects(service, manager + 1).await?;
                }
            }
            Awaited::Objects { service, manager } => {
                let body = reply.body();
                let Some(objects) = messages::objects(&body) else {
                    return Ok(());
                };
                // None that are sensors: those of another place are told by another manager.
                if objects.len() == 0 && manager + 1 < MANAGERS.len() {
                    return self.ask_objects(service, manager + 1).await;
                }
                self.take_objects(service, objects);
            }
        }
        Ok(())
    }

    /// Takes all sensors of a service; those it had before and has no more are gone.
    fn take_objects(
        &mut self,
        service: String,
        objects: impl Iterator<Item = (String, Interfaces)>,
    ) {
        let mut present = BTreeSet::new();
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

    /// Readings are wanted: follows them, and asks for those of now.
    async fn follow_readings(&mut self) -> zbus::Result<()> {
        if self.readings || self.feed.wanted_until().is_none() {
            return Ok(());
        }
        self.readings = true;
        add_match(self.connection, READINGS).await?;
        let services: Vec<String> = self.services.keys().cloned().collect();
        for service in services {
            self.ask_objects(service, 0).await?;
        }
        if self.awaited.is_empty() {
            self.complete();
        }
        Ok(())
    }

    /// All that was asked has answered, or will not.
    fn complete(&mut self) {
        self.give_up = None;
        if *self.feed.current.borrow() != self.readings {
            self.feed.set_current(self.readings);
        }
    }

    fn next_timer(&self) -> Option<Instant> {
        // Not wanted any more: at once.
        let unread = self.readings.then(|| self.feed.wanted_until().unwrap_or_else(Instant::now));
        [self.rescan, self.give_up, unread].into_iter().flatten().min()
    }

    async fn on_timer(&mut self) -> zbus::Result<()> {
        let now = Instant::now();
        if self.give_up.is_some_and(|at| at <= now) {
            self.awaited.clear();
            self.complete();
        }
        if self.rescan.is_some_and(|at| at <= now) {
            self.rescan = None;
            self.scan().await?;
        }
        if self.readings && self.feed.wanted_until().is_none() {
            debug!("readings are not read any more");
            self.readings = false;
            self.feed.set_current(false);
            remove_match(self.connection, READINGS).await?;
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
            self.await_reply(serial, Awaited::Services);
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
        self.await_reply(serial, Awaited::Objects { service, manager });
        Ok(())
    }

    fn await_reply(&mut self, serial: NonZeroU32, what: Awaited) {
        self.awaited.insert(serial, what);
        self.give_up.get_or_insert(Instant::now() + ANSWER);
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
