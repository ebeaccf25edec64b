//! The command table: filled at start, then only read.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use daemon::RateLimit;
use daemon::metrics::{Histogram, Times};
use ipmi_proto::Privilege;
use ipmi_proto::codec::DecodeError;

use super::resource::{Resource, Writer, Writers};
use super::{Access, Command, Family, Handler, Priority, ResponseFuture, WILDCARD};
use crate::request::context::Context;

type Start = Box<dyn Fn(Context, &[u8]) -> Result<ResponseFuture, DecodeError> + Send + Sync>;

/// A command that fails again and again is logged so often.
const FAILURE_INTERVAL: Duration = Duration::from_secs(60);

/// A command and the handler that answers it.
pub struct Entry {
    /// The row.
    pub command: Command,
    /// The priority of the handler.
    pub priority: Priority,
    /// Bounds how often failures of the command are logged, each of which a client may repeat at will.
    pub(crate) failures: RateLimit,
    start: Start,
    /// The writer of what it changes.
    writer: Option<Writer>,
    /// How long it took, from its first run on: most handlers of a BMC never run.
    times: OnceLock<Box<Histogram>>,
}

impl Entry {
    /// Unpacks `data` and starts the handler, which waits for its turn where the command changes something.
    ///
    /// # Errors
    ///
    /// Why the data cannot be unpacked into the handler's parameters.
    pub fn start(&self, context: Context, data: &[u8]) -> Result<ResponseFuture, DecodeError> {
        let response = (self.start)(context, data)?;
        let Some(writer) = self.writer.clone() else {
            return Ok(response);
        };
        let first_byte = data.first().copied().unwrap_or_default();
        Ok(Box::pin(async move {
            let _turn = writer.turn(first_byte).await;
            response.await
        }))
    }

    /// Counts a run of the handler that took `time`.
    pub fn took(&self, time: Duration) {
        self.times.get_or_init(Box::default).record(time);
    }

    /// How long it took; `None` if it has never run.
    #[must_use]
    pub fn times(&self) -> Option<Times> {
        self.times.get().map(|times| times.read())
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} at {:?}", self.command, self.priority)
    }
}

/// Two handlers for one command at one priority, neither declared an override: a start-up error.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("two handlers at one priority: {}, command {:02X}h, {} and {}",
    .first.family, .first.code, .first.name, .second.name)]
pub struct DuplicateCommand {
    /// The one registered first.
    pub first: Command,
    /// The one in its way.
    pub second: Command,
}

/// The command table while providers fill it.
#[derive(Debug, Default)]
pub struct CommandTable {
    entries: HashMap<(Family, u8), Entry>,
    writers: Writers,
    duplicates: Vec<DuplicateCommand>,
}

impl CommandTable {
    /// For adding commands at `priority`.
    pub fn at(&mut self, priority: Priority) -> Registrar<'_> {
        Registrar { table: self, priority }
    }

    /// The table for look-ups, once all providers have added theirs.
    ///
    /// # Errors
    ///
    /// Commands with two handlers at one priority: a mistake in the registration.
    pub fn finish(self) -> Result<Registry, Vec<DuplicateCommand>> {
        if self.duplicates.is_empty() {
            Ok(Registry { entries: self.entries })
        } else {
            Err(self.duplicates)
        }
    }

    fn insert(&mut self, entry: Entry, overrides: bool) {
        let key = (entry.command.family, entry.command.code);
        if let Some(present) = self.entries.get(&key) {
            if present.priority > entry.priority {
                return;
            }
            if present.priority == entry.priority && !overrides {
                let (first, second) = (present.command, entry.command);
                self.duplicates.push(DuplicateCommand { first, second });
                return;
            }
        }
        self.entries.insert(key, entry);
    }
}

/// Adds commands at one priority.
#[derive(Debug)]
pub struct Registrar<'a> {
    table: &'a mut CommandTable,
    priority: Priority,
}

impl<'r> Registrar<'r> {
    /// For adding several commands of `family` whose handlers share `state`.
    pub fn rows<'a, S>(
        &'a mut self,
        family: impl Into<Family>,
        state: &'a Arc<S>,
    ) -> Rows<'a, 'r, S> {
        Rows { registrar: self, family: family.into(), state, access: None, changes: None }
    }

    /// Adds `command`, whose `handler` gets `state`.
    pub fn add<S, Parameters, H>(&mut self, command: Command, state: &Arc<S>, handler: H)
    where
        S: Send + Sync + 'static,
        H: Handler<S, Parameters>,
    {
        self.insert(command, state, handler, false);
    }

    /// As [`add`](Self::add), knowingly in place of a handler of the same priority.
    pub fn replace<S, Parameters, H>(&mut self, command: Command, state: &Arc<S>, handler: H)
    where
        S: Send + Sync + 'static,
        H: Handler<S, Parameters>,
    {
        self.insert(command, state, handler, true);
    }

    fn insert<S, Parameters, H>(
        &mut self,
        command: Command,
        state: &Arc<S>,
        handler: H,
        overrides: bool,
    ) where
        S: Send + Sync + 'static,
        H: Handler<S, Parameters>,
    {
        let state = Arc::clone(state);
        let start: Start =
            Box::new(move |context, data| handler.start(Arc::clone(&state), context, data));
        let writer = command.changes.map(|resource| self.table.writers.of(resource));
        let failures = RateLimit::new(1, FAILURE_INTERVAL);
        let times = OnceLock::new();
        let entry = Entry { command, priority: self.priority, failures, start, writer, times };
        self.table.insert(entry, overrides);
    }
}

/// Adds commands of one family, one line each: number, privilege, the specification's name, handler.
#[derive(Debug)]
pub struct Rows<'a, 'r, S> {
    registrar: &'a mut Registrar<'r>,
    family: Family,
    state: &'a Arc<S>,
    /// Replaces the privilege of the commands that follow.
    access: Option<Access>,
    changes: Option<Resource>,
}

impl<S: Send + Sync + 'static> Rows<'_, '_, S> {
    /// The commands that follow change `resource` ([`Command::changes`]).
    #[must_use]
    pub fn changing(self, resource: Resource) -> Self {
        Self { changes: Some(resource), ..self }
    }

    /// The commands that follow are for the host's system interface alone.
    #[must_use]
    pub fn from_host_only(self) -> Self {
        Self { access: Some(Access::SystemInterface), ..self }
    }

    /// The commands that follow are for anyone, on a LAN without a session too.
    #[must_use]
    pub fn for_anyone(self) -> Self {
        Self { access: Some(Access::Anyone), ..self }
    }

    /// Adds command `code`, which takes `privilege` at least and is answered by `handler`.
    pub fn add<Parameters, H>(
        &mut self,
        code: u8,
        privilege: Privilege,
        name: &'static str,
        handler: H,
    ) where
        H: Handler<S, Parameters>,
    {
        let access = self.access.unwrap_or(Access::AtLeast(privilege));
        let command = Command { family: self.family, code, access, changes: self.changes, name };
        self.registrar.add(command, self.state, handler);
    }
}

/// The command table in service.
#[derive(Debug)]
pub struct Registry {
    entries: HashMap<(Family, u8), Entry>,
}

impl Registry {
    /// The handler of a command, or its family's [`WILDCARD`].
    #[must_use]
    pub fn find(&self, family: Family, code: u8) -> Option<&Entry> {
        self.entries.get(&(family, code)).or_else(|| self.entries.get(&(family, WILDCARD)))
    }

    /// All commands with their handlers, in no order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// All rows, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Command> {
        self.entries.values().map(|entry| &entry.command)
    }

    /// Family and number of each command, and the priority of its handler.
    pub fn priorities(&self) -> impl Iterator<Item = ((Family, u8), Priority)> {
        self.entries.iter().map(|(key, entry)| (*key, entry.priority))
    }
}

#[cfg(test)]
mod tests {
    use ipmi_proto::{CompletionCode, NetFn, Privilege};

    use super::*;

    const PING: Command = Command::standard(NetFn::APP, 0x70, Privilege::User, "Ping");

    async fn first(_: Arc<()>, _: Context) -> Result<u8, CompletionCode> {
        Ok(1)
    }

    async fn second(_: Arc<()>, _: Context) -> Result<u8, CompletionCode> {
        Ok(2)
    }

    async fn answer(table: CommandTable) -> Result<Vec<u8>, CompletionCode> {
        let registry = table.finish().unwrap();
        let entry = registry.find(PING.family, PING.code).unwrap();
        let answer = entry.start(Context::system_interface(), &[]).unwrap();
        Ok(answer.await.map_err(|error| error.completion)?.data)
    }

    #[tokio::test]
    async fn highest_priority_answers_in_whatever_order_they_come() {
        let state = Arc::new(());
        let mut table = CommandTable::default();
        table.at(Priority::CUSTOM).add(PING, &state, second);
        table.at(Priority::BASE).add(PING, &state, first);
        assert_eq!(answer(table).await, Ok(vec![2]));
        let mut table = CommandTable::default();
        table.at(Priority::BASE).add(PING, &state, first);
        table.at(Priority::ODM).add(PING, &state, second);
        assert_eq!(answer(table).await, Ok(vec![2]));
    }

    #[tokio::test]
    async fn equal_priority_is_an_error_unless_declared() {
        let state = Arc::new(());
        let mut table = CommandTable::default();
        table.at(Priority::OEM).add(PING, &state, first);
        table.at(Priority::OEM).replace(PING, &state, second);
        assert_eq!(answer(table).await, Ok(vec![2]));
        let mut table = CommandTable::default();
        table.at(Priority::OEM).add(PING, &state, first);
        table.at(Priority::OEM).add(PING, &state, second);
        let expected = DuplicateCommand { first: PING, second: PING };
        assert_eq!(table.finish().unwrap_err(), [expected]);
    }

    #[test]
    fn wildcard_answers_commands_without_a_handler() {
        let state = Arc::new(());
        let mut table = CommandTable::default();
        let any = Command { code: WILDCARD, name: "Anything", ..PING };
        table.at(Priority::BASE).add(PING, &state, first);
        table.at(Priority::BASE).add(any, &state, second);
        let registry = table.finish().unwrap();
        assert_eq!(registry.find(PING.family, 0x70).unwrap().command.name, "Ping");
        assert_eq!(registry.find(PING.family, 0x71).unwrap().command.name, "Anything");
        assert!(registry.find(Family::NetFn(NetFn::CHASSIS), 0x71).is_none());
    }
}
