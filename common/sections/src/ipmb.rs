//! The `[ipmb]` section: satellite controllers.

use std::collections::HashMap;
use std::time::Duration;

use daemon::Invalid;
use ipmi_proto::ipmb::IpmbAddress;
use serde::{Deserialize, Deserializer};

/// `[ipmb]`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct IpmbSection {
    /// The time limit of one try, in milliseconds.
    #[serde(deserialize_with = "daemon::range::number::<1, 5000, _, _>")]
    per_try_ms: u64,
    /// How often a request is sent in all.
    #[serde(deserialize_with = "daemon::range::number::<1, 255, _, _>")]
    tries: u8,
    /// The index that `ipmid` gets with each request of a satellite.
    #[serde(deserialize_with = "daemon::range::number::<0, 255, _, _>")]
    host_id: u8,
    /// How many requests of one satellite may run.
    #[serde(deserialize_with = "daemon::range::number::<1, 32, _, _>")]
    running_per_satellite: usize,
    /// Whether the signal `sendBroadcast` of any sender is handled.
    accept_broadcasts: bool,
    /// The satellites that `sendRequest` names by a channel byte.
    target: Vec<Target>,
}

/// One `[[ipmb.target]]`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
struct Target {
    #[serde(deserialize_with = "daemon::range::number::<0, 255, _, _>")]
    channel: u8,
    #[serde(deserialize_with = "address")]
    address: IpmbAddress,
}

impl Default for IpmbSection {
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

/// An 8-bit slave address: even, and not the general call's (I2C-bus specification §3.1.12).
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpmbAddress, D::Error> {
    let address: u8 = daemon::range::number::<2, 254, _, _>(deserializer)?;
    if address & 1 != 0 {
        let text = format!("{address:#04x} is odd, where an 8-bit address is even");
        return Err(serde::de::Error::custom(text));
    }
    Ok(IpmbAddress(address))
}

impl IpmbSection {
    /// Checks the targets against each other.
    ///
    /// # Errors
    ///
    /// A duplicate channel.
    pub fn validate(&self) -> Result<(), Invalid> {
        for (at, target) in self.target.iter().enumerate() {
            if self.target.iter().take(at).any(|other| other.channel == target.channel) {
                let text = format!("channel {} is there twice", target.channel);
                return Err(Invalid::at(format!("ipmb.target[{at}].channel"), text));
            }
        }
        Ok(())
    }

    /// Checks that the bridge is not one of its own satellites.
    ///
    /// # Errors
    ///
    /// A target with the address `own`.
    pub fn validate_own(&self, own: IpmbAddress) -> Result<(), Invalid> {
        match self.target.iter().position(|target| target.address == own) {
            Some(at) => {
                let text = format!("{:#04x} is the bridge's own address", own.0);
                Err(Invalid::at(format!("ipmb.target[{at}].address"), text))
            }
            None => Ok(()),
        }
    }

    /// The time limit of one try.
    #[must_use]
    pub fn per_try(&self) -> Duration {
        Duration::from_millis(self.per_try_ms)
    }

    /// How often a request is sent in all.
    #[must_use]
    pub fn tries(&self) -> u8 {
        self.tries
    }

    /// The index that `ipmid` gets with each request of a satellite.
    #[must_use]
    pub fn host_id(&self) -> u8 {
        self.host_id
    }

    /// How many requests of one satellite may run.
    #[must_use]
    pub fn running_per_satellite(&self) -> usize {
        self.running_per_satellite
    }

    /// Whether the signal `sendBroadcast` of any sender is handled.
    #[must_use]
    pub fn accept_broadcasts(&self) -> bool {
        self.accept_broadcasts
    }

    /// The address of `sendRequest`'s channel byte.
    #[must_use]
    pub fn target(&self, channel: u8) -> Option<IpmbAddress> {
        self.target.iter().find(|target| target.channel == channel).map(|target| target.address)
    }

    /// Channel bytes by address.
    #[must_use]
    pub fn channel_bytes(&self) -> HashMap<IpmbAddress, u8> {
        self.target.iter().map(|target| (target.address, target.channel)).collect()
    }
}
