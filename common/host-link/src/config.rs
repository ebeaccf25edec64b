//! The `[host]` section of the configuration file.

use std::time::Duration;

use daemon::Failure;
use serde::Deserialize;

use crate::exchange::Limits;

/// What a host bridge reads of the configuration file.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct View {
    /// The bridges' own section.
    pub host: HostConfig,
}

/// `[host]`: the same for all host bridges.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct HostConfig {
    /// After how many milliseconds a request is answered C3h, in place of the interface's default.
    answer_within_ms: Option<u64>,
    /// How many requests may run in `ipmid`, those the host has given up included.
    running: Option<usize>,
}

/// The longest that may be configured: beyond it a host has given up anyway.
const LONGEST: Duration = Duration::from_secs(60);

/// As many as one bridge may have in flight on the bus.
const MOST_RUNNING: usize = openbmc_dbus::execute::MAX_IN_FLIGHT;

impl HostConfig {
    /// The bounds for one interface, whose own defaults are `default`.
    ///
    /// # Errors
    ///
    /// [`Failure::Config`] for values out of range.
    pub fn limits(&self, default: Limits) -> Result<Limits, Failure> {
        let answer_within =
            self.answer_within_ms.map_or(default.answer_within, Duration::from_millis);
        if answer_within.is_zero() || answer_within > LONGEST {
            return Err(Failure::Config(format!(
                "host.answer-within-ms: not in 1 to {}",
                LONGEST.as_millis()
            )));
        }
        let running = self.running.unwrap_or(default.running);
        if !(1..=MOST_RUNNING).contains(&running) {
            return Err(Failure::Config(format!("host.running: not in 1 to {MOST_RUNNING}")));
        }
        Ok(Limits { answer_within, running, ..default })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_section_means_the_interfaces_defaults() {
        let limits = HostConfig::default().limits(Limits::default()).unwrap();
        assert_eq!(limits, Limits::default());
    }

    #[test]
    fn values_out_of_range_are_configuration_errors() {
        for config in [
            HostConfig { answer_within_ms: Some(0), running: None },
            HostConfig { answer_within_ms: Some(60_001), running: None },
            HostConfig { answer_within_ms: None, running: Some(0) },
            HostConfig { answer_within_ms: None, running: Some(MOST_RUNNING + 1) },
        ] {
            let result = config.limits(Limits::default());
            assert!(matches!(result, Err(Failure::Config(_))), "{config:?}");
        }
    }
}
