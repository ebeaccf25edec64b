//! `[sensors]` and `[[sensor]]`: what is measured, how it moves, and where its limits are.

use serde::Deserialize;

use super::{DAY_MS, FAR, MOST};

/// `[sensors]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Sensors {
    /// How often values that move are measured.
    #[serde(deserialize_with = "daemon::range::number::<10, DAY_MS, _, _>")]
    pub(crate) update_ms: u64,
    /// When readings are signalled.
    pub(crate) signal_readings: SignalReadings,
}

impl Default for Sensors {
    fn default() -> Self {
        Self { update_ms: 1000, signal_readings: SignalReadings::AfterRead }
    }
}

/// When changed readings are signalled.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SignalReadings {
    /// For a while after a client has read one.
    AfterRead,
    /// Always.
    Always,
}

/// One of `[[sensor]]`, or a row of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Sensor {
    pub(crate) kind: Kind,
    /// The last name of its path; `{n}` stands for the number in a row.
    pub(crate) name: String,
    /// How many there are of it.
    #[serde(default = "one", deserialize_with = "daemon::range::number::<1, MOST, _, _>")]
    pub(crate) count: u32,
    /// The number of the first in a row.
    #[serde(default, deserialize_with = "daemon::range::number::<0, 1000000, _, _>")]
    pub(crate) first: u32,
    /// What it measures, or the middle of what it measures.
    #[serde(default, deserialize_with = "daemon::range::fraction::<{ -FAR }, FAR, _>")]
    pub(crate) value: f64,
    /// How much more each next one in a row measures.
    #[serde(default, deserialize_with = "daemon::range::fraction::<{ -FAR }, FAR, _>")]
    pub(crate) step: f64,
    /// How the value moves.
    #[serde(default)]
    pub(crate) wave: Wave,
    /// The step to which the value is rounded; by default the usual resolution of the kind.
    #[serde(default, deserialize_with = "daemon::range::optional_fraction::<0, FAR, _>")]
    pub(crate) resolution: Option<f64>,
    /// The least and the greatest value it can measure; by default what is usual for the kind.
    #[serde(default, deserialize_with = "daemon::range::optional_fraction::<{ -FAR }, FAR, _>")]
    pub(crate) min: Option<f64>,
    #[serde(default, deserialize_with = "daemon::range::optional_fraction::<{ -FAR }, FAR, _>")]
    pub(crate) max: Option<f64>,
    /// Its limits; it has only those that are given.
    #[serde(default, deserialize_with = "daemon::range::optional_fraction::<{ -FAR }, FAR, _>")]
    pub(crate) warning_low: Option<f64>,
    #[serde(default, deserialize_with = "daemon::range::optional_fraction::<{ -FAR }, FAR, _>")]
    pub(crate) warning_high: Option<f64>,
    #[serde(default, deserialize_with = "daemon::range::optional_fraction::<{ -FAR }, FAR, _>")]
    pub(crate) critical_low: Option<f64>,
    #[serde(default, deserialize_with = "daemon::range::optional_fraction::<{ -FAR }, FAR, _>")]
    pub(crate) critical_high: Option<f64>,
    #[serde(default, deserialize_with = "daemon::range::optional_fraction::<{ -FAR }, FAR, _>")]
    pub(crate) hard_shutdown_low: Option<f64>,
    #[serde(default, deserialize_with = "daemon::range::optional_fraction::<{ -FAR }, FAR, _>")]
    pub(crate) hard_shutdown_high: Option<f64>,
    /// The hysteresis: how far back inside a limit the value must be to end the alarm.
    #[serde(default, deserialize_with = "daemon::range::fraction::<0, FAR, _>")]
    pub(crate) hysteresis: f64,
    /// Whether clients may set the value, as that of an external sensor.
    #[serde(default)]
    pub(crate) mutable: bool,
    /// Whether it measures with main power on only.
    #[serde(default)]
    pub(crate) needs_power: bool,
    /// Whether it works.
    #[serde(default = "yes")]
    pub(crate) functional: bool,
    /// The IPMI entity it belongs to.
    #[serde(default, deserialize_with = "daemon::range::optional::<0, 255, _, _>")]
    pub(crate) entity_id: Option<u8>,
    /// Its instance; each next one in a row belongs to the next.
    #[serde(default, deserialize_with = "daemon::range::optional::<0, 127, _, _>")]
    pub(crate) entity_instance: Option<u8>,
    /// The path, below the inventory, of the part that it belongs to.
    pub(crate) board: Option<String>,
}

const fn one() -> u32 {
    1
}

const fn yes() -> bool {
    true
}

/// What is measured: the part of the path before the name.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Airflow,
    Altitude,
    Current,
    Energy,
    FanPwm,
    FanTach,
    Humidity,
    /// A chassis intrusion switch: a discrete sensor, with a state and no value.
    Intrusion,
    Power,
    Pressure,
    Temperature,
    Utilization,
    Voltage,
}

/// How a value moves.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "shape")]
pub(crate) enum Wave {
    /// Not at all.
    #[default]
    Constant,
    /// Up and down around the middle.
    #[serde(rename_all = "kebab-case")]
    Sine {
        #[serde(deserialize_with = "daemon::range::fraction::<0, FAR, _>")]
        amplitude: f64,
        #[serde(deserialize_with = "daemon::range::number::<1, DAY_MS, _, _>")]
        period_ms: u64,
    },
    /// From the lowest to the highest, and back at once.
    #[serde(rename_all = "kebab-case")]
    Ramp {
        #[serde(deserialize_with = "daemon::range::fraction::<0, FAR, _>")]
        amplitude: f64,
        #[serde(deserialize_with = "daemon::range::number::<1, DAY_MS, _, _>")]
        period_ms: u64,
    },
    /// A little in either direction each time, never further from the middle than the amplitude.
    #[serde(rename_all = "kebab-case")]
    Walk {
        #[serde(deserialize_with = "daemon::range::fraction::<0, FAR, _>")]
        amplitude: f64,
    },
    /// Scripted: pairs of a time since the start and the value from then on.
    #[serde(rename_all = "kebab-case")]
    Script {
        points: Vec<(u64, f64)>,
        /// After how long it begins again; never by default.
        #[serde(default, deserialize_with = "daemon::range::optional::<1, DAY_MS, _, _>")]
        repeat_ms: Option<u64>,
    },
}

/// The limits of a sensor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Limits {
    pub(crate) warning_low: Option<f64>,
    pub(crate) warning_high: Option<f64>,
    pub(crate) critical_low: Option<f64>,
    pub(crate) critical_high: Option<f64>,
    pub(crate) hard_shutdown_low: Option<f64>,
    pub(crate) hard_shutdown_high: Option<f64>,
}

impl Sensor {
    /// The limits that it has.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            warning_low: self.warning_low,
            warning_high: self.warning_high,
            critical_low: self.critical_low,
            critical_high: self.critical_high,
            hard_shutdown_low: self.hard_shutdown_low,
            hard_shutdown_high: self.hard_shutdown_high,
        }
    }

    /// The name of the sensor `number` of a row, from 0.
    pub(crate) fn numbered(&self, number: u32) -> String {
        self.name.replace("{n}", &self.first.saturating_add(number).to_string())
    }
}
