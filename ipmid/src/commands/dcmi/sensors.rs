//! Temperatures of inlet, processors and baseboard (DCMI 1.5 §6.5.2, §6.7.3).

use std::sync::Arc;

use ipmi_proto::codec::Remaining;
use ipmi_proto::sdr::{SdrBody, SensorType};
use ipmi_proto::{CompletionCode, GroupBody, Privilege};

use super::{DcmiProvider, Platform};
use crate::model::sdr;
use crate::model::sensors::{Sensor, SensorIndex};
use crate::request::command::Registrar;
use crate::request::context::Context;

/// Instances in one response.
const PER_RESPONSE: usize = 8;

/// DCMI's entity ids, and the IPMI ones that mean the same (DCMI 1.5 §6.5.2, Table 6-16).
pub(super) const ENTITIES: [(u8, u8); 3] = [(0x40, 0x37), (0x41, 0x03), (0x42, 0x07)];

/// Whole degrees in bits 6:0, and bit 7 for those below zero.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn signed_degrees(degrees: f64) -> u8 {
    let whole = degrees.abs().round().clamp(0.0, 127.0) as u8;
    if degrees < 0.0 && whole > 0 { whole | 0x80 } else { whole }
}

/// The entity id in a sensor's record.
fn entity_of(sensor: &Sensor) -> Option<u8> {
    match &sensor.body {
        SdrBody::Full(record) => Some(record.entity.id),
        SdrBody::Compact(record) => Some(record.entity.id),
        _ => None,
    }
}

/// One temperature of an entity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Temperature {
    /// From 1 on.
    pub(super) instance: u8,
    pub(super) index: SensorIndex,
    /// Degrees Celsius.
    pub(super) degrees: Option<f64>,
}

impl<P: Platform> DcmiProvider<P> {
    pub(super) fn register_sensors(self: &Arc<Self>, table: &mut Registrar<'_>) {
        use Privilege::{Operator, User};
        let mut rows = table.rows(GroupBody::DCMI, self);
        rows.add(0x07, Operator, "Get DCMI Sensor Info", Self::get_dcmi_sensor_info);
        rows.add(0x10, User, "Get Temperature Readings", Self::get_temperature_readings);
    }

    /// The temperatures of an entity, DCMI's id or IPMI's, in the order of their numbers.
    ///
    /// # Errors
    ///
    /// `CCh` for an entity that has none in DCMI.
    pub(super) async fn temperatures(
        &self,
        entity: u8,
    ) -> Result<Vec<Temperature>, CompletionCode> {
        let (dcmi, ipmi) = ENTITIES
            .into_iter()
            .find(|(dcmi, ipmi)| [*dcmi, *ipmi].contains(&entity))
            .ok_or(CompletionCode::INVALID_DATA_FIELD)?;
        let is_its = |sensor: &&Sensor| {
            entity_of(sensor).is_some_and(|id| id == dcmi || id == ipmi)
                && sensor.own_kind().0 == SensorType::TEMPERATURE
        };
        let store = self.platform.sensors().await;
        Ok(store.with(|table| {
            let sensors = table.iter().filter(is_its);
            (1..=u8::MAX)
                .zip(sensors)
                .map(|(instance, sensor)| Temperature {
                    instance,
                    index: sensor.listing.index,
                    degrees: sensor.observed.reading().filter(|_| sensor.is_available()),
                })
                .collect()
        }))
    }

    /// The part of an entity's temperatures that a request asks for: one instance, or all from one
    /// on; and how many there are.
    async fn selected(
        &self,
        (kind, entity, instance, first): (u8, u8, u8, u8),
    ) -> Result<(u8, Vec<Temperature>), CompletionCode> {
        if kind != SensorType::TEMPERATURE.0 {
            return Err(CompletionCode::INVALID_DATA_FIELD);
        }
        let all = self.temperatures(entity).await?;
        let total = u8::try_from(all.len()).unwrap_or(u8::MAX);
        let wanted = |temperature: &Temperature| match instance {
            0 => temperature.instance >= first,
            instance => temperature.instance == instance,
        };
        Ok((total, all.into_iter().filter(wanted).take(PER_RESPONSE).collect()))
    }

    /// Get DCMI Sensor Info (DCMI 1.5 §6.5.2): how many there are, how many follow, and the ids of
    /// their records.
    async fn get_dcmi_sensor_info(
        self: Arc<Self>,
        _: Context,
        which: (u8, u8, u8, u8),
    ) -> Result<(u8, u8, Vec<u16>), CompletionCode> {
        let (total, part) = self.selected(which).await?;
        let records: Vec<_> =
            part.iter().map(|temperature| sdr::record_id(temperature.index)).collect();
        Ok((total, u8::try_from(records.len()).unwrap_or(u8::MAX), records))
    }

    /// Get Temperature Readings (DCMI 1.5 §6.7.3): how many there are, how many follow; of each the
    /// whole degrees with their sign, and the instance. Those without a reading are left out.
    async fn get_temperature_readings(
        self: Arc<Self>,
        _: Context,
        which: (u8, u8, u8, u8),
    ) -> Result<(u8, u8, Remaining), CompletionCode> {
        let (total, part) = self.selected(which).await?;
        let mut data = Vec::new();
        for temperature in &part {
            if let Some(degrees) = temperature.degrees {
                data.extend([signed_degrees(degrees), temperature.instance]);
            }
        }
        Ok((total, u8::try_from(data.len() / 2).unwrap_or(u8::MAX), data.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::dcmi::tests::{answer, commands};

    #[test]
    fn degrees_are_whole_with_a_sign() {
        for (degrees, byte) in [(21.4, 21), (-5.5, 0x86), (-0.2, 0), (300.0, 127), (0.0, 0)] {
            assert_eq!(signed_degrees(degrees), byte, "{degrees}");
        }
    }

    #[tokio::test]
    async fn temperatures_are_found_by_either_id_of_their_entity() {
        let commands = commands();
        for entity in [0x41, 0x03] {
            let request = [0x01, entity, 0x00, 0x01];
            assert_eq!(commands.send(0x07, &request).await, answer(&[1, 1, 0x00, 0x01]));
            assert_eq!(commands.send(0x10, &request).await, answer(&[1, 1, 40, 1]));
            let second = [0x01, entity, 0x02, 0x00];
            assert_eq!(commands.send(0x10, &second).await, answer(&[1, 0]));
        }
        for entity in [0x40, 0x42] {
            let request = [0x01, entity, 0x00, 0x01];
            assert_eq!(commands.send(0x10, &request).await, answer(&[0, 0]), "{entity:02x}");
        }
        let refused = Err(CompletionCode::INVALID_DATA_FIELD);
        assert_eq!(commands.send(0x07, &[2, 0x40, 0, 1]).await, refused);
        assert_eq!(commands.send(0x07, &[1, 0x43, 0, 1]).await, refused);
    }
}
