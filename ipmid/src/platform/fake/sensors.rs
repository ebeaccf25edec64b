//! The fake platform's sensors.

use std::sync::Arc;

use ipmi_proto::sdr::Threshold;

use super::FakePlatform;
use crate::model::sensors::{SensorStore, Update, Value};
use crate::platform::{PlatformResult, Sensors};

/// A temperature of 40 °C with limits at 80 and 90, and a fan.
pub(super) fn sensors() -> SensorStore {
    let number = |name: &str, value: f64| (name.to_owned(), Value::Number(value));
    let text = |name: &str, value: &str| (name.to_owned(), Value::Text(value.to_owned()));
    let interface = |name: &str| format!("xyz.openbmc_project.Sensor.{name}");
    let store = SensorStore::volatile();
    let range = [number("MinValue", -128.0), number("MaxValue", 127.0)];
    let mut value = vec![number("Value", 40.0), text("Unit", "Unit.DegreesC")];
    value.extend(range);
    store.apply(Update::Object {
        path: "/xyz/openbmc_project/sensors/temperature/CPU0".to_owned(),
        interfaces: vec![
            (interface("Value"), value),
            (interface("Threshold.Warning"), vec![number("WarningHigh", 80.0)]),
            (interface("Threshold.Critical"), vec![number("CriticalHigh", 90.0)]),
        ],
    });
    let value = vec![
        number("Value", 5100.0),
        number("MinValue", 0.0),
        number("MaxValue", 25500.0),
        text("Unit", "Unit.RPMS"),
    ];
    store.apply(Update::Object {
        path: "/xyz/openbmc_project/sensors/fan_tach/Fan_1".to_owned(),
        interfaces: vec![
            (interface("Value"), value),
            (interface("ValueMutability"), vec![("Mutable".to_owned(), Value::Flag(true))]),
        ],
    });
    store
}

impl Sensors for FakePlatform {
    async fn sensors(&self) -> Arc<SensorStore> {
        Arc::clone(&self.state().sensors)
    }
    async fn set_limit(&self, path: &str, threshold: Threshold, limit: f64) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| state.set_limits.push((path.to_owned(), threshold, limit)))
    }
    async fn set_reading(&self, path: &str, value: f64) -> PlatformResult<()> {
        self.step().await;
        self.answer(|state| state.set_readings.push((path.to_owned(), value)))
    }
}
