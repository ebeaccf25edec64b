//! What happens when mains power comes back.

use std::time::Duration;

use openbmc_dbus::control::restore_policy::{self, Policy};
use openbmc_dbus::interface::PropertyValue;
use openbmc_dbus::state::chassis::{self, PowerState};
use openbmc_dbus::state::host::RestartCause;

use crate::part::{Context, Event, Part, PowerRequest};
use crate::parts::settings;
use crate::tree::Instance;

/// The restore policy.
#[derive(Debug)]
pub(crate) struct Restore {
    power_lost: bool,
    due: Option<(Duration, RestartCause)>,
}

impl Restore {
    pub(crate) const fn new(power_lost: bool) -> Self {
        Self { power_lost, due: None }
    }
}

/// The settings service's object with the policy.
const PATH: &str = "/xyz/openbmc_project/control/host0/power_restore_policy";

impl Part for Restore {
    fn start(&mut self, context: &mut Context<'_>) {
        // This part starts before the chassis part, so the saved chassis state is from before the power loss.
        let key = format!("{}.{}", chassis::NAME, chassis::CURRENT_POWER_STATE.name);
        let saved = context.tree.saved().get(chassis::PATH);
        let was = saved.and_then(|saved| saved.get(&key).cloned());
        let was_on = was.and_then(|was| PowerState::from_variant(was).ok()) == Some(PowerState::On);
        let policy = Instance::new(&restore_policy::INTERFACE)
            .with(restore_policy::POWER_RESTORE_POLICY, Policy::AlwaysOff)
            .persistent();
        context.tree.add(settings::SERVICE, PATH, [policy]);
        if !self.power_lost {
            return;
        }
        let cause = match context.tree.get(PATH, restore_policy::POWER_RESTORE_POLICY) {
            Some(Policy::AlwaysOn) => RestartCause::PowerPolicyAlwaysOn,
            Some(Policy::Restore) if was_on => RestartCause::PowerPolicyPreviousState,
            _ => return,
        };
        let delay = context.tree.get(PATH, restore_policy::POWER_RESTORE_DELAY).unwrap_or_default();
        self.due = Some((context.now.uptime + Duration::from_micros(delay), cause));
    }

    fn timeout(&mut self, context: &mut Context<'_>) {
        if let Some((due, cause)) = self.due
            && due <= context.now.uptime
        {
            self.due = None;
            context.raise(Event::PowerRequest(PowerRequest::On, cause));
        }
    }

    fn deadline(&self) -> Option<Duration> {
        self.due.map(|(due, _)| due)
    }
}
