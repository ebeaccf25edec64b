//! Hysteresis (IPMI v2.0 §35.6, §35.7).

use std::sync::Arc;

use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::{SensorProvider, analog};
use crate::platform::Sensors;
use crate::request::command::{Registrar, Resource};
use crate::request::context::Context;

impl<P: Sensors> SensorProvider<P> {
    pub(super) fn register_hysteresis(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Operator, User};
        let mut rows = table.rows(NetFn::SENSOR_EVENT, self);
        rows.add(0x25, User, "Get Sensor Hysteresis", Self::get_sensor_hysteresis);
        let mut rows = rows.changing(Resource::SENSOR);
        rows.add(0x24, Operator, "Set Sensor Hysteresis", Self::set_sensor_hysteresis);
    }

    /// Set Sensor Hysteresis (IPMI v2.0 §35.6): a reserved mask; positive and negative hysteresis in raw steps.
    ///
    /// # Errors
    ///
    /// `CBh` for an absent sensor, `CDh` for one without readings.
    async fn set_sensor_hysteresis(
        self: Arc<Self>,
        context: Context,
        number: u8,
        _mask: u8,
        positive: u8,
        negative: u8,
    ) -> Result<(), CompletionCode> {
        let index = self
            .sensor(&context, number, |sensor| analog(sensor).map(|s| s.listing.index))
            .await??;
        let sensors = self.platform.sensors().await;
        sensors
            .configure(index, move |settings| {
                settings.positive_hysteresis = positive;
                settings.negative_hysteresis = negative;
            })
            .await?;
        Ok(())
    }

    /// Get Sensor Hysteresis (IPMI v2.0 §35.7): positive and negative, in raw steps.
    ///
    /// # Errors
    ///
    /// `CBh` for an absent sensor, `CDh` for one without readings.
    async fn get_sensor_hysteresis(
        self: Arc<Self>,
        context: Context,
        number: u8,
        _mask: u8,
    ) -> Result<(u8, u8), CompletionCode> {
        self.sensor(&context, number, |sensor| {
            let hysteresis = analog(sensor)?.settings.hysteresis();
            Ok((hysteresis.positive, hysteresis.negative))
        })
        .await?
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::sensor::tests::{TestSensors, answer};

    #[tokio::test]
    async fn hysteresis_is_set_and_holds_a_state() {
        let commands = TestSensors::new();
        assert_eq!(commands.send(0x25, &hex!("01 ff")).await, answer(&[0, 0]));
        assert_eq!(commands.send(0x24, &hex!("01 ff 03 02")).await, answer(&[]));
        assert_eq!(commands.send(0x25, &hex!("01 ff")).await, answer(&[3, 2]));
        for (value, states) in [(90.0, 0xd8), (88.0, 0xd8), (86.0, 0xc8)] {
            commands.heat(value).await;
            assert_eq!(commands.send(0x2d, &[1]).await.unwrap()[2], states, "{value}");
        }
        let absent = Err(CompletionCode::NOT_PRESENT);
        assert_eq!(commands.send(0x24, &hex!("09 ff 03 02")).await, absent);
    }
}
