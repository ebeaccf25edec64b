//! Platform event filtering (IPMI v2.0 §17, §30): every event in the SEL is compared with the
//! filters; matching ones send alerts and switch power.

mod alert;
mod commands;
mod configuration;
mod engine;
mod filter;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use accounts::UserAdmin;
use durable::Folder;
use ipmi_proto::Iana;
use serde::Deserialize;
use tokio::sync::{Notify, Semaphore, watch};

pub use self::configuration::PefParameters;
use crate::model::Clock;
use crate::model::lan::LanState;
use crate::model::live::Live;
use crate::model::parameter_updates::ParameterUpdates;
use crate::model::persistent::Persistent;
use crate::model::sel::SelStore;
use crate::platform::{Bmc, Power, Sessions};
use crate::request::command::Registrar;

/// The most alerts in progress: one that waits for an acknowledgement lasts up to 34 minutes, so a sender of many
/// events must not use up memory.
const MAX_ALERTS: usize = 64;

/// What PEF needs of the machine.
pub trait Platform: Power + Bmc + Sessions {}
impl<P: Power + Bmc + Sessions> Platform for P {}

/// `[pef]`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PefConfig {
    /// The UDP port that traps are sent to.
    #[serde(deserialize_with = "daemon::range::number::<1, 65535, _, _>")]
    pub trap_port: u16,
}

impl Default for PefConfig {
    fn default() -> Self {
        Self { trap_port: 162 }
    }
}

/// The services of the daemon that PEF uses.
pub struct PefDeps {
    /// The log whose events are filtered.
    pub sel: Arc<SelStore<Folder>>,
    /// Its clock.
    pub clock: Arc<Clock>,
    /// Channel access, which enables alerting per channel.
    pub accounts: Arc<dyn UserAdmin>,
    /// The LAN parameters with the alert destinations.
    pub lan: Arc<Persistent<LanState>>,
    /// Manufacturer id and product id, for traps.
    pub manufacturer: (Iana, u16),
    /// Section `[pef]` of the configuration.
    pub config: Live<PefConfig>,
    /// Updates of parameters that are in progress.
    pub updates: Arc<ParameterUpdates>,
}

/// The PEF commands, and the engine that acts on events.
pub struct PefProvider<P> {
    platform: Arc<P>,
    deps: PefDeps,
    parameters: Persistent<PefParameters>,
    /// End of the postpone timer (Arm PEF Postpone Timer), and the seconds it was armed with.
    postponed: Mutex<Option<(Instant, u8)>>,
    /// The parameters or the postpone timer changed.
    changed: Notify,
    started: Instant,
    /// The number of the next trap.
    sequence: Mutex<u16>,
    /// The trap that was acknowledged last.
    acknowledged: watch::Sender<u16>,
    /// Status of the last Alert Immediate.
    immediate: Mutex<u8>,
    /// Permits for alerts in progress.
    alerts: Arc<Semaphore>,
    /// Number of erasures of the SEL that the engine has seen.
    clears: Mutex<u64>,
}

impl<P: Platform> PefProvider<P> {
    /// Over `platform` and the given services, with the parameters that commands set in `parameters`.
    #[must_use]
    pub fn new(
        platform: Arc<P>,
        deps: PefDeps,
        parameters: Persistent<PefParameters>,
    ) -> Arc<Self> {
        let clears = deps.sel.clears();
        Arc::new(Self {
            platform,
            deps,
            parameters,
            postponed: Mutex::default(),
            changed: Notify::new(),
            started: Instant::now(),
            sequence: Mutex::default(),
            acknowledged: watch::Sender::new(0),
            immediate: Mutex::default(),
            alerts: Arc::new(Semaphore::new(MAX_ALERTS)),
            clears: Mutex::new(clears),
        })
    }

    /// Adds its commands.
    pub fn register(self: &Arc<Self>, table: &mut Registrar<'_>) {
        self.register_configuration(table);
        self.register_commands(table);
        self.register_alert(table);
    }

    /// The id of the newest record of the log; 0 for none.
    fn newest(&self) -> u16 {
        self.deps.sel.get(0xffff).map_or(0, |(record, _)| record.id)
    }
}
