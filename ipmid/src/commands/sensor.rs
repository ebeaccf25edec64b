//! Sensor and event commands, NetFn 04h (IPMI v2.0 §29, §30, §35).

mod device_sdr;
mod event_receiver;
mod events;
mod hysteresis;
mod platform_event;
mod reading;
mod sensor_type;
mod thresholds;

use std::sync::{Arc, Mutex};

use ipmi_proto::CompletionCode;

use crate::model::Clock;
use crate::model::events::Events;
use crate::model::sdr::SdrService;
use crate::model::sensors::{Sensor, SensorIndex};
use crate::platform::Sensors;
use crate::request::command::Registrar;
use crate::request::context::Context;

/// State that the commands share with other families.
#[derive(Clone, Debug)]
pub struct Stores {
    /// Destination of events.
    pub events: Arc<Events>,
    /// The sensor data records.
    pub sdr: Arc<SdrService>,
    /// The SEL's clock.
    pub clock: Arc<Clock>,
}

/// The sensor and event commands and their state between requests.
#[derive(Debug)]
pub struct SensorProvider<P> {
    platform: Arc<P>,
    stores: Stores,
    receiver: Mutex<event_receiver::EventReceiver>,
}

impl<P: Sensors> SensorProvider<P> {
    /// Over `platform` and `stores`.
    #[must_use]
    pub fn new(platform: Arc<P>, stores: Stores) -> Arc<Self> {
        Arc::new(Self { platform, stores, receiver: Mutex::default() })
    }

    /// Adds its commands.
    pub fn register(self: &Arc<Self>, table: &mut Registrar<'_>) {
        self.register_event_receiver(table);
        self.register_platform_event(table);
        self.register_device_sdr(table);
        self.register_reading(table);
        self.register_hysteresis(table);
        self.register_thresholds(table);
        self.register_events(table);
        self.register_sensor_type(table);
    }

    /// Reads the sensor with number `number` on `context`'s LUN.
    ///
    /// # Errors
    ///
    /// `CBh` for an absent sensor.
    async fn sensor<R>(
        &self,
        context: &Context,
        number: u8,
        look: impl FnOnce(&Sensor) -> R,
    ) -> Result<R, CompletionCode> {
        let sensors = self.platform.sensors().await;
        SensorIndex::of(context.lun, number)
            .and_then(|index| sensors.with(|table| table.get(index).map(look)))
            .ok_or(CompletionCode::NOT_PRESENT)
    }
}

/// Completion code of an analog sensor's command for a discrete sensor.
fn analog(sensor: &Sensor) -> Result<&Sensor, CompletionCode> {
    if sensor.observed.analog { Ok(sensor) } else { Err(CompletionCode::ILLEGAL_FOR_SENSOR) }
}

#[cfg(test)]
mod tests {
    use durable::{Folder, Modes};
    use ipmi_proto::NetFn;

    use super::*;
    pub(super) use crate::commands::test_support::answer;
    use crate::commands::test_support::{self, CommandResult};
    use crate::model::events::HostSide;
    use crate::model::persistent::Persistent;
    use crate::model::sel::SelStore;
    use crate::model::sensors::Value;
    use crate::platform::fake::FakePlatform;
    use crate::request::command::Family;

    /// The sensor commands over two sensors: 1 a temperature of 40 °C, 2 a fan.
    pub(super) struct TestSensors {
        commands: test_support::TestCommands,
        pub(super) platform: Arc<FakePlatform>,
        pub(super) sel: Arc<SelStore<Folder>>,
        pub(super) sdr: Arc<SdrService>,
        _state: tempfile::TempDir,
    }

    impl TestSensors {
        pub(super) fn new() -> Self {
            let state = tempfile::tempdir().unwrap();
            let folder = Folder::create(&state.path().join("state"), Modes::PRIVATE).unwrap();
            let sel = Arc::new(SelStore::open(folder, 100));
            let clock = Arc::new(Clock::new(Persistent::volatile()));
            let host = HostSide::default();
            let events = Events::new(Arc::clone(&sel), Arc::clone(&clock), host);
            let sdr = Arc::new(SdrService::volatile());
            let stores = Stores { events: Arc::new(events), sdr: Arc::clone(&sdr), clock };
            let commands = test_support::TestCommands::with(
                Family::NetFn(NetFn::SENSOR_EVENT),
                |platform, table| {
                    SensorProvider::new(Arc::clone(platform), stores).register(table);
                },
            );
            let platform = Arc::clone(&commands.platform);
            Self { commands, platform, sel, sdr, _state: state }
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

        /// Removes the temperature's object.
        pub(super) async fn remove_the_temperature(&self) {
            let path = "/xyz/openbmc_project/sensors/temperature/CPU0".to_owned();
            let update = crate::model::sensors::Update::Removed { path };
            self.platform.sensors().await.apply(update);
        }

        /// Adds a chassis intrusion sensor, number 3, in the asserted state.
        pub(super) async fn open_the_chassis(&self) {
            let interface = "xyz.openbmc_project.Chassis.Intrusion".to_owned();
            let status = Value::Text("HardwareIntrusion".to_owned());
            let update = crate::model::sensors::Update::Object {
                path: "/xyz/openbmc_project/sensors/intrusion/Lid".to_owned(),
                interfaces: vec![(interface, vec![("Status".to_owned(), status)])],
            };
            self.platform.sensors().await.apply(update);
        }

        /// Sets the temperature's reading.
        pub(super) async fn heat(&self, value: f64) {
            let update = crate::model::sensors::Update::Changed {
                path: "/xyz/openbmc_project/sensors/temperature/CPU0".to_owned(),
                interface: "xyz.openbmc_project.Sensor.Value".to_owned(),
                properties: vec![("Value".to_owned(), Value::Number(value))],
            };
            self.platform.sensors().await.apply(update);
        }
    }
}
