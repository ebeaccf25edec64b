//! Sensor data records (IPMI v2.0 §43) and what goes with them: reading factors, thresholds, codes.
//!
//! A record travels as a five-byte header and a body. Types 01h (full), 02h (compact), 03h
//! (event-only), 11h (FRU locator), 12h (management controller locator) and C0h (OEM) are decoded;
//! every other type stays as bytes.

mod codes;
mod compact;
mod event_only;
mod factors;
mod full;
mod locators;
mod sensor;
mod thresholds;

pub use codes::{AnalogFormat, EventType, SensorType, Unit, entity};
pub use compact::{CompactSensor, Sharing};
pub use event_only::EventOnlySensor;
pub use factors::{Accuracy, FactorError, Factors};
pub use full::FullSensor;
pub use locators::{ControllerLocator, FruLocator};
pub use sensor::{Access, Capabilities, Entity, EventControl, Initialization, Masks, SensorKey};
pub use thresholds::{Hysteresis, PerThreshold, Threshold, ThresholdSet};

use crate::netfn::Iana;
use crate::record::{Reader, RecordError};
use crate::type_length::low_byte;

/// The SDR version that headers and Get SDR Repository Info have: 1.5, least significant digit first.
pub const SDR_VERSION: u8 = 0x51;
/// Bytes of a record's header.
pub const HEADER_LENGTH: usize = 5;

/// The header of any record (§43, first five bytes).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SdrHeader {
    /// The record's number in its repository.
    pub id: u16,
    /// The SDR version of the format.
    pub version: u8,
    /// The record type.
    pub kind: u8,
    /// Bytes after the header.
    pub remaining: u8,
}

impl SdrHeader {
    /// Takes the first five bytes of a record.
    ///
    /// # Errors
    ///
    /// [`RecordError::Truncated`] below five bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let [id0, id1, version, kind, remaining] = Reader::new("SDR header", bytes).array()?;
        Ok(Self { id: u16::from_le_bytes([id0, id1]), version, kind, remaining })
    }
}

/// One record of a repository.
#[derive(Clone, Debug, PartialEq)]
pub struct SdrRecord {
    /// Its number; 0000h and FFFFh mean "first" and "last" in requests.
    pub id: u16,
    /// What it describes.
    pub body: SdrBody,
}

/// What a record describes, by its type.
#[derive(Clone, Debug, PartialEq)]
pub enum SdrBody {
    /// Type 01h.
    Full(Box<FullSensor>),
    /// Type 02h.
    Compact(CompactSensor),
    /// Type 03h.
    EventOnly(EventOnlySensor),
    /// Type 11h.
    Fru(FruLocator),
    /// Type 12h.
    Controller(ControllerLocator),
    /// Type C0h.
    Oem {
        /// Whose record it is.
        manufacturer: Iana,
        /// Its content, at most 59 bytes by the specification.
        data: Vec<u8>,
    },
    /// Every other type, as bytes.
    Other {
        /// The record type.
        kind: u8,
        /// The bytes after the header.
        data: Vec<u8>,
    },
}

impl SdrRecord {
    /// Takes a whole record, header and body.
    ///
    /// # Errors
    ///
    /// [`RecordError::Length`] when the header's length is not that of `bytes`, and what the type's own
    /// fields are refused for.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let header = SdrHeader::parse(bytes)?;
        let body = bytes.get(HEADER_LENGTH..).unwrap_or_default();
        if body.len() != usize::from(header.remaining) {
            let (stated, have) = (usize::from(header.remaining), body.len());
            return Err(RecordError::Length { what: "SDR", stated, have });
        }
        Ok(Self { id: header.id, body: SdrBody::parse(header.kind, body)? })
    }

    /// The whole record, header and body.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let [id0, id1] = self.id.to_le_bytes();
        let mut out = vec![id0, id1, SDR_VERSION, self.body.kind(), 0];
        self.body.emit(&mut out);
        out.truncate(HEADER_LENGTH + usize::from(u8::MAX));
        let remaining = low_byte(out.len() - HEADER_LENGTH);
        if let Some(length) = out.get_mut(HEADER_LENGTH - 1) {
            *length = remaining;
        }
        out
    }
}

impl SdrBody {
    /// The type byte of OEM records.
    pub const OEM: u8 = 0xc0;

    /// The record type byte.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Full(_) => FullSensor::KIND,
            Self::Compact(_) => CompactSensor::KIND,
            Self::EventOnly(_) => EventOnlySensor::KIND,
            Self::Fru(_) => FruLocator::KIND,
            Self::Controller(_) => ControllerLocator::KIND,
            Self::Oem { .. } => Self::OEM,
            Self::Other { kind, .. } => *kind,
        }
    }

    fn parse(kind: u8, body: &[u8]) -> Result<Self, RecordError> {
        Ok(match kind {
            FullSensor::KIND => Self::Full(Box::new(FullSensor::parse(body)?)),
            CompactSensor::KIND => Self::Compact(CompactSensor::parse(body)?),
            EventOnlySensor::KIND => Self::EventOnly(EventOnlySensor::parse(body)?),
            FruLocator::KIND => Self::Fru(FruLocator::parse(body)?),
            ControllerLocator::KIND => Self::Controller(ControllerLocator::parse(body)?),
            Self::OEM => {
                let mut reader = Reader::new("OEM record", body);
                let manufacturer = Iana::from_bytes(reader.array()?);
                Self::Oem { manufacturer, data: reader.rest().to_vec() }
            }
            _ => Self::Other { kind, data: body.to_vec() },
        })
    }

    fn emit(&self, out: &mut Vec<u8>) {
        match self {
            Self::Full(sensor) => sensor.emit(out),
            Self::Compact(sensor) => sensor.emit(out),
            Self::EventOnly(sensor) => sensor.emit(out),
            Self::Fru(locator) => locator.emit(out),
            Self::Controller(locator) => locator.emit(out),
            Self::Oem { manufacturer, data } => {
                out.extend(manufacturer.to_bytes());
                out.extend(data);
            }
            Self::Other { data, .. } => out.extend(data),
        }
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn oem_and_unknown_records_do_not_change() {
        let oem = hex!("05 00 51 c0 05 57 01 00 aa bb");
        let record = SdrRecord::parse(&oem).unwrap();
        let manufacturer = Iana::from_bytes([0x57, 1, 0]);
        assert_eq!(record.body, SdrBody::Oem { manufacturer, data: vec![0xaa, 0xbb] });
        assert_eq!(record.to_bytes(), oem);
        let association = hex!("06 00 51 08 03 01 02 03");
        let record = SdrRecord::parse(&association).unwrap();
        assert_eq!(record.body, SdrBody::Other { kind: 8, data: vec![1, 2, 3] });
        assert_eq!(record.to_bytes(), association);
    }

    #[test]
    fn length_that_contradicts_the_header_is_refused() {
        assert_eq!(
            SdrRecord::parse(&hex!("06 00 51 08 04 01 02 03")),
            Err(RecordError::Length { what: "SDR", stated: 4, have: 3 })
        );
        for cut in 0..5 {
            assert!(SdrRecord::parse(&[0; 5][..cut]).is_err());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn any_record_parses_or_fails_and_what_parses_survives(
            kind in prop::sample::select(vec![1u8, 2, 3, 8, 0x11, 0x12, 0xc0]),
            body in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let mut bytes = vec![1, 0, SDR_VERSION, kind, low_byte(body.len())];
            bytes.extend(&body);
            if let Ok(record) = SdrRecord::parse(&bytes) {
                prop_assert_eq!(SdrRecord::parse(&record.to_bytes()), Ok(record));
            }
        }
    }
}
