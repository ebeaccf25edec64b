//! The BMC's clock: the machine's, and how far it was set apart from that.

use openbmc_dbus::interface::PropertyValue;
use openbmc_dbus::time::{epoch_time, timedate};

use crate::fault::Fault;
use crate::part::{Context, Invocation, Part, Returned, Setting};
use crate::tree::Instance;

/// The clock.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// Microseconds that the BMC's clock is ahead.
    ahead: i128,
}

impl Clock {
    fn micros(&self, context: &Context<'_>) -> u64 {
        let machine = i128::try_from(context.now.epoch.as_micros()).unwrap_or(i128::MAX);
        u64::try_from(machine.saturating_add(self.ahead)).unwrap_or_default()
    }
}

impl Part for Clock {
    fn start(&mut self, context: &mut Context<'_>) {
        let clock = Instance::new(&epoch_time::INTERFACE);
        context.tree.add(epoch_time::SERVICE, epoch_time::BMC_PATH, [clock]);
        let zone = Instance::new(&timedate::INTERFACE).with(timedate::TIMEZONE, "UTC".to_owned());
        context.tree.add(timedate::SERVICE, timedate::PATH, [zone.persistent()]);
    }

    fn set(
        &mut self,
        context: &mut Context<'_>,
        setting: &Setting<'_>,
    ) -> Option<Result<(), Fault>> {
        if !setting.is(epoch_time::BMC_PATH, epoch_time::ELAPSED) {
            return None;
        }
        if context.tree.get(timedate::PATH, timedate::NTP) == Some(true) {
            return Some(Err(Fault::not_allowed("the clock follows the network")));
        }
        Some(u64::from_variant(setting.value.clone()).map_err(Fault::from).map(|micros| {
            let machine = i128::try_from(context.now.epoch.as_micros()).unwrap_or(i128::MAX);
            self.ahead = i128::from(micros) - machine;
        }))
    }

    fn call(
        &mut self,
        context: &mut Context<'_>,
        call: &Invocation<'_>,
    ) -> Option<Result<Returned, Fault>> {
        if *call.method != timedate::SET_NTP {
            return None;
        }
        let follow = call.arguments.first().cloned().and_then(|value| value.downcast().ok());
        context.tree.set(timedate::PATH, timedate::NTP, follow.unwrap_or_default());
        Some(Ok(Vec::new()))
    }

    fn refresh(&mut self, context: &mut Context<'_>) {
        let micros = self.micros(context);
        context.tree.set_without_signal(epoch_time::BMC_PATH, epoch_time::ELAPSED, micros);
    }
}
