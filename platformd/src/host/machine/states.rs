//! From reports to published states.

use openbmc_dbus::state::chassis::{self, PowerState};
use openbmc_dbus::state::host::{self, HostState, RestartCause};
use tracing::{info, warn};

use super::{Machine, Step, events, is_restart_pending};
use crate::host::states::{host_state, set_host, set_power, start_host};
use crate::host::{OffCause, State};
use crate::part::{Context, Event, PowerRequest};

impl Machine {
    /// The host is in this state.
    pub(super) fn state_reported(&mut self, context: &mut Context<'_>, state: &State) {
        let before = self.state.replace(state.clone());
        let Some(before) = before else {
            self.adopt(context, state);
            return;
        };
        if before == *state {
            return;
        }
        if let State::Off(cause) = state
            && !matches!(before, State::Off(_))
        {
            self.went_off(context, cause);
        }
        if matches!(before, State::Off(_)) && !matches!(state, State::Off(_)) {
            set_power(context, PowerState::On);
            let cause = self.cause.take().unwrap_or(RestartCause::Unknown);
            start_host(context, cause);
        }
        self.publish(context);
        let step = self.current.as_ref().map(|current| current.step);
        if step == Some(Step::SoftOff) && matches!(state, State::Off(_)) {
            self.step_done(context);
        }
    }

    /// The state in which the host is found, which is no change: nothing starts, and nothing is used up.
    fn adopt(&mut self, context: &mut Context<'_>, state: &State) {
        if matches!(state, State::Off(_)) {
            context.tree.set(chassis::PATH, chassis::CURRENT_POWER_STATE, PowerState::Off);
            context.tree.set(host::PATH, host::CURRENT_HOST_STATE, HostState::Off);
            if is_restart_pending(context) {
                info!("the host was to be switched on when this daemon ended; switching it on");
                context.raise(Event::PowerRequest(PowerRequest::On, RestartCause::Unknown));
            }
        } else {
            context.tree.set(chassis::PATH, chassis::CURRENT_POWER_STATE, PowerState::On);
            context.raise(Event::PowerOn);
            let found = published(state);
            context.tree.set(host::PATH, host::CURRENT_HOST_STATE, found);
            super::save_restart(context, false);
        }
    }

    /// Publishes the state that was reported last, unless a step is on its way from it.
    pub(super) fn publish(&mut self, context: &mut Context<'_>) {
        let Some(state) = &self.state else { return };
        let step = self.current.as_ref().map(|current| current.step);
        match (state, step) {
            (State::Off(_), Some(Step::On(_))) => {}
            (State::Off(_), _) => {
                set_host(context, HostState::Off);
                set_power(context, PowerState::Off);
            }
            (_, Some(Step::Off | Step::SoftOff)) => {}
            (state, _) => {
                set_power(context, PowerState::On);
                set_host(context, published(state));
            }
        }
    }

    /// The host is off, and was not before.
    fn went_off(&mut self, context: &mut Context<'_>, cause: &OffCause) {
        match cause {
            OffCause::Guest => {
                info!("the host has shut itself down");
                events::log(context, events::GRACEFUL_SHUTDOWN);
            }
            OffCause::Lost(reason) => {
                warn!(reason, "the host was lost; it is off");
                events::log(context, events::POWER_UNIT_FAILURE);
            }
            // The panic has been reported.
            OffCause::Panic | OffCause::Order | OffCause::Unknown => {}
        }
    }

    /// The host was reset, by an operation or by itself.
    pub(super) fn restarted(&mut self, context: &mut Context<'_>, by_guest: bool) {
        let crashed = host_state(context) == HostState::Quiesced;
        let ordered = self.cause.take().filter(|_| !by_guest);
        let cause = match ordered {
            Some(cause) => cause,
            None if crashed => RestartCause::HostCrash,
            None if by_guest => RestartCause::SoftReset,
            None => RestartCause::Unknown,
        };
        if by_guest {
            info!("the host has restarted itself");
            events::log(context, events::WARM_RESET);
        }
        set_host(context, HostState::Off);
        start_host(context, cause);
        if !matches!(self.state, Some(State::Off(_))) {
            self.state = Some(State::On);
        }
        self.publish(context);
    }

    /// The operating system has panicked.
    pub(super) fn panicked(&mut self, context: &mut Context<'_>) {
        warn!("the host's operating system has panicked");
        events::log(context, events::CRITICAL_STOP);
        set_host(context, HostState::Quiesced);
    }
}

/// What the host does in a state in which it is on.
const fn published(state: &State) -> HostState {
    match state {
        State::On => HostState::Running,
        State::Paused => HostState::Standby,
        State::Panicked => HostState::Quiesced,
        State::Off(_) => HostState::Off,
    }
}
