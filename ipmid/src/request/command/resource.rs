//! The resources that commands change, one command at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};

/// Something that commands change: settings, or an object of a service. Commands that change the same one run
/// one after the other, on all channels, from their first read of it to their response. So no command reads a change
/// that is half done, or overwrites another's.
///
/// The stores of this daemon have locks of their own; this is for changes in several steps, such as all changes of
/// a value that a D-Bus service holds.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Resource {
    name: &'static str,
    /// Whether each value of a request's first byte is a resource of its own.
    by_first_byte: bool,
}

impl Resource {
    /// Users and channel access.
    pub const ACCOUNTS: Self = Self::new("accounts");
    /// The ACPI states that the host reports.
    pub const ACPI: Self = Self::new("ACPI power state");
    /// The asset tag.
    pub const ASSET_TAG: Self = Self::new("asset tag");
    /// The status of auxiliary logs.
    pub const AUXILIARY_LOGS: Self = Self::new("auxiliary logs");
    /// The management controller itself.
    pub const BMC: Self = Self::new("BMC");
    /// Boot options.
    pub const BOOT: Self = Self::new("boot options");
    /// The firmware's boot progress.
    pub const BOOT_PROGRESS: Self = Self::new("boot progress");
    /// The buttons of the front panel.
    pub const BUTTONS: Self = Self::new("buttons");
    /// Chassis capabilities.
    pub const CAPABILITIES: Self = Self::new("chassis capabilities");
    /// The clock of event log and repository.
    pub const CLOCK: Self = Self::new("clock");
    /// The event log as a whole, and reservations of it.
    pub const EVENT_LOG: Self = Self::new("event log");
    /// The event receiver's address.
    pub const EVENT_RECEIVER: Self = Self::new("event receiver");
    /// The firmware firewall.
    pub const FIREWALL: Self = Self::new("firewall");
    /// The FRU images.
    pub const FRU: Self = Self::new("FRU");
    /// BMC global enables.
    pub const GLOBAL_ENABLES: Self = Self::new("global enables");
    /// The host name, which is the management controller's identifier.
    pub const HOST_NAME: Self = Self::new("host name");
    /// The identify LED.
    pub const IDENTIFY: Self = Self::new("identify");
    /// The network interfaces and all LAN parameters.
    pub const NETWORK: Self = Self::new("network");
    /// Platform event filtering.
    pub const PEF: Self = Self::new("PEF");
    /// The host's power.
    pub const POWER: Self = Self::new("power");
    /// The power limit.
    pub const POWER_LIMIT: Self = Self::new("power limit");
    /// Power restore policy.
    pub const RESTORE_POLICY: Self = Self::new("power restore policy");
    /// The SDR repository, reservations of it and its update mode.
    pub const SDR: Self = Self::new("SDR repository");
    /// One sensor, whose number is the first byte of the request.
    pub const SENSOR: Self = Self { name: "sensor", by_first_byte: true };
    /// The sessions.
    pub const SESSIONS: Self = Self::new("sessions");
    /// SOL parameters.
    pub const SOL: Self = Self::new("SOL");
    /// System info parameters.
    pub const SYSTEM_INFO: Self = Self::new("system info");
    /// Thermal limits.
    pub const THERMAL_LIMITS: Self = Self::new("thermal limits");
    /// The watchdog timer.
    pub const WATCHDOG: Self = Self::new("watchdog");

    /// The resource of this name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, by_first_byte: false }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }
}

/// The writers of all resources.
#[derive(Debug, Default)]
pub(super) struct Writers(BTreeMap<Resource, Writer>);

impl Writers {
    pub(super) fn of(&mut self, resource: Resource) -> Writer {
        let writer = self.0.entry(resource);
        writer.or_insert_with(|| Writer::new(resource)).clone()
    }
}

/// One writer at a time.
#[derive(Clone, Debug)]
pub(super) struct Writer(Arc<[Mutex<()>]>);

impl Writer {
    fn new(resource: Resource) -> Self {
        let count = if resource.by_first_byte { 1 + usize::from(u8::MAX) } else { 1 };
        Self((0..count).map(|_| Mutex::default()).collect())
    }

    /// Waits for earlier commands, in order of arrival.
    pub(super) async fn turn(&self, first_byte: u8) -> Option<MutexGuard<'_, ()>> {
        let one = self.0.get(usize::from(first_byte)).or(self.0.first())?;
        Some(one.lock().await)
    }
}
