//! What all sensor records begin with: owner, entity, capabilities, masks (IPMI v2.0 §43.1-43.3).

use super::thresholds::ThresholdSet;
use crate::channel::ChannelNumber;
use crate::netfn::Lun;
use crate::record::{Reader, RecordError};

/// Which sensor of which controller a record is about (record key bytes).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SensorKey {
    /// The owner's I2C address or software id.
    pub owner: u8,
    /// The channel the owner is on.
    pub channel: ChannelNumber,
    /// The LUN that the owner has the sensor on.
    pub lun: Lun,
    /// The sensor's number; FFh is reserved.
    pub number: u8,
}

impl SensorKey {
    /// Sensor `number` of the BMC itself, at LUN `lun`.
    #[must_use]
    pub const fn bmc(lun: Lun, number: u8) -> Self {
        Self { owner: 0x20, channel: ChannelNumber::IPMB, lun, number }
    }

    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        let [owner, channel_lun, number] = reader.array()?;
        let (channel, lun) = split_channel(channel_lun);
        Ok(Self { owner, channel, lun, number })
    }

    pub(crate) const fn to_bytes(self) -> [u8; 3] {
        [self.owner, self.channel.value() << 4 | self.lun.value(), self.number]
    }
}

/// Channel in bits 7:4, LUN in bits 1:0.
pub(crate) fn split_channel(byte: u8) -> (ChannelNumber, Lun) {
    let channel = ChannelNumber::new(byte >> 4).unwrap_or(ChannelNumber::IPMB);
    (channel, Lun::new(byte & 3).unwrap_or(Lun::BMC))
}

/// The physical or logical thing a record belongs to (§39, §43.14).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Entity {
    /// Its kind, see [`super::entity`].
    pub id: u8,
    /// Which of them, seven bits; bit 7 marks a logical entity.
    pub instance: u8,
}

/// What a controller is to do with a sensor at start-up (§43.1, byte 11).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Initialization(pub u8);

impl Initialization {
    /// Scanning and events are enabled, and the record's values are in force already.
    pub const ENABLED: Self = Self(0x03);
}

/// Whether and how something of a sensor can be read and set (§43.1, byte 12).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum Access {
    /// Not supported.
    None = 0,
    /// Readable.
    Readable = 1,
    /// Readable and settable.
    Settable = 2,
    /// Fixed, and not readable.
    Fixed = 3,
}

impl Access {
    const fn of(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::None,
            1 => Self::Readable,
            2 => Self::Settable,
            _ => Self::Fixed,
        }
    }
}

/// How finely a sensor's events can be enabled (§43.1, byte 12 bits 1:0).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum EventControl {
    /// Each event.
    PerState = 0,
    /// The sensor as a whole.
    EntireSensor = 1,
    /// Only all sensors of the controller.
    Global = 2,
    /// It has no events.
    None = 3,
}

impl EventControl {
    const fn of(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::PerState,
            1 => Self::EntireSensor,
            2 => Self::Global,
            _ => Self::None,
        }
    }
}

/// What a sensor can do (§43.1, byte 12).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Capabilities {
    /// The sensor is to be ignored when its entity is absent.
    pub ignored_if_absent: bool,
    /// Events re-arm by themselves.
    pub auto_rearm: bool,
    /// Access to the hysteresis.
    pub hysteresis: Access,
    /// Access to the thresholds.
    pub thresholds: Access,
    /// How events are enabled.
    pub events: EventControl,
}

impl Capabilities {
    pub(crate) const fn from_byte(byte: u8) -> Self {
        Self {
            ignored_if_absent: byte & 0x80 != 0,
            auto_rearm: byte & 0x40 != 0,
            hysteresis: Access::of(byte >> 4),
            thresholds: Access::of(byte >> 2),
            events: EventControl::of(byte),
        }
    }

    pub(crate) const fn to_byte(self) -> u8 {
        (self.ignored_if_absent as u8) << 7
            | (self.auto_rearm as u8) << 6
            | (self.hysteresis as u8) << 4
            | (self.thresholds as u8) << 2
            | self.events as u8
    }
}

/// The three masks of a sensor (§43.1, bytes 15-20): for thresholds, see Table 43-1's note on how
/// bits 14:12 select which thresholds a reading is compared with.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Masks {
    /// Events it asserts, or thresholds and the lower ones returned.
    pub assertion: u16,
    /// Events it deasserts, or thresholds and the upper ones returned.
    pub deassertion: u16,
    /// States it reads, or readable thresholds (low byte) and settable ones (high byte).
    pub reading: u16,
}

impl Masks {
    /// The masks of a sensor with thresholds: `present` ones are compared with and readable, `settable`
    /// ones can be set; it asserts and deasserts the events of `present`.
    #[must_use]
    pub fn of_thresholds(present: ThresholdSet, settable: ThresholdSet) -> Self {
        let bits = u16::from(present.bits());
        let events = present.event_mask();
        Self {
            assertion: events | (bits & 0x07) << 12,
            deassertion: events | (bits >> 3 & 0x07) << 12,
            reading: bits | u16::from(settable.and(present).bits()) << 8,
        }
    }

    pub(crate) fn parse(reader: &mut Reader<'_>) -> Result<Self, RecordError> {
        Ok(Self { assertion: reader.u16()?, deassertion: reader.u16()?, reading: reader.u16()? })
    }

    pub(crate) fn emit(self, out: &mut Vec<u8>) {
        for mask in [self.assertion, self.deassertion, self.reading] {
            out.extend(mask.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_byte_survives() {
        for byte in 0..=u8::MAX {
            assert_eq!(Capabilities::from_byte(byte).to_byte(), byte);
        }
    }

    #[test]
    fn threshold_masks_name_events_comparisons_and_access() {
        // Upper non-critical and critical, lower critical.
        let present = ThresholdSet::from_bits(0x1a);
        let masks = Masks::of_thresholds(present, ThresholdSet::from_bits(0x3f));
        assert_eq!(masks, Masks { assertion: 0x2284, deassertion: 0x3284, reading: 0x1a1a });
    }

    #[test]
    fn key_puts_channel_and_lun_into_one_byte() {
        let key = SensorKey::bmc(Lun::new(3).unwrap(), 0x30);
        assert_eq!(key.to_bytes(), [0x20, 0x03, 0x30]);
        assert_eq!(SensorKey::parse(&mut Reader::new("key", &[0x20, 0x03, 0x30])), Ok(key));
    }
}
