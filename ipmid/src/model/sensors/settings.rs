//! Settings of a sensor that clients change: hysteresis, event enables and sensor type (IPMI v2.0 §35.6,
//! §35.10, §35.15).

use ipmi_proto::sdr::{Hysteresis, SensorType};
use serde::{Deserialize, Serialize};

/// The settings of one sensor; the default is what its record says.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Settings {
    /// Raw hysteresis of thresholds crossed by rising.
    pub positive_hysteresis: u8,
    /// Of those crossed by falling.
    pub negative_hysteresis: u8,
    /// Whether it sends events at all.
    pub events: bool,
    /// Whether it is read.
    pub scanning: bool,
    /// Offsets whose assertion it does not send.
    pub masked_assertions: u16,
    /// Offsets whose deassertion it does not send.
    pub masked_deassertions: u16,
    /// A sensor type that replaces its own.
    pub sensor_type: Option<u8>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            positive_hysteresis: 0,
            negative_hysteresis: 0,
            events: true,
            scanning: true,
            masked_assertions: 0,
            masked_deassertions: 0,
            sensor_type: None,
        }
    }
}

impl Settings {
    /// The sensor type, which is `own` unless a client says otherwise.
    #[must_use]
    pub fn sensor_type(&self, own: SensorType) -> SensorType {
        self.sensor_type.map_or(own, SensorType)
    }

    /// The hysteresis.
    #[must_use]
    pub const fn hysteresis(&self) -> Hysteresis {
        Hysteresis { positive: self.positive_hysteresis, negative: self.negative_hysteresis }
    }
}
