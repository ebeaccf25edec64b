//! The machine's sensors: `Sensor.Value`, `Sensor.Threshold.*` under `/xyz/openbmc_project/sensors`.

use std::future::Future;
use std::sync::Arc;

use ipmi_proto::sdr::Threshold;

use super::PlatformResult;
use crate::model::sensors::SensorStore;

/// Sensors, followed by the signals of their services.
pub trait Sensors: Send + Sync + 'static {
    /// The sensors. Their readings are current from the first call on, until this has not been
    /// called for a while; sensors without a service are unavailable.
    fn sensors(&self) -> impl Future<Output = Arc<SensorStore>> + Send;

    /// Writes a limit of the sensor at `path`, in the unit on D-Bus.
    fn set_limit(
        &self,
        path: &str,
        threshold: Threshold,
        limit: f64,
    ) -> impl Future<Output = PlatformResult<()>> + Send;

    /// Writes the reading of a sensor that allows it.
    fn set_reading(
        &self,
        path: &str,
        value: f64,
    ) -> impl Future<Output = PlatformResult<()>> + Send;
}
