//! Thresholds (IPMI v2.0 §35.8, §35.9).

use std::sync::Arc;

use ipmi_proto::sdr::{PerThreshold, ThresholdSet};
use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::{SensorProvider, analog};
use crate::model::sensors::{Update, Value, limit_property};
use crate::platform::Sensors;
use crate::request::command::{HandlerResult, Registrar, Resource};
use crate::request::context::Context;

impl<P: Sensors> SensorProvider<P> {
    pub(super) fn register_thresholds(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Operator, User};
        let mut rows = table.rows(NetFn::SENSOR_EVENT, self);
        rows.add(0x27, User, "Get Sensor Thresholds", Self::get_sensor_thresholds);
        let mut rows = rows.changing(Resource::SENSOR);
        rows.add(0x26, Operator, "Set Sensor Thresholds", Self::set_sensor_thresholds);
    }

    /// Set Sensor Thresholds (IPMI v2.0 §35.8): a mask of thresholds, and six raw limits, lower ones first.
    ///
    /// # Errors
    ///
    /// - `CBh` for an absent sensor, `CDh` for one without readings.
    /// - `CCh` for a threshold that the sensor does not have.
    async fn set_sensor_thresholds(
        self: Arc<Self>,
        context: Context,
        number: u8,
        mask: u8,
        limits: [u8; 6],
    ) -> HandlerResult<()> {
        if mask & !ThresholdSet::from_bits(mask).bits() != 0 {
            return Err(CompletionCode::INVALID_DATA_FIELD.into());
        }
        let wanted = ThresholdSet::from_bits(mask);
        let limits = PerThreshold::new(limits);
        let (path, limits) = self
            .sensor(&context, number, |sensor| {
                let sensor = analog(sensor)?;
                if wanted.and(sensor.observed.thresholds.present()) != wanted {
                    return Err(CompletionCode::INVALID_DATA_FIELD);
                }
                let value = |threshold| (threshold, sensor.limit_of(limits.get(threshold)));
                Ok((sensor.path.clone(), wanted.iter().map(value).collect::<Vec<_>>()))
            })
            .await??;
        let sensors = self.platform.sensors().await;
        for (threshold, limit) in limits {
            self.platform.set_limit(&path, threshold, limit).await?;
            // The service's signal brings the same value later; a client that reads before it must see the new one.
            let (interface, property) = limit_property(threshold);
            sensors.apply(Update::Changed {
                path: path.clone(),
                interface: interface.to_owned(),
                properties: vec![(property.to_owned(), Value::Number(limit))],
            });
        }
        Ok(())
    }

    /// Get Sensor Thresholds (IPMI v2.0 §35.9): a mask of the readable thresholds, and six raw limits, as they are set now.
    /// A limit that no raw byte means is not readable.
    ///
    /// # Errors
    ///
    /// `CBh` for an absent sensor, `CDh` for one without readings.
    async fn get_sensor_thresholds(
        self: Arc<Self>,
        context: Context,
        number: u8,
    ) -> Result<(u8, [u8; 6]), CompletionCode> {
        self.sensor(&context, number, |sensor| {
            let sensor = analog(sensor)?;
            Ok((sensor.readable_thresholds().bits(), sensor.raw_thresholds().values()))
        })
        .await?
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use ipmi_proto::sdr::Threshold;

    use super::*;
    use crate::commands::sensor::tests::{TestSensors, answer};

    #[tokio::test]
    async fn limits_are_read_and_set() {
        let commands = TestSensors::new();
        assert_eq!(commands.send(0x27, &[1]).await, answer(&hex!("18 00 00 00 50 5a 00")));
        let set = hex!("01 10 00 00 00 00 55 00");
        assert_eq!(commands.send(0x26, &set).await, answer(&[]));
        let path = "/xyz/openbmc_project/sensors/temperature/CPU0".to_owned();
        let written = [(path, Threshold::UpperCritical, 85.0)];
        assert_eq!(commands.platform.state().set_limits, written);
        assert_eq!(commands.send(0x27, &[1]).await, answer(&hex!("18 00 00 00 50 55 00")));
        assert_eq!(commands.send(0x27, &[2]).await, answer(&[0; 7]));
    }

    #[tokio::test]
    async fn thresholds_that_are_not_there_cannot_be_set() {
        let commands = TestSensors::new();
        let invalid = Err(CompletionCode::INVALID_DATA_FIELD);
        assert_eq!(commands.send(0x26, &hex!("01 01 00 00 00 00 00 00")).await, invalid);
        assert_eq!(commands.send(0x26, &hex!("01 48 00 00 00 00 00 00")).await, invalid);
        let absent = Err(CompletionCode::NOT_PRESENT);
        assert_eq!(commands.send(0x26, &hex!("09 08 00 00 00 00 00 00")).await, absent);
    }
}
