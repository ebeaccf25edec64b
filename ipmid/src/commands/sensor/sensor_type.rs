//! Reading and changing sensor types (IPMI v2.0 §35.15, §35.16).

use std::sync::Arc;

use ipmi_proto::codec::{Bits, Zero};
use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::SensorProvider;
use crate::platform::Sensors;
use crate::request::command::{Registrar, Resource};
use crate::request::context::Context;

/// Sensor types of the specification (Table 42-3), and the OEM range.
const fn is_named(sensor_type: u8) -> bool {
    matches!(sensor_type, 0x01..=0x2c | 0xc0..)
}

impl<P: Sensors> SensorProvider<P> {
    pub(super) fn register_sensor_type(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Operator, User};
        let mut rows = table.rows(NetFn::SENSOR_EVENT, self);
        rows.add(0x2f, User, "Get Sensor Type", Self::get_sensor_type);
        let mut rows = rows.changing(Resource::SENSOR);
        rows.add(0x2e, Operator, "Set Sensor Type", Self::set_sensor_type);
    }

    /// Set Sensor Type (IPMI v2.0 §35.15): overrides the type of an analog sensor in Get Sensor Type, in its
    /// record and in its events, until its own type is set again. The override is persistent.
    ///
    /// # Errors
    ///
    /// - `CBh` for an absent sensor.
    /// - `CCh` for a reserved sensor type.
    /// - `CDh` for another event/reading type than the sensor's, and for another sensor type of a
    ///   discrete sensor: its states have no meaning in another type.
    async fn set_sensor_type(
        self: Arc<Self>,
        context: Context,
        number: u8,
        wanted: u8,
        (event_type, _): (Bits<7>, Zero<1>),
    ) -> Result<(), CompletionCode> {
        let (index, analog, own) = self
            .sensor(&context, number, |sensor| {
                let own = sensor.own_kind();
                (sensor.listing.index, sensor.observed.analog, own)
            })
            .await?;
        if !is_named(wanted) {
            return Err(CompletionCode::INVALID_DATA_FIELD);
        }
        let is_own = wanted == own.0.0;
        if event_type.value() != own.1.value() || !(analog || is_own) {
            return Err(CompletionCode::ILLEGAL_FOR_SENSOR);
        }
        let sensor_type = (!is_own).then_some(wanted);
        let sensors = self.platform.sensors().await;
        Ok(sensors.configure(index, move |settings| settings.sensor_type = sensor_type).await?)
    }

    /// Get Sensor Type (IPMI v2.0 §35.16): sensor type, event/reading type.
    ///
    /// # Errors
    ///
    /// `CBh` for an absent sensor.
    async fn get_sensor_type(
        self: Arc<Self>,
        context: Context,
        number: u8,
    ) -> Result<(u8, u8), CompletionCode> {
        self.sensor(&context, number, |sensor| {
            let (sensor_type, event_type) = sensor.kind();
            (sensor_type.0, event_type.value())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::sensor::tests::{TestSensors, answer};

    #[tokio::test]
    async fn type_is_set_and_its_own_again() {
        let commands = TestSensors::new();
        assert_eq!(commands.send(0x2f, &[2]).await, answer(&hex!("04 01")));
        // A cooling device.
        assert_eq!(commands.send(0x2e, &hex!("02 0a 01")).await, answer(&[]));
        assert_eq!(commands.send(0x2f, &[2]).await, answer(&hex!("0a 01")));
        let record = commands.send(0x21, &hex!("0000 0101 00 0e")).await.unwrap();
        assert_eq!(record[2..][12..14], hex!("0a 01"));
        assert_eq!(commands.send(0x2f, &[1]).await, answer(&hex!("01 01")));
        assert_eq!(commands.send(0x2e, &hex!("02 04 01")).await, answer(&[]));
        assert_eq!(commands.send(0x2f, &[2]).await, answer(&hex!("04 01")));
    }

    #[tokio::test]
    async fn events_are_of_the_type_that_was_set() {
        let commands = TestSensors::new();
        assert_eq!(commands.send(0x2e, &hex!("01 c1 01")).await, answer(&[]));
        commands.heat(95.0).await;
        let events = commands.platform.sensors().await.events().await;
        assert!(!events.is_empty());
        assert!(events.iter().all(|sent| sent.event.sensor_type == 0xc1));
    }

    #[tokio::test]
    async fn what_no_sensor_can_be_is_refused() {
        let commands = TestSensors::new();
        commands.open_the_chassis().await;
        for (request, expected) in [
            (&hex!("09 01 01")[..], 0xcb),
            (&hex!("02 00 01"), 0xcc),
            (&hex!("02 2d 01"), 0xcc),
            (&hex!("02 04 6f"), 0xcd),
            (&hex!("03 04 6f"), 0xcd),
            (&hex!("02 04"), 0xc7),
            (&hex!("02 04 01 00"), 0xc7),
        ] {
            let expected = Err(CompletionCode(expected));
            assert_eq!(commands.send(0x2e, request).await, expected, "{request:02x?}");
        }
        assert_eq!(commands.send(0x2e, &hex!("03 05 6f")).await, answer(&[]));
    }
}
