//! The `[ipmb]` section of the configuration file.

use std::collections::BTreeMap;
use std::time::Duration;

use daemon::Failure;
use ipmi_proto::ipmb::IpmbAddress;
use serde::Deserialize;

use crate::tracker::RetryPolicy;

/// What the IPMB bridge reads of the configuration file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct View {
    /// The bridge's own section.
    pub ipmb: IpmbConfig,
}

/// `[ipmb]`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct IpmbConfig {
    /// How many milliseconds a satellite has for one try.
    per_try_ms: u64,
    /// How often a request is sent in all.
    tries: u8,
    /// The index that is passed to `ipmid` with each request of a satellite.
    host_id: u8,
    /// How many requests of one satellite may run.
    running_per_satellite: usize,
    /// Whether the signal `sendBroadcast` is accepted.
    accept_broadcasts: bool,
    /// The satellites that `sendRequest` names by a channel byte.
    target: Vec<Target>,
}

/// One `[[ipmb.target]]`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
struct Target {
    channel: u8,
    address: u8,
}

impl Default for IpmbConfig {
    fn default() -> Self {
        Self {
            per_try_ms: 250,
            tries: 6,
            host_id: 0,
            running_per_satellite: 8,
            accept_broadcasts: false,
            target: Vec::new(),
        }
    }
}

impl IpmbConfig {
    /// Refuses what would make no sense.
    ///
    /// # Errors
    ///
    /// [`Failure::Config`], with the key.
    pub fn check(&self) -> Result<(), Failure> {
        let bad = |text: &str| Err(Failure::Config(text.into()));
        if !(1..=5000).contains(&self.per_try_ms) {
            return bad("ipmb.per-try-ms: not in 1 to 5000");
        }
        if self.tries == 0 {
            return bad("ipmb.tries: not in 1 to 255");
        }
        if !(1..=32).contains(&self.running_per_satellite) {
            return bad("ipmb.running-per-satellite: not in 1 to 32");
        }
        if self.target.iter().any(|target| target.address & 1 != 0) {
            return bad("ipmb.target: an odd address");
        }
        if self.targets().len() != self.target.len() {
            return bad("ipmb.target: a channel that is there twice");
        }
        Ok(())
    }

    /// Number and interval of the tries of a request to a satellite.
    #[must_use]
    pub fn retry_policy(&self) -> RetryPolicy {
        RetryPolicy { per_try: Duration::from_millis(self.per_try_ms), tries: self.tries }
    }

    /// The index that is passed to `ipmid`.
    #[must_use]
    pub fn host_id(&self) -> u8 {
        self.host_id
    }

    /// How many requests of one satellite may run.
    #[must_use]
    pub fn running_per_satellite(&self) -> usize {
        self.running_per_satellite
    }

    /// Whether the signal `sendBroadcast` is accepted.
    #[must_use]
    pub fn accept_broadcasts(&self) -> bool {
        self.accept_broadcasts
    }

    /// Addresses by `sendRequest`'s channel byte.
    #[must_use]
    pub fn targets(&self) -> BTreeMap<u8, IpmbAddress> {
        let pair = |target: &Target| (target.channel, IpmbAddress(target.address));
        self.target.iter().map(pair).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_is_as_openbmc_has_it() {
        let config = IpmbConfig::default();
        assert!(config.check().is_ok());
        assert_eq!(config.retry_policy(), RetryPolicy::default());
    }

    #[test]
    fn senseless_values_are_configuration_errors() {
        let target = |channel, address| Target { channel, address };
        for config in [
            IpmbConfig { per_try_ms: 0, ..IpmbConfig::default() },
            IpmbConfig { tries: 0, ..IpmbConfig::default() },
            IpmbConfig { running_per_satellite: 33, ..IpmbConfig::default() },
            IpmbConfig { target: vec![target(1, 0x2d)], ..IpmbConfig::default() },
            IpmbConfig { target: vec![target(1, 0x2c), target(1, 0x2e)], ..IpmbConfig::default() },
        ] {
            assert!(matches!(config.check(), Err(Failure::Config(_))), "{config:?}");
        }
    }
}
