//! Sensors of states, which have no reading: a lid, power supplies, the power unit (IPMI v2.0 §42.2).

use ipmi_proto::sdr::{Entity, SensorType, Threshold, ThresholdSet, entity};

use super::entity::instance;

/// What a sensor of states is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StateKind {
    /// A chassis' lid: `Chassis.Intrusion`. Offset 0: general intrusion.
    Lid,
    /// A power supply: `Inventory.Item.PowerSupply`. Offsets 0: presence, 1: failure.
    PowerSupply,
    /// The power of a chassis: `State.Chassis`. Offsets 0: off, 4: input lost.
    PowerUnit,
}

/// States that a sensor of them can be in: a bit for each offset up to 5.
type Offsets = u8;

impl StateKind {
    /// The offset of a power supply that failed.
    pub(super) const FAILURE: u8 = 1;
    /// The offset of a power unit whose input is lost.
    pub(super) const INPUT_LOST: u8 = 4;

    /// The sensor type.
    #[must_use]
    pub const fn sensor_type(self) -> SensorType {
        match self {
            Self::Lid => SensorType::PHYSICAL_SECURITY,
            Self::PowerSupply => SensorType::POWER_SUPPLY,
            Self::PowerUnit => SensorType::POWER_UNIT,
        }
    }

    /// The states that can be read.
    #[must_use]
    pub const fn readable(self) -> Offsets {
        match self {
            Self::Lid => 0x01,
            Self::PowerSupply => 0x03,
            Self::PowerUnit => 0x11,
        }
    }

    /// The states that are events when they begin and end. Power off is none: who wants it has asked for it.
    #[must_use]
    pub const fn events(self) -> Offsets {
        match self {
            Self::Lid => 0x01,
            Self::PowerSupply => 0x03,
            Self::PowerUnit => 0x10,
        }
    }

    /// The states that are no news in a sensor that was not known before.
    #[must_use]
    pub const fn usual(self) -> Offsets {
        match self {
            Self::Lid => 0x00,
            Self::PowerSupply => 0x01,
            Self::PowerUnit => 0x01,
        }
    }

    /// What the sensor `name` belongs to, where that is not told; `None` for what its name tells.
    pub(super) fn entity(self, name: &str) -> Option<Entity> {
        let digits = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let after = name.get(digits.len()..).unwrap_or_default();
        match self {
            Self::Lid => None,
            Self::PowerSupply => {
                Some(Entity { id: entity::POWER_SUPPLY, instance: instance(after) })
            }
            Self::PowerUnit => Some(Entity { id: entity::CHASSIS, instance: instance(after) }),
        }
    }
}

/// A sensor of states, and those that hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Discrete {
    /// What it is of.
    pub kind: StateKind,
    /// The states that hold, once the service has told.
    pub states: Option<ThresholdSet>,
}

impl Discrete {
    /// One of which no state is known.
    pub(super) const fn new(kind: StateKind) -> Self {
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

/// The offset that stands in a set of thresholds where `threshold` does.
#[must_use]
pub(super) fn offset_of(threshold: Threshold) -> u8 {
    let mut set = ThresholdSet::EMPTY;
    set.set(threshold, true);
    u8::try_from(set.bits().trailing_zeros()).unwrap_or_default()
}
