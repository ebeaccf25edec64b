//! The power-on hours counter of the chassis.

use std::time::Duration;

use openbmc_dbus::state::power_on_hours;

use crate::config::Chassis;
use crate::part::{Context, Event, Part};
use crate::tree::Instance;

/// The service with the counter.
const SERVICE: &str = "xyz.openbmc_project.State.PowerOnHours";
/// The counter's object, as on x86 platforms.
const PATH: &str = "/xyz/openbmc_project/state/chassis0/power_on_hours";

/// The counter.
#[derive(Debug)]
pub(crate) struct PowerOnHours {
    hour: Duration,
    first: u32,
    /// When the current hour ends; `None` with power off, when a part of an hour is discarded.
    hour_end: Option<Duration>,
}

impl PowerOnHours {
    pub(crate) fn new(config: &Chassis) -> Self {
        let hour = Duration::from_millis(config.hour_ms.max(1));
        Self { hour, first: config.power_on_hours, hour_end: None }
    }
}

impl Part for PowerOnHours {
    fn start(&mut self, context: &mut Context<'_>) {
        let counter = Instance::new(&power_on_hours::INTERFACE)
            .with(power_on_hours::POH_COUNTER, self.first)
            .persistent();
        context.tree.add(SERVICE, PATH, [counter]);
    }

    fn handle_event(&mut self, context: &mut Context<'_>, event: Event) {
        match event {
            Event::PowerOn => self.hour_end = Some(context.now.uptime + self.hour),
            Event::PowerOff => self.hour_end = None,
            _ => {}
        }
    }

    fn timeout(&mut self, context: &mut Context<'_>) {
        while let Some(end) = self.hour_end.filter(|end| *end <= context.now.uptime) {
            let count = context.tree.get(PATH, power_on_hours::POH_COUNTER).unwrap_or_default();
            context.tree.set(PATH, power_on_hours::POH_COUNTER, count.saturating_add(1));
            self.hour_end = Some(end + self.hour);
        }
    }

    fn deadline(&self) -> Option<Duration> {
        self.hour_end
    }
}
