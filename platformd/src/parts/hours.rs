//! How long the chassis has been powered in all.

use std::time::Duration;

use openbmc_dbus::state::power_on_hours;

use crate::config::Chassis;
use crate::part::{Context, Event, Part};
use crate::tree::Instance;

/// The service that counts.
const SERVICE: &str = "xyz.openbmc_project.State.PowerOnHours";
/// Where the count is, as on x86 platforms.
const PATH: &str = "/xyz/openbmc_project/state/chassis0/power_on_hours";

/// The counter.
#[derive(Debug)]
pub(crate) struct Hours {
    hour: Duration,
    first: u32,
    /// When the current hour is full; `None` with power off, which forgets a part of an hour.
    full: Option<Duration>,
}

impl Hours {
    pub(crate) fn new(config: &Chassis) -> Self {
        let hour = Duration::from_millis(config.hour_ms.max(1));
        Self { hour, first: config.power_on_hours, full: None }
    }
}

impl Part for Hours {
    fn start(&mut self, context: &mut Context<'_>) {
        let counter = Instance::new(&power_on_hours::INTERFACE)
            .with(power_on_hours::POH_COUNTER, self.first)
            .keeping();
        context.tree.add(SERVICE, PATH, [counter]);
    }

    fn notice(&mut self, context: &mut Context<'_>, event: Event) {
        match event {
            Event::PowerOn => self.full = Some(context.now.uptime + self.hour),
            Event::PowerOff => self.full = None,
            _ => {}
        }
    }

    fn timeout(&mut self, context: &mut Context<'_>) {
        while let Some(full) = self.full.filter(|full| *full <= context.now.uptime) {
            let count = context.tree.get(PATH, power_on_hours::POH_COUNTER).unwrap_or_default();
            context.tree.set(PATH, power_on_hours::POH_COUNTER, count.saturating_add(1));
            self.full = Some(full + self.hour);
        }
    }

    fn deadline(&self) -> Option<Duration> {
        self.full
    }
}
