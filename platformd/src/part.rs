//! The trait of a simulated service: a state machine behind some of the objects.
//!
//! A part gets the time as an argument and acts on the tree and on other parts only, so that a
//! test can run a day of it in no time. Parts do not refer to each other: what concerns another part is
//! an [`Event`], which is delivered to all of them.

use std::collections::VecDeque;
use std::time::Duration;

use openbmc_dbus::interface::{Method, Property};
use openbmc_dbus::state::host::RestartCause;
use zbus::wire::Variant;

use crate::config::Platform;
use crate::fault::Fault;
use crate::host::Report;
use crate::tree::Tree;

/// The two clocks that parts read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Now {
    /// Since the process started; never goes back.
    pub(crate) uptime: Duration,
    /// Since the epoch, by the machine's clock.
    pub(crate) epoch: Duration,
}

/// Something that other parts may act on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Event {
    /// A request to change the power state, with its cause.
    PowerRequest(PowerRequest, RestartCause),
    /// Main power came on.
    PowerOn,
    /// Main power went off.
    PowerOff,
    /// The host's firmware starts.
    HostStarting,
    /// The host's operating system ran and is down now, or is about to be.
    HostStopped,
    /// The identify button was pressed.
    Identify,
    /// A diagnostic interrupt to the host.
    Nmi,
    /// The boot settings changed, or a boot used up those for one boot.
    BootSettings,
}

/// A requested change of the power or host state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum PowerRequest {
    /// Power on and start the host.
    On,
    /// Power on, and leave the host alone.
    ChassisOn,
    /// Ask the host to shut down, then power off.
    SoftOff,
    /// Power off, whatever the host does.
    HardOff,
    /// Power off and on again, and start the host.
    Cycle,
    /// Ask the host to shut down, power off and on again, and start it.
    SoftCycle,
    /// Restart the host without asking it; power stays on.
    HardReset,
    /// Ask the host to shut down, then start it again; power stays on.
    SoftReset,
}

/// An action outside the simulation, which the driver executes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    /// Restart the BMC.
    ResetBmc,
    /// Log an event in the SEL.
    LogEvent(SelEvent),
    /// Print a line of the script on the simulated host's console.
    Print(usize),
    /// Disconnect that console, or let it connect again.
    LoseConsole(bool),
}

/// An event of a sensor-specific discrete sensor (event/reading type 6Fh, IPMI v2.0 §42.2) whose sensor has no
/// number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SelEvent {
    /// The sensor type (IPMI v2.0 Table 42-3).
    pub(crate) sensor_type: u8,
    /// The offset of the event in that type.
    pub(crate) offset: u8,
}

/// The number of a reply that is sent later.
pub(crate) type Ticket = u64;

/// Replies that are not sent at once, because they depend on a host outside this process.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    newest: Ticket,
    deferred: Option<Ticket>,
    settled: Vec<(Ticket, Result<(), Fault>)>,
    /// Tickets that are settled as another one is.
    followers: Vec<(Ticket, Ticket)>,
}

impl Replies {
    /// A new number.
    pub(crate) fn ticket(&mut self) -> Ticket {
        self.newest += 1;
        self.newest
    }

    /// The reply to the call in progress is sent when `ticket` is settled.
    pub(crate) fn defer(&mut self, ticket: Ticket) {
        self.deferred = Some(ticket);
    }

    /// `ticket` is settled as `other` will be.
    pub(crate) fn follow(&mut self, other: Ticket, ticket: Ticket) {
        self.followers.push((other, ticket));
    }

    /// The reply is known.
    pub(crate) fn settle(&mut self, ticket: Ticket, result: Result<(), Fault>) {
        for (_, follower) in self.followers.extract_if(.., |(other, _)| *other == ticket) {
            self.settled.push((follower, result.clone()));
        }
        self.settled.push((ticket, result));
    }

    /// The number of the reply to the call that was handled last, if it is sent later.
    pub(crate) fn take_deferred(&mut self) -> Option<Ticket> {
        self.deferred.take()
    }

    /// The replies that have become known since the last call.
    pub(crate) fn take_settled(&mut self) -> Vec<(Ticket, Result<(), Fault>)> {
        std::mem::take(&mut self.settled)
    }
}

/// The state that a part reads and changes.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) now: Now,
    pub(crate) tree: &'a mut Tree,
    pub(crate) events: &'a mut VecDeque<Event>,
    pub(crate) effects: &'a mut Vec<Effect>,
    pub(crate) replies: &'a mut Replies,
}

impl Context<'_> {
    /// Queues an event for all parts.
    pub(crate) fn raise(&mut self, event: Event) {
        self.events.push_back(event);
    }
}

/// A property that a client sets; name and type are checked already.
#[derive(Clone, Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) path: &'a str,
    pub(crate) interface: &'a str,
    pub(crate) property: &'static str,
    pub(crate) value: Variant<'static>,
}

impl Setting<'_> {
    /// Whether it is this property of the object at `path`.
    pub(crate) fn is<T>(&self, path: &str, property: Property<T>) -> bool {
        self.path == path && self.interface == property.interface && self.property == property.name
    }
}

/// A method that a client calls; the method and the argument types are checked already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Invocation<'a> {
    pub(crate) path: &'a str,
    pub(crate) method: &'static Method,
    pub(crate) arguments: &'a [Variant<'static>],
}

/// What a client is about to read of the tree.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Read<'a> {
    /// Properties of an object: of this interface, or of all of them.
    Object { path: &'a str, interface: Option<&'a str> },
    /// All objects below a path.
    Below(&'a str),
}

/// The values that a method returns.
pub(crate) type Returned = Vec<Variant<'static>>;

/// A simulated service.
pub(crate) trait Part: Send {
    /// Adds its objects.
    fn start(&mut self, context: &mut Context<'_>);

    /// Handles a property that a client sets, if it is this part's; `None` leaves it to another part. When
    /// no part handles it, the tree stores the value.
    fn set(&mut self, _: &mut Context<'_>, _: &Setting<'_>) -> Option<Result<(), Fault>> {
        None
    }

    /// Handles a method call, if it is for this part; `None` leaves it to another part.
    fn call(&mut self, _: &mut Context<'_>, _: &Invocation<'_>) -> Option<Result<Returned, Fault>> {
        None
    }

    /// Updates values that change without a signal, before they are read.
    fn refresh(&mut self, _: &mut Context<'_>) {}

    /// Computes values that nobody needed so far, before a client reads them.
    fn read(&mut self, _: &mut Context<'_>, _: Read<'_>) {}

    /// Acts on an event.
    fn handle_event(&mut self, _: &mut Context<'_>, _: Event) {}

    /// Acts on what a host outside this process reports.
    fn report(&mut self, _: &mut Context<'_>, _: &Report) {}

    /// Applies the values of another configuration that can change while it runs.
    fn reconfigure(&mut self, _: &mut Context<'_>, _: &Platform) {}

    /// Called when [`deadline`](Self::deadline) is reached.
    fn timeout(&mut self, _: &mut Context<'_>) {}

    /// The uptime at which it wants to act next.
    fn deadline(&self) -> Option<Duration> {
        None
    }
}
