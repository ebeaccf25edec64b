//! `[host]` and `[chassis]`: how long things take, and what goes wrong.

use serde::Deserialize;

use super::DAY_MS;

/// `[host]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Host {
    /// From the firmware's begin to a running operating system.
    #[serde(deserialize_with = "daemon::range::number::<0, DAY_MS, _, _>")]
    pub(crate) start_ms: u64,
    /// From the request to shut down to the operating system's end.
    #[serde(deserialize_with = "daemon::range::number::<0, DAY_MS, _, _>")]
    pub(crate) soft_off_ms: u64,
    /// Whether the operating system shuts down when it is asked to.
    pub(crate) soft_off: SoftOff,
    /// How long it is given before its power is cut.
    #[serde(deserialize_with = "daemon::range::number::<0, DAY_MS, _, _>")]
    pub(crate) soft_off_limit_ms: u64,
    /// How long a diagnostic interrupt keeps it busy.
    #[serde(deserialize_with = "daemon::range::number::<0, DAY_MS, _, _>")]
    pub(crate) diagnostic_ms: u64,
    /// What goes wrong when it starts.
    pub(crate) fault: HostFault,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            start_ms: 1000,
            soft_off_ms: 1000,
            soft_off: SoftOff::Obeyed,
            soft_off_limit_ms: 5000,
            diagnostic_ms: 1000,
            fault: HostFault::None,
        }
    }
}

/// What the operating system does when it is asked to shut down.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SoftOff {
    /// It shuts down.
    Obeyed,
    /// It does not care.
    Ignored,
}

/// What goes wrong when the host starts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HostFault {
    /// Nothing.
    None,
    /// It never comes up.
    Hangs,
    /// It fails, and the state manager notices.
    Quiesces,
}

/// `[chassis]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Chassis {
    /// From the request to good power.
    #[serde(deserialize_with = "daemon::range::number::<0, DAY_MS, _, _>")]
    pub(crate) power_on_ms: u64,
    /// From the request to no power.
    #[serde(deserialize_with = "daemon::range::number::<0, DAY_MS, _, _>")]
    pub(crate) power_off_ms: u64,
    /// How long power stays off in a cycle.
    #[serde(deserialize_with = "daemon::range::number::<0, DAY_MS, _, _>")]
    pub(crate) cycle_ms: u64,
    /// What goes wrong when it powers on.
    pub(crate) fault: ChassisFault,
    /// Whether power is on and the host runs when the platform starts for the first time.
    pub(crate) on_at_first_start: bool,
    /// Hours of power-on at the first start.
    #[serde(deserialize_with = "daemon::range::number::<0, 4294967295, _, _>")]
    pub(crate) power_on_hours: u32,
    /// How long an hour of power-on takes.
    #[serde(deserialize_with = "daemon::range::number::<1, DAY_MS, _, _>")]
    pub(crate) hour_ms: u64,
    /// Whether the lid's switch tells that it was opened, at the first start.
    pub(crate) intrusion: bool,
}

impl Default for Chassis {
    fn default() -> Self {
        Self {
            power_on_ms: 1000,
            power_off_ms: 500,
            cycle_ms: 1000,
            fault: ChassisFault::None,
            on_at_first_start: false,
            power_on_hours: 0,
            hour_ms: 3_600_000,
            intrusion: false,
        }
    }
}

/// What goes wrong when the chassis powers on.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ChassisFault {
    /// Nothing.
    None,
    /// Power never gets good, and the state manager gives up.
    NeverOn,
}
