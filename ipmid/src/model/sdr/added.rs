//! Records that clients added to the repository (IPMI v2.0 §33.13-33.16): saved across restarts,
//! beside the records that the BMC builds itself.

use std::collections::BTreeMap;

use ipmi_proto::sdr::{HEADER_LENGTH, SdrBody, SdrHeader, SdrRecord, SensorKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::model::StoreError;

/// The ids of added records begin here, above those of all sensors.
pub(super) const FIRST: u16 = 0x1000;
/// The greatest id; FFFFh stands for the last record.
const LAST: u16 = 0xfffe;
/// The most records that clients may add.
pub(super) const CAPACITY: usize = 256;
/// The bytes of the largest record.
pub const MAX_LENGTH: usize = 64;

/// What a record describes. With two records of one subject, clients would list it twice.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Subject {
    /// A sensor, readable or not.
    Sensor(SensorKey),
    /// A FRU device: its controller's address and its id there.
    Fru(u8, u8),
    /// A controller: its address and its channel.
    Controller(u8, u8),
}

impl Subject {
    /// What `body` describes; `None` for types that describe none of these.
    pub(super) const fn of(body: &SdrBody) -> Option<Self> {
        Some(match body {
            SdrBody::Full(sensor) => Self::Sensor(sensor.key),
            SdrBody::Compact(sensor) => Self::Sensor(sensor.key),
            SdrBody::EventOnly(sensor) => Self::Sensor(sensor.key),
            SdrBody::Fru(locator) => Self::Fru(locator.access_address, locator.device),
            SdrBody::Controller(locator) => {
                Self::Controller(locator.address, locator.channel.value())
            }
            SdrBody::Oem { .. } | SdrBody::Other { .. } => return None,
        })
    }
}

/// A record as a client sent it, with the id that it has here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Raw(Vec<u8>);

impl Raw {
    /// Checks a record, which has no id yet.
    ///
    /// # Errors
    ///
    /// - [`StoreError::LengthMismatch`] when its length is not that of its header.
    /// - [`StoreError::TooLong`] beyond the length that a record may have.
    /// - [`StoreError::InvalidRecord`] when it is too short for the fields of its type.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, StoreError> {
        let header = SdrHeader::parse(bytes).map_err(|_| StoreError::LengthMismatch)?;
        if bytes.len() != HEADER_LENGTH + usize::from(header.remaining) {
            return Err(StoreError::LengthMismatch);
        }
        if bytes.len() > MAX_LENGTH {
            return Err(StoreError::TooLong);
        }
        SdrRecord::parse(bytes).map_err(|_| StoreError::InvalidRecord)?;
        Ok(Self(bytes.to_vec()))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What it describes.
    pub(super) fn subject(&self) -> Option<Subject> {
        Subject::of(&SdrRecord::parse(&self.0).ok()?.body)
    }

    fn with_id(mut self, id: u16) -> Self {
        for (slot, byte) in self.0.iter_mut().zip(id.to_le_bytes()) {
            *slot = byte;
        }
        self
    }
}

/// A row of hexadecimal digits in the file.
impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let digits: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        to.serialize_str(&digits)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(from)?;
        let bytes = digits.as_bytes().chunks(2).map(|pair| {
            let pair = str::from_utf8(pair).map_err(de::Error::custom)?;
            u8::from_str_radix(pair, 16).map_err(de::Error::custom)
        });
        let bytes: Vec<u8> = bytes.collect::<Result<_, _>>()?;
        Self::parse(&bytes).map_err(|_| de::Error::custom("not a sensor data record"))
    }
}

/// The records that were added, by id.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Added(BTreeMap<u16, Raw>);

impl Added {
    /// The id of the next record; `None` when the repository is full.
    pub(super) fn next_id(&self) -> Option<u16> {
        if self.0.len() >= CAPACITY {
            return None;
        }
        (FIRST..=LAST).find(|id| !self.0.contains_key(id))
    }

    /// Adds `record`, under `wanted` if that id is free.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSpace`] when there is no room.
    pub(super) fn add(&mut self, record: Raw, wanted: Option<u16>) -> Result<u16, StoreError> {
        let next = self.next_id().ok_or(StoreError::NoSpace)?;
        let free = wanted.filter(|id| *id >= FIRST && !self.0.contains_key(id));
        let id = free.unwrap_or(next);
        self.0.insert(id, record.with_id(id));
        Ok(id)
    }

    /// Deletes the record `id`; false when there is no such record.
    pub(super) fn delete(&mut self, id: u16) -> bool {
        self.0.remove(&id).is_some()
    }

    /// Deletes all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// All, by id.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, &Raw)> {
        self.0.iter().map(|(id, record)| (*id, record))
    }

    /// How many more there is room for.
    pub(super) fn room(&self) -> usize {
        CAPACITY.saturating_sub(self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    /// A locator of the controller at 24h, as a satellite's own repository has it.
    const CONTROLLER: [u8; 19] = hex!("0700 51 12 0e 24 00 00 29 000000 0a 60 00 c3 534154");

    #[test]
    fn record_must_be_as_long_as_its_header_says() {
        assert_eq!(Raw::parse(&CONTROLLER).unwrap().subject(), Some(Subject::Controller(0x24, 0)));
        for cut in 0..CONTROLLER.len() {
            assert_eq!(Raw::parse(&CONTROLLER[..cut]), Err(StoreError::LengthMismatch));
        }
        let mut long = vec![0, 0, 0x51, 0x08, 60];
        long.extend([0; 60]);
        assert_eq!(Raw::parse(&long), Err(StoreError::TooLong));
        let hollow = hex!("0000 51 01 03 20 00 01");
        assert_eq!(Raw::parse(&hollow), Err(StoreError::InvalidRecord));
    }

    #[test]
    fn ids_are_unused_and_the_capacity_is_bounded() {
        let mut added = Added::default();
        let record = Raw::parse(&CONTROLLER).unwrap();
        assert_eq!(added.add(record.clone(), None), Ok(FIRST));
        assert_eq!(added.add(record.clone(), Some(FIRST)), Ok(FIRST + 1));
        assert_eq!(added.add(record.clone(), Some(FIRST + 9)), Ok(FIRST + 9));
        let (id, last) = added.iter().last().unwrap();
        assert_eq!((id, &last.bytes()[..2]), (FIRST + 9, &hex!("0910")[..]));
        assert!(added.delete(FIRST) && !added.delete(FIRST));
        assert_eq!(added.next_id(), Some(FIRST));
        while added.room() > 0 {
            added.add(record.clone(), None).unwrap();
        }
        assert_eq!(added.add(record, None), Err(StoreError::NoSpace));
        assert_eq!(added.next_id(), None);
    }

    #[test]
    fn file_holds_rows_of_digits() {
        let mut added = Added::default();
        added.add(Raw::parse(&CONTROLLER).unwrap(), None).unwrap();
        let text = serde_json::to_string(&added).unwrap();
        assert_eq!(text, r#"{"4096":"001051120e240000290000000a6000c3534154"}"#);
        assert_eq!(serde_json::from_str::<Added>(&text).unwrap(), added);
        for wrong in [r#"{"1":"00"}"#, r#"{"1":"0"}"#, r#"{"1":"gg"}"#] {
            assert!(serde_json::from_str::<Added>(wrong).is_err());
        }
    }
}
