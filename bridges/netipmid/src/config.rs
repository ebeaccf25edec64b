//! The configuration: `[lan]`, and the shared sections as far as a LAN front end uses them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use accounts::{
    AccessConfig, Channel, ChannelTable, Followed, OpenbmcConfig, OpenbmcReader, Reader, StoreKind,
};
use daemon::Failure;
use ipmi_proto::Medium;
use rmcp_proto::server::{self, Instance, Rate};
use rmcp_proto::suite::CipherSuite;
use rmcp_proto::wire::v15::AuthType;
use serde::{Deserialize, Deserializer};

use crate::console::SolSection;

/// The sections of the configuration file that netipmid uses.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The `[lan]` section.
    pub lan: Lan,
    /// The channels, of which this process serves one.
    #[serde(rename = "channel")]
    pub channels: ChannelTable,
    /// The number of users.
    pub access: AccessConfig,
    /// Which store of accounts is used.
    pub users: StoreKind,
    /// The folders of OpenBMC's accounts.
    pub openbmc: OpenbmcConfig,
    /// Serial over LAN.
    pub sol: SolSection,
}

/// The `[lan]` section.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Lan {
    /// Cipher suites accepted, the preferred one first.
    #[serde(deserialize_with = "suites")]
    pub cipher_suites: Vec<CipherSuite>,
    /// Authentication types of IPMI 1.5 sessions; if empty, those sessions are off.
    #[serde(deserialize_with = "auth_types")]
    pub ipmi_15: Vec<AuthType>,
    /// Active sessions, 1 to 62.
    pub sessions: usize,
    /// Handshakes under way at a time.
    pub handshakes: usize,
    /// Requests of one session that may run at a time.
    pub requests_per_session: usize,
    /// Packets outside of sessions that one source may send in a second.
    pub packets_per_second: u32,
    /// Logins of one source that may fail in a minute; a third of them at once.
    pub failed_logins_per_minute: u32,
    /// Seconds without a valid packet after which a session is closed.
    pub idle_timeout: u64,
    /// Seconds within which a handshake must be complete.
    pub setup_timeout: u64,
    /// Whether packets of a session are accepted only from the address that logged in.
    pub bound_to_address: bool,
}

impl Default for Lan {
    fn default() -> Self {
        let server::Config { suites, sessions, pending, requests, .. } = server::Config::default();
        Self {
            cipher_suites: suites,
            ipmi_15: Vec::new(),
            sessions,
            handshakes: pending,
            requests_per_session: requests,
            packets_per_second: 4000,
            failed_logins_per_minute: 30,
            idle_timeout: 60,
            setup_timeout: 3,
            bound_to_address: true,
        }
    }
}

/// Suites by id: known ones, each once, and never suite 0.
fn suites<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<CipherSuite>, D::Error> {
    use serde::de::Error;
    let ids = Vec::<u8>::deserialize(deserializer)?;
    if ids.is_empty() {
        return Err(D::Error::custom("no cipher suite is enabled"));
    }
    let mut suites = Vec::with_capacity(ids.len());
    for id in ids {
        if id == 0 {
            return Err(D::Error::custom("cipher suite 0 has no security and cannot be enabled"));
        }
        let suite = CipherSuite::from_id(id)
            .ok_or_else(|| D::Error::custom(format!("cipher suite {id} is not supported")))?;
        if suites.contains(&suite) {
            return Err(D::Error::custom(format!("cipher suite {id} is listed twice")));
        }
        suites.push(suite);
    }
    Ok(suites)
}

/// Authentication types by name.
fn auth_types<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<AuthType>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let auth_type = |name: String| {
        AuthType::from_name(&name).ok_or_else(|| {
            serde::de::Error::custom(format!("unknown authentication type `{name}`"))
        })
    };
    names.into_iter().map(auth_type).collect()
}

impl Config {
    /// The configuration with the channels and cipher suites of OpenBMC's files, if those are used.
    ///
    /// # Errors
    ///
    /// [`Failure::Config`] if OpenBMC's files of them are invalid.
    pub fn with_channels(mut self) -> Result<Self, Failure> {
        if self.users == StoreKind::Openbmc {
            let files = self.openbmc.files();
            self.channels = files.channel_table().map_err(Failure::Config)?;
            let allowed: Vec<u8> = self.lan.cipher_suites.iter().map(|s| s.id()).collect();
            let listed = files.cipher_suites(&allowed).map_err(Failure::Config)?;
            let suites = &mut self.lan.cipher_suites;
            suites.retain(|suite| listed.contains(&suite.id()));
        }
        Ok(self)
    }

    /// The store of accounts.
    #[must_use]
    pub fn accounts(&self, state_dir: &Path) -> Arc<dyn Followed> {
        let channels = self.channels.clone();
        match self.users {
            StoreKind::Own => Arc::new(Reader::open(state_dir, &self.access, channels)),
            StoreKind::Openbmc => {
                let files = self.openbmc.files();
                let reader = OpenbmcReader::open(files, channels, state_dir, &self.access);
                Arc::new(reader)
            }
        }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    ///
    /// [`Failure::Config`], naming the key.
    pub fn check(&self) -> Result<(), Failure> {
        let bounds = [
            ("sessions", self.lan.sessions, 1..=server::Config::MAX_SESSIONS),
            ("handshakes", self.lan.handshakes, 1..=4096),
            ("requests-per-session", self.lan.requests_per_session, 1..=64),
        ];
        for (key, value, range) in bounds {
            if !range.contains(&value) {
                let (least, most) = range.into_inner();
                let text = format!("lan.{key}: {value} is not between {least} and {most}");
                return Err(Failure::Config(text));
            }
        }
        if self.lan.packets_per_second == 0 || self.lan.failed_logins_per_minute == 0 {
            return Err(Failure::Config(
                "lan: packets-per-second and failed-logins-per-minute must not be 0".to_owned(),
            ));
        }
        if self.lan.idle_timeout == 0 || self.lan.setup_timeout == 0 {
            return Err(Failure::Config(
                "lan: idle-timeout and setup-timeout must not be 0".to_owned(),
            ));
        }
        self.sol.check().map_err(Failure::Config)
    }

    /// The channel called `name`, and the server's configuration for it. The interface of a VLAN has a dot in its
    /// name (`eth0.5`), which bus names cannot have: its channel has `_` instead.
    ///
    /// # Errors
    ///
    /// [`Failure::Config`] for a channel that is not configured, or has no sessions.
    pub fn server(&self, name: &str) -> Result<(&Channel, server::Config), Failure> {
        let channel = self
            .channels
            .by_name(name)
            .or_else(|| self.channels.by_name(&name.replace('.', "_")))
            .filter(|channel| channel.has_sessions())
            .ok_or_else(|| {
                Failure::Config(format!("no [[channel]] with sessions is called `{name}`"))
            })?;
        let instance = self
            .lan_channels()
            .position(|other| other.number() == channel.number())
            .and_then(|position| Instance::new(u8::try_from(position).ok()?))
            .ok_or_else(|| {
                Failure::Config(format!(
                    "channel `{name}`: only the first four LAN channels can have sessions"
                ))
            })?;
        let config = server::Config {
            instance,
            channel: channel.number(),
            suites: self.lan.cipher_suites.clone(),
            v15: self.lan.ipmi_15.clone(),
            sessions: self.lan.sessions,
            pending: self.lan.handshakes,
            requests: self.lan.requests_per_session,
            packets: Rate {
                burst: self.lan.packets_per_second,
                period: Duration::from_secs(1) / self.lan.packets_per_second,
            },
            failures_by_source: Rate {
                burst: self.lan.failed_logins_per_minute.div_ceil(3),
                period: Duration::from_secs(60) / self.lan.failed_logins_per_minute,
            },
            failures_by_user: Rate {
                burst: self.lan.failed_logins_per_minute,
                period: Duration::from_secs(60) / self.lan.failed_logins_per_minute,
            },
            idle_timeout: Duration::from_secs(self.lan.idle_timeout),
            setup_timeout: Duration::from_secs(self.lan.setup_timeout),
            bound_to_peer: self.lan.bound_to_address,
            ..server::Config::default()
        };
        Ok((channel, config))
    }

    /// The LAN channels with sessions; a channel's index among them makes its session ids and handles unique on
    /// the BMC.
    fn lan_channels(&self) -> impl Iterator<Item = &Channel> {
        let is_lan = |channel: &&Channel| {
            matches!(channel.medium, Medium::Lan | Medium::OtherLan) && channel.has_sessions()
        };
        self.channels.iter().filter(is_lan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let config = daemon::Config::from_text("causeway.toml", text.to_owned());
        let config: Config =
            config.and_then(|c| c.view()).map_err(|failure| failure.to_string())?;
        config.check().map_err(|failure| failure.to_string())?;
        Ok(config)
    }

    #[test]
    fn built_in_configuration_serves_lan0_with_suites_17_and_3() {
        let parsed = parse("").unwrap();
        let (channel, config) = parsed.server("lan0").unwrap();
        assert_eq!(channel.number().value(), 1);
        let ids: Vec<_> = config.suites.iter().map(|suite| suite.id()).collect();
        assert_eq!(ids, [17, 3]);
        assert_eq!((config.sessions, config.instance), (62, Instance::default()));
    }

    #[test]
    fn invalid_values_are_errors_that_name_the_key() {
        let cases = [
            ("cipher-suites = [17, 0]", "suite 0 has no security"),
            ("cipher-suites = [4]", "suite 4 is not supported"),
            ("cipher-suites = [3, 3]", "listed twice"),
            ("cipher-suites = []", "no cipher suite"),
            ("sessions = 63", "lan.sessions: 63"),
            ("sessions = 0", "lan.sessions: 0"),
            ("handshakes = 0", "lan.handshakes"),
            ("requests-per-session = 0", "lan.requests-per-session"),
            ("idle-timeout = 0", "idle-timeout"),
            ("packets-per-second = 0", "packets-per-second"),
            ("cipher-suite = [3]", "cipher-suite"),
            ("ipmi-15 = [\"md4\"]", "md4"),
        ];
        for (line, culprit) in cases {
            let error = parse(&format!("[lan]\n{line}\n")).unwrap_err();
            assert!(error.contains(culprit), "{line}: {error}");
        }
    }

    #[test]
    fn only_channels_with_sessions_are_served_each_under_its_own_instance() {
        let row = |number: u8, name: &str| {
            format!(
                "[[channel]]\nnumber = {number}\nname = \"{name}\"\nmedium = \"lan\"\n\
                 protocol = \"ipmb-1.0\"\nsessions = \"multi-session\"\n"
            )
        };
        let text = row(3, "eth1") + &row(2, "eth0") + &row(4, "eth0_5");
        let parsed = parse(&text).unwrap();
        assert_eq!(parsed.server("eth0").unwrap().1.instance, Instance::new(0).unwrap());
        assert_eq!(parsed.server("eth1").unwrap().1.instance, Instance::new(1).unwrap());
        assert_eq!(parsed.server("eth0.5").unwrap().0.name, "eth0_5");
        assert!(parsed.server("lan0").is_err());
        let built_in = Config::default();
        assert!(built_in.server("kcs0").is_err() && built_in.server("eth0").is_err());
    }
}
