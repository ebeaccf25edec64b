//! What a simulated service is: a state machine behind some of the objects.
//!
//! A part gets the time as an argument and acts on the tree and on other parts only, so that a
//! test can run a day of it in no time. Parts do not know each other; what one does that concerns
//! another is an [`Event`], which all of them see.

use std::collections::VecDeque;
use std::time::Duration;

use openbmc_dbus::interface::{Method, Property};
use openbmc_dbus::state::host::RestartCause;
use zbus::wire::Variant;

use crate::fault::Fault;
use crate::tree::Tree;

/// The time, as far as parts care.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Now {
    /// Since the process started; never goes back.
    pub(crate) uptime: Duration,
    /// Since the epoch, by the machine's clock.
    pub(crate) epoch: Duration,
}

/// Something that happened and that other parts may act on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Event {
    /// Somebody wants the power changed.
    Wish(Wish, RestartCause),
    /// Main power came on.
    PowerOn,
    /// Main power went off.
    PowerOff,
    /// The host's firmware begins.
    HostStarting,
    /// The host's operating system ran and is down now, or is about to be.
    HostStopped,
    /// The identify button was pressed.
    Identify,
    /// A diagnostic interrupt to the host.
    Nmi,
}

/// What can be wished of the power.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wish {
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

/// What only the driver can do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    /// Restart the BMC.
    ResetBmc,
}

/// What a part works on.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) now: Now,
    pub(crate) tree: &'a mut Tree,
    pub(crate) events: &'a mut VecDeque<Event>,
    pub(crate) effects: &'a mut Vec<Effect>,
}

impl Context<'_> {
    /// Lets all parts know.
    pub(crate) fn raise(&mut self, event: Event) {
        self.events.push_back(event);
    }
}

/// What a client wants to set; name and type are checked already.
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

/// What a client calls; the method and the argument types are checked already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Invocation<'a> {
    pub(crate) path: &'a str,
    pub(crate) method: &'static Method,
    pub(crate) arguments: &'a [Variant<'static>],
}

/// What a method returns, argument by argument.
pub(crate) type Returned = Vec<Variant<'static>>;

/// A simulated service.
pub(crate) trait Part: Send {
    /// Adds its objects.
    fn start(&mut self, context: &mut Context<'_>);

    /// Takes what a client sets, if it is for this part; `None` leaves it to another one, and in
    /// the end to the tree, which stores the value.
    fn set(&mut self, _: &mut Context<'_>, _: &Setting<'_>) -> Option<Result<(), Fault>> {
        None
    }

    /// Takes what a client calls, if it is for this part.
    fn call(&mut self, _: &mut Context<'_>, _: &Invocation<'_>) -> Option<Result<Returned, Fault>> {
        None
    }

    /// Brings values up to date that clients learn only by asking.
    fn refresh(&mut self, _: &mut Context<'_>) {}

    /// Acts on what happened elsewhere.
    fn notice(&mut self, _: &mut Context<'_>, _: Event) {}

    /// Acts because the time of [`deadline`](Self::deadline) has come.
    fn timeout(&mut self, _: &mut Context<'_>) {}

    /// The uptime at which it wants to act next.
    fn deadline(&self) -> Option<Duration> {
        None
    }
}
