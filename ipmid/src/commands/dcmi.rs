//! Data Center Manageability Interface 1.5, group DCh.

mod capabilities;
mod configuration;
mod identity;
mod power;
mod power_limit;
mod sensors;
mod thermal;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use ipmi_proto::CompletionCode;
use ipmi_proto::sdr::SensorType;
use ipmi_proto::sel::{Direction, Event, GeneratorId};
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

use self::power::Statistics;
use self::thermal::ThermalLimit;
use crate::model::StoreError;
use crate::model::events::{Events, Source};
use crate::model::live::Live;
use crate::model::persistent::Persistent;
use crate::model::sensors::SensorIndex;
use crate::platform::{Naming, PlatformError, Power, PowerLimit, Sensors};
use crate::request::command::{CommandError, Registrar};

/// Generic event type "limit", and its offset for one that is exceeded (IPMI v2.0 Table 42-2).
const LIMIT: u8 = 0x05;
const LIMIT_EXCEEDED: u8 = 0x01;

/// What the DCMI commands need of the machine.
pub trait Platform: Naming + Power + PowerLimit + Sensors {}
impl<P: Naming + Power + PowerLimit + Sensors> Platform for P {}

/// Section `[dcmi]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DcmiConfig {
    /// The sensor of the whole machine's power: the last element of its path.
    #[serde(deserialize_with = "path_element")]
    pub power_sensor: String,
}

/// An element of a D-Bus object path (D-Bus specification, "Valid Object Paths").
fn path_element<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(is_word) {
        return Err(de::Error::custom(format!("{name:?} is not an element of a D-Bus path")));
    }
    Ok(name)
}

impl Default for DcmiConfig {
    fn default() -> Self {
        Self { power_sensor: "total_power".to_owned() }
    }
}

/// State file `dcmi.json`: what persists over restarts.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DcmiState {
    configuration: configuration::Parameters,
    /// The asset tag as it was written.
    asset_tag: identity::AssetTag,
    /// By entity id and instance.
    thermal_limits: BTreeMap<String, ThermalLimit>,
}

/// The DCMI commands and their state between requests.
#[derive(Debug)]
pub struct DcmiProvider<P> {
    platform: Arc<P>,
    config: Live<DcmiConfig>,
    /// Logs exceeded limits in the SEL.
    events: Arc<Events>,
    /// Records that the event log holds.
    sel_capacity: u16,
    /// The channel of the first LAN.
    lan_channel: Option<u8>,
    state: Persistent<DcmiState>,
    statistics: Mutex<Statistics>,
    /// The parts of an identifier that were written so far; it takes effect with its last part.
    identifier: Mutex<Vec<u8>>,
    thermal: Mutex<thermal::Watch>,
}

impl<P: Platform> DcmiProvider<P> {
    /// Over `platform`, with its settings in `state`; limits that are exceeded go to `events`.
    #[must_use]
    pub fn new(
        platform: Arc<P>,
        config: Live<DcmiConfig>,
        events: Arc<Events>,
        (sel_capacity, lan_channel): (u16, Option<u8>),
        state: Persistent<DcmiState>,
    ) -> Arc<Self> {
        Arc::new(Self {
            platform,
            config,
            events,
            sel_capacity,
            lan_channel,
            state,
            statistics: Mutex::default(),
            identifier: Mutex::default(),
            thermal: Mutex::default(),
        })
    }

    /// Adds its commands.
    pub fn register(self: &Arc<Self>, table: &mut Registrar<'_>) {
        self.register_capabilities(table);
        self.register_configuration(table);
        self.register_identity(table);
        self.register_power(table);
        self.register_power_limit(table);
        self.register_sensors(table);
        self.register_thermal(table);
    }

    /// Logs in the SEL that a sensor's reading exceeds its limit.
    async fn log_exceeded(
        &self,
        (sensor, kind): (SensorIndex, SensorType),
    ) -> Result<(), StoreError> {
        let (lun, number) = sensor.lun_and_number();
        let event = Event {
            revision: Event::REVISION,
            sensor_type: kind.0,
            sensor_number: number,
            direction: Direction::Assertion,
            event_type: LIMIT,
            data: [LIMIT_EXCEEDED, 0xff, 0xff],
        };
        let generator = GeneratorId::bmc_sensor(lun);
        let taken = self.events.handle(Source::Other, generator, event).await;
        taken.map(drop)
    }
}

/// The error of a feature that this machine may have no service for, which is no failure.
fn absent(error: PlatformError) -> CommandError {
    match error {
        PlatformError::Absent(_) => CompletionCode::INVALID_COMMAND.into(),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use ipmi_proto::GroupBody;

    use super::*;
    pub(super) use crate::commands::test_support::{TestCommands, answer};
    use crate::model::events::tests::TestLog;
    use crate::platform::fake::FakePlatform;
    use crate::request::command::Family;

    /// The DCMI provider over `platform`.
    pub(super) fn provider(
        platform: &Arc<FakePlatform>,
        log: &TestLog,
    ) -> Arc<DcmiProvider<FakePlatform>> {
        let (state, config) = (Persistent::volatile(), DcmiConfig::default().into());
        let events = Arc::clone(&log.events);
        DcmiProvider::new(Arc::clone(platform), config, events, (4096, Some(1)), state)
    }

    /// The DCMI commands over a fake platform.
    pub(super) fn commands() -> TestCommands {
        let log = TestLog::new();
        let mut commands = TestCommands::with(Family::Group(GroupBody::DCMI), |platform, table| {
            provider(platform, &log).register(table);
        });
        commands.folder = Some(log.state);
        commands
    }
}
