//! The lamps that show where the enclosure is.

use openbmc_dbus::led::group;

use crate::part::{Context, Event, Part};
use crate::tree::Instance;

/// The identify lamps.
#[derive(Debug)]
pub(crate) struct Lamps;

impl Part for Lamps {
    fn start(&mut self, context: &mut Context<'_>) {
        for path in [group::ENCLOSURE_IDENTIFY, group::ENCLOSURE_IDENTIFY_BLINK] {
            context.tree.add(group::SERVICE, path, [Instance::new(&group::INTERFACE)]);
        }
    }

    fn notice(&mut self, context: &mut Context<'_>, event: Event) {
        if event == Event::Identify {
            let lit = context.tree.get(group::ENCLOSURE_IDENTIFY, group::ASSERTED) == Some(true);
            context.tree.set(group::ENCLOSURE_IDENTIFY, group::ASSERTED, !lit);
        }
    }
}
