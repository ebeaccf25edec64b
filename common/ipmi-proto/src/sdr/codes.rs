//! Codes of sensors: type, event/reading type, unit, entity (IPMI v2.0 §42, §43.14, §43.17), and what
//! the names on D-Bus become.

/// A sensor type code (§42.2, Table 42-3).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SensorType(pub u8);

impl SensorType {
    /// Temperature.
    pub const TEMPERATURE: Self = Self(0x01);
    /// Voltage.
    pub const VOLTAGE: Self = Self(0x02);
    /// Current.
    pub const CURRENT: Self = Self(0x03);
    /// Fan.
    pub const FAN: Self = Self(0x04);
    /// Physical security, chassis intrusion.
    pub const PHYSICAL_SECURITY: Self = Self(0x05);
    /// Processor.
    pub const PROCESSOR: Self = Self(0x07);
    /// Power supply.
    pub const POWER_SUPPLY: Self = Self(0x08);
    /// Power unit.
    pub const POWER_UNIT: Self = Self(0x09);
    /// Other, by its unit.
    pub const OTHER_UNITS: Self = Self(0x0b);
    /// Memory.
    pub const MEMORY: Self = Self(0x0c);
    /// Event logging disabled: the log's own events.
    pub const EVENT_LOGGING: Self = Self(0x10);
    /// Button or switch.
    pub const BUTTON: Self = Self(0x14);
    /// Watchdog 2.
    pub const WATCHDOG_2: Self = Self(0x23);
    /// Version change: hardware, firmware or software became another.
    pub const VERSION_CHANGE: Self = Self(0x2b);

    /// The type of the sensors under `/xyz/openbmc_project/sensors/<segment>`.
    #[must_use]
    pub fn of_segment(segment: &str) -> Self {
        match segment {
            "temperature" => Self::TEMPERATURE,
            "voltage" => Self::VOLTAGE,
            "current" => Self::CURRENT,
            "fan" | "fan_tach" | "fan_pwm" => Self::FAN,
            "intrusion" => Self::PHYSICAL_SECURITY,
            "processor" => Self::PROCESSOR,
            "memory" => Self::MEMORY,
            "state" => Self::POWER_UNIT,
            "buttons" => Self::BUTTON,
            "watchdog" => Self::WATCHDOG_2,
            // power, energy, utilization, humidity, airflow and what else has a unit
            _ => Self::OTHER_UNITS,
        }
    }
}

/// An event/reading type code (§42.1, Table 42-1), seven bits.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct EventType(u8);

impl EventType {
    /// Thresholds.
    pub const THRESHOLD: Self = Self(0x01);
    /// Digital discrete: state deasserted, asserted.
    pub const STATE: Self = Self(0x03);
    /// Digital discrete: device absent, present.
    pub const PRESENCE: Self = Self(0x08);
    /// What the sensor type's own offsets say.
    pub const SENSOR_SPECIFIC: Self = Self(0x6f);

    /// The type in bits 6:0.
    #[must_use]
    pub const fn new(value: u8) -> Self {
        Self(value & 0x7f)
    }

    /// Bits 6:0.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}

/// How a raw reading is to be taken (§43.1, byte 21 bits 7:6).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum AnalogFormat {
    /// Unsigned.
    Unsigned = 0,
    /// One's complement.
    OnesComplement = 1,
    /// Two's complement.
    TwosComplement = 2,
    /// No analog reading.
    None = 3,
}

impl AnalogFormat {
    const fn of(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Unsigned,
            1 => Self::OnesComplement,
            2 => Self::TwosComplement,
            _ => Self::None,
        }
    }
}

/// What a reading is measured in (§43.1, bytes 21-23; §43.17).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Unit {
    /// How the raw byte is to be taken.
    pub format: AnalogFormat,
    /// Per what time, three bits: 0 none, 3 second, 4 minute, 5 hour.
    pub rate: u8,
    /// What the modifier unit does, two bits: 0 nothing, 1 divides, 2 multiplies.
    pub modifier: u8,
    /// A percentage of the base unit.
    pub percent: bool,
    /// Base unit code.
    pub base: u8,
    /// Modifier unit code.
    pub by: u8,
}

const DEGREES_C: u8 = 1;
const VOLTS: u8 = 4;
const AMPS: u8 = 5;
const WATTS: u8 = 6;
const JOULES: u8 = 7;
const KILOPASCALS: u8 = 14;
const CFM: u8 = 17;
const RPM: u8 = 18;
const HERTZ: u8 = 19;
const HOURS: u8 = 24;
const METERS: u8 = 34;
const LITERS: u8 = 37;
const RADIANS: u8 = 39;
const PER_MINUTE: u8 = 4;
const MULTIPLIED: u8 = 2;

impl Unit {
    /// A plain number.
    pub const UNSPECIFIED: Self = Self::base(0);
    /// No analog reading.
    pub const DISCRETE: Self = Self { format: AnalogFormat::None, ..Self::base(0) };

    const fn base(base: u8) -> Self {
        let format = AnalogFormat::Unsigned;
        Self { format, rate: 0, modifier: 0, percent: false, base, by: 0 }
    }

    /// The unit that `Sensor.Value.Unit` calls `name` (the part after the last period), and by what a
    /// value on D-Bus is multiplied to be in it.
    #[must_use]
    pub fn of_name(name: &str) -> (Self, f64) {
        let unit = match name {
            "DegreesC" => Self::base(DEGREES_C),
            "Volts" => Self::base(VOLTS),
            "Amperes" => Self::base(AMPS),
            "Watts" => Self::base(WATTS),
            "Joules" => Self::base(JOULES),
            "CFM" => Self::base(CFM),
            "RPMS" => Self::base(RPM),
            "Hertz" => Self::base(HERTZ),
            "Meters" => Self::base(METERS),
            "Radians" => Self::base(RADIANS),
            "LPM" => Self { rate: PER_MINUTE, ..Self::base(LITERS) },
            "AmpereHours" => Self { modifier: MULTIPLIED, by: HOURS, ..Self::base(AMPS) },
            "Percent" | "PercentRH" => Self { percent: true, ..Self::UNSPECIFIED },
            "Pascals" => return (Self::base(KILOPASCALS), 0.001),
            _ => Self::UNSPECIFIED,
        };
        (unit, 1.0)
    }

    /// The same unit with signed or unsigned raw bytes.
    #[must_use]
    pub const fn with_sign(mut self, signed: bool) -> Self {
        self.format = if signed { AnalogFormat::TwosComplement } else { AnalogFormat::Unsigned };
        self
    }

    pub(crate) const fn from_bytes([flags, base, by]: [u8; 3]) -> Self {
        Self {
            format: AnalogFormat::of(flags >> 6),
            rate: flags >> 3 & 7,
            modifier: flags >> 1 & 3,
            percent: flags & 1 == 1,
            base,
            by,
        }
    }

    pub(crate) const fn to_bytes(self) -> [u8; 3] {
        let flags = (self.format as u8) << 6
            | (self.rate & 7) << 3
            | (self.modifier & 3) << 1
            | self.percent as u8;
        [flags, self.base, self.by]
    }
}

/// Entity id codes (§43.14, Table 43-13).
pub mod entity {
    /// Unspecified.
    pub const UNSPECIFIED: u8 = 0x00;
    /// Processor.
    pub const PROCESSOR: u8 = 0x03;
    /// Disk or disk bay.
    pub const DISK: u8 = 0x04;
    /// System management module: the BMC.
    pub const MANAGEMENT_MODULE: u8 = 0x06;
    /// System board.
    pub const SYSTEM_BOARD: u8 = 0x07;
    /// Memory module.
    pub const MEMORY_MODULE: u8 = 0x08;
    /// Power supply.
    pub const POWER_SUPPLY: u8 = 0x0a;
    /// Add-in card.
    pub const ADD_IN_CARD: u8 = 0x0b;
    /// System chassis.
    pub const CHASSIS: u8 = 0x17;
    /// Fan or cooling device.
    pub const COOLING_DEVICE: u8 = 0x1d;
    /// Memory device.
    pub const MEMORY_DEVICE: u8 = 0x20;
    /// Air inlet.
    pub const AIR_INLET: u8 = 0x37;
    /// Air inlet, as DCMI numbers it.
    pub const DCMI_AIR_INLET: u8 = 0x40;
    /// Processor, as DCMI numbers it.
    pub const DCMI_PROCESSOR: u8 = 0x41;
    /// Baseboard, as DCMI numbers it.
    pub const DCMI_BASEBOARD: u8 = 0x42;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dbus_names_become_codes() {
        assert_eq!(SensorType::of_segment("fan_tach"), SensorType::FAN);
        assert_eq!(SensorType::of_segment("power"), SensorType::OTHER_UNITS);
        let cases = [
            ("DegreesC", [0x00, 1, 0], 1.0),
            ("RPMS", [0x00, 18, 0], 1.0),
            ("Percent", [0x01, 0, 0], 1.0),
            ("LPM", [0x20, 37, 0], 1.0),
            ("AmpereHours", [0x04, 5, 24], 1.0),
            ("Pascals", [0x00, 14, 0], 0.001),
        ];
        for (name, bytes, scale) in cases {
            let (unit, by) = Unit::of_name(name);
            assert_eq!(unit.to_bytes(), bytes, "{name}");
            assert!((by - scale).abs() < f64::EPSILON, "{name}");
            assert_eq!(Unit::from_bytes(bytes), unit, "{name}");
        }
    }

    #[test]
    fn signed_readings_are_twos_complement() {
        assert_eq!(Unit::of_name("DegreesC").0.with_sign(true).to_bytes(), [0x80, 1, 0]);
        assert_eq!(Unit::DISCRETE.to_bytes(), [0xc0, 0, 0]);
    }
}
