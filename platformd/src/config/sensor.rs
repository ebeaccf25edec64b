//! `[sensors]` and `[[sensor]]`: what is measured, how it moves, and where its limits are.

use serde::Deserialize;

use super::count::Count;

/// `[sensors]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Sensors {
    /// How often values that move are measured.
    pub(crate) update_ms: u64,
}

impl Default for Sensors {
    fn default() -> Self {
        Self { update_ms: 1000 }
    }
}

/// One of `[[sensor]]`, or a row of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Sensor {
    pub(crate) kind: Kind,
    /// The last name of its path; `{n}` stands for the number in a row.
    pub(crate) name: String,
    /// How many there are of it.
    #[serde(default)]
    pub(crate) count: Count,
    /// The number of the first in a row.
    #[serde(default)]
    pub(crate) first: u32,
    /// What it measures, or the middle of what it measures.
    #[serde(default)]
    pub(crate) value: f64,
    /// How much more each next one in a row measures.
    #[serde(default)]
    pub(crate) step: f64,
    /// How the value moves.
    #[serde(default)]
    pub(crate) wave: Wave,
    /// To what the value is rounded; by default what such sensors can tell apart.
    pub(crate) resolution: Option<f64>,
    /// The least and the greatest value it can measure; by default what is usual for the kind.
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    #[serde(flatten)]
    pub(crate) limits: Limits,
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
    pub(crate) entity_id: Option<u8>,
    /// Its instance; each next one in a row belongs to the next.
    pub(crate) entity_instance: Option<u8>,
    /// The path, below the inventory, of the part that it belongs to.
    pub(crate) board: Option<String>,
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
    /// A lid's switch: a state, and no value.
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
    Sine { amplitude: f64, period_ms: u64 },
    /// From the lowest to the highest, and back at once.
    #[serde(rename_all = "kebab-case")]
    Ramp { amplitude: f64, period_ms: u64 },
    /// A little in either direction each time, never further from the middle than the amplitude.
    #[serde(rename_all = "kebab-case")]
    Walk { amplitude: f64 },
    /// As told: pairs of a time since the start and the value from then on.
    #[serde(rename_all = "kebab-case")]
    Script {
        points: Vec<(u64, f64)>,
        /// After how long it begins again; never by default.
        repeat_ms: Option<u64>,
    },
}

/// The limits of a sensor; those not given it has not.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Limits {
    pub(crate) warning_low: Option<f64>,
    pub(crate) warning_high: Option<f64>,
    pub(crate) critical_low: Option<f64>,
    pub(crate) critical_high: Option<f64>,
    pub(crate) hard_shutdown_low: Option<f64>,
    pub(crate) hard_shutdown_high: Option<f64>,
    /// How far back behind a limit ends its alarm.
    pub(crate) hysteresis: f64,
}
