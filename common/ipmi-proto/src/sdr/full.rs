//! Full sensor records, type 01h (IPMI v2.0 §43.1).

use super::codes::{EventType, SensorType, Unit};
use super::factors::{Accuracy, Factors};
use super::sensor::{Capabilities, Entity, Initialization, Masks, SensorKey};
use super::thresholds::{Hysteresis, PerThreshold, Threshold};
use super::{AnalogFormat, HEADER_LENGTH};
use crate::record::{Reader, RecordError};
use crate::type_length::IdString;

/// A sensor with everything a client needs to show its reading (§43.1, Table 43-1).
#[derive(Clone, Debug, PartialEq)]
pub struct FullSensor {
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
    /// Its events and thresholds.
    pub masks: Masks,
    /// What it is measured in.
    pub unit: Unit,
    /// 0 linear; 1-11 a function of the formula's result; 70h by Get Sensor Reading Factors.
    pub linearization: u8,
    /// How raw bytes become readings.
    pub factors: Factors,
    /// How exact they are.
    pub accuracy: Accuracy,
    /// The nominal raw reading.
    pub nominal: Option<u8>,
    /// The highest raw reading in normal operation.
    pub normal_max: Option<u8>,
    /// The lowest raw reading in normal operation.
    pub normal_min: Option<u8>,
    /// The highest raw reading there is.
    pub sensor_max: u8,
    /// The lowest raw reading there is.
    pub sensor_min: u8,
    /// Raw thresholds; what the masks do not name is zero.
    pub thresholds: PerThreshold<u8>,
    /// Raw hysteresis.
    pub hysteresis: Hysteresis,
    /// Free for the manufacturer.
    pub oem: u8,
    /// Its name.
    pub id: IdString,
}

/// The record's order of thresholds: upper ones first, from the outermost (bytes 37-42).
const RECORD_ORDER: [Threshold; 6] = [
    Threshold::UpperNonRecoverable,
    Threshold::UpperCritical,
    Threshold::UpperNonCritical,
    Threshold::LowerNonRecoverable,
    Threshold::LowerCritical,
    Threshold::LowerNonCritical,
];

impl FullSensor {
    /// The record type.
    pub const KIND: u8 = 0x01;
    /// Bytes of a record before the characters of its name.
    pub const FIXED_LENGTH: usize = HEADER_LENGTH + 43;

    pub(crate) fn parse(body: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new("full sensor record", body);
        let key = SensorKey::parse(&mut reader)?;
        let [id, instance, initialization, capabilities, sensor_type, event_type] =
            reader.array()?;
        let masks = Masks::parse(&mut reader)?;
        let unit = Unit::from_bytes(reader.array()?);
        let linearization = reader.u8()?;
        let signed = unit.format == AnalogFormat::TwosComplement;
        let (factors, accuracy) = Factors::from_bytes(reader.array()?, signed);
        let [flags, nominal, normal_max, normal_min, sensor_max, sensor_min] = reader.array()?;
        let mut thresholds = PerThreshold::<u8>::default();
        for threshold in RECORD_ORDER {
            *thresholds.get_mut(threshold) = reader.u8()?;
        }
        let [positive, negative, _, _, oem] = reader.array()?;
        Ok(Self {
            key,
            entity: Entity { id, instance },
            initialization: Initialization(initialization),
            capabilities: Capabilities::from_byte(capabilities),
            sensor_type: SensorType(sensor_type),
            event_type: EventType::new(event_type),
            masks,
            unit,
            linearization: linearization & 0x7f,
            factors,
            accuracy,
            nominal: (flags & 1 != 0).then_some(nominal),
            normal_max: (flags & 2 != 0).then_some(normal_max),
            normal_min: (flags & 4 != 0).then_some(normal_min),
            sensor_max,
            sensor_min,
            thresholds,
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
        out.push(self.linearization & 0x7f);
        out.extend(self.factors.to_bytes(self.accuracy));
        let flags = u8::from(self.nominal.is_some())
            | u8::from(self.normal_max.is_some()) << 1
            | u8::from(self.normal_min.is_some()) << 2;
        out.push(flags);
        out.extend([self.nominal, self.normal_max, self.normal_min].map(Option::unwrap_or_default));
        out.extend([self.sensor_max, self.sensor_min]);
        out.extend(RECORD_ORDER.map(|threshold| self.thresholds.get(threshold)));
        out.extend([self.hysteresis.positive, self.hysteresis.negative, 0, 0, self.oem]);
        self.id.emit(out);
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::netfn::Lun;
    use crate::sdr::{Access, EventControl, SdrBody, SdrRecord};

    /// A board temperature sensor, as ipmitool and FreeIPMI decode it.
    pub(super) fn sensor() -> FullSensor {
        FullSensor {
            key: SensorKey::bmc(Lun::BMC, 0x01),
            entity: Entity { id: 0x07, instance: 0x01 },
            initialization: Initialization(0x7f),
            capabilities: Capabilities {
                ignored_if_absent: false,
                auto_rearm: true,
                hysteresis: Access::Settable,
                thresholds: Access::Settable,
                events: EventControl::PerState,
            },
            sensor_type: SensorType::TEMPERATURE,
            event_type: EventType::THRESHOLD,
            masks: Masks { assertion: 0x7280, deassertion: 0x7280, reading: 0x3838 },
            unit: Unit::of_name("DegreesC").0.with_sign(true),
            linearization: 0,
            factors: Factors::new(1, 0, 0, 0, true).unwrap(),
            accuracy: Accuracy::default(),
            nominal: Some(0x19),
            normal_max: None,
            normal_min: None,
            sensor_max: 0x7f,
            sensor_min: 0x80,
            thresholds: PerThreshold::new([0, 0, 0, 0x50, 0x5a, 0x64]),
            hysteresis: Hysteresis { positive: 2, negative: 2 },
            oem: 0,
            id: IdString::new("MBTemp"),
        }
    }

    #[test]
    fn record_matches_golden_bytes() {
        let bytes = hex!(
            "01 00 51 01 31 20 00 01 07 01 7f 68 01 01 80 72 80 72 38 38 80 01 00 00 01 00 00 00"
            "00 00 01 19 00 00 7f 80 64 5a 50 00 00 00 02 02 00 00 00 c6 4d 42 54 65 6d 70"
        );
        let record = SdrRecord { id: 1, body: SdrBody::Full(Box::new(sensor())) };
        assert_eq!(record.to_bytes(), bytes);
        assert_eq!(SdrRecord::parse(&bytes), Ok(record));
        assert_eq!(bytes.len(), FullSensor::FIXED_LENGTH + 6);
    }

    #[test]
    fn record_cut_short_is_truncated() {
        let mut bytes = Vec::new();
        sensor().emit(&mut bytes);
        for cut in 0..bytes.len() {
            assert!(FullSensor::parse(&bytes[..cut]).is_err(), "{cut}");
        }
    }
}
