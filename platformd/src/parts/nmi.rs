//! The line that gives the host a diagnostic interrupt.

use openbmc_dbus::control::host_nmi;

use crate::fault::Fault;
use crate::part::{Context, Event, Invocation, Part, Returned};
use crate::tree::Instance;

/// The NMI line.
#[derive(Debug)]
pub(crate) struct Nmi;

impl Part for Nmi {
    fn start(&mut self, context: &mut Context<'_>) {
        let instance = Instance::new(&host_nmi::INTERFACE);
        context.tree.add(host_nmi::SERVICE, host_nmi::PATH, [instance]);
    }

    fn call(
        &mut self,
        context: &mut Context<'_>,
        call: &Invocation<'_>,
    ) -> Option<Result<Returned, Fault>> {
        if *call.method != host_nmi::NMI {
            return None;
        }
        context.raise(Event::Nmi);
        Some(Ok(Vec::new()))
    }
}
