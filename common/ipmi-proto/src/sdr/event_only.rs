//! Event-only records, type 03h (IPMI v2.0 §43.3): sensors that are never read.

use super::codes::{EventType, SensorType};
use super::compact::Sharing;
use super::sensor::{Entity, SensorKey};
use crate::record::{Reader, RecordError};
use crate::type_length::IdString;

/// A sensor that only sends events (§43.3, Table 43-3).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EventOnlySensor {
    /// Whose sensor it is and its number.
    pub key: SensorKey,
    /// What it belongs to.
    pub entity: Entity,
    /// What it senses.
    pub sensor_type: SensorType,
    /// How it reports.
    pub event_type: EventType,
    /// The sensors that share the record.
    pub sharing: Sharing,
    /// Free for the manufacturer.
    pub oem: u8,
    /// Its name.
    pub id: IdString,
}

impl EventOnlySensor {
    /// The record type.
    pub const KIND: u8 = 0x03;

    pub(crate) fn parse(body: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new("event-only record", body);
        let key = SensorKey::parse(&mut reader)?;
        let [id, instance, sensor_type, event_type] = reader.array()?;
        let sharing = Sharing::from_bytes(reader.array()?);
        let [_, oem] = reader.array()?;
        Ok(Self {
            key,
            entity: Entity { id, instance },
            sensor_type: SensorType(sensor_type),
            event_type: EventType::new(event_type),
            sharing,
            oem,
            id: IdString::parse(&mut reader)?,
        })
    }

    pub(crate) fn emit(&self, out: &mut Vec<u8>) {
        out.extend(self.key.to_bytes());
        out.extend([self.entity.id, self.entity.instance]);
        out.extend([self.sensor_type.0, self.event_type.value()]);
        out.extend(self.sharing.to_bytes());
        out.extend([0, self.oem]);
        self.id.emit(out);
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::netfn::Lun;
    use crate::sdr::{SdrBody, SdrRecord};

    #[test]
    fn record_matches_golden_bytes() {
        let bytes = hex!("03 00 51 03 0f 20 00 53 07 01 0c 6f 01 00 00 00 c3 45 43 43");
        let sensor = EventOnlySensor {
            key: SensorKey::bmc(Lun::BMC, 0x53),
            entity: Entity { id: 7, instance: 1 },
            sensor_type: SensorType::MEMORY,
            event_type: EventType::SENSOR_SPECIFIC,
            sharing: Sharing::NONE,
            oem: 0,
            id: IdString::new("ECC"),
        };
        let record = SdrRecord { id: 3, body: SdrBody::EventOnly(sensor) };
        assert_eq!(record.to_bytes(), bytes);
        assert_eq!(SdrRecord::parse(&bytes), Ok(record));
        for cut in 0..bytes.len() - 5 {
            assert!(EventOnlySensor::parse(&bytes[5..][..cut]).is_err(), "{cut}");
        }
    }
}
