//! The properties of a sensor on D-Bus: `Sensor.Value`, `Sensor.Threshold.*`, `State.Decorator.*`.

use ipmi_proto::sdr::{Entity, PerThreshold, Threshold, Unit};

use super::discrete::{Discrete, DiscreteKind};

/// Where sensors are: `<ROOT>/<type>/<name>`.
pub const ROOT: &str = "/xyz/openbmc_project/sensors";
/// What all interfaces here begin with.
const PREFIX: &str = "xyz.openbmc_project.";
/// The interface that says of a part of the inventory that it is a power supply.
const POWER_SUPPLY: &str = "xyz.openbmc_project.Inventory.Item.PowerSupply";

/// A property's value, of the types that sensors have.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A reading or a limit.
    Number(f64),
    /// A state.
    Flag(bool),
    /// A name.
    Text(String),
}

/// What is known of a sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// The reading in the unit on D-Bus; NaN when it has no reading.
    pub value: f64,
    /// The least reading, from `MinValue`.
    pub min: Option<f64>,
    /// The greatest reading, from `MaxValue`.
    pub max: Option<f64>,
    /// The unit, and what a value on D-Bus is multiplied by to be in it.
    pub unit: (Unit, f64),
    /// Limits, in the unit on D-Bus.
    pub thresholds: PerThreshold<Option<f64>>,
    /// Whether the service says that they are crossed; `None` where it raises no alarm.
    pub alarms: PerThreshold<Option<bool>>,
    /// Whether the sensor works and what it senses is there.
    pub functional: bool,
    /// Whether it can be reached.
    pub available: bool,
    /// Whether its reading can be set.
    pub mutable: bool,
    /// Whether it has a reading; otherwise it is discrete.
    pub analog: bool,
    /// Its kind and states, if it is discrete.
    pub discrete: Option<Discrete>,
    /// Whether the inventory says that it is there.
    pub present: Option<bool>,
    /// Its entity, if the service names one.
    pub entity: Option<Entity>,
}

impl Default for Observed {
    fn default() -> Self {
        Self {
            value: f64::NAN,
            min: None,
            max: None,
            unit: (Unit::UNSPECIFIED, 1.0),
            thresholds: PerThreshold::default(),
            alarms: PerThreshold::default(),
            functional: true,
            available: true,
            mutable: false,
            analog: false,
            discrete: None,
            present: None,
            entity: None,
        }
    }
}

/// What a threshold's limit and alarm are called on D-Bus: interface, limit, alarm.
const NAMES: [(Threshold, &str, &str, &str); 6] = [
    (Threshold::UpperNonCritical, "Sensor.Threshold.Warning", "WarningHigh", "WarningAlarmHigh"),
    (Threshold::LowerNonCritical, "Sensor.Threshold.Warning", "WarningLow", "WarningAlarmLow"),
    (Threshold::UpperCritical, "Sensor.Threshold.Critical", "CriticalHigh", "CriticalAlarmHigh"),
    (Threshold::LowerCritical, "Sensor.Threshold.Critical", "CriticalLow", "CriticalAlarmLow"),
    (
        Threshold::UpperNonRecoverable,
        "Sensor.Threshold.HardShutdown",
        "HardShutdownHigh",
        "HardShutdownAlarmHigh",
    ),
    (
        Threshold::LowerNonRecoverable,
        "Sensor.Threshold.HardShutdown",
        "HardShutdownLow",
        "HardShutdownAlarmLow",
    ),
];

/// Interface and property that hold the limit of `threshold`.
#[must_use]
pub const fn limit_property(threshold: Threshold) -> (&'static str, &'static str) {
    let warning = "xyz.openbmc_project.Sensor.Threshold.Warning";
    let critical = "xyz.openbmc_project.Sensor.Threshold.Critical";
    let shutdown = "xyz.openbmc_project.Sensor.Threshold.HardShutdown";
    match threshold {
        Threshold::LowerNonCritical => (warning, "WarningLow"),
        Threshold::LowerCritical => (critical, "CriticalLow"),
        Threshold::LowerNonRecoverable => (shutdown, "HardShutdownLow"),
        Threshold::UpperNonCritical => (warning, "WarningHigh"),
        Threshold::UpperCritical => (critical, "CriticalHigh"),
        Threshold::UpperNonRecoverable => (shutdown, "HardShutdownHigh"),
    }
}

impl Observed {
    /// Applies a property of one of the sensor's interfaces. A property that no sensor has is ignored.
    pub fn apply(&mut self, interface: &str, property: &str, value: &Value) {
        let Some(interface) = interface.strip_prefix(PREFIX) else {
            return;
        };
        match (interface, property, value) {
            ("Sensor.Value", "Value", Value::Number(value)) => {
                self.analog = true;
                self.value = *value;
            }
            ("Sensor.Value", "MaxValue", Value::Number(max)) => self.max = finite(*max),
            ("Sensor.Value", "MinValue", Value::Number(min)) => self.min = finite(*min),
            ("Sensor.Value", "Unit", Value::Text(unit)) => {
                self.unit = Unit::of_name(unit.rsplit('.').next().unwrap_or_default());
            }
            ("Sensor.ValueMutability", "Mutable", Value::Flag(flag)) => self.mutable = *flag,
            ("State.Decorator.OperationalStatus", "Functional", Value::Flag(flag)) => {
                self.functional = *flag;
            }
            ("State.Decorator.Availability", "Available", Value::Flag(flag)) => {
                self.available = *flag;
            }
            ("Chassis.Intrusion", "Status", Value::Text(status)) => {
                let intruded = !status.ends_with(".Normal");
                self.states_of(DiscreteKind::ChassisIntrusion).set(0, intruded);
            }
            ("Inventory.Decorator.Ipmi", "EntityId", Value::Number(id)) => {
                self.entity_mut().id = small(*id);
            }
            ("Inventory.Decorator.Ipmi", "EntityInstance", Value::Number(instance)) => {
                self.entity_mut().instance = small(*instance);
            }
            ("State.Chassis", "CurrentPowerState", Value::Text(state)) => {
                let off = state.ends_with(".Off");
                self.states_of(DiscreteKind::PowerUnit).set(0, off);
            }
            ("State.Chassis", "CurrentPowerStatus", Value::Text(status)) => {
                let lost = [".BrownOut", ".UninterruptiblePowerSupply"];
                let lost = lost.iter().any(|end| status.ends_with(end));
                let states = self.states_of(DiscreteKind::PowerUnit);
                states.set(DiscreteKind::INPUT_LOST, lost);
            }
            ("Inventory.Item", "Present", Value::Flag(present)) => self.present = Some(*present),
            _ => self.apply_threshold(interface, property, value),
        }
        self.judge_supply();
    }

    /// Notes that its object has an interface, which may have no properties.
    pub fn note(&mut self, interface: &str) {
        if interface == POWER_SUPPLY {
            self.states_of(DiscreteKind::PowerSupply);
            self.judge_supply();
        }
    }

    /// The states of a sensor of `kind`, which this one becomes unless it is one.
    fn states_of(&mut self, kind: DiscreteKind) -> &mut Discrete {
        self.discrete.get_or_insert(Discrete::new(kind))
    }

    /// Sets the states of a power supply from its presence and its operational status.
    fn judge_supply(&mut self) {
        let (present, functional) = (self.present, self.functional);
        if let Some(states) = &mut self.discrete
            && states.kind == DiscreteKind::PowerSupply
            && let Some(present) = present
        {
            states.set(0, present);
            states.set(DiscreteKind::FAILURE, present && !functional);
        }
    }

    /// The reading in the record's unit, if there is one now.
    #[must_use]
    pub fn reading(&self) -> Option<f64> {
        let readable = self.available && self.functional && self.value.is_finite();
        readable.then_some(self.value * self.unit.1)
    }

    fn apply_threshold(&mut self, interface: &str, property: &str, value: &Value) {
        for (threshold, of, limit, alarm) in NAMES {
            if interface != of {
                continue;
            }
            match value {
                Value::Number(value) if property == limit => {
                    *self.thresholds.get_mut(threshold) = finite(*value);
                }
                Value::Flag(flag) if property == alarm => {
                    *self.alarms.get_mut(threshold) = Some(*flag);
                }
                _ => {}
            }
        }
    }

    fn entity_mut(&mut self) -> &mut Entity {
        self.entity.get_or_insert(Entity { id: 0, instance: 1 })
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// A small number, which D-Bus services send in several types.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the type")]
const fn small(value: f64) -> u8 {
    value.clamp(0.0, 127.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "xyz.openbmc_project.Sensor.Value";
    const WARNING: &str = "xyz.openbmc_project.Sensor.Threshold.Warning";

    #[test]
    fn properties_become_readings_limits_and_alarms() {
        let mut sensor = Observed::default();
        assert_eq!(sensor.reading(), None);
        sensor.apply(VALUE, "Value", &Value::Number(101_325.0));
        let unit = Value::Text("xyz.openbmc_project.Sensor.Value.Unit.Pascals".to_owned());
        sensor.apply(VALUE, "Unit", &unit);
        assert!((sensor.reading().unwrap() - 101.325).abs() < 1e-9);
        sensor.apply(WARNING, "WarningHigh", &Value::Number(110_000.0));
        sensor.apply(WARNING, "WarningLow", &Value::Number(f64::NAN));
        sensor.apply(WARNING, "WarningAlarmHigh", &Value::Flag(true));
        assert_eq!(sensor.thresholds.present().bits(), 0x08);
        assert_eq!(sensor.alarms.get(Threshold::UpperNonCritical), Some(true));
        assert_eq!(sensor.alarms.get(Threshold::LowerNonCritical), None);
    }

    #[test]
    fn sensor_that_is_absent_broken_or_without_value_has_no_reading() {
        let mut sensor = Observed::default();
        sensor.apply(VALUE, "Value", &Value::Number(1.0));
        let status = "xyz.openbmc_project.State.Decorator.OperationalStatus";
        sensor.apply(status, "Functional", &Value::Flag(false));
        assert_eq!(sensor.reading(), None);
        sensor.apply(status, "Functional", &Value::Flag(true));
        sensor.apply(VALUE, "Value", &Value::Number(f64::NAN));
        assert_eq!(sensor.reading(), None);
    }

    #[test]
    fn foreign_and_mistyped_properties_change_nothing() {
        let mut sensor = Observed::default();
        sensor.apply("com.example.Sensor.Value", "Value", &Value::Number(1.0));
        sensor.apply(VALUE, "Value", &Value::Flag(true));
        sensor.apply(WARNING, "WarningHigh", &Value::Text(String::new()));
        assert!(!sensor.analog && sensor.thresholds.present().is_empty());
        let (interface, property) = limit_property(Threshold::LowerCritical);
        assert_eq!(interface, "xyz.openbmc_project.Sensor.Threshold.Critical");
        assert_eq!(property, "CriticalLow");
    }
}
