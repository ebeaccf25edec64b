//! The switch that tells when the chassis was opened.
//!
//! There is one lid. Where the platform has an intrusion sensor too, that shows the same.

use openbmc_dbus::chassis::intrusion::{self, PATH, RearmMode, Status};

use crate::config::Chassis;
use crate::fault::Fault;
use crate::part::{Context, Part, Setting};
use crate::tree::Instance;

/// The lid.
#[derive(Debug)]
pub(crate) struct Lid {
    open: bool,
}

impl Lid {
    pub(crate) const fn new(config: &Chassis) -> Self {
        Self { open: config.intrusion }
    }
}

/// What shows the lid's state.
pub(crate) fn switch(status: Status) -> Instance {
    Instance::new(&intrusion::INTERFACE)
        .with(intrusion::STATUS, status)
        .with(intrusion::REARM, RearmMode::Manual)
        .keeping()
}

impl Part for Lid {
    fn start(&mut self, context: &mut Context<'_>) {
        let status = if self.open { Status::HardwareIntrusion } else { Status::Normal };
        context.tree.add(intrusion::SERVICE, PATH, [switch(status)]);
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

/// All objects that show the lid's state.
fn sensors(context: &Context<'_>) -> Vec<String> {
    let objects = context.tree.objects();
    objects
        .filter(|(_, object)| object.interfaces.contains_key(intrusion::NAME))
        .map(|(path, _)| path.to_owned())
        .collect()
}
