//! A host outside this process: requests become plans of operations, and reports become states.
//!
//! A plan is a list of steps. Each step waits for what it is about, an operation's end or the host's state; a new
//! request replaces the rest of the plan. Without a plan, reports alone change the published states.

mod events;
mod facts;
mod states;

use std::collections::VecDeque;
use std::time::Duration;

use openbmc_dbus::control::boot::source::{self, Source};
use openbmc_dbus::control::boot::{ONE_TIME_PATH, PERSISTENT_PATH};
use openbmc_dbus::object::enable;
use openbmc_dbus::state::chassis::PowerState;
use openbmc_dbus::state::host::{self, HostState, RestartCause};
use tokio::sync::mpsc::Sender;
use tracing::{info, warn};
use zbus::wire::Variant;

use super::states::{set_host, set_power};
use super::{Accepted, Backend, Operation, OperationError, Order, Report, State};
use crate::config::Platform;
use crate::fault::Fault;
use crate::part::{Context, PowerRequest, Ticket};

/// How long a reply may wait for its operation: less than clients wait (`openbmc_dbus::bus::METHOD_TIMEOUT`). Then
/// the request counts as accepted, and a later failure is logged only.
const REPLY_LIMIT: Duration = Duration::from_millis(1500);
/// The name under which it is saved that a plan has yet to switch the host on, for a restart of this process.
const SAVED_KEY: &str = "on-after-off";

/// A host outside this process.
pub(super) struct Machine {
    orders: Sender<Order>,
    newest: u64,
    /// Whether the driver executes a cycle as one operation.
    cycles: bool,
    cycle_pause: Duration,
    soft_off_limit: Duration,
    /// Whether the platform's file says the system's UUID.
    has_uuid: bool,
    /// The state that was reported last; `None` before the first report.
    state: Option<State>,
    /// Where the host boots from next, as the driver was ordered.
    boot: Option<Source>,
    plan: VecDeque<Step>,
    current: Option<Current>,
    /// The cause of the start that was ordered last and has not been seen yet.
    cause: Option<RestartCause>,
    /// The replies that wait for the first step of the plan.
    waiting: Vec<Waiting>,
    /// Operations beside the plan.
    others: Vec<Other>,
}

/// One step of a plan.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    /// The operating system shuts down; when the time is up, the next step cuts power.
    SoftOff,
    Off,
    /// Power stays off.
    Pause,
    On(RestartCause),
    Reset(RestartCause),
    Cycle(RestartCause),
}

/// The step under way.
#[derive(Debug)]
struct Current {
    step: Step,
    /// The order, if the step has one.
    id: Option<u64>,
    /// When it ends without a report.
    limit: Option<Duration>,
}

/// A reply that waits.
#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    limit: Duration,
}

/// An operation beside the plan.
#[derive(Debug)]
struct Other {
    id: u64,
    operation: Operation,
    ticket: Option<Ticket>,
}

impl Machine {
    pub(super) fn new(config: &Platform, cycles: bool, orders: Sender<Order>) -> Self {
        Self {
            orders,
            newest: 0,
            cycles,
            cycle_pause: Duration::from_millis(config.chassis.cycle_ms),
            soft_off_limit: config.host.soft_off_limit(),
            has_uuid: config.identity.uuid.is_some(),
            state: None,
            boot: None,
            plan: VecDeque::new(),
            current: None,
            cause: None,
            waiting: Vec::new(),
            others: Vec::new(),
        }
    }

    fn is_off(&self) -> bool {
        matches!(self.state, None | Some(State::Off(_)))
    }

    /// The steps that `request` takes from the present state; `None` if there is nothing to do.
    fn steps(&self, request: PowerRequest, cause: RestartCause) -> Option<Vec<Step>> {
        let off = self.is_off();
        let starts = |step: &Step| matches!(step, Step::On(_) | Step::Cycle(_));
        let is_starting =
            self.plan.iter().chain(self.current.iter().map(|current| &current.step)).any(starts);
        Some(match request {
            PowerRequest::On | PowerRequest::ChassisOn => {
                if is_starting || (self.current.is_none() && self.state == Some(State::On)) {
                    return None;
                }
                vec![Step::On(cause)]
            }
            // Before the first report nothing is known, and a driver has nothing to do for a host that is off.
            PowerRequest::SoftOff => vec![Step::SoftOff, Step::Off],
            PowerRequest::HardOff => vec![Step::Off],
            // `Reboot` is a hard cycle, as in x86-power-control (`power_control.cpp`): IPMI's power cycle requests
            // it, which does not ask the operating system (IPMI v2.0 §28.3).
            PowerRequest::Cycle | PowerRequest::SoftCycle if off => vec![Step::On(cause)],
            PowerRequest::Cycle | PowerRequest::SoftCycle if self.cycles => {
                vec![Step::Cycle(cause)]
            }
            PowerRequest::Cycle | PowerRequest::SoftCycle => {
                vec![Step::Off, Step::Pause, Step::On(cause)]
            }
            PowerRequest::HardReset | PowerRequest::SoftReset if off => return None,
            PowerRequest::HardReset => vec![Step::Reset(cause)],
            PowerRequest::SoftReset => vec![Step::SoftOff, Step::Off, Step::On(cause)],
        })
    }

    /// Sends an order; returns its number.
    fn order(&mut self, operation: Operation) -> Result<u64, Fault> {
        self.newest += 1;
        let order = Order { id: self.newest, operation };
        let sent = self.orders.try_send(order);
        sent.map_err(|_| Fault::unavailable("the host's backend is busy"))?;
        Ok(self.newest)
    }

    /// Begins steps until one has to be waited for.
    fn advance(&mut self, context: &mut Context<'_>) {
        while self.current.is_none() {
            let Some(step) = self.plan.pop_front() else {
                self.settle(context, &Ok(()));
                save_restart(context, false);
                return;
            };
            if self.is_done_already(step) {
                continue;
            }
            if let Err(fault) = self.start_step(context, step) {
                self.fail(context, step, &fault);
            }
        }
    }

    /// Whether the host is in the state to which the step leads.
    fn is_done_already(&self, step: Step) -> bool {
        match step {
            Step::SoftOff => self.is_off(),
            // A driver that has not reported yet decides itself.
            Step::Off => matches!(self.state, Some(State::Off(_))),
            Step::On(_) => self.state == Some(State::On),
            Step::Pause | Step::Reset(_) | Step::Cycle(_) => false,
        }
    }

    fn start_step(&mut self, context: &mut Context<'_>, step: Step) -> Result<(), Fault> {
        let now = context.now.uptime;
        let (operation, limit) = match step {
            Step::SoftOff => (Some(Operation::SoftOff), Some(now + self.soft_off_limit)),
            Step::Off => (Some(Operation::Off), None),
            Step::Pause => (None, Some(now + self.cycle_pause)),
            Step::On(_) => (Some(Operation::On), None),
            Step::Reset(_) => (Some(Operation::Reset), None),
            Step::Cycle(_) => (Some(Operation::Cycle), None),
        };
        let id = operation.map(|operation| self.order(operation)).transpose()?;
        match step {
            Step::SoftOff => set_host(context, HostState::TransitioningToOff),
            Step::Off => set_power(context, PowerState::TransitioningToOff),
            Step::On(_) if self.is_off() => set_power(context, PowerState::TransitioningToOn),
            Step::On(_) | Step::Pause | Step::Reset(_) | Step::Cycle(_) => {}
        }
        if let Step::On(cause) | Step::Reset(cause) | Step::Cycle(cause) = step {
            self.cause = Some(cause);
        }
        self.current = Some(Current { step, id, limit });
        Ok(())
    }

    /// Ends the step under way, and goes on with the plan.
    fn step_done(&mut self, context: &mut Context<'_>) {
        self.current = None;
        self.settle(context, &Ok(()));
        self.advance(context);
    }

    /// A step failed: the plan ends, and the states are again those that were reported.
    fn fail(&mut self, context: &mut Context<'_>, step: Step, fault: &Fault) {
        warn!(
            ?step,
            error = fault.text,
            "the host did not do what was requested; it stays as it is"
        );
        if matches!(step, Step::On(_) | Step::Cycle(_)) {
            events::log(context, events::SOFT_POWER_CONTROL_FAILURE);
        }
        self.plan.clear();
        self.current = None;
        self.cause = None;
        save_restart(context, false);
        self.settle(context, &Err(fault.clone()));
        self.publish(context);
    }

    /// Settles the replies that wait for the plan.
    fn settle(&mut self, context: &mut Context<'_>, result: &Result<(), Fault>) {
        for waiting in self.waiting.drain(..) {
            context.replies.settle(waiting.ticket, result.clone());
        }
    }

    /// An order was executed.
    fn done(&mut self, context: &mut Context<'_>, id: u64, result: &Result<(), OperationError>) {
        let result = result.clone().map_err(|error| match error {
            OperationError::Unsupported(text) => Fault::not_allowed(text),
            OperationError::Failed(text) => Fault::failed(text),
        });
        if let Some(at) = self.others.iter().position(|other| other.id == id) {
            let other = self.others.remove(at);
            if let Err(fault) = &result {
                let (operation, error) = (other.operation, &fault.text);
                warn!(?operation, error, "the host did not do what was requested");
            }
            if let Some(ticket) = other.ticket {
                context.replies.settle(ticket, result);
            }
            return;
        }
        // Orders of a plan that was replaced have no step.
        let Some(step) = self
            .current
            .as_ref()
            .filter(|current| current.id == Some(id))
            .map(|current| current.step)
        else {
            return;
        };
        match (result, step) {
            (Err(fault), _) => self.fail(context, step, &fault),
            // The host has been asked; that it is off is reported later.
            (Ok(()), Step::SoftOff) if !self.is_off() => self.settle(context, &Ok(())),
            (Ok(()), _) => self.step_done(context),
        }
    }

    /// Orders the driver to boot from where the settings say, if that has changed.
    fn update_boot(&mut self, context: &mut Context<'_>) {
        let wanted = [ONE_TIME_PATH, PERSISTENT_PATH]
            .into_iter()
            .find(|path| context.tree.get(path, enable::ENABLED) == Some(true))
            .and_then(|path| context.tree.get(path, source::BOOT_SOURCE))
            .unwrap_or(Source::Default);
        if self.boot == Some(wanted) {
            return;
        }
        let operation = Operation::Boot(wanted);
        match self.order(operation) {
            Ok(id) => {
                self.boot = Some(wanted);
                self.others.push(Other { id, operation, ticket: None });
            }
            Err(fault) => {
                warn!(%fault, ?wanted, "cannot set the boot device; the next change retries")
            }
        }
    }

    /// A reply that waits for the plan; done at once if the plan is.
    fn accept(&mut self, context: &mut Context<'_>) -> Accepted {
        let ticket = context.replies.ticket();
        self.waiting.push(Waiting { ticket, limit: context.now.uptime + REPLY_LIMIT });
        Accepted::Later(ticket)
    }
}

/// Saves whether a plan has yet to switch the host on after it was switched off.
fn save_restart(context: &mut Context<'_>, is_pending: bool) {
    if is_restart_pending(context) != is_pending {
        context.tree.save_value(host::PATH, SAVED_KEY, Variant::from(is_pending));
    }
}

fn is_restart_pending(context: &Context<'_>) -> bool {
    matches!(context.tree.recall(host::PATH, SAVED_KEY), Some(Variant::Bool(true)))
}

impl Backend for Machine {
    fn start(&mut self, context: &mut Context<'_>) {
        facts::recall(context, self.has_uuid);
        self.update_boot(context);
    }

    fn begin(
        &mut self,
        context: &mut Context<'_>,
        request: PowerRequest,
        cause: RestartCause,
    ) -> Result<Accepted, Fault> {
        let Some(steps) = self.steps(request, cause) else {
            return Ok(Accepted::Done);
        };
        // A reply to a request that this one replaces: it was accepted.
        self.settle(context, &Ok(()));
        let restarts = steps.first() != steps.last() && matches!(steps.last(), Some(Step::On(_)));
        save_restart(context, restarts);
        self.plan = steps.into();
        self.current = None;
        let accepted = self.accept(context);
        self.advance(context);
        Ok(accepted)
    }

    fn interrupt(&mut self, context: &mut Context<'_>) -> Result<Accepted, Fault> {
        if self.is_off() {
            return Err(Fault::not_allowed("the host is off"));
        }
        let operation = Operation::Interrupt;
        let id = self.order(operation)?;
        let ticket = context.replies.ticket();
        self.others.push(Other { id, operation, ticket: Some(ticket) });
        Ok(Accepted::Later(ticket))
    }

    fn boot_settings_changed(&mut self, context: &mut Context<'_>) {
        self.update_boot(context);
    }

    fn reconfigure(&mut self, config: &Platform) {
        self.soft_off_limit = config.host.soft_off_limit();
    }

    fn report(&mut self, context: &mut Context<'_>, report: &Report) {
        match report {
            Report::State(state) => self.state_reported(context, state),
            Report::Restarted { by_guest } => self.restarted(context, *by_guest),
            Report::Panicked => self.panicked(context),
            Report::Facts(facts) => facts::publish(context, facts, self.has_uuid),
            Report::Done { id, result } => self.done(context, *id, result),
        }
    }

    fn timeout(&mut self, context: &mut Context<'_>) {
        let now = context.now.uptime;
        let late: Vec<Ticket> = self
            .waiting
            .extract_if(.., |waiting| waiting.limit <= now)
            .map(|waiting| waiting.ticket)
            .collect();
        for ticket in late {
            context.replies.settle(ticket, Ok(()));
        }
        if let Some(current) = &self.current
            && current.limit.is_some_and(|limit| limit <= now)
        {
            if current.step == Step::SoftOff {
                info!("the host did not shut down in time; its power is cut");
            }
            self.step_done(context);
        }
    }

    fn deadline(&self) -> Option<Duration> {
        let waiting = self.waiting.iter().map(|waiting| waiting.limit).min();
        let current = self.current.as_ref().and_then(|current| current.limit);
        waiting.into_iter().chain(current).min()
    }
}

#[cfg(test)]
mod tests;
