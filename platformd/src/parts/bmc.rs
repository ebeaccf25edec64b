//! The BMC's own state, and its restart.

use std::time::Duration;

use openbmc_dbus::interface::PropertyValue;
use openbmc_dbus::state::bmc::{self, BmcState, RebootCause, Transition};

use crate::config::{self, Platform};
use crate::fault::Fault;
use crate::part::{Context, Effect, Part, Setting};
use crate::tree::Instance;

/// The BMC.
#[derive(Debug)]
pub(crate) struct Bmc {
    delay: Duration,
    restart: Option<Duration>,
}

impl Bmc {
    pub(crate) const fn new(config: &config::Bmc) -> Self {
        Self { delay: Duration::from_millis(config.reset_delay_ms), restart: None }
    }
}

impl Part for Bmc {
    fn start(&mut self, context: &mut Context<'_>) {
        let started = u64::try_from(context.now.epoch.as_millis()).unwrap_or(u64::MAX);
        let bmc = Instance::new(&bmc::INTERFACE)
            .with(bmc::REQUESTED_BMC_TRANSITION, Transition::None)
            .with(bmc::CURRENT_BMC_STATE, BmcState::Ready)
            .with(bmc::LAST_REBOOT_CAUSE, RebootCause::POR);
        context.tree.add(bmc::SERVICE, bmc::PATH, [bmc.persistent()]);
        // Saved values are from before the restart: the transition they request is complete.
        context.tree.set(bmc::PATH, bmc::REQUESTED_BMC_TRANSITION, Transition::None);
        context.tree.set(bmc::PATH, bmc::CURRENT_BMC_STATE, BmcState::Ready);
        context.tree.set(bmc::PATH, bmc::LAST_REBOOT_TIME, started);
    }

    fn set(
        &mut self,
        context: &mut Context<'_>,
        setting: &Setting<'_>,
    ) -> Option<Result<(), Fault>> {
        if !setting.is(bmc::PATH, bmc::REQUESTED_BMC_TRANSITION) {
            return None;
        }
        let transition = match Transition::from_variant(setting.value.clone()) {
            Ok(transition) => transition,
            Err(error) => return Some(Err(error.into())),
        };
        context.tree.set(bmc::PATH, bmc::REQUESTED_BMC_TRANSITION, transition);
        if transition == Transition::None {
            self.restart = None;
        } else {
            context.tree.set(bmc::PATH, bmc::LAST_REBOOT_CAUSE, RebootCause::Software);
            self.restart = Some(context.now.uptime + self.delay);
        }
        Some(Ok(()))
    }

    fn reconfigure(&mut self, _: &mut Context<'_>, config: &Platform) {
        // A restart that was asked for comes when it was to come.
        self.delay = Duration::from_millis(config.bmc.reset_delay_ms);
    }

    fn timeout(&mut self, context: &mut Context<'_>) {
        if self.restart.is_some_and(|restart| restart <= context.now.uptime) {
            self.restart = None;
            context.tree.set(bmc::PATH, bmc::CURRENT_BMC_STATE, BmcState::NotReady);
            context.effects.push(Effect::ResetBmc);
        }
    }

    fn deadline(&self) -> Option<Duration> {
        self.restart
    }
}
