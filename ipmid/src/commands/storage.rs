//! Storage commands, NetFn 0Ah: SDR repository, event log, FRU inventory (IPMI v2.0 §31, §33, §34).

mod auxiliary;
mod fru;
mod sdr;
mod sdr_write;
mod sel;
mod sel_entry;
mod time;

use std::sync::Arc;

pub use auxiliary::AuxiliaryLogs;
use durable::Folder;

use crate::model::Clock;
use crate::model::events::Events;
use crate::model::fru::FruStore;
use crate::model::persistent::Persistent;
use crate::model::sdr::SdrService;
use crate::model::sel::SelStore;
use crate::platform::{Frus, Sensors, Time};
use crate::request::command::Registrar;

/// What the storage commands need of the machine.
pub trait Platform: Sensors + Time + Frus {}
impl<P: Sensors + Time + Frus> Platform for P {}

/// State that the commands share with other families.
#[derive(Clone, Debug)]
pub struct Stores {
    /// The event log.
    pub sel: Arc<SelStore<Folder>>,
    /// Destination of events.
    pub events: Arc<Events>,
    /// The sensor data records.
    pub sdr: Arc<SdrService>,
    /// The FRU images.
    pub fru: Arc<FruStore>,
    /// The SEL's clock.
    pub clock: Arc<Clock>,
    /// Status of auxiliary logs.
    pub auxiliary: Arc<Persistent<AuxiliaryLogs>>,
}

/// The storage commands and their state between requests.
#[derive(Debug)]
pub struct StorageProvider<P> {
    platform: Arc<P>,
    stores: Stores,
    partial: sel_entry::PartialEntry,
    writing: std::sync::Mutex<sdr_write::Writing>,
}

impl<P: Platform> StorageProvider<P> {
    /// Over `platform` and `stores`.
    #[must_use]
    pub fn new(platform: Arc<P>, stores: Stores) -> Arc<Self> {
        Arc::new(Self {
            platform,
            stores,
            partial: sel_entry::PartialEntry::default(),
            writing: std::sync::Mutex::default(),
        })
    }

    /// Adds its commands.
    pub fn register(self: &Arc<Self>, table: &mut Registrar<'_>) {
        self.register_sdr(table);
        self.register_sdr_write(table);
        self.register_sel(table);
        self.register_sel_entry(table);
        self.register_time(table);
        self.register_fru(table);
        self.register_auxiliary(table);
    }
}

#[cfg(test)]
mod tests {
    use durable::Modes;
    use ipmi_proto::NetFn;

    use super::*;
    pub(super) use crate::commands::test_support::answer;
    use crate::commands::test_support::{self, CommandResult};
    use crate::model::events::HostSide;
    use crate::model::sensors::Update;
    use crate::platform::fake::FakePlatform;
    use crate::request::command::Family;
    use crate::request::context::Context;

    /// The storage commands over two sensors, one FRU and a log of 100 records.
    pub(super) struct TestStorage {
        commands: test_support::TestCommands,
        pub(super) platform: Arc<FakePlatform>,
        provider: Arc<StorageProvider<FakePlatform>>,
        _state: tempfile::TempDir,
    }

    impl TestStorage {
        pub(super) async fn log_dropped_edits(&self, devices: &[u8]) {
            self.provider.log_dropped_edits(devices).await;
        }

        pub(super) fn new() -> Self {
            let state = tempfile::tempdir().unwrap();
            let folder = Folder::create(&state.path().join("state"), Modes::PRIVATE).unwrap();
            let sel = Arc::new(SelStore::open(folder, 100));
            let clock = Arc::new(Clock::new(Persistent::volatile()));
            let host = HostSide::default();
            let events = Events::new(Arc::clone(&sel), Arc::clone(&clock), host);
            let stores = Stores {
                sel,
                events: Arc::new(events),
                sdr: Arc::new(SdrService::volatile()),
                fru: Arc::new(FruStore::volatile()),
                clock,
                auxiliary: Arc::new(Persistent::volatile()),
            };
            let mut provider = None;
            let commands = test_support::TestCommands::with(
                Family::NetFn(NetFn::STORAGE),
                |platform, table| {
                    let made = StorageProvider::new(Arc::clone(platform), stores);
                    made.register(table);
                    provider = Some(made);
                },
            );
            let platform = Arc::clone(&commands.platform);
            Self { commands, platform, provider: provider.unwrap(), _state: state }
        }

        pub(super) async fn send(&self, code: u8, data: &[u8]) -> CommandResult {
            self.commands.send(code, data).await
        }

        pub(super) async fn send_as(
            &self,
            context: Context,
            code: u8,
            data: &[u8],
        ) -> CommandResult {
            self.commands.send_as(context, code, data).await
        }

        pub(super) async fn add_event(&self) {
            let record = [0, 0, 2, 0, 0, 0, 0, 0x20, 0, 4, 1, 0x30, 1, 0x59, 0x66, 0x64];
            self.send(0x44, &record).await.unwrap();
        }

        pub(super) async fn remove_sensor(&self) {
            let path = "/xyz/openbmc_project/sensors/temperature/CPU0".to_owned();
            self.platform.sensors().await.apply(Update::Removed { path });
        }
    }
}
