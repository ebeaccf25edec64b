//! The front panel's buttons.

use openbmc_dbus::chassis::buttons::{self, id, nmi, power, reset};
use openbmc_dbus::interface::{Interface, Signal};
use openbmc_dbus::object::enable;
use openbmc_dbus::state::chassis::{self, PowerState};
use openbmc_dbus::state::host::RestartCause;
use zbus::wire::Structure;

use crate::fault::Fault;
use crate::part::{Context, Event, Invocation, Part, PowerRequest, Returned};
use crate::tree::Instance;

/// How long a simulated press takes, in microseconds.
const PRESS_US: u64 = 100_000;

/// The buttons for power, reset, identify and NMI.
#[derive(Debug)]
pub(crate) struct Buttons;

impl Part for Buttons {
    fn start(&mut self, context: &mut Context<'_>) {
        let buttons: [(&str, &'static Interface); 4] = [
            (power::PATH, &power::INTERFACE),
            (reset::PATH, &reset::INTERFACE),
            (id::PATH, &id::INTERFACE),
            (nmi::PATH, &nmi::INTERFACE),
        ];
        for (path, interface) in buttons {
            // All buttons have the same property, each under its own interface.
            let mut button = Instance::new(interface);
            button.values.insert(enable::ENABLED.name, true.into());
            context.tree.add(buttons::SERVICE, path, [button.persistent()]);
        }
    }

    fn call(
        &mut self,
        context: &mut Context<'_>,
        call: &Invocation<'_>,
    ) -> Option<Result<Returned, Fault>> {
        let enabled = |property| context.tree.get(call.path, property) == Some(true);
        match *call.method {
            method if method == power::SIM_PRESS => {
                let enabled = enabled(power::ENABLED);
                emit(context, call.path, power::PRESSED, None);
                emit(context, call.path, power::RELEASED, Some(Structure::from((PRESS_US,))));
                press(
                    context,
                    enabled,
                    |on| if on { PowerRequest::SoftOff } else { PowerRequest::On },
                );
            }
            method if method == power::SIM_LONG_PRESS => {
                let enabled = enabled(power::ENABLED);
                emit(context, call.path, power::PRESSED_LONG, None);
                press(context, enabled, |_| PowerRequest::HardOff);
            }
            method if method == reset::SIM_PRESS => {
                let enabled = enabled(reset::ENABLED);
                emit(context, call.path, reset::PRESSED, None);
                emit(context, call.path, reset::RELEASED, None);
                if enabled {
                    context.raise(Event::PowerRequest(
                        PowerRequest::HardReset,
                        RestartCause::ResetButton,
                    ));
                }
            }
            method if method == id::SIM_PRESS => {
                let enabled = enabled(id::ENABLED);
                emit(context, call.path, id::PRESSED, None);
                emit(context, call.path, id::RELEASED, None);
                if enabled {
                    context.raise(Event::Identify);
                }
            }
            method if method == nmi::SIM_PRESS => {
                let enabled = enabled(nmi::ENABLED);
                emit(context, call.path, nmi::PRESSED, None);
                emit(context, call.path, nmi::RELEASED, None);
                if enabled {
                    context.raise(Event::Nmi);
                }
            }
            _ => return None,
        }
        Some(Ok(Vec::new()))
    }
}

fn emit(context: &mut Context<'_>, path: &str, signal: Signal, body: Option<Structure<'static>>) {
    context.tree.signal(path, signal, body);
}

/// Requests what a press of the power button means, which depends on whether power is on.
fn press(context: &mut Context<'_>, enabled: bool, request: impl Fn(bool) -> PowerRequest) {
    if enabled {
        let power = context.tree.get(chassis::PATH, chassis::CURRENT_POWER_STATE);
        let on = power == Some(PowerState::On);
        context.raise(Event::PowerRequest(request(on), RestartCause::PowerButton));
    }
}
