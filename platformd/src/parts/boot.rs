//! What the host boots from: settings for every boot, and for the next one only.

use openbmc_dbus::control::boot::boot_type::{self, BootType};
use openbmc_dbus::control::boot::mode::{self, Mode};
use openbmc_dbus::control::boot::source::{self, Source};
use openbmc_dbus::control::boot::{ONE_TIME_PATH, PERSISTENT_PATH};
use openbmc_dbus::object::enable;

use crate::fault::Fault;
use crate::part::{Context, Event, Part, Setting};
use crate::parts::settings;
use crate::tree::Instance;

/// The boot settings.
#[derive(Debug)]
pub(crate) struct Boot;

impl Part for Boot {
    fn start(&mut self, context: &mut Context<'_>) {
        for (path, counts) in [(PERSISTENT_PATH, false), (ONE_TIME_PATH, false)] {
            let instances = [
                Instance::new(&source::INTERFACE).with(source::BOOT_SOURCE, Source::Default),
                Instance::new(&mode::INTERFACE).with(mode::BOOT_MODE, Mode::Regular),
                Instance::new(&boot_type::INTERFACE).with(boot_type::BOOT_TYPE, BootType::EFI),
                Instance::new(&enable::INTERFACE).with(enable::ENABLED, counts),
            ];
            let instances = instances.map(Instance::persistent);
            context.tree.add(settings::SERVICE, path, instances);
        }
    }

    fn set(
        &mut self,
        context: &mut Context<'_>,
        setting: &Setting<'_>,
    ) -> Option<Result<(), Fault>> {
        if setting.path != PERSISTENT_PATH && setting.path != ONE_TIME_PATH {
            return None;
        }
        let Setting { path, interface, property, value } = setting;
        context.tree.store(path, interface, property, value.clone());
        context.raise(Event::BootSettings);
        Some(Ok(()))
    }

    /// A host that starts takes the settings for the next boot, and so uses them up.
    fn handle_event(&mut self, context: &mut Context<'_>, event: Event) {
        let counts = context.tree.get(ONE_TIME_PATH, enable::ENABLED) == Some(true);
        if event == Event::HostStarting && counts {
            context.tree.set(ONE_TIME_PATH, enable::ENABLED, false);
            context.tree.set(ONE_TIME_PATH, source::BOOT_SOURCE, Source::Default);
            context.tree.set(ONE_TIME_PATH, mode::BOOT_MODE, Mode::Regular);
            context.raise(Event::BootSettings);
        }
    }
}
