//! The objects of the chassis' power and of the host, whose states follow phosphor-state-manager. A
//! [`Backend`] executes what clients request.

use std::time::Duration;

use openbmc_dbus::control::host_nmi;
use openbmc_dbus::interface::{PropertyValue, ValueError};
use openbmc_dbus::simulation;
use openbmc_dbus::state::boot::progress::{self, Stage};
use openbmc_dbus::state::boot::raw;
use openbmc_dbus::state::chassis::{self, PowerState, PowerStatus};
use openbmc_dbus::state::host::{self, HostState, RestartCause};
use tracing::{info, warn};
use zbus::wire::Variant;

use crate::config::{BackendKind, Platform};
use crate::fault::Fault;
use crate::host::{Accepted, Backend, Report, faults, states};
use crate::part::{Context, Event, Invocation, Part, PowerRequest, Returned, Setting};
use crate::tree::Instance;

/// The host and its power.
pub(crate) struct Power {
    backend: Box<dyn Backend>,
    kind: BackendKind,
}

impl Power {
    pub(crate) fn new(backend: Box<dyn Backend>, kind: BackendKind) -> Self {
        Self { backend, kind }
    }

    /// Sets what goes wrong.
    fn set_fault(
        &mut self,
        context: &mut Context<'_>,
        value: Variant<'static>,
    ) -> Result<(), Fault> {
        let fault = String::from_variant(value)?;
        if !faults::is_fault(&fault) {
            return Err(Fault::invalid("a fault is none, refuse or hang"));
        }
        info!(fault, "a fault of the host is set");
        context.tree.set(host::PATH, simulation::FAULT, fault);
        self.backend.fault_changed(context);
        Ok(())
    }

    /// Requests of clients get the reply of the backend, which may come later.
    fn request(
        &mut self,
        context: &mut Context<'_>,
        request: PowerRequest,
        cause: RestartCause,
    ) -> Result<(), Fault> {
        states::record_request(context, request);
        let accepted = self.backend.begin(context, request, cause)?;
        defer(context, accepted);
        Ok(())
    }
}

/// Leaves the reply to the call in progress to the backend, if it is not done yet.
fn defer(context: &mut Context<'_>, accepted: Accepted) {
    if let Accepted::Later(ticket) = accepted {
        context.replies.defer(ticket);
    }
}

impl Part for Power {
    fn start(&mut self, context: &mut Context<'_>) {
        let transitions = host::Transition::ALL.iter().map(ToString::to_string).collect();
        let host = Instance::new(&host::INTERFACE)
            .with(host::REQUESTED_HOST_TRANSITION, host::Transition::Off)
            .with(host::ALLOWED_HOST_TRANSITIONS, transitions)
            .with(host::CURRENT_HOST_STATE, HostState::Off)
            .with(host::RESTART_CAUSE, RestartCause::Unknown);
        let progress =
            Instance::new(&progress::INTERFACE).with(progress::BOOT_PROGRESS, Stage::Unspecified);
        let simulation = Instance::new(&simulation::INTERFACE)
            .with(simulation::BACKEND, self.kind.name().to_owned())
            .with(simulation::FAULT, simulation::NONE.to_owned());
        context.tree.add(host::SERVICE, host::PATH, [host.persistent(), progress, simulation]);
        let chassis = Instance::new(&chassis::INTERFACE)
            .with(chassis::REQUESTED_POWER_TRANSITION, chassis::Transition::Off)
            .with(chassis::CURRENT_POWER_STATE, PowerState::Off)
            .with(chassis::CURRENT_POWER_STATUS, PowerStatus::Good);
        context.tree.add(chassis::SERVICE, chassis::PATH, [chassis.persistent()]);
        context.tree.add(raw::SERVICE, raw::PATH, [Instance::new(&raw::INTERFACE)]);
        let line = Instance::new(&host_nmi::INTERFACE);
        context.tree.add(host_nmi::SERVICE, host_nmi::PATH, [line]);
        self.backend.start(context);
    }

    fn set(
        &mut self,
        context: &mut Context<'_>,
        setting: &Setting<'_>,
    ) -> Option<Result<(), Fault>> {
        if setting.is(host::PATH, simulation::FAULT) {
            return Some(self.set_fault(context, setting.value.clone()));
        }
        if setting.is(host::PATH, simulation::DELAY_MS) {
            let delay = u32::from_variant(setting.value.clone());
            let is_long = delay.is_ok_and(|delay| delay > simulation::MAX_DELAY_MS);
            return is_long.then(|| Err(Fault::invalid("a delay is at most a day")));
        }
        let request = if setting.is(host::PATH, host::REQUESTED_HOST_TRANSITION) {
            host_request(host::Transition::from_variant(setting.value.clone()))
        } else if setting.is(chassis::PATH, chassis::REQUESTED_POWER_TRANSITION) {
            chassis_request(chassis::Transition::from_variant(setting.value.clone()))
        } else {
            return None;
        };
        Some(
            request.and_then(|request| self.request(context, request, RestartCause::RemoteCommand)),
        )
    }

    fn call(
        &mut self,
        context: &mut Context<'_>,
        call: &Invocation<'_>,
    ) -> Option<Result<Returned, Fault>> {
        if *call.method != host_nmi::NMI {
            return None;
        }
        let accepted = self.backend.interrupt(context);
        Some(accepted.map(|accepted| {
            defer(context, accepted);
            Vec::new()
        }))
    }

    fn handle_event(&mut self, context: &mut Context<'_>, event: Event) {
        let done = match event {
            Event::PowerRequest(request, cause) => {
                states::record_request(context, request);
                self.backend.begin(context, request, cause).map(drop)
            }
            Event::Nmi => self.backend.interrupt(context).map(drop),
            Event::BootSettings => {
                self.backend.boot_settings_changed(context);
                return;
            }
            _ => return,
        };
        if let Err(fault) = done {
            warn!(%fault, ?event, "the host's backend refuses a request of a part of the BMC");
        }
    }

    fn report(&mut self, context: &mut Context<'_>, report: &Report) {
        self.backend.report(context, report);
    }

    fn reconfigure(&mut self, _: &mut Context<'_>, config: &Platform) {
        self.backend.reconfigure(config);
    }

    fn timeout(&mut self, context: &mut Context<'_>) {
        self.backend.timeout(context);
    }

    fn deadline(&self) -> Option<Duration> {
        self.backend.deadline()
    }
}

fn host_request(transition: Result<host::Transition, ValueError>) -> Result<PowerRequest, Fault> {
    Ok(match transition? {
        host::Transition::Off => PowerRequest::SoftOff,
        host::Transition::On => PowerRequest::On,
        host::Transition::Reboot => PowerRequest::SoftCycle,
        host::Transition::GracefulWarmReboot => PowerRequest::SoftReset,
        host::Transition::ForceWarmReboot => PowerRequest::HardReset,
    })
}

fn chassis_request(
    transition: Result<chassis::Transition, ValueError>,
) -> Result<PowerRequest, Fault> {
    Ok(match transition? {
        chassis::Transition::Off => PowerRequest::HardOff,
        chassis::Transition::On => PowerRequest::ChassisOn,
        chassis::Transition::PowerCycle => PowerRequest::Cycle,
    })
}
