//! A host that exists in this process only.
//!
//! A request becomes a plan: steps, each with a delay before it. A new request replaces the rest of the
//! plan and starts from the state reached so far. State names follow
//! phosphor-state-manager; a host that starts passes through `TransitioningToRunning`, and its boot
//! progress through the stages of IPMI.

use std::collections::VecDeque;
use std::time::Duration;

use openbmc_dbus::state::boot::progress::Stage;
use openbmc_dbus::state::chassis::{self, PowerState};
use openbmc_dbus::state::host::{self, HostState, RestartCause};

use super::states::{host_state, power_state, set_host, set_power, set_progress, start_host};
use super::{Accepted, Backend};
use crate::config::{Chassis, ChassisFault, Host, HostFault, Platform, SoftOff};
use crate::fault::Fault;
use crate::part::{Context, Event, PowerRequest};

/// The simulated host and its power.
#[derive(Debug)]
pub(crate) struct Simulated {
    chassis: Chassis,
    host: Host,
    power_lost: bool,
    plan: VecDeque<Step>,
    /// When the first step of the plan is due.
    due: Option<Duration>,
}

/// One step of a plan.
#[derive(Clone, Copy, Debug)]
struct Step {
    wait_ms: u64,
    action: Action,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Chassis(PowerState),
    Host(HostState),
    Progress(Stage),
    /// The host starts, for this reason.
    Start(RestartCause),
}

impl Simulated {
    pub(crate) fn new(chassis: &Chassis, host: &Host, power_lost: bool) -> Self {
        let (chassis, host) = (chassis.clone(), host.clone());
        Self { chassis, host, power_lost, plan: VecDeque::new(), due: None }
    }

    /// Begins to execute `request`.
    fn execute(&mut self, context: &mut Context<'_>, request: PowerRequest, cause: RestartCause) {
        if matches!(
            request,
            PowerRequest::On
                | PowerRequest::Cycle
                | PowerRequest::SoftCycle
                | PowerRequest::HardReset
        ) {
            context.tree.set(host::PATH, host::RESTART_CAUSE, cause);
        }
        let on = power_state(context) == PowerState::On;
        let runs = on && host_state(context) != HostState::Off;
        let starts = |step: &Step| matches!(step.action, Action::Start(_));
        if request == PowerRequest::On && (runs || self.plan.iter().any(starts)) {
            // What is under way goes on: a start is what was asked for.
            return;
        }
        self.plan.clear();
        match request {
            PowerRequest::On => {
                self.plan_power_on(context);
                self.plan_start(cause);
            }
            PowerRequest::ChassisOn => self.plan_power_on(context),
            PowerRequest::SoftOff => {
                self.plan_shutdown(runs);
                self.plan_power_off(context);
            }
            PowerRequest::HardOff => self.plan_power_off(context),
            PowerRequest::Cycle | PowerRequest::SoftCycle => {
                if request == PowerRequest::SoftCycle {
                    self.plan_shutdown(runs);
                }
                self.plan_power_off(context);
                self.step(self.chassis.cycle_ms, Action::Chassis(PowerState::TransitioningToOn));
                self.plan_good_power();
                self.plan_start(cause);
            }
            PowerRequest::HardReset | PowerRequest::SoftReset if on => {
                if request == PowerRequest::SoftReset {
                    self.plan_shutdown(runs);
                }
                self.step(0, Action::Host(HostState::Off));
                self.plan_start(cause);
            }
            PowerRequest::HardReset | PowerRequest::SoftReset => {}
        }
        self.schedule(context);
        self.run_due(context);
    }

    fn step(&mut self, wait_ms: u64, action: Action) {
        self.plan.push_back(Step { wait_ms, action });
    }

    fn plan_power_on(&mut self, context: &Context<'_>) {
        if power_state(context) != PowerState::On {
            self.step(0, Action::Chassis(PowerState::TransitioningToOn));
            self.plan_good_power();
        }
    }

    fn plan_good_power(&mut self) {
        let outcome = match self.chassis.fault {
            ChassisFault::None => PowerState::On,
            ChassisFault::NeverOn => PowerState::Off,
        };
        self.step(self.chassis.power_on_ms, Action::Chassis(outcome));
    }

    /// Power off at once; the host dies with it.
    fn plan_power_off(&mut self, context: &Context<'_>) {
        if power_state(context) != PowerState::Off {
            self.step(0, Action::Chassis(PowerState::TransitioningToOff));
            self.step(0, Action::Host(HostState::Off));
            self.step(self.chassis.power_off_ms, Action::Chassis(PowerState::Off));
        }
    }

    fn plan_shutdown(&mut self, runs: bool) {
        if !runs {
            return;
        }
        self.step(0, Action::Host(HostState::TransitioningToOff));
        let limit = || u64::try_from(self.host.soft_off_limit().as_millis()).unwrap_or(u64::MAX);
        let wait = match self.host.soft_off {
            SoftOff::Obeyed => self.host.soft_off_ms,
            SoftOff::Ignored => limit(),
        };
        self.step(wait, Action::Host(HostState::Off));
    }

    fn plan_start(&mut self, cause: RestartCause) {
        if self.chassis.fault == ChassisFault::NeverOn {
            return;
        }
        let stages = [
            Stage::PrimaryProcInit,
            Stage::MemoryInit,
            Stage::PCIInit,
            Stage::SystemInitComplete,
            Stage::OSStart,
        ];
        self.step(0, Action::Start(cause));
        let reached = match self.host.fault {
            HostFault::None => stages.len(),
            HostFault::Hangs | HostFault::Quiesces => 2,
        };
        let share = self.host.start_ms / 5;
        for stage in stages.iter().take(reached) {
            self.step(share, Action::Progress(*stage));
        }
        match self.host.fault {
            HostFault::None => {
                self.step(0, Action::Host(HostState::Running));
                self.step(0, Action::Progress(Stage::OSRunning));
            }
            HostFault::Hangs => {}
            HostFault::Quiesces => {
                self.step(self.host.start_ms, Action::Host(HostState::Quiesced));
            }
        }
    }

    /// Sets the time of the plan's next step.
    fn schedule(&mut self, context: &Context<'_>) {
        self.due =
            self.plan.front().map(|step| context.now.uptime + Duration::from_millis(step.wait_ms));
    }

    /// Does all steps whose time has come.
    fn run_due(&mut self, context: &mut Context<'_>) {
        while self.due.is_some_and(|due| due <= context.now.uptime) {
            let Some(step) = self.plan.pop_front() else {
                break;
            };
            apply(context, step.action);
            self.schedule(context);
        }
    }

    /// The states in which the platform starts, and the rest of a start that was going on.
    fn settle(&mut self, context: &mut Context<'_>) {
        let first = !context.tree.saved().contains_key(chassis::PATH);
        let on = if first {
            self.chassis.on_at_first_start
        } else {
            !self.power_lost
                && matches!(power_state(context), PowerState::On | PowerState::TransitioningToOn)
        };
        if !on {
            context.tree.set(chassis::PATH, chassis::CURRENT_POWER_STATE, PowerState::Off);
            context.tree.set(host::PATH, host::CURRENT_HOST_STATE, HostState::Off);
            return;
        }
        let host_was = if first { HostState::Running } else { host_state(context) };
        context.tree.set(chassis::PATH, chassis::CURRENT_POWER_STATE, PowerState::On);
        context.raise(Event::PowerOn);
        match host_was {
            HostState::TransitioningToRunning => {
                let cause = context
                    .tree
                    .get(host::PATH, host::RESTART_CAUSE)
                    .unwrap_or(RestartCause::Unknown);
                self.plan_start(cause);
                self.schedule(context);
            }
            HostState::TransitioningToOff => {
                self.plan_shutdown(true);
                self.plan_power_off(context);
                self.schedule(context);
            }
            state => context.tree.set(host::PATH, host::CURRENT_HOST_STATE, state),
        }
    }
}

impl Backend for Simulated {
    fn start(&mut self, context: &mut Context<'_>) {
        self.settle(context);
    }

    fn begin(
        &mut self,
        context: &mut Context<'_>,
        request: PowerRequest,
        cause: RestartCause,
    ) -> Result<Accepted, Fault> {
        self.execute(context, request, cause);
        Ok(Accepted::Done)
    }

    fn interrupt(&mut self, context: &mut Context<'_>) -> Result<Accepted, Fault> {
        if host_state(context) == HostState::Running {
            self.plan.clear();
            self.step(0, Action::Host(HostState::DiagnosticMode));
            self.step(self.host.diagnostic_ms, Action::Host(HostState::Running));
            self.schedule(context);
            self.run_due(context);
        }
        Ok(Accepted::Done)
    }

    fn reconfigure(&mut self, config: &Platform) {
        // What is under way goes on as it was planned.
        (self.chassis, self.host) = (config.chassis.clone(), config.host.clone());
    }

    fn timeout(&mut self, context: &mut Context<'_>) {
        self.run_due(context);
    }

    fn deadline(&self) -> Option<Duration> {
        self.due
    }
}

fn apply(context: &mut Context<'_>, action: Action) {
    match action {
        Action::Chassis(state) => set_power(context, state),
        Action::Host(state) => set_host(context, state),
        Action::Progress(stage) => set_progress(context, stage),
        Action::Start(cause) => start_host(context, cause),
    }
}
