//! The configuration of this daemon.

use accounts::{AccessConfig, ChannelTable, OpenbmcConfig, StoreKind};
use daemon::reload::Keys;
use daemon::{Failure, Invalid, Setup, Validate};
use sections::{IpmbSection, LanSection};
use serde::Deserialize;

use crate::commands::app::DeviceConfig;
use crate::commands::dcmi::DcmiConfig;
use crate::commands::messaging::I2cConfig;
use crate::commands::pef::PefConfig;
use crate::model::SelConfig;
use crate::request::channels::IpmidConfig;
use crate::request::host_interface::RecorderConfig;

/// The keys. What clients have read as the BMC's identity, and what the state files depend on, needs a restart.
pub const KEYS: Keys = Keys {
    live: &[
        "dcmi.power-sensor",
        "i2c.allow",
        "ipmb.target",
        "ipmid.callers",
        "ipmid.direct",
        "ipmid.providers",
        "lan.cipher-suites",
        "lan.ipmi-15",
        "pef.trap-port",
        "sel.log-clears",
    ],
    restart: &[
        "access.initial-user.name",
        "access.initial-user.password",
        "access.user-ids",
        "channel",
        "device.auxiliary",
        "device.id",
        "device.manufacturer",
        "device.product",
        "device.provides-sdrs",
        "device.revision",
        "device.support",
        "openbmc.pam-folder",
        "openbmc.pam-service",
        "openbmc.root",
        "recorder.bytes",
        "recorder.exchanges",
        "sel.capacity",
        "users",
    ],
    others: &[
        "ipmb.accept-broadcasts",
        "ipmb.host-id",
        "ipmb.per-try-ms",
        "ipmb.running-per-satellite",
        "ipmb.tries",
        "lan.bound-to-address",
        "lan.failed-logins-per-minute",
        "lan.handshakes",
        "lan.idle-timeout",
        "lan.packets-per-second",
        "lan.requests-per-session",
        "lan.sessions",
        "lan.setup-timeout",
    ],
};

/// The sections of `causeway.toml` that concern `ipmid`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// `[[channel]]`: the channel table; the built-in one by default.
    #[serde(rename = "channel")]
    pub channels: ChannelTable,
    /// `[access]`: users.
    pub access: AccessConfig,
    /// `users`: whether the accounts are ours or OpenBMC's.
    pub users: StoreKind,
    /// `[openbmc]`: where OpenBMC's accounts are.
    pub openbmc: OpenbmcConfig,
    /// `[device]`: fields of Get Device ID.
    pub device: DeviceConfig,
    /// `[lan]`: of which the bridge reads the rest.
    pub lan: LanSection,
    /// `[dcmi]`: data centre management.
    pub dcmi: DcmiConfig,
    /// `[i2c]`: which transfers Master Write-Read may do.
    pub i2c: I2cConfig,
    /// `[ipmid]`.
    pub ipmid: IpmidConfig,
    /// `[ipmb]`: of which the bridge reads the rest.
    pub ipmb: IpmbSection,
    /// `[pef]`: alerts.
    pub pef: PefConfig,
    /// `[sel]`: the event log.
    pub sel: SelConfig,
    /// `[recorder]`: what is recorded of requests.
    pub recorder: RecorderConfig,
}

impl Validate for Config {
    fn validate(&self) -> Result<(), Invalid> {
        self.channels.validate()?;
        self.access.validate()?;
        self.lan.validate()?;
        self.ipmb.validate()?;
        self.i2c.validate()
    }
}

impl Config {
    /// The configuration with the channels and cipher suites of OpenBMC's files if the accounts are
    /// OpenBMC's.
    ///
    /// # Errors
    ///
    /// [`Failure::Config`] when OpenBMC's files of them cannot be used.
    pub fn with_channels(mut self) -> Result<Self, Failure> {
        if self.users == StoreKind::Openbmc {
            let files = self.openbmc.files();
            self.channels = files.channel_table().map_err(Failure::Config)?;
            let listed = files.cipher_suites(&self.lan.suite_ids()).map_err(Failure::Config)?;
            self.lan.retain_suites(&listed);
        }
        Ok(self)
    }
}

/// Reads the configuration file.
///
/// # Errors
///
/// [`Failure::Config`] for a configuration that cannot be used.
pub fn prepare<A>(setup: &Setup<A>) -> Result<Config, Failure> {
    setup.config::<Config>()?.with_channels()
}
