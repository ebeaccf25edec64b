//! The events that a BMC logs about a host that it cannot see into (IPMI v2.0 Table 42-3).

use crate::part::{Context, Effect, SelEvent};

/// Power Unit: soft power control failure, the unit did not respond to the request to turn on.
pub(super) const SOFT_POWER_CONTROL_FAILURE: SelEvent = SelEvent { sensor_type: 0x09, offset: 5 };
/// Power Unit: power unit failure detected.
pub(super) const POWER_UNIT_FAILURE: SelEvent = SelEvent { sensor_type: 0x09, offset: 6 };
/// System Boot/Restart Initiated: initiated by warm reset.
pub(super) const WARM_RESET: SelEvent = SelEvent { sensor_type: 0x1d, offset: 2 };
/// OS Stop/Shutdown: run-time critical stop.
pub(super) const CRITICAL_STOP: SelEvent = SelEvent { sensor_type: 0x20, offset: 1 };
/// OS Stop/Shutdown: OS graceful shutdown.
pub(super) const GRACEFUL_SHUTDOWN: SelEvent = SelEvent { sensor_type: 0x20, offset: 3 };

/// Logs an event in the SEL.
pub(super) fn log(context: &mut Context<'_>, event: SelEvent) {
    context.effects.push(Effect::LogEvent(event));
}
