//! What a backup is of: a machine of the same product has a use for it.

use std::fmt;
use std::path::Path;

use daemon::{ConfigFile, Invalid, Validate};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A product, by the configuration of the daemons.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Product {
    /// IANA enterprise number; null for the built-in one.
    manufacturer: Option<u32>,
    /// Product id; null for the built-in one.
    product: Option<u16>,
    /// Whether the users are in OpenBMC's files.
    openbmc_users: bool,
}

/// What of the configuration says it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    users: Option<String>,
    device: Device,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Device {
    manufacturer: Option<u32>,
    product: Option<u16>,
}

impl Validate for Config {
    fn validate(&self) -> Result<(), Invalid> {
        Ok(())
    }
}

impl Product {
    /// The product of this machine; without a file the built-in one.
    pub(super) fn read(config: &Path) -> Result<Self, Error> {
        let config = ConfigFile::read(config, true).and_then(|file| file.config::<Config>());
        let Config { users, device } = config.map_err(Error::failed)?;
        let Device { manufacturer, product } = device;
        Ok(Self { manufacturer, product, openbmc_users: users.as_deref() == Some("openbmc") })
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.manufacturer {
            Some(number) => write!(f, "manufacturer {number}")?,
            None => f.write_str("the built-in manufacturer")?,
        }
        match self.product {
            Some(number) => write!(f, ", product {number}")?,
            None => f.write_str(", the built-in product")?,
        }
        f.write_str(if self.openbmc_users { ", with OpenBMC's users" } else { "" })
    }
}
