//! Readings, and what they mean (IPMI v2.0 §35.5, §35.14, §35.17).

use std::sync::Arc;

use ipmi_proto::codec::Remaining;
use ipmi_proto::sdr::Accuracy;
use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::{SensorProvider, analog};
use crate::model::sensors::Sensor;
use crate::platform::Sensors;
use crate::request::command::{Command, Registrar, Resource};
use crate::request::context::Context;

const GET_SENSOR_READING_FACTORS: Command =
    Command::standard(NetFn::SENSOR_EVENT, 0x23, Privilege::User, "Get Sensor Reading Factors");
const GET_SENSOR_READING: Command =
    Command::standard(NetFn::SENSOR_EVENT, 0x2d, Privilege::User, "Get Sensor Reading");
const SET_SENSOR_READING: Command = Command::standard(
    NetFn::SENSOR_EVENT,
    0x30,
    Privilege::Operator,
    "Set Sensor Reading And Event Status",
)
.changes(Resource::SENSOR);

/// Bits of a state byte that have no meaning and read as ones: of thresholds, of the second byte of states.
const THRESHOLD_FILL: u8 = 0xc0;
const STATES_FILL: u8 = 0x80;
/// Operation, bits 1:0: write the reading that is given.
const WRITE_READING: u8 = 0x01;

/// Event messages enabled, scanning enabled, reading not available: bits 7 to 5 of a sensor's status.
pub(super) fn status(sensor: &Sensor) -> u8 {
    u8::from(sensor.settings.events) << 7
        | u8::from(sensor.settings.scanning) << 6
        | u8::from(!sensor.is_available()) << 5
}

impl<P: Sensors> SensorProvider<P> {
    pub(super) fn register_reading(self: &Arc<Self>, table: &mut Registrar<'_>) {
        table.add(GET_SENSOR_READING_FACTORS, self, Self::get_sensor_reading_factors);
        table.add(GET_SENSOR_READING, self, Self::get_sensor_reading);
        table.add(SET_SENSOR_READING, self, Self::set_sensor_reading_and_event_status);
    }

    /// Get Sensor Reading Factors (IPMI v2.0 §35.5): the next reading for which they differ, which is the
    /// one asked for as all are linear, and the record's six bytes of factors.
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

    /// Get Sensor Reading (IPMI v2.0 §35.14): raw reading, status, thresholds that are crossed; or 0,
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
    /// service allows it; states and events follow from it, and are not set on their own.
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
    ) -> Result<(), CompletionCode> {
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
            return Err(CompletionCode::NOT_IN_PRESENT_STATE);
        }
        Ok(self.platform.set_reading(&path, value).await?)
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::sensor::tests::{Bench, answer};

    #[tokio::test]
    async fn reading_comes_with_status_and_crossed_thresholds() {
        let bench = Bench::new();
        assert_eq!(bench.send(0x2d, &[1]).await, answer(&[40, 0xc0, 0xc0]));
        bench.heat(95.0).await;
        assert_eq!(bench.send(0x2d, &[1]).await, answer(&[95, 0xc0, 0xd8]));
        bench.heat(f64::NAN).await;
        assert_eq!(bench.send(0x2d, &[1]).await, answer(&[0, 0xe0, 0xd8]));
        assert_eq!(bench.send(0x2d, &[2]).await, answer(&[51, 0xc0, 0xc0]));
        assert_eq!(bench.send(0x2d, &[3]).await, Err(CompletionCode::NOT_PRESENT));
    }

    #[tokio::test]
    async fn sensor_is_looked_for_on_the_requests_lun() {
        let bench = Bench::new();
        let context =
            Context { lun: ipmi_proto::Lun::new(1).unwrap(), ..Context::system_interface() };
        let absent = Err(CompletionCode::NOT_PRESENT);
        assert_eq!(bench.send_as(context, 0x2d, &[1]).await, absent);
    }

    #[tokio::test]
    async fn factors_are_those_of_the_record() {
        let bench = Bench::new();
        assert_eq!(bench.send(0x23, &[1, 9]).await, answer(&hex!("09 01 00 00 00 00 00")));
        assert_eq!(bench.send(0x23, &[2, 9]).await, answer(&hex!("09 01 00 00 00 00 20")));
    }

    #[tokio::test]
    async fn only_mutable_sensors_take_a_reading() {
        let bench = Bench::new();
        let refused = Err(CompletionCode::NOT_IN_PRESENT_STATE);
        assert_eq!(bench.send(0x30, &[1, 1, 50]).await, refused);
        assert_eq!(bench.send(0x30, &[2, 1, 60, 0, 0, 0, 0]).await, answer(&[]));
        let path = "/xyz/openbmc_project/sensors/fan_tach/Fan_1".to_owned();
        assert_eq!(bench.platform.state().set_readings, [(path, 6000.0)]);
        let invalid = Err(CompletionCode::INVALID_DATA_FIELD);
        assert_eq!(bench.send(0x30, &[2, 0x10, 60]).await, invalid);
    }
}
