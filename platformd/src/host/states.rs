//! The published states of chassis and host, which all backends change by these functions.

use openbmc_dbus::state::boot::progress::{self, Stage};
use openbmc_dbus::state::chassis::{self, PowerState};
use openbmc_dbus::state::host::{self, HostState, RestartCause};

use crate::part::{Context, Event, PowerRequest};

/// Publishes a request as the requested transitions of the two state managers.
pub(crate) fn record_request(context: &mut Context<'_>, request: PowerRequest) {
    use chassis::Transition as Chassis;
    use host::Transition as Host;
    let (host, chassis) = match request {
        PowerRequest::On => (Some(Host::On), Some(Chassis::On)),
        PowerRequest::ChassisOn => (None, Some(Chassis::On)),
        PowerRequest::SoftOff | PowerRequest::HardOff => (Some(Host::Off), Some(Chassis::Off)),
        PowerRequest::Cycle => (Some(Host::On), Some(Chassis::PowerCycle)),
        PowerRequest::SoftCycle => (Some(Host::Reboot), Some(Chassis::PowerCycle)),
        PowerRequest::HardReset => (Some(Host::ForceWarmReboot), None),
        PowerRequest::SoftReset => (Some(Host::GracefulWarmReboot), None),
    };
    if let Some(host) = host {
        context.tree.set(host::PATH, host::REQUESTED_HOST_TRANSITION, host);
    }
    if let Some(chassis) = chassis {
        context.tree.set(chassis::PATH, chassis::REQUESTED_POWER_TRANSITION, chassis);
    }
}

pub(crate) fn power_state(context: &Context<'_>) -> PowerState {
    context.tree.get(chassis::PATH, chassis::CURRENT_POWER_STATE).unwrap_or(PowerState::Off)
}

pub(crate) fn host_state(context: &Context<'_>) -> HostState {
    context.tree.get(host::PATH, host::CURRENT_HOST_STATE).unwrap_or(HostState::Off)
}

/// Publishes that the host starts, for this reason.
pub(crate) fn start_host(context: &mut Context<'_>, cause: RestartCause) {
    context.tree.set(host::PATH, host::RESTART_CAUSE, cause);
    set_progress(context, Stage::Unspecified);
    set_host(context, HostState::TransitioningToRunning);
    context.raise(Event::HostStarting);
}

pub(crate) fn set_power(context: &mut Context<'_>, state: PowerState) {
    if power_state(context) == state {
        return;
    }
    context.tree.set(chassis::PATH, chassis::CURRENT_POWER_STATE, state);
    let changed = u64::try_from(context.now.epoch.as_millis()).unwrap_or(u64::MAX);
    context.tree.set(chassis::PATH, chassis::LAST_STATE_CHANGE_TIME, changed);
    match state {
        PowerState::On => context.raise(Event::PowerOn),
        PowerState::Off => context.raise(Event::PowerOff),
        PowerState::TransitioningToOff | PowerState::TransitioningToOn => {}
    }
}

pub(crate) fn set_host(context: &mut Context<'_>, state: HostState) {
    if host_state(context) == state {
        return;
    }
    context.tree.set(host::PATH, host::CURRENT_HOST_STATE, state);
    if state == HostState::Off {
        set_progress(context, Stage::Unspecified);
        context.raise(Event::HostStopped);
    }
}

pub(crate) fn set_progress(context: &mut Context<'_>, stage: Stage) {
    context.tree.set(host::PATH, progress::BOOT_PROGRESS, stage);
    let micros = u64::try_from(context.now.epoch.as_micros()).unwrap_or(u64::MAX);
    let when = if stage == Stage::Unspecified { 0 } else { micros };
    context.tree.set(host::PATH, progress::BOOT_PROGRESS_LAST_UPDATE, when);
}
