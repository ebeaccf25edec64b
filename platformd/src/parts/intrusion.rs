//! The chassis intrusion switch.
//!
//! There is one switch. Intrusion sensors, where the platform has them, have the same state.

use openbmc_dbus::chassis::intrusion::{self, PATH, RearmMode, Status};

use crate::config::Chassis;
use crate::fault::Fault;
use crate::part::{Context, Part, Setting};
use crate::tree::Instance;

/// The chassis intrusion service.
#[derive(Debug)]
pub(crate) struct Intrusion {
    is_open: bool,
}

impl Intrusion {
    pub(crate) const fn new(config: &Chassis) -> Self {
        Self { is_open: config.intrusion }
    }
}

/// The interface with the switch's state.
pub(crate) fn instance(status: Status) -> Instance {
    Instance::new(&intrusion::INTERFACE)
        .with(intrusion::STATUS, status)
        .with(intrusion::REARM, RearmMode::Manual)
        .persistent()
}

impl Part for Intrusion {
    fn start(&mut self, context: &mut Context<'_>) {
        let status = if self.is_open { Status::HardwareIntrusion } else { Status::Normal };
        context.tree.add(intrusion::SERVICE, PATH, [instance(status)]);
        let status = context.tree.get(PATH, intrusion::STATUS);
        for path in sensors(context) {
            context.tree.set(&path, intrusion::STATUS, status.unwrap_or(Status::Normal));
        }
    }

    fn set(
        &mut self,
        context: &mut Context<'_>,
        setting: &Setting<'_>,
    ) -> Option<Result<(), Fault>> {
        if setting.interface != intrusion::NAME {
            return None;
        }
        for path in sensors(context) {
            let value = setting.value.clone();
            context.tree.store(&path, intrusion::NAME, setting.property, value);
        }
        Some(Ok(()))
    }
}

/// The paths of all objects with the switch's state.
fn sensors(context: &Context<'_>) -> Vec<String> {
    let objects = context.tree.objects();
    objects
        .filter(|(_, object)| object.interfaces.contains_key(intrusion::NAME))
        .map(|(path, _)| path.to_owned())
        .collect()
}
