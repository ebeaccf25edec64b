//! Sensor readings and reading factors (IPMI v2.0 §35.5, §35.14, §35.17).

use std::sync::Arc;

use ipmi_proto::codec::Remaining;
use ipmi_proto::sdr::Accuracy;
use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::{SensorProvider, analog};
use crate::model::sensors::Sensor;
use crate::platform::Sensors;
use crate::request::command::{HandlerResult, Registrar, Resource};
use crate::request::context::Context;

/// Bits of a state byte that have no meaning and read as ones: of thresholds, of the second byte of states.
const THRESHOLD_FILL: u8 = 0xc0;
const STATES_FILL: u8 = 0x80;
/// Operation, bits 1:0: write the given value as the sensor's reading.
const WRITE_READING: u8 = 0x01;

/// Event messages enabled, scanning enabled, reading not available: bits 7 to 5 of a sensor's status.
pub(super) fn status(sensor: &Sensor) -> u8 {
    u8::from(sensor.settings.events) << 7
        | u8::from(sensor.settings.scanning) << 6
        | u8::from(!sensor.is_available()) << 5
}

impl<P: Sensors> SensorProvider<P> {
    #[rustfmt::skip] // one line a command
    pub(super) fn register_reading(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Operator, User};
        let mut rows = table.rows(NetFn::SENSOR_EVENT, self);
        rows.add(0x23, User, "Get Sensor Reading Factors", Self::get_sensor_reading_factors);
        rows.add(0x2d, User, "Get Sensor Reading", Self::get_sensor_reading);
        let mut rows = rows.changing(Resource::SENSOR);
        rows.add(0x30, Operator, "Set Sensor Reading And Event Status", Self::set_sensor_reading_and_event_status);
    }

    /// Get Sensor Reading Factors (IPMI v2.0 §35.5): the next reading with other factors, which is the
    /// requested one as all sensors are linear, and the record's six bytes of factors.
    ///
    /// # Errors
    ///
    /// `CBh` for an absent sensor, `CDh` for one without readings.
    async fn get_sensor_reading_factors(
        self: Arc<Self>,
        context: Context,
        number: u8,
        reading: u8,
    ) -> Result<(u8, [u8; 6]), CompletionCode> {
        self.sensor(&context, number, |sensor| {
            let sensor = analog(sensor)?;
            Ok((reading, sensor.factors.to_bytes(Accuracy::default())))
        })
        .await?
    }

    /// Get Sensor Reading (IPMI v2.0 §35.14): raw reading, status, crossed thresholds; for a discrete sensor 0,
    /// status and two bytes of states.
    ///
    /// # Errors
    ///
    /// `CBh` for an absent sensor.
    async fn get_sensor_reading(
        self: Arc<Self>,
        context: Context,
        number: u8,
    ) -> Result<(u8, u8, u8, Option<u8>), CompletionCode> {
        self.sensor(&context, number, |sensor| {
            let (reading, status) = (sensor.raw_reading().unwrap_or(0), status(sensor));
            let states = sensor.states.bits();
            if sensor.observed.analog {
                (reading, status, states | THRESHOLD_FILL, None)
            } else {
                (0, status, states, Some(STATES_FILL))
            }
        })
        .await
    }

    /// Set Sensor Reading And Event Status (IPMI v2.0 §35.17): writes the reading of a sensor whose
    /// service allows it; states and events follow from the reading and cannot be set separately.
    ///
    /// # Errors
    ///
    /// - `CBh` for an absent sensor, `CDh` for one without readings.
    /// - `CCh` for an operation other than writing the reading.
    /// - `D5h` when its service does not allow it.
    async fn set_sensor_reading_and_event_status(
        self: Arc<Self>,
        context: Context,
        number: u8,
        operation: u8,
        reading: Option<u8>,
        _states_and_event: Remaining,
    ) -> HandlerResult<()> {
        let reading = reading.filter(|_| operation == WRITE_READING);
        let raw = reading.ok_or(CompletionCode::INVALID_DATA_FIELD)?;
        let (path, value, mutable) = self
            .sensor(&context, number, |sensor| {
                let sensor = analog(sensor)?;
                Ok::<_, CompletionCode>((
                    sensor.path.clone(),
                    sensor.limit_of(raw),
                    sensor.observed.mutable,
                ))
            })
            .await??;
        if !mutable {
            return Err(CompletionCode::NOT_IN_PRESENT_STATE.into());
        }
        Ok(self.platform.set_reading(&path, value).await?)
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::sensor::tests::{TestSensors, answer};

    #[tokio::test]
    async fn reading_comes_with_status_and_crossed_thresholds() {
        let commands = TestSensors::new();
        assert_eq!(commands.send(0x2d, &[1]).await, answer(&[40, 0xc0, 0xc0]));
        commands.heat(95.0).await;
        assert_eq!(commands.send(0x2d, &[1]).await, answer(&[95, 0xc0, 0xd8]));
        commands.heat(f64::NAN).await;
        assert_eq!(commands.send(0x2d, &[1]).await, answer(&[0, 0xe0, 0xd8]));
        assert_eq!(commands.send(0x2d, &[2]).await, answer(&[51, 0xc0, 0xc0]));
        assert_eq!(commands.send(0x2d, &[3]).await, Err(CompletionCode::NOT_PRESENT));
    }

    #[tokio::test]
    async fn sensor_is_looked_for_on_the_requests_lun() {
        let commands = TestSensors::new();
        let context =
            Context { lun: ipmi_proto::Lun::new(1).unwrap(), ..Context::system_interface() };
        let absent = Err(CompletionCode::NOT_PRESENT);
        assert_eq!(commands.send_as(context, 0x2d, &[1]).await, absent);
    }

    #[tokio::test]
    async fn factors_are_those_of_the_record() {
        let commands = TestSensors::new();
        assert_eq!(commands.send(0x23, &[1, 9]).await, answer(&hex!("09 01 00 00 00 00 00")));
        assert_eq!(commands.send(0x23, &[2, 9]).await, answer(&hex!("09 01 00 00 00 00 20")));
    }

    #[tokio::test]
    async fn only_mutable_sensors_take_a_reading() {
        let commands = TestSensors::new();
        let refused = Err(CompletionCode::NOT_IN_PRESENT_STATE);
        assert_eq!(commands.send(0x30, &[1, 1, 50]).await, refused);
        assert_eq!(commands.send(0x30, &[2, 1, 60, 0, 0, 0, 0]).await, answer(&[]));
        let path = "/xyz/openbmc_project/sensors/fan_tach/Fan_1".to_owned();
        assert_eq!(commands.platform.state().set_readings, [(path, 6000.0)]);
        let invalid = Err(CompletionCode::INVALID_DATA_FIELD);
        assert_eq!(commands.send(0x30, &[2, 0x10, 60]).await, invalid);
    }
}
