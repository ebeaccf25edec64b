//! Discrete sensors, which have states and no reading: chassis intrusion, power supplies, the power unit
//! (IPMI v2.0 §42.2).

use ipmi_proto::sdr::{Entity, SensorType, Threshold, ThresholdSet, entity};

use super::entity::instance;

/// The kind of a discrete sensor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DiscreteKind {
    /// Chassis intrusion: `Chassis.Intrusion`. Offset 0: general intrusion.
    ChassisIntrusion,
    /// A power supply: `Inventory.Item.PowerSupply`. Offsets 0: presence, 1: failure.
    PowerSupply,
    /// The power of a chassis: `State.Chassis`. Offsets 0: off, 4: input lost.
    PowerUnit,
}

/// States of a discrete sensor: one bit for each offset, 0 to 5.
type Offsets = u8;

impl DiscreteKind {
    /// The offset of a power supply that failed.
    pub(super) const FAILURE: u8 = 1;
    /// The offset of a power unit whose input is lost.
    pub(super) const INPUT_LOST: u8 = 4;

    /// The sensor type.
    #[must_use]
    pub const fn sensor_type(self) -> SensorType {
        match self {
            Self::ChassisIntrusion => SensorType::PHYSICAL_SECURITY,
            Self::PowerSupply => SensorType::POWER_SUPPLY,
            Self::PowerUnit => SensorType::POWER_UNIT,
        }
    }

    /// The states that can be read.
    #[must_use]
    pub const fn readable(self) -> Offsets {
        match self {
            Self::ChassisIntrusion => 0x01,
            Self::PowerSupply => 0x03,
            Self::PowerUnit => 0x11,
        }
    }

    /// The states that are events when they begin and end. Power off is
    /// not one, because it is normally requested.
    #[must_use]
    pub const fn events(self) -> Offsets {
        match self {
            Self::ChassisIntrusion => 0x01,
            Self::PowerSupply => 0x03,
            Self::PowerUnit => 0x10,
        }
    }

    /// The normal states: no event is sent if they hold when the sensor is found.
    #[must_use]
    pub const fn usual(self) -> Offsets {
        match self {
            Self::ChassisIntrusion => 0x00,
            Self::PowerSupply => 0x01,
            Self::PowerUnit => 0x01,
        }
    }

    /// The entity of the sensor `name` if its service names none; `None` to guess it from the name.
    pub(super) fn entity(self, name: &str) -> Option<Entity> {
        let digits = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let after = name.get(digits.len()..).unwrap_or_default();
        match self {
            Self::ChassisIntrusion => None,
            Self::PowerSupply => {
                Some(Entity { id: entity::POWER_SUPPLY, instance: instance(after) })
            }
            Self::PowerUnit => Some(Entity { id: entity::CHASSIS, instance: instance(after) }),
        }
    }
}

/// A discrete sensor, and the states that hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Discrete {
    /// Its kind.
    pub kind: DiscreteKind,
    /// The states that hold; `None` until the service has reported them.
    pub states: Option<ThresholdSet>,
}

impl Discrete {
    /// A sensor whose states are not known yet.
    pub(super) const fn new(kind: DiscreteKind) -> Self {
        Self { kind, states: None }
    }

    /// Whether the state at `offset` is an event.
    pub(super) const fn sends(self, offset: u8) -> bool {
        self.kind.events() >> offset & 1 == 1
    }

    /// Notes whether the state at `offset` holds.
    pub(super) fn set(&mut self, offset: u8, holds: bool) {
        let states = self.states.unwrap_or(ThresholdSet::EMPTY).bits();
        let bit = 1 << offset;
        let states = if holds { states | bit } else { states & !bit };
        self.states = Some(ThresholdSet::from_bits(states));
    }
}

/// The offset whose bit in a threshold set is that of `threshold`.
#[must_use]
pub(super) fn offset_of(threshold: Threshold) -> u8 {
    let mut set = ThresholdSet::EMPTY;
    set.set(threshold, true);
    u8::try_from(set.bits().trailing_zeros()).unwrap_or_default()
}
