//! Event enables, event status and re-arming of sensors (IPMI v2.0 §35.10-35.13).

use std::sync::Arc;

use ipmi_proto::codec::{Bits, Ignored, Zero};
use ipmi_proto::{CompletionCode, NetFn, Privilege};

use super::SensorProvider;
use super::reading::status;
use crate::model::sensors::{Sensor, Settings};
use crate::platform::Sensors;
use crate::request::command::{Registrar, Resource};
use crate::request::context::Context;

/// Operation of Set Sensor Event Enable on the selected events (bits 5:4).
const KEEP: u8 = 0;
const ENABLE: u8 = 1;
const DISABLE: u8 = 2;

/// Scanning and event messages, bits 6 and 7 of the first byte.
type Switches = (Zero<4>, Bits<2>, bool, bool);

/// The events that a sensor supports, as a mask of offsets.
fn offered(sensor: &Sensor) -> u16 {
    if sensor.observed.analog {
        sensor.observed.thresholds.present().event_mask()
    } else {
        let kind = sensor.observed.discrete.map(|of| of.kind);
        kind.map_or(0, |kind| kind.events().into())
    }
}

/// The active states, as a mask of assertion offsets.
fn asserted(sensor: &Sensor) -> u16 {
    if sensor.observed.analog {
        sensor.states.event_mask()
    } else {
        u16::from(sensor.states.bits()) & offered(sensor)
    }
}

fn switch(settings: &mut Settings, operation: u8, assertions: u16, deassertions: u16) {
    match operation {
        ENABLE => {
            settings.masked_assertions &= !assertions;
            settings.masked_deassertions &= !deassertions;
        }
        DISABLE => {
            settings.masked_assertions |= assertions;
            settings.masked_deassertions |= deassertions;
        }
        _ => {}
    }
}

impl<P: Sensors> SensorProvider<P> {
    pub(super) fn register_events(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Operator, User};
        let mut rows = table.rows(NetFn::SENSOR_EVENT, self);
        rows.add(0x29, User, "Get Sensor Event Enable", Self::get_sensor_event_enable);
        rows.add(0x2b, User, "Get Sensor Event Status", Self::get_sensor_event_status);
        let mut rows = rows.changing(Resource::SENSOR);
        rows.add(0x28, Operator, "Set Sensor Event Enable", Self::set_sensor_event_enable);
        rows.add(0x2a, Operator, "Re-arm Sensor Events", Self::rearm_sensor_events);
    }

    /// Set Sensor Event Enable (IPMI v2.0 §35.10): scanning and event messages on or off, and events to
    /// enable or disable by offset.
    ///
    /// # Errors
    ///
    /// - `CBh` for an absent sensor.
    /// - `CCh` for a reserved operation.
    async fn set_sensor_event_enable(
        self: Arc<Self>,
        context: Context,
        number: u8,
        switches: Switches,
        assertions: Option<u16>,
        deassertions: Option<u16>,
    ) -> Result<(), CompletionCode> {
        let (_, operation, scanning, events) = switches;
        if !matches!(operation.value(), KEEP | ENABLE | DISABLE) {
            return Err(CompletionCode::INVALID_DATA_FIELD);
        }
        let index = self.sensor(&context, number, |sensor| sensor.listing.index).await?;
        let sensors = self.platform.sensors().await;
        let (assertions, deassertions) =
            (assertions.unwrap_or_default(), deassertions.unwrap_or_default());
        sensors
            .configure(index, move |settings| {
                settings.scanning = scanning;
                settings.events = events;
                switch(settings, operation.value(), assertions, deassertions);
            })
            .await?;
        Ok(())
    }

    /// Get Sensor Event Enable (IPMI v2.0 §35.11): event messages and scanning in bits 7 and 6, and the
    /// offsets whose assertion and deassertion are sent.
    ///
    /// # Errors
    ///
    /// `CBh` for an absent sensor.
    async fn get_sensor_event_enable(
        self: Arc<Self>,
        context: Context,
        number: u8,
    ) -> Result<(u8, u16, u16), CompletionCode> {
        self.sensor(&context, number, |sensor| {
            let (offered, settings) = (offered(sensor), &sensor.settings);
            let switches = u8::from(settings.events) << 7 | u8::from(settings.scanning) << 6;
            (
                switches,
                offered & !settings.masked_assertions,
                offered & !settings.masked_deassertions,
            )
        })
        .await
    }

    /// Re-arm Sensor Events (IPMI v2.0 §35.12): sends the events of active states again; all of them, or the
    /// selected ones. Deassertion events re-arm automatically.
    ///
    /// # Errors
    ///
    /// `CBh` for an absent sensor.
    async fn rearm_sensor_events(
        self: Arc<Self>,
        context: Context,
        number: u8,
        (_, some): (Ignored<7>, bool),
        assertions: Option<u16>,
        _deassertions: Option<u16>,
    ) -> Result<(), CompletionCode> {
        let index = self.sensor(&context, number, |sensor| sensor.listing.index).await?;
        let offsets = match some {
            true => assertions.unwrap_or_default(),
            false => u16::MAX,
        };
        Ok(self.platform.sensors().await.rearm(index, offsets)?)
    }

    /// Get Sensor Event Status (IPMI v2.0 §35.13): status as with a reading, and the offsets that are
    /// asserted and deasserted.
    ///
    /// # Errors
    ///
    /// `CBh` for an absent sensor.
    async fn get_sensor_event_status(
        self: Arc<Self>,
        context: Context,
        number: u8,
    ) -> Result<(u8, u16, u16), CompletionCode> {
        // Sensors re-arm automatically, so no deassertion stays pending.
        self.sensor(&context, number, |sensor| (status(sensor), asserted(sensor), 0)).await
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::sensor::tests::{TestSensors, answer};

    #[tokio::test]
    async fn events_are_enabled_and_disabled_by_offset() {
        let commands = TestSensors::new();
        assert_eq!(commands.send(0x29, &[1]).await, answer(&hex!("c0 8002 8002")));
        assert_eq!(commands.send(0x28, &hex!("01 e0 0002 8000")).await, answer(&[]));
        assert_eq!(commands.send(0x29, &[1]).await, answer(&hex!("c0 8000 0002")));
        assert_eq!(commands.send(0x28, &hex!("01 50 0002")).await, answer(&[]));
        assert_eq!(commands.send(0x29, &[1]).await, answer(&hex!("40 8002 0002")));
        let invalid = Err(CompletionCode::INVALID_DATA_FIELD);
        assert_eq!(commands.send(0x28, &hex!("01 f0")).await, invalid);
    }

    #[tokio::test]
    async fn sensor_that_is_not_scanned_has_no_reading() {
        let commands = TestSensors::new();
        assert_eq!(commands.send(0x28, &hex!("01 80")).await, answer(&[]));
        assert_eq!(commands.send(0x2d, &[1]).await, answer(&[0, 0xa0, 0xc0]));
    }

    #[tokio::test]
    async fn active_states_are_reported_and_sent_again() {
        let commands = TestSensors::new();
        commands.heat(85.0).await;
        assert_eq!(commands.send(0x2b, &[1]).await, answer(&hex!("c0 8000 0000")));
        let sensors = commands.platform.sensors().await;
        assert_eq!(sensors.events().await.len(), 1);
        assert_eq!(commands.send(0x2a, &[1, 0]).await, answer(&[]));
        assert_eq!(sensors.events().await.len(), 1);
        let absent = Err(CompletionCode::NOT_PRESENT);
        assert_eq!(commands.send(0x2a, &[9, 0]).await, absent);
    }

    #[tokio::test]
    async fn states_are_sent_again_by_offset() {
        let commands = TestSensors::new();
        commands.heat(95.0).await;
        let sensors = commands.platform.sensors().await;
        assert_eq!(sensors.events().await.len(), 2);
        // The selections of `bmc-device --rearm-sensor`: upper critical, and no event.
        for none in [&hex!("01 80")[..], &hex!("01 80 0000 ffff")] {
            assert_eq!(commands.send(0x2a, none).await, answer(&[]));
        }
        let upper_critical = hex!("01 80 0002 0000");
        assert_eq!(commands.send(0x2a, &upper_critical).await, answer(&[]));
        let [event] = sensors.events().await[..] else {
            panic!("the event that was named");
        };
        assert_eq!(event.event.data[0] & 0x0f, 9);
        let length = Err(CompletionCode::REQUEST_LENGTH_INVALID);
        for wrong in [&hex!("01 80 00")[..], &hex!("01 80 0000 0000 00")] {
            assert_eq!(commands.send(0x2a, wrong).await, length);
        }
    }

    #[tokio::test]
    async fn sensor_that_is_not_scanned_sends_no_event() {
        let commands = TestSensors::new();
        assert_eq!(commands.send(0x28, &hex!("01 80")).await, answer(&[]));
        commands.heat(95.0).await;
        commands.heat(20.0).await;
        commands.heat(85.0).await;
        assert_eq!(commands.send(0x28, &hex!("01 c0")).await, answer(&[]));
        let sensors = commands.platform.sensors().await;
        let [event] = sensors.events().await[..] else {
            panic!("the one of the state that holds when it is scanned again");
        };
        assert_eq!(event.event.data, [0x57, 85, 80]);
    }
}
