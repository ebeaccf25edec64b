//! Chassis commands, NetFn 00h (IPMI v2.0 §28).

mod boot_flags;
mod boot_options;
mod control;
mod front_panel;
mod identify;
mod status;

use std::sync::{Arc, Mutex};

use ipmi_proto::ChannelNumber;
use tokio::task::AbortHandle;

pub use self::boot_options::BootParameters;
use self::identify::Identify;
pub use self::identify::IdentifyEnd;
use crate::model::parameter_updates::ParameterUpdates;
use crate::model::persistent::{Persistent, lock};
use crate::platform::{BootOverride, Chassis, PlatformError, PlatformResult, Power, Sessions};
use crate::request::command::{HandlerResult, Registrar};

/// What the chassis commands need of the machine.
pub trait Platform: Power + Chassis + BootOverride + Sessions {}
impl<P: Power + Chassis + BootOverride + Sessions> Platform for P {}

/// The chassis commands and their state between requests.
#[derive(Debug)]
pub struct ChassisProvider<P> {
    platform: Arc<P>,
    identify: Mutex<Identify>,
    /// Serializes changes of the identify LED by requests and by its timer.
    identify_writer: tokio::sync::Mutex<()>,
    identify_end: Persistent<IdentifyEnd>,
    boot: Persistent<BootParameters>,
    /// Updates of boot parameters in progress.
    updates: Arc<ParameterUpdates>,
    /// Channel of the last Chassis Control, reported with the restart cause.
    control_channel: Mutex<Option<ChannelNumber>>,
    /// The second half of a power cycle with an interval.
    cycle: Mutex<Option<AbortHandle>>,
}

impl<P: Platform> ChassisProvider<P> {
    /// Over `platform`, with the boot parameters stored in `boot` and the end of an identify interval in
    /// `identify_end`.
    #[must_use]
    pub fn new(
        platform: Arc<P>,
        boot: Persistent<BootParameters>,
        identify_end: Persistent<IdentifyEnd>,
        updates: Arc<ParameterUpdates>,
    ) -> Arc<Self> {
        Arc::new(Self {
            platform,
            identify: Mutex::default(),
            identify_writer: tokio::sync::Mutex::default(),
            identify_end,
            boot,
            updates,
            control_channel: Mutex::default(),
            cycle: Mutex::default(),
        })
    }

    /// Adds its commands.
    pub fn register(self: &Arc<Self>, table: &mut Registrar<'_>) {
        self.register_status(table);
        self.register_control(table);
        self.register_identify(table);
        self.register_front_panel(table);
        self.register_boot_options(table);
    }
}

/// An optional component: `None` if no service provides it.
fn if_present<T>(result: PlatformResult<T>) -> HandlerResult<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(PlatformError::Absent(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use ipmi_proto::NetFn;

    use super::*;
    pub(super) use crate::commands::test_support::{TestCommands, answer};
    use crate::request::command::Family;

    impl TestCommands {
        /// The chassis commands.
        pub(super) fn new() -> Self {
            Self::with(Family::NetFn(NetFn::CHASSIS), |platform, table| {
                let (boot, identify_end) = (Persistent::volatile(), Persistent::volatile());
                let updates = Arc::default();
                ChassisProvider::new(Arc::clone(platform), boot, identify_end, updates)
                    .register(table);
            })
        }
    }
}
