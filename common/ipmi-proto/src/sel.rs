//! SEL records and event messages (IPMI v2.0 §29.7, §32).

use crate::netfn::{Iana, Lun};
use crate::record::{Reader, RecordError};

/// A record's number in the log; 0000h and FFFFh are not numbers but mean "first" and "last".
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SelRecordId(u16);

impl SelRecordId {
    /// The lowest number.
    pub const MIN: Self = Self(0x0001);
    /// The highest number, after which numbers begin again.
    pub const MAX: Self = Self(0xfffe);

    /// The record with this number; `None` for 0000h and FFFFh.
    #[must_use]
    pub const fn new(value: u16) -> Option<Self> {
        match value {
            0 | 0xffff => None,
            _ => Some(Self(value)),
        }
    }

    /// The number itself.
    #[must_use]
    pub const fn value(self) -> u16 {
        self.0
    }

    /// The number after this one; the lowest after the highest.
    #[must_use]
    pub const fn next(self) -> Self {
        if self.0 >= Self::MAX.0 { Self::MIN } else { Self(self.0 + 1) }
    }
}

/// Whether an event began or ended to hold (event message bit 7 of the direction byte).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Direction {
    /// The state was entered.
    Assertion,
    /// The state was left.
    Deassertion,
}

/// An event as its generator sends it (IPMI v2.0 §29.7, Table 29-4), without the generator's address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Event {
    /// Event message format: 04h for IPMI v2.0, 03h for v1.0.
    pub revision: u8,
    /// Sensor type code (§42.2).
    pub sensor_type: u8,
    /// The generator's number for the sensor.
    pub sensor_number: u8,
    /// Assertion or deassertion.
    pub direction: Direction,
    /// Event/reading type code, 7 bits (§42.1).
    pub event_type: u8,
    /// Event data 1 to 3: offset and what goes with it.
    pub data: [u8; 3],
}

impl Event {
    /// The message format of IPMI v2.0.
    pub const REVISION: u8 = 0x04;
    /// Bytes on the wire.
    pub const LENGTH: usize = 7;

    /// Takes the seven bytes of an event message.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        let [revision, sensor_type, sensor_number, kind, data1, data2, data3] = bytes;
        Self {
            revision,
            sensor_type,
            sensor_number,
            direction: if kind & 0x80 == 0 { Direction::Assertion } else { Direction::Deassertion },
            event_type: kind & 0x7f,
            data: [data1, data2, data3],
        }
    }

    /// The seven bytes of the event message.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let direction = match self.direction {
            Direction::Assertion => 0,
            Direction::Deassertion => 0x80,
        };
        let [data1, data2, data3] = self.data;
        let kind = direction | self.event_type & 0x7f;
        [self.revision, self.sensor_type, self.sensor_number, kind, data1, data2, data3]
    }

    /// The state's offset within its type (data 1, bits 3:0).
    #[must_use]
    pub const fn offset(&self) -> u8 {
        self.data[0] & 0x0f
    }
}

/// Who made a record: an I2C address (even) or a software id (odd), with channel and LUN
/// (IPMI v2.0 §32.1, bytes 8-9).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct GeneratorId(pub u16);

impl GeneratorId {
    /// The BMC itself, LUN 0.
    pub const BMC: Self = Self(0x0020);

    /// The BMC, with a sensor on `lun` (bits 1:0 of the second byte).
    #[must_use]
    pub const fn bmc_sensor(lun: Lun) -> Self {
        Self(Self::BMC.0 | (lun.value() as u16) << 8)
    }
}

/// What a record says, by its type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SelBody {
    /// Type 02h: an event (§32.1).
    System {
        /// Seconds since 1970, local; below 20000000h since initialization (§37).
        timestamp: u32,
        /// Who sent it.
        generator: GeneratorId,
        /// The event itself.
        event: Event,
    },
    /// Types C0h-DFh: OEM, with a timestamp (§32.2).
    OemTimestamped {
        /// The record type.
        kind: u8,
        /// As in a system record.
        timestamp: u32,
        /// Whose format it is.
        manufacturer: Iana,
        /// The manufacturer's own.
        data: [u8; 6],
    },
    /// Every other type: OEM without timestamp (E0h-FFh, §32.3), or one the specification reserves.
    Plain {
        /// The record type.
        kind: u8,
        /// Thirteen OEM bytes.
        data: [u8; 13],
    },
}

/// One record of the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SelRecord {
    /// Its number; 0 in a record that is yet to be added.
    pub id: u16,
    /// What it says.
    pub body: SelBody,
}

impl SelRecord {
    /// Bytes of any record.
    pub const LENGTH: usize = 16;
    /// The type of system event records.
    pub const SYSTEM: u8 = 0x02;

    /// Takes a record apart. Every sixteen bytes are a record of some type.
    ///
    /// # Errors
    ///
    /// [`RecordError::Truncated`] below sixteen bytes, [`RecordError::Length`] above.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new("SEL record", bytes);
        let record: [u8; Self::LENGTH] = reader.array()?;
        if !reader.rest().is_empty() {
            let (stated, have) = (Self::LENGTH, bytes.len());
            return Err(RecordError::Length { what: "SEL record", stated, have });
        }
        Ok(Self::from_bytes(record))
    }

    /// Takes a record's sixteen bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        let [id0, id1, kind, a, b, c, d, e, f, g, h, i, j, k, l, m] = bytes;
        let timestamp = u32::from_le_bytes([a, b, c, d]);
        let body = match kind {
            Self::SYSTEM => SelBody::System {
                timestamp,
                generator: GeneratorId(u16::from_le_bytes([e, f])),
                event: Event::from_bytes([g, h, i, j, k, l, m]),
            },
            0xc0..=0xdf => SelBody::OemTimestamped {
                kind,
                timestamp,
                manufacturer: Iana::from_bytes([e, f, g]),
                data: [h, i, j, k, l, m],
            },
            _ => SelBody::Plain { kind, data: [a, b, c, d, e, f, g, h, i, j, k, l, m] },
        };
        Self { id: u16::from_le_bytes([id0, id1]), body }
    }

    /// The record's sixteen bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let mut out = [0; Self::LENGTH];
        let (head, tail) = out.split_at_mut(3);
        let [id0, id1] = self.id.to_le_bytes();
        head.copy_from_slice(&[id0, id1, self.kind()]);
        match &self.body {
            SelBody::System { timestamp, generator, event } => {
                let (stamp, rest) = tail.split_at_mut(4);
                stamp.copy_from_slice(&timestamp.to_le_bytes());
                let (who, what) = rest.split_at_mut(2);
                who.copy_from_slice(&generator.0.to_le_bytes());
                what.copy_from_slice(&event.to_bytes());
            }
            SelBody::OemTimestamped { timestamp, manufacturer, data, .. } => {
                let (stamp, rest) = tail.split_at_mut(4);
                stamp.copy_from_slice(&timestamp.to_le_bytes());
                let (iana, own) = rest.split_at_mut(3);
                iana.copy_from_slice(&manufacturer.to_bytes());
                own.copy_from_slice(data);
            }
            SelBody::Plain { data, .. } => tail.copy_from_slice(data),
        }
        out
    }

    /// The record type byte.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self.body {
            SelBody::System { .. } => Self::SYSTEM,
            SelBody::OemTimestamped { kind, .. } | SelBody::Plain { kind, .. } => kind,
        }
    }

    /// Whether the specification reserves the record's type (IPMI v2.0 §32: all but 02h and C0h to FFh).
    #[must_use]
    pub const fn is_reserved(&self) -> bool {
        !matches!(self.kind(), Self::SYSTEM | 0xc0..=0xff)
    }

    /// The event, if the record is of one.
    #[must_use]
    pub const fn event(&self) -> Option<&Event> {
        match &self.body {
            SelBody::System { event, .. } => Some(event),
            _ => None,
        }
    }

    /// The same record stamped with `now`, where its type has a timestamp (Add SEL Entry, §31.6: the
    /// log sets id and time itself).
    #[must_use]
    pub const fn stamped(mut self, now: u32) -> Self {
        if let SelBody::System { timestamp, .. } | SelBody::OemTimestamped { timestamp, .. } =
            &mut self.body
        {
            *timestamp = now;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn records_match_golden_bytes() {
        let event = Event {
            revision: Event::REVISION,
            sensor_type: 0x01,
            sensor_number: 0x30,
            direction: Direction::Assertion,
            event_type: 0x01,
            data: [0x59, 0x66, 0x64],
        };
        let cases: [(&str, [u8; 16], SelBody); 4] = [
            (
                "threshold event",
                hex!("01 00 02 6d 45 02 6b 20 00 04 01 30 01 59 66 64"),
                SelBody::System { timestamp: 0x6b02_456d, generator: GeneratorId::BMC, event },
            ),
            (
                "deassertion",
                hex!("01 00 02 6d 45 02 6b 20 00 04 01 30 81 59 66 64"),
                SelBody::System {
                    timestamp: 0x6b02_456d,
                    generator: GeneratorId::BMC,
                    event: Event { direction: Direction::Deassertion, ..event },
                },
            ),
            (
                "OEM with time",
                hex!("01 00 c0 6d 45 02 6b 57 01 00 01 02 03 04 05 06"),
                SelBody::OemTimestamped {
                    kind: 0xc0,
                    timestamp: 0x6b02_456d,
                    manufacturer: Iana::from_bytes([0x57, 0x01, 0x00]),
                    data: [1, 2, 3, 4, 5, 6],
                },
            ),
            (
                // As Linux writes a panic string.
                "OEM",
                hex!("01 00 f0 20 00 41 74 74 65 6d 70 74 65 64 20 74"),
                SelBody::Plain { kind: 0xf0, data: *b"\x20\x00Attempted t" },
            ),
        ];
        for (name, bytes, body) in cases {
            assert_eq!(SelRecord::parse(&bytes), Ok(SelRecord { id: 1, body }), "parse: {name}");
            assert_eq!(SelRecord { id: 1, body }.to_bytes(), bytes, "emit: {name}");
        }
    }

    #[test]
    fn record_of_another_length_is_refused() {
        for length in (0..32).filter(|length| *length != 16) {
            assert!(SelRecord::parse(&vec![2; length]).is_err(), "{length}");
        }
    }

    #[test]
    fn ids_wrap_past_the_reserved_numbers() {
        assert_eq!(SelRecordId::MAX.next(), SelRecordId::MIN);
        assert_eq!(SelRecordId::new(0), None);
        assert_eq!(SelRecordId::new(0xffff), None);
    }

    #[test]
    fn only_types_with_a_timestamp_are_stamped() {
        let plain = SelRecord::from_bytes([0xe0; 16]);
        assert_eq!(plain.stamped(7), plain);
        let system = SelRecord::from_bytes(hex!("01 00 02 00 00 00 00 20 00 04 01 30 01 59 66 64"));
        assert_eq!(system.stamped(7).to_bytes()[3..7], [7, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn any_sixteen_bytes_survive(bytes in any::<[u8; 16]>()) {
            prop_assert_eq!(SelRecord::from_bytes(bytes).to_bytes(), bytes);
        }
    }
}
