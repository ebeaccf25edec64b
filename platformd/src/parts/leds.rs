//! The LED groups that identify the enclosure.

use std::time::Duration;

use daemon::RateLimit;
use openbmc_dbus::led::group;
use tracing::info;
use zbus::wire::Variant;

use crate::fault::Fault;
use crate::part::{Context, Event, Part, Setting};
use crate::tree::Instance;

/// Bounded because a client can switch an LED all the time.
static SWITCHED: RateLimit = RateLimit::new(10, Duration::from_secs(60));

/// The identify LEDs.
#[derive(Debug)]
pub(crate) struct IdentifyLeds;

/// Switches an LED, and logs it: where the host is a virtual machine there is no LED to look for.
fn switch(context: &mut Context<'_>, path: &str, lit: bool) {
    if context.tree.get(path, group::ASSERTED) != Some(lit)
        && let Some(pass) = SWITCHED.admit()
    {
        info!(path, lit, swallowed = pass.swallowed, "identify LED switched");
    }
    context.tree.set(path, group::ASSERTED, lit);
}

impl Part for IdentifyLeds {
    fn start(&mut self, context: &mut Context<'_>) {
        for path in [group::ENCLOSURE_IDENTIFY, group::ENCLOSURE_IDENTIFY_BLINK] {
            context.tree.add(group::SERVICE, path, [Instance::new(&group::INTERFACE)]);
        }
    }

    fn set(
        &mut self,
        context: &mut Context<'_>,
        setting: &Setting<'_>,
    ) -> Option<Result<(), Fault>> {
        match setting.value {
            Variant::Bool(lit) if setting.is(setting.path, group::ASSERTED) => {
                switch(context, setting.path, lit);
                Some(Ok(()))
            }
            _ => None,
        }
    }

    fn handle_event(&mut self, context: &mut Context<'_>, event: Event) {
        if event == Event::Identify {
            let lit = context.tree.get(group::ENCLOSURE_IDENTIFY, group::ASSERTED) == Some(true);
            switch(context, group::ENCLOSURE_IDENTIFY, !lit);
        }
    }
}
