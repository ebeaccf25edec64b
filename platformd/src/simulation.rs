//! All parts together: a platform without a bus and without a clock.
//!
//! The driver passes in calls and the time, and drains changes to be signalled and effects to be executed.

use std::collections::VecDeque;
use std::time::Duration;

use zbus::wire::Variant;

use crate::config::Platform;
use crate::fault::Fault;
use crate::host::{Backend, Report};
use crate::part::{
    Context, Effect, Event, Invocation, Now, Part, Read, Replies, Returned, Setting, Ticket,
};
use crate::tree::{Change, SavedValues, Tree};
use crate::{associations, parts};

/// How many effects may wait for the bus.
const MOST_EFFECTS: usize = 64;
/// How many events one call may cause, so that parts that react to each other cannot loop for ever.
const MOST_EVENTS: usize = 1000;

/// The simulated platform.
pub(crate) struct Simulation {
    tree: Tree,
    parts: Vec<Box<dyn Part>>,
    events: VecDeque<Event>,
    effects: Vec<Effect>,
    replies: Replies,
}

impl Simulation {
    /// Starts a platform whose host is `backend`, with the values that an earlier process saved.
    pub(crate) fn start(
        config: &Platform,
        backend: Box<dyn Backend>,
        saved: SavedValues,
        power_lost: bool,
        now: Now,
    ) -> Self {
        let mut simulation = Self {
            tree: Tree::new(saved, config.services.clone()),
            parts: parts::all(config, backend, power_lost),
            events: VecDeque::new(),
            effects: Vec::new(),
            replies: Replies::default(),
        };
        associations::serve_mapper(&mut simulation.tree);
        simulation.each(now, |part, context| part.start(context));
        simulation.deliver_events(now);
        simulation
    }

    /// The objects, with values that are current at `now`.
    pub(crate) fn tree(&mut self, now: Now) -> &Tree {
        self.each(now, |part, context| part.refresh(context));
        &self.tree
    }

    /// The objects, with all values that a client is about to `read`.
    pub(crate) fn read(&mut self, now: Now, read: Read<'_>) -> &Tree {
        self.each(now, |part, context| part.read(context, read));
        self.tree(now)
    }

    /// A client sets a property.
    pub(crate) fn set(
        &mut self,
        now: Now,
        path: &str,
        interface: &str,
        property: &str,
        value: Variant<'static>,
    ) -> Result<(), Fault> {
        let property = self.tree.check(path, interface, property, &value)?;
        let setting = Setting { path, interface, property, value };
        let done = self.first(now, |part, context| part.set(context, &setting));
        let done = done.unwrap_or_else(|| {
            self.tree.store(path, interface, property, setting.value.clone());
            Ok(())
        });
        self.deliver_events(now);
        done
    }

    /// A client calls a method of a simulated interface.
    pub(crate) fn call(&mut self, now: Now, call: &Invocation<'_>) -> Result<Returned, Fault> {
        let done = self.first(now, |part, context| part.call(context, call));
        self.deliver_events(now);
        done.unwrap_or_else(|| Err(Fault::unknown_method(call.method.interface, call.method.name)))
    }

    /// Applies another configuration, as far as parts can.
    pub(crate) fn reconfigure(&mut self, now: Now, config: &Platform) {
        self.each(now, |part, context| part.reconfigure(context, config));
        self.deliver_events(now);
    }

    /// A host outside this process reports something.
    pub(crate) fn report(&mut self, now: Now, report: &Report) {
        self.each(now, |part, context| part.report(context, report));
        self.deliver_events(now);
    }

    /// The number of the reply to the last call, if it is sent later.
    pub(crate) fn take_deferred(&mut self) -> Option<Ticket> {
        self.replies.take_deferred()
    }

    /// The replies of earlier calls that have become known.
    pub(crate) fn take_settled(&mut self) -> Vec<(Ticket, Result<(), Fault>)> {
        self.replies.take_settled()
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        self.each(now, |part, context| part.timeout(context));
        self.deliver_events(now);
    }

    /// The uptime of the next timeout.
    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        self.parts.iter().filter_map(|part| part.deadline()).min()
    }

    /// The changes since the last call, to be sent as signals.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        self.tree.take_changes()
    }

    /// The next effect that the driver has to execute.
    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        (!self.effects.is_empty()).then(|| self.effects.remove(0))
    }

    /// Effects that could not be executed yet.
    pub(crate) fn put_back(&mut self, effects: Vec<Effect>) {
        self.effects.splice(..0, effects);
    }

    /// The values to be written to disk, if any changed.
    pub(crate) fn take_unsaved(&mut self) -> Option<&SavedValues> {
        self.tree.take_unsaved()
    }

    fn each(&mut self, now: Now, mut act: impl FnMut(&mut dyn Part, &mut Context<'_>)) {
        let Self { tree, parts, events, effects, replies } = self;
        let mut context = Context { now, tree, events, effects, replies };
        for part in parts {
            act(part.as_mut(), &mut context);
        }
    }

    fn first<T>(
        &mut self,
        now: Now,
        mut act: impl FnMut(&mut dyn Part, &mut Context<'_>) -> Option<T>,
    ) -> Option<T> {
        let Self { tree, parts, events, effects, replies } = self;
        let mut context = Context { now, tree, events, effects, replies };
        parts.iter_mut().find_map(|part| act(part.as_mut(), &mut context))
    }

    /// Delivers all events to all parts.
    fn deliver_events(&mut self, now: Now) {
        for _ in 0..MOST_EVENTS {
            let Some(event) = self.events.pop_front() else {
                break;
            };
            self.each(now, |part, context| part.handle_event(context, event));
        }
        self.events.clear();
        // Beyond that the oldest are dropped; each has a log line.
        let surplus = self.effects.len().saturating_sub(MOST_EFFECTS);
        self.effects.drain(..surplus);
        if self.tree.has_new_shape() {
            associations::update(&mut self.tree);
        }
    }
}

#[cfg(test)]
mod tests;
