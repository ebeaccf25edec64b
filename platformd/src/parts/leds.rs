//! The LED groups that identify the enclosure.

use openbmc_dbus::led::group;

use crate::part::{Context, Event, Part};
use crate::tree::Instance;

/// The identify LEDs.
#[derive(Debug)]
pub(crate) struct IdentifyLeds;

impl Part for IdentifyLeds {
    fn start(&mut self, context: &mut Context<'_>) {
        for path in [group::ENCLOSURE_IDENTIFY, group::ENCLOSURE_IDENTIFY_BLINK] {
            context.tree.add(group::SERVICE, path, [Instance::new(&group::INTERFACE)]);
        }
    }

    fn handle_event(&mut self, context: &mut Context<'_>, event: Event) {
        if event == Event::Identify {
            let lit = context.tree.get(group::ENCLOSURE_IDENTIFY, group::ASSERTED) == Some(true);
            context.tree.set(group::ENCLOSURE_IDENTIFY, group::ASSERTED, !lit);
        }
    }
}
