//! What the configuration file says to this daemon.

use std::collections::HashMap;

use accounts::{AccessConfig, ChannelTable, OpenbmcConfig, StoreKind};
use ipmi_proto::ipmb::IpmbAddress;
use rmcp_proto::suite::CipherSuite;
use rmcp_proto::wire::v15::AuthType;
use serde::Deserialize;

use crate::commands::app::DeviceConfig;
use crate::commands::dcmi::DcmiConfig;
use crate::commands::messaging::I2cConfig;
use crate::commands::pef::PefConfig;
use crate::model::SelConfig;
use crate::request::channels::IpmidConfig;

/// The sections of `causeway.toml` that concern `ipmid`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// `[[channel]]`: the channel table; the built-in one where there is none.
    #[serde(rename = "channel")]
    pub channels: ChannelTable,
    /// `[access]`: users.
    pub access: AccessConfig,
    /// `users`: whose accounts they are.
    pub users: StoreKind,
    /// `[openbmc]`: where OpenBMC's accounts are.
    pub openbmc: OpenbmcConfig,
    /// `[device]`: what Get Device ID tells.
    pub device: DeviceConfig,
    /// `[lan]`: of which the bridges read the rest.
    pub lan: Lan,
    /// `[dcmi]`: data centre management.
    pub dcmi: DcmiConfig,
    /// `[i2c]`: which transfers Master Write-Read may do.
    pub i2c: I2cConfig,
    /// `[ipmid]`.
    pub ipmid: IpmidConfig,
    /// `[ipmb]`: of which the bridge reads the rest.
    pub ipmb: Ipmb,
    /// `[pef]`: alerts.
    pub pef: PefConfig,
    /// `[sel]`: the event log.
    pub sel: SelConfig,
}

/// What of `[lan]` is told over other channels too.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Lan {
    /// Ids of the cipher suites that sessions may have.
    pub cipher_suites: Vec<u8>,
    /// Authentication types that sessions of IPMI 1.5 may have, by name.
    pub ipmi_15: Vec<String>,
}

impl Lan {
    /// The authentication types of IPMI 1.5, each a bit by its number (IPMI v2.0 §22.13, byte 3).
    #[must_use]
    pub fn auth_types(&self) -> u8 {
        let known = self.ipmi_15.iter().filter_map(|name| AuthType::from_name(name));
        known.fold(0, |bits, known| bits | 1 << known.value())
    }
}

impl Default for Lan {
    fn default() -> Self {
        Self { cipher_suites: vec![3, 17], ipmi_15: Vec::new() }
    }
}

/// What of `[ipmb]` is for OpenBMC's bridge too, which asks no other satellites.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Ipmb {
    target: Vec<IpmbTarget>,
}

/// One `[[ipmb.target]]`.
#[derive(Clone, Copy, Debug, Deserialize)]
struct IpmbTarget {
    channel: u8,
    address: u8,
}

impl Ipmb {
    /// The channel bytes by which the bridge's `sendRequest` names satellites, by address.
    #[must_use]
    pub fn channel_bytes(&self) -> HashMap<IpmbAddress, u8> {
        let pair = |target: &IpmbTarget| (IpmbAddress(target.address), target.channel);
        self.target.iter().map(pair).collect()
    }
}

impl Config {
    /// The configuration, checked, and with the channels and cipher suites of OpenBMC's files if the
    /// accounts are OpenBMC's.
    ///
    /// # Errors
    ///
    /// The key or file, and what is wrong with it.
    pub fn checked(mut self) -> Result<Self, String> {
        self.check()?;
        if self.users == StoreKind::Openbmc {
            let files = self.openbmc.files();
            self.channels = files.channel_table()?;
            self.lan.cipher_suites = files.cipher_suites(&self.lan.cipher_suites)?;
        }
        Ok(self)
    }

    /// Checks what the types leave open.
    ///
    /// # Errors
    ///
    /// The key and what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        self.device.check()?;
        let is_unknown = |name: &&String| AuthType::from_name(name).is_none();
        if let Some(name) = self.lan.ipmi_15.iter().find(is_unknown) {
            return Err(format!("lan.ipmi-15: `{name}` is no authentication type"));
        }
        match self.lan.cipher_suites.iter().find(|&&id| CipherSuite::from_id(id).is_none()) {
            Some(id) => Err(format!("lan.cipher-suites: {id} is no suite that is supported")),
            None => Ok(()),
        }
    }
}
