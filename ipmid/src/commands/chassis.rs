//! Chassis commands, NetFn 00h (IPMI v2.0 §28).

mod boot_flags;
mod boot_options;
mod control;
mod front_panel;
mod identify;
mod status;

use std::sync::{Arc, Mutex};

use ipmi_proto::{ChannelNumber, CompletionCode};
use tokio::task::AbortHandle;

pub use self::boot_options::BootParameters;
use self::identify::Identify;
use crate::model::parameter_updates::ParameterUpdates;
use crate::model::persistent::{Persistent, lock};
use crate::platform::{BootOverride, Chassis, PlatformError, PlatformResult, Power, Sessions};
use crate::request::command::Registrar;

/// What the chassis commands need of the machine.
pub trait Platform: Power + Chassis + BootOverride + Sessions {}
impl<P: Power + Chassis + BootOverride + Sessions> Platform for P {}

/// The chassis commands and what they keep between requests.
#[derive(Debug)]
pub struct ChassisProvider<P> {
    platform: Arc<P>,
    identify: Mutex<Identify>,
    /// Held while the identify light is set, by a request or at the end of its time.
    identify_writer: tokio::sync::Mutex<()>,
    boot: Persistent<BootParameters>,
    /// Updates of boot parameters that are in progress.
    updates: Arc<ParameterUpdates>,
    /// Where the last Chassis Control came from; the restart cause names it.
    control_channel: Mutex<Option<ChannelNumber>>,
    /// The second half of a power cycle with an interval.
    cycle: Mutex<Option<AbortHandle>>,
}

impl<P: Platform> ChassisProvider<P> {
    /// Over `platform`, with the boot parameters kept in `boot`.
    #[must_use]
    pub fn new(
        platform: Arc<P>,
        boot: Persistent<BootParameters>,
        updates: Arc<ParameterUpdates>,
    ) -> Arc<Self> {
        Arc::new(Self {
            platform,
            identify: Mutex::default(),
            identify_writer: tokio::sync::Mutex::default(),
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

/// A part that a machine may lack: `None` where no service has it.
fn if_present<T>(result: PlatformResult<T>) -> Result<Option<T>, CompletionCode> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(PlatformError::Absent) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use ipmi_proto::NetFn;

    use super::*;
    pub(super) use crate::commands::test_support::{Bench, answer};
    use crate::request::command::Family;

    impl Bench {
        /// The chassis commands.
        pub(super) fn new() -> Self {
            Self::with(Family::NetFn(NetFn::CHASSIS), |platform, table| {
                let state = Persistent::volatile();
                let updates = Arc::default();
                ChassisProvider::new(Arc::clone(platform), state, updates).register(table);
            })
        }
    }
}
