//! Faults of a host that are set on the bus (`org.causeway.Host.Simulation`), in front of any backend.
//!
//! They hold for clients and for parts of the BMC, such as the watchdog.

use std::time::Duration;

use openbmc_dbus::simulation::{self, DELAY_MS, FAULT, HANG, REFUSE};
use openbmc_dbus::state::host::{self, RestartCause};

use super::{Accepted, Backend, Report};
use crate::config::Platform;
use crate::fault::Fault;
use crate::part::{Context, PowerRequest, Ticket};

/// Operations that wait, at most.
const MOST_HELD: usize = 64;

/// A backend whose faults are set on the bus.
pub(super) struct Faulty {
    backend: Box<dyn Backend>,
    held: Vec<Held>,
}

/// An operation that has not begun.
#[derive(Debug)]
struct Held {
    operation: Operation,
    /// The reply that waits for it.
    ticket: Ticket,
    /// When it begins; `None` while the host hangs.
    due: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Power(PowerRequest, RestartCause),
    Interrupt,
}

impl Faulty {
    pub(super) fn new(backend: Box<dyn Backend>) -> Self {
        Self { backend, held: Vec::new() }
    }

    fn execute(
        &mut self,
        context: &mut Context<'_>,
        operation: Operation,
    ) -> Result<Accepted, Fault> {
        match operation {
            Operation::Power(request, cause) => self.backend.begin(context, request, cause),
            Operation::Interrupt => self.backend.interrupt(context),
        }
    }

    /// Begins an operation, or what the fault makes of it.
    fn admit(
        &mut self,
        context: &mut Context<'_>,
        operation: Operation,
    ) -> Result<Accepted, Fault> {
        let fault = context.tree.get(host::PATH, FAULT);
        let due = match fault.as_deref() {
            Some(REFUSE) => return Err(Fault::failed("the host refuses: a simulated fault")),
            Some(HANG) => None,
            _ => match context.tree.get(host::PATH, DELAY_MS) {
                None | Some(0) => return self.execute(context, operation),
                Some(delay) => Some(context.now.uptime + Duration::from_millis(delay.into())),
            },
        };
        if self.held.len() == MOST_HELD {
            return Err(Fault::unavailable("too many operations wait for a simulated fault"));
        }
        let ticket = context.replies.ticket();
        self.held.push(Held { operation, ticket, due });
        Ok(Accepted::Later(ticket))
    }
}

impl Backend for Faulty {
    fn start(&mut self, context: &mut Context<'_>) {
        self.backend.start(context);
    }

    fn begin(
        &mut self,
        context: &mut Context<'_>,
        request: PowerRequest,
        cause: RestartCause,
    ) -> Result<Accepted, Fault> {
        self.admit(context, Operation::Power(request, cause))
    }

    fn interrupt(&mut self, context: &mut Context<'_>) -> Result<Accepted, Fault> {
        self.admit(context, Operation::Interrupt)
    }

    fn boot_settings_changed(&mut self, context: &mut Context<'_>) {
        self.backend.boot_settings_changed(context);
    }

    /// A host that hung answers what it was asked meanwhile: that it failed.
    fn fault_changed(&mut self, context: &mut Context<'_>) {
        if context.tree.get(host::PATH, FAULT).as_deref() == Some(HANG) {
            return;
        }
        for held in self.held.extract_if(.., |held| held.due.is_none()) {
            let failed = Err(Fault::failed("the host hung: a simulated fault"));
            context.replies.settle(held.ticket, failed);
        }
    }

    fn reconfigure(&mut self, config: &Platform) {
        self.backend.reconfigure(config);
    }

    fn report(&mut self, context: &mut Context<'_>, report: &Report) {
        self.backend.report(context, report);
    }

    fn timeout(&mut self, context: &mut Context<'_>) {
        let now = context.now.uptime;
        let is_due = |held: &mut Held| held.due.is_some_and(|due| due <= now);
        let due: Vec<Held> = self.held.extract_if(.., is_due).collect();
        for Held { operation, ticket, .. } in due {
            match self.execute(context, operation) {
                Ok(Accepted::Done) => context.replies.settle(ticket, Ok(())),
                Ok(Accepted::Later(own)) => context.replies.follow(own, ticket),
                Err(fault) => context.replies.settle(ticket, Err(fault)),
            }
        }
        self.backend.timeout(context);
    }

    fn deadline(&self) -> Option<Duration> {
        let held = self.held.iter().filter_map(|held| held.due).min();
        held.into_iter().chain(self.backend.deadline()).min()
    }
}

/// Whether a value of the property `Fault` is one.
pub(crate) fn is_fault(value: &str) -> bool {
    [simulation::NONE, REFUSE, HANG].contains(&value)
}
