//! Events that fill the SEL (`FillLog` of `org.causeway.Host.Simulation`), in bursts that the bus and ipmid can take.

use std::time::Duration;

use openbmc_dbus::simulation::FILL_LOG;
use tracing::info;
use zbus::wire::Variant;

use crate::fault::Fault;
use crate::part::{Context, Effect, Invocation, Part, Returned, SelEvent};

/// System Event: undetermined system hardware failure (IPMI v2.0 Table 42-3).
const EVENT: SelEvent = SelEvent { sensor_type: 0x12, offset: 2 };
/// More than any event log has.
const MOST: u32 = 65_535;
/// Events at a time, and the pause between.
const BURST: u32 = 16;
const PAUSE: Duration = Duration::from_millis(20);

/// The events that are still to be logged.
#[derive(Debug, Default)]
pub(crate) struct FillLog {
    left: u32,
    due: Option<Duration>,
}

impl Part for FillLog {
    fn start(&mut self, _: &mut Context<'_>) {}

    fn call(
        &mut self,
        context: &mut Context<'_>,
        call: &Invocation<'_>,
    ) -> Option<Result<Returned, Fault>> {
        if *call.method != FILL_LOG {
            return None;
        }
        let [Variant::U32(count @ 1..=MOST)] = *call.arguments else {
            return Some(Err(Fault::invalid("a number of events is 1 to 65535")));
        };
        info!(count, "events are logged because a client wants the SEL filled");
        self.left = count;
        self.due = Some(context.now.uptime);
        Some(Ok(Vec::new()))
    }

    fn timeout(&mut self, context: &mut Context<'_>) {
        let now = context.now.uptime;
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        let burst = self.left.min(BURST);
        context.effects.extend((0..burst).map(|_| Effect::LogEvent(EVENT)));
        self.left -= burst;
        self.due = (self.left > 0).then(|| now + PAUSE);
    }

    fn deadline(&self) -> Option<Duration> {
        self.due
    }
}
