//! Compact sensor records, type 02h (IPMI v2.0 §43.2): discrete sensors, or several alike in one.

use super::codes::{EventType, SensorType, Unit};
use super::sensor::{Capabilities, Entity, Initialization, Masks, SensorKey};
use super::thresholds::Hysteresis;
use crate::record::{Reader, RecordError};
use crate::type_length::IdString;

/// How one record describes several sensors (§43.2, bytes 24-25).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Sharing {
    /// Two bits: 0 unspecified, 1 input, 2 output.
    pub direction: u8,
    /// How names are distinguished, two bits: 0 numeric, 1 alphabetic.
    pub modifier: u8,
    /// How many sensors share the record, four bits; 1 for one alone.
    pub count: u8,
    /// Whether the entity's instance counts up with the sensors.
    pub instance_increments: bool,
    /// What the first name's modifier is, seven bits.
    pub offset: u8,
}

impl Sharing {
    /// A record for one sensor.
    pub const NONE: Self =
        Self { direction: 0, modifier: 0, count: 1, instance_increments: false, offset: 0 };

    pub(super) const fn from_bytes([first, second]: [u8; 2]) -> Self {
        Self {
            direction: first >> 6,
            modifier: first >> 4 & 3,
            count: first & 0x0f,
            instance_increments: second & 0x80 != 0,
            offset: second & 0x7f,
        }
    }

    pub(super) const fn to_bytes(self) -> [u8; 2] {
        [
            self.direction << 6 | (self.modifier & 3) << 4 | self.count & 0x0f,
            (self.instance_increments as u8) << 7 | self.offset & 0x7f,
        ]
    }
}

/// A sensor without factors and thresholds of its own (§43.2, Table 43-2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CompactSensor {
    /// Whose sensor it is and its number.
    pub key: SensorKey,
    /// What it belongs to.
    pub entity: Entity,
    /// What to do with it at start-up.
    pub initialization: Initialization,
    /// What it can do.
    pub capabilities: Capabilities,
    /// What it senses.
    pub sensor_type: SensorType,
    /// How it reports.
    pub event_type: EventType,
    /// Its events and states.
    pub masks: Masks,
    /// What it is measured in.
    pub unit: Unit,
    /// The sensors that share the record.
    pub sharing: Sharing,
    /// Raw hysteresis.
    pub hysteresis: Hysteresis,
    /// Free for the manufacturer.
    pub oem: u8,
    /// Its name.
    pub id: IdString,
}

impl CompactSensor {
    /// The record type.
    pub const KIND: u8 = 0x02;

    pub(crate) fn parse(body: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new("compact sensor record", body);
        let key = SensorKey::parse(&mut reader)?;
        let [id, instance, initialization, capabilities, sensor_type, event_type] =
            reader.array()?;
        let masks = Masks::parse(&mut reader)?;
        let unit = Unit::from_bytes(reader.array()?);
        let sharing = Sharing::from_bytes(reader.array()?);
        let [positive, negative, _, _, _, oem] = reader.array()?;
        Ok(Self {
            key,
            entity: Entity { id, instance },
            initialization: Initialization(initialization),
            capabilities: Capabilities::from_byte(capabilities),
            sensor_type: SensorType(sensor_type),
            event_type: EventType::new(event_type),
            masks,
            unit,
            sharing,
            hysteresis: Hysteresis { positive, negative },
            oem,
            id: IdString::parse(&mut reader)?,
        })
    }

    pub(crate) fn emit(&self, out: &mut Vec<u8>) {
        out.extend(self.key.to_bytes());
        out.extend([self.entity.id, self.entity.instance, self.initialization.0]);
        out.extend([self.capabilities.to_byte(), self.sensor_type.0, self.event_type.value()]);
        self.masks.emit(out);
        out.extend(self.unit.to_bytes());
        out.extend(self.sharing.to_bytes());
        out.extend([self.hysteresis.positive, self.hysteresis.negative, 0, 0, 0, self.oem]);
        self.id.emit(out);
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::netfn::Lun;
    use crate::sdr::{Access, EventControl, SdrBody, SdrRecord};

    #[test]
    fn record_matches_golden_bytes() {
        let bytes = hex!(
            "02 00 51 02 23 20 00 60 17 01 03 c1 05 6f 01 00 01 00 01 00 c0 00 00 01 00 00 00 00"
            "00 00 00 c8 43 68 61 73 73 20 49 6e"
        );
        let sensor = CompactSensor {
            key: SensorKey::bmc(Lun::BMC, 0x60),
            entity: Entity { id: 0x17, instance: 1 },
            initialization: Initialization::ENABLED,
            capabilities: Capabilities {
                ignored_if_absent: true,
                auto_rearm: true,
                hysteresis: Access::None,
                thresholds: Access::None,
                events: EventControl::EntireSensor,
            },
            sensor_type: SensorType::PHYSICAL_SECURITY,
            event_type: EventType::SENSOR_SPECIFIC,
            masks: Masks { assertion: 1, deassertion: 1, reading: 1 },
            unit: Unit::DISCRETE,
            sharing: Sharing::NONE,
            hysteresis: Hysteresis::default(),
            oem: 0,
            id: IdString::new("Chass In"),
        };
        let record = SdrRecord { id: 2, body: SdrBody::Compact(sensor) };
        assert_eq!(record.to_bytes(), bytes);
        assert_eq!(SdrRecord::parse(&bytes), Ok(record));
        for cut in 0..bytes.len() - 5 {
            assert!(CompactSensor::parse(&bytes[5..][..cut]).is_err(), "{cut}");
        }
    }
}
