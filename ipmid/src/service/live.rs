//! What a reload of the configuration changes.

use std::collections::HashMap;
use std::sync::Arc;

use ipmi_proto::ipmb::IpmbAddress;

use crate::commands::dcmi::DcmiConfig;
use crate::commands::messaging::I2cConfig;
use crate::commands::pef::PefConfig;
use crate::config::Config;
use crate::model::lan::LanSessions;
use crate::model::live::Live;
use crate::request::channels::Channels;
use crate::request::providers::bus::Registration;

/// The values that handlers and background tasks read at each use.
#[derive(Clone, Debug)]
pub(super) struct LiveConfig {
    pub(super) sessions: Live<LanSessions>,
    pub(super) dcmi: Live<DcmiConfig>,
    pub(super) i2c: Live<I2cConfig>,
    pub(super) pef: Live<PefConfig>,
    pub(super) satellites: Live<HashMap<IpmbAddress, u8>>,
    pub(super) log_clears: Live<bool>,
}

impl LiveConfig {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            sessions: lan_sessions(config).into(),
            dcmi: config.dcmi.clone().into(),
            i2c: config.i2c.clone().into(),
            pef: config.pef.into(),
            satellites: config.ipmb.channel_bytes().into(),
            log_clears: config.sel.log_clears.into(),
        }
    }

    /// Puts the values of the live keys (`config::KEYS`) into force.
    pub(super) fn apply(&self, config: Config, channels: &Arc<Channels>, providers: &Registration) {
        self.sessions.set(lan_sessions(&config));
        self.satellites.set(config.ipmb.channel_bytes());
        self.dcmi.set(config.dcmi);
        self.i2c.set(config.i2c);
        self.pef.set(config.pef);
        self.log_clears.set(config.sel.log_clears);
        providers.allow(config.ipmid.providers.clone());
        channels.configure(config.ipmid);
    }
}

fn lan_sessions(config: &Config) -> LanSessions {
    LanSessions { cipher_suites: config.lan.suite_ids(), auth_types: config.lan.auth_type_bits() }
}
