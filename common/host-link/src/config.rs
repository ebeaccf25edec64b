//! The `[host]` section of the configuration file.

use std::time::Duration;

use daemon::Validate;
use daemon::reload::Keys;
use openbmc_dbus::recorder::RecorderConfig;
use serde::Deserialize;

use crate::exchange::Limits;

/// The keys; those of `[host]` apply to the requests that come after a reload.
pub const KEYS: Keys = Keys {
    live: &["host.answer-within-ms", "host.running"],
    restart: &["recorder.bytes", "recorder.exchanges"],
    others: &[],
};

/// The sections of `causeway.toml` that concern a host bridge.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The bridges' own section.
    pub host: HostConfig,
    /// What is recorded of requests.
    pub recorder: RecorderConfig,
}

impl Validate for Config {}

/// `[host]`: the same for all host bridges.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct HostConfig {
    /// After how many milliseconds a request is answered C3h, in place of the interface's default.
    #[serde(deserialize_with = "daemon::range::optional::<1, LONGEST_MS, _, _>")]
    answer_within_ms: Option<u64>,
    /// How many requests may run in `ipmid`, those the host has given up included.
    #[serde(deserialize_with = "daemon::range::optional::<1, { MOST_RUNNING as i64 }, _, _>")]
    running: Option<usize>,
}

/// The longest that may be configured, a minute: beyond it a host has given up anyway.
const LONGEST_MS: i64 = 60_000;

/// As many as one bridge may have in flight on the bus.
pub(crate) const MOST_RUNNING: usize = 32;
const _: () =
    assert!(openbmc_dbus::execute::MAX_IN_FLIGHT == MOST_RUNNING, "the most that may run");

impl HostConfig {
    /// The bounds for one interface, whose own defaults are `default`.
    #[must_use]
    pub fn limits(&self, default: Limits) -> Limits {
        let answer_within =
            self.answer_within_ms.map_or(default.answer_within, Duration::from_millis);
        let running = self.running.unwrap_or(default.running);
        Limits { answer_within, running, ..default }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<HostConfig, String> {
        let file = daemon::ConfigFile::from_text("x.toml", text.to_owned());
        let config = file.and_then(|file| file.config::<Config>());
        config.map(|config| config.host).map_err(|failure| failure.to_string())
    }

    #[test]
    fn absent_section_means_the_interfaces_defaults() {
        assert_eq!(config("").unwrap().limits(Limits::default()), Limits::default());
        let limits = config("[host]\nanswer-within-ms = 60000\nrunning = 32\n").unwrap();
        let limits = limits.limits(Limits::default());
        assert_eq!((limits.answer_within.as_secs(), limits.running), (60, 32));
    }

    #[test]
    fn values_out_of_range_are_configuration_errors() {
        for (line, range) in [
            ("answer-within-ms = 0", "1 to 60000"),
            ("answer-within-ms = 60001", "1 to 60000"),
            ("running = 0", "1 to 32"),
            ("running = 33", "1 to 32"),
        ] {
            let error = config(&format!("[host]\n{line}\n")).unwrap_err();
            assert!(error.starts_with("x.toml:2: ") && error.ends_with(range), "{error}");
        }
    }
}
