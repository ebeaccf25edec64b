//! The bus side: messages to calls, and changes to signals.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt as _;
use openbmc_dbus::bus;
use tokio::sync::mpsc::{self, Receiver};
use tracing::{debug, warn};
use zbus::message::{Flags, Message, Type};
use zbus::names::BusName;
use zbus::wire::{ObjectPath, Structure, StructureBuilder, Variant};
use zbus::{Connection, MessageStream};

use crate::dispatch::{self, Call};
use crate::fault::Fault;
use crate::kept::Store;
use crate::mapper::{self, Foreign, Update};
use crate::part::{Effect, Now, Returned};
use crate::services;
use crate::simulation::Simulation;
use crate::tree::Change;

/// How long before the names are asked for again when another process has them.
const TAKEN: Duration = Duration::from_secs(1);
/// How many news of other services may wait.
const UPDATES: usize = 256;

/// Serves a simulation on the bus.
pub(crate) struct Server {
    simulation: Simulation,
    foreign: Foreign,
    store: Store,
    started: Instant,
}

/// Why serving ended.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Ended {
    /// The bus went away.
    BusLost,
    /// The BMC is to be restarted.
    Reset,
}

impl Server {
    /// Serves `simulation`, whose clock began at `started`.
    pub(crate) fn new(simulation: Simulation, store: Store, started: Instant) -> Self {
        Self { simulation, foreign: Foreign::default(), store, started }
    }

    /// Serves until the BMC is to be restarted; a bus that goes is waited for, and nothing that
    /// is simulated stands still meanwhile.
    ///
    /// `ready` is called once, when all names are ours for the first time.
    pub(crate) async fn run(&mut self, ready: impl FnOnce()) {
        let mut ready = Some(ready);
        loop {
            let Some(connection) = self.connect().await else {
                return;
            };
            let ended = self.serve(&connection, &mut ready).await;
            match ended {
                Ended::Reset => return,
                Ended::BusLost => debug!("the bus is gone; waiting for another"),
            }
            self.foreign.clear();
        }
    }

    /// Connects, with the simulation going on; `None` when the BMC is to be restarted.
    async fn connect(&mut self) -> Option<Connection> {
        let connecting = bus::connect();
        tokio::pin!(connecting);
        loop {
            let due = self.due();
            tokio::select! {
                connection = &mut connecting => return Some(connection),
                () = sleep_until(due) => {
                    self.handle_timeout();
                    if self.reset_wanted() {
                        return None;
                    }
                }
            }
            // Nobody is there to be told; who comes later asks.
            self.simulation.take_changes();
        }
    }

    async fn serve(&mut self, connection: &Connection, ready: &mut Option<impl FnOnce()>) -> Ended {
        let mut stream = MessageStream::from(connection);
        let names = self.names();
        let (sender, mut updates) = mpsc::channel(UPDATES);
        let tracking = tokio::spawn(mapper::track(names.clone(), sender));
        let _tracking = AbortOnDrop(tracking);
        let taking = take_names(connection.clone(), names, Duration::ZERO);
        tokio::pin!(taking);
        let (mut first, mut complete) = (true, false);
        loop {
            let due = self.due();
            let mut messages = Vec::new();
            tokio::select! {
                biased;
                message = stream.next() => match message {
                    Some(Ok(message)) => messages.extend(self.message(&message)),
                    Some(Err(_)) | None => return Ended::BusLost,
                },
                taken = &mut taking, if !complete => {
                    complete = taken.is_empty();
                    if std::mem::take(&mut first) && !complete {
                        warn!(?taken, "other processes have these names; waiting for them");
                    }
                    if let Some(ready) = ready.take() {
                        ready();
                    }
                    taking.set(take_names(connection.clone(), taken, TAKEN));
                }
                Some(update) = next_update(&mut updates) => self.foreign.apply(update),
                () = sleep_until(due) => self.handle_timeout(),
            }
            messages.extend(self.signals());
            if !messages.is_empty() && connection.send_all(&messages).await.is_err() {
                return Ended::BusLost;
            }
            if self.reset_wanted() {
                return Ended::Reset;
            }
        }
    }

    /// The well-known names of the services that have objects.
    fn names(&mut self) -> BTreeSet<String> {
        let now = self.now();
        self.simulation.tree(now).objects().map(|(_, object)| object.service.to_owned()).collect()
    }

    fn now(&self) -> Now {
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now { uptime: self.started.elapsed(), epoch }
    }

    fn due(&self) -> Option<Instant> {
        self.simulation.poll_timeout().and_then(|due| self.started.checked_add(due))
    }

    fn handle_timeout(&mut self) {
        let now = self.now();
        self.simulation.handle_timeout(now);
        self.save();
    }

    fn reset_wanted(&mut self) -> bool {
        self.simulation.poll_effect() == Some(Effect::ResetBmc)
    }

    fn save(&mut self) {
        if let Some(kept) = self.simulation.take_unsaved() {
            self.store.save(kept);
        }
    }

    /// Answers a message, if it is a call that wants an answer.
    fn message(&mut self, message: &Message) -> Option<Message> {
        if message.message_type() != Type::MethodCall {
            return None;
        }
        let now = self.now();
        let answer = match read_call(message) {
            Ok(call) => dispatch::dispatch(&mut self.simulation, &self.foreign, now, &call),
            Err(fault) => Err(fault),
        };
        // On disk before the client hears that it is done.
        self.save();
        let silent = message.primary_header().flags().contains(Flags::NO_REPLY_EXPECTED);
        if silent { None } else { reply(message, answer) }
    }

    fn signals(&mut self) -> Vec<Message> {
        let changes = self.simulation.take_changes();
        if changes.is_empty() {
            return Vec::new();
        }
        let now = self.now();
        let tree = self.simulation.tree(now);
        let signals = changes.into_iter().filter_map(|change| match change {
            Change::Added { path } => {
                let object = tree.object(&path)?;
                let body = (ObjectPath::try_from(path).ok()?, dispatch::described(object));
                signal(&services::manager(object.service), OBJECT_MANAGER, "InterfacesAdded", &body)
            }
            Change::Removed { service, path, interfaces } => {
                let common = mapper::COMMON_INTERFACES.into_iter();
                let interfaces: Vec<&str> = common.chain(interfaces).collect();
                let body = (ObjectPath::try_from(path).ok()?, interfaces);
                signal(&services::manager(service), OBJECT_MANAGER, "InterfacesRemoved", &body)
            }
            Change::Changed { path, interface, values } => {
                let body = (interface, values, Vec::<&str>::new());
                signal(&path, "org.freedesktop.DBus.Properties", "PropertiesChanged", &body)
            }
            Change::Signal { path, signal: described, body } => match body {
                Some(body) => signal(&path, described.interface, described.name, &body),
                None => signal(&path, described.interface, described.name, &()),
            },
        });
        signals.collect()
    }
}

const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";

/// A task that ends with its user.
struct AbortOnDrop(tokio::task::JoinHandle<zbus::Result<()>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn next_update(updates: &mut Receiver<Update>) -> Option<Update> {
    updates.recv().await
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Asks for all names after a while; gives those that other processes have.
async fn take_names(
    connection: Connection,
    names: BTreeSet<String>,
    after: Duration,
) -> BTreeSet<String> {
    /// `DBUS_NAME_FLAG_DO_NOT_QUEUE`.
    const DO_NOT_QUEUE: u32 = 4;
    /// `DBUS_REQUEST_NAME_REPLY_EXISTS`.
    const EXISTS: u32 = 3;
    tokio::time::sleep(after).await;
    let mut taken = BTreeSet::new();
    for name in names {
        let bus = "org.freedesktop.DBus";
        let body = (&name, DO_NOT_QUEUE);
        let asked = connection
            .call_method(Some(bus), "/org/freedesktop/DBus", Some(bus), "RequestName", &body)
            .await;
        match asked.map(|reply| reply.body().deserialize::<u32>()) {
            Ok(Ok(EXISTS)) => {
                taken.insert(name);
            }
            Ok(_) => {}
            Err(error) => warn!(name, %error, "cannot take this name"),
        }
    }
    taken
}

fn read_call(message: &Message) -> Result<Call, Fault> {
    let header = message.header();
    let body = message.body();
    let arguments = if body.is_empty() {
        Vec::new()
    } else {
        let fields: Structure<'_> =
            body.deserialize().map_err(|error| Fault::invalid(error.to_string()))?;
        let owned = |field: &Variant<'_>| field.try_to_owned().map(Variant::from);
        let fields = fields.fields().iter().map(owned).collect::<zbus::Result<_>>();
        fields.map_err(|error| Fault::invalid(error.to_string()))?
    };
    Ok(Call {
        service: match header.destination() {
            Some(BusName::WellKnown(name)) => Some(name.to_string()),
            _ => None,
        },
        path: header.path().map(ToString::to_string).unwrap_or_default(),
        interface: header.interface().map(ToString::to_string),
        member: header.member().map(ToString::to_string).unwrap_or_default(),
        arguments,
    })
}

fn reply(call: &Message, answer: Result<Returned, Fault>) -> Option<Message> {
    let header = call.header();
    let built = match answer {
        Ok(values) if values.is_empty() => Message::method_return(&header).build(&()),
        Ok(values) => {
            let fields =
                values.into_iter().fold(StructureBuilder::new(), StructureBuilder::append_field);
            fields.build().and_then(|body| Message::method_return(&header).build(&body))
        }
        Err(fault) => Message::error(&header, fault.name).build(&(fault.text,)),
    };
    built.inspect_err(|error| warn!(%error, "an answer that cannot be sent")).ok()
}

fn signal<B>(path: &str, interface: &str, member: &str, body: &B) -> Option<Message>
where
    B: serde::Serialize + zbus::wire::DynamicType,
{
    Message::signal(path, interface, member)
        .build(body)
        .inspect_err(|error| warn!(%error, path, interface, "a signal that cannot be sent"))
        .ok()
}
