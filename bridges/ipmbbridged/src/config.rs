//! What the configuration file says to this daemon.

use daemon::reload::Keys;
use daemon::{Failure, Invalid, Setup, Validate};
use openbmc_dbus::recorder::RecorderConfig;
use sections::IpmbSection;
use serde::Deserialize;

use crate::arguments::IpmbArguments;
use crate::tracker::RetryPolicy;

/// The keys; those of `[ipmb]` apply to the requests that come after a reload.
pub const KEYS: Keys = Keys {
    live: &[
        "ipmb.per-try-ms",
        "ipmb.tries",
        "ipmb.host-id",
        "ipmb.running-per-satellite",
        "ipmb.accept-broadcasts",
        "ipmb.target",
    ],
    restart: &["recorder.bytes", "recorder.exchanges"],
    others: &[],
};

/// The sections of `causeway.toml` that concern the IPMB bridge.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The bridge's own section.
    pub ipmb: IpmbSection,
    /// What is recorded of requests.
    pub recorder: RecorderConfig,
}

impl Validate for Config {
    fn validate(&self) -> Result<(), Invalid> {
        self.ipmb.validate()
    }
}

/// The configuration, checked against the command line too.
///
/// # Errors
///
/// [`Failure::Config`] for an `[ipmb]` section that cannot work.
pub fn prepare(setup: &Setup<IpmbArguments>) -> Result<Config, Failure> {
    let config: Config = setup.config()?;
    let own = config.ipmb.validate_own(setup.args.address());
    own.map_err(|invalid| setup.invalid(&invalid))?;
    Ok(config)
}

/// Number and interval of the tries of a request to a satellite.
#[must_use]
pub fn retry_policy(ipmb: &IpmbSection) -> RetryPolicy {
    RetryPolicy { per_try: ipmb.per_try(), tries: ipmb.tries() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<IpmbSection, String> {
        let file = daemon::ConfigFile::from_text("x.toml", text.to_owned());
        let config = file.and_then(|file| file.config::<Config>());
        config.map(|config| config.ipmb).map_err(|failure| failure.to_string())
    }

    #[test]
    fn default_is_as_openbmc_has_it() {
        assert_eq!(retry_policy(&config("").unwrap()), RetryPolicy::default());
    }

    #[test]
    fn senseless_values_are_configuration_errors() {
        for (text, error) in [
            ("per-try-ms = 0", "2: invalid value: integer `0`, expected a number from 1 to 5000"),
            ("tries = 0", "2: invalid value: integer `0`, expected a number from 1 to 255"),
            ("running-per-satellite = 33", "2: invalid value: integer `33`"),
            ("[[ipmb.target]]\nchannel = 1\naddress = 0x2d", "4: 0x2d is odd"),
            ("[[ipmb.target]]\nchannel = 1\naddress = 0", "4: invalid value: integer `0`"),
            (
                "target = [{ channel = 1, address = 0x2c },\n{ channel = 1, address = 0x2e }]",
                "3: ipmb.target[1].channel: channel 1 is there twice",
            ),
        ] {
            let refused = config(&format!("[ipmb]\n{text}\n")).unwrap_err();
            assert!(refused.starts_with(&format!("x.toml:{error}")), "{text}: {refused}");
        }
    }

    #[test]
    fn the_bridge_is_no_satellite_of_its_own() {
        let text = "[[ipmb.target]]\nchannel = 1\naddress = 0x20\n";
        let ipmb = config(text).unwrap();
        assert!(ipmb.validate_own(ipmi_proto::ipmb::IpmbAddress::BMC).is_err());
        assert!(ipmb.validate_own(ipmi_proto::ipmb::IpmbAddress(0x22)).is_ok());
    }
}
