//! The configuration: `[lan]`, and the shared sections as far as a LAN front end uses them.

use std::path::Path;
use std::sync::Arc;

use accounts::{
    AccessConfig, Channel, ChannelTable, Followed, OpenbmcConfig, OpenbmcReader, Reader, StoreKind,
};
use daemon::reload::Keys;
use daemon::{Failure, Invalid, Setup, Validate};
use ipmi_proto::Medium;
use openbmc_dbus::recorder::RecorderConfig;
use rmcp_proto::server::{self, Instance};
use sections::LanSection;
use serde::Deserialize;

use crate::arguments::{Args, DEFAULT_CHANNEL};
use crate::console::SolSection;

/// The keys. A reload ends no session and no SOL stream: algorithms and sizes are those of new ones, and a lower limit
/// bars new ones.
pub const KEYS: Keys = Keys {
    live: &[
        "lan.cipher-suites",
        "lan.ipmi-15",
        "lan.sessions",
        "lan.handshakes",
        "lan.requests-per-session",
        "lan.packets-per-second",
        "lan.failed-logins-per-minute",
        "lan.idle-timeout",
        "lan.setup-timeout",
        "lan.bound-to-address",
        "sol.console",
        "sol.scrollback",
        "sol.viewers",
        "sol.max-payload",
    ],
    restart: &[
        "channel",
        "access.user-ids",
        "users",
        "openbmc.root",
        "recorder.bytes",
        "recorder.exchanges",
        "sol.ring",
    ],
    others: &[
        "access.initial-user.name",
        "access.initial-user.password",
        "openbmc.pam-service",
        "openbmc.pam-folder",
    ],
};

/// The sections of the configuration file that netipmid uses.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The `[lan]` section.
    pub lan: LanSection,
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
    /// What is recorded of requests.
    pub recorder: RecorderConfig,
}

impl Validate for Config {
    fn validate(&self) -> Result<(), Invalid> {
        self.channels.validate()?;
        self.access.validate()?;
        self.lan.validate()?;
        self.sol.validate()
    }
}

/// A configuration, and what it says of the one channel that this process serves.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The whole.
    pub config: Config,
    /// The channel.
    pub channel: Channel,
    /// The server's set-up for it.
    pub server: server::Config,
}

/// Makes of configuration and command line what there is to serve.
///
/// # Errors
///
/// [`Failure::Config`] for a channel that is not configured or holds no sessions, and when OpenBMC's
/// files of channels cannot be used.
pub fn prepare(setup: &Setup<Args>) -> Result<Plan, Failure> {
    let config = setup.config::<Config>()?.with_channels()?;
    // A check that names no channel is one of the file, whatever its channels are called.
    let any = config.lan_channels().next().filter(|_| setup.only_check);
    let any = any.map(|channel| channel.name.as_str());
    let server = config.server(setup.args.channel.as_deref().or(any).unwrap_or(DEFAULT_CHANNEL));
    let (channel, server) = server.map_err(|invalid| setup.invalid(&invalid))?;
    Ok(Plan { channel: channel.clone(), server, config })
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
            let listed = files.cipher_suites(&self.lan.suite_ids()).map_err(Failure::Config)?;
            self.lan.retain_suites(&listed);
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

    /// The channel called `name`, and the server's configuration for it. The interface of a VLAN has a dot in its
    /// name (`eth0.5`), which bus names cannot have: its channel has `_` instead.
    ///
    /// # Errors
    ///
    /// A channel that is not configured, or has no sessions.
    pub fn server(&self, name: &str) -> Result<(&Channel, server::Config), Invalid> {
        let channel = self
            .channels
            .by_name(name)
            .or_else(|| self.channels.by_name(&name.replace('.', "_")))
            .filter(|channel| channel.has_sessions())
            .ok_or_else(|| {
                Invalid::at("channel", format!("no channel with sessions is called `{name}`"))
            })?;
        let instance = self
            .lan_channels()
            .position(|other| other.number() == channel.number())
            .and_then(|position| Instance::new(u8::try_from(position).ok()?))
            .ok_or_else(|| {
                let text = format!("{name}: only the first four LAN channels can have sessions");
                Invalid::at("channel", text)
            })?;
        let (failures_by_source, failures_by_user) = self.lan.failure_rates();
        let config = server::Config {
            instance,
            channel: channel.number(),
            suites: self.lan.suites(),
            v15: self.lan.auth_types(),
            sessions: self.lan.sessions,
            pending: self.lan.handshakes,
            requests: self.lan.requests_per_session,
            packets: self.lan.packet_rate(),
            failures_by_source,
            failures_by_user,
            idle_timeout: self.lan.idle_timeout(),
            setup_timeout: self.lan.setup_timeout(),
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

    fn config(text: &str) -> Result<Config, String> {
        let file = daemon::ConfigFile::from_text("causeway.toml", text.to_owned());
        file.and_then(|file| file.config()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn built_in_configuration_serves_lan0_with_suites_17_and_3() {
        let built_in = config("").unwrap();
        let (channel, config) = built_in.server("lan0").unwrap();
        assert_eq!(channel.number().value(), 1);
        let ids: Vec<_> = config.suites.iter().map(|suite| suite.id()).collect();
        assert_eq!(ids, [17, 3]);
        assert_eq!((config.sessions, config.instance), (62, Instance::default()));
    }

    #[test]
    fn values_out_of_range_are_refused_with_their_line() {
        let cases = [
            ("cipher-suites = [17, 0]", "suite 0 has no security"),
            ("cipher-suites = [4]", "suite 4 is not supported"),
            ("cipher-suites = [3, 3]", "lan.cipher-suites[1]: a suite is listed twice"),
            ("cipher-suites = []", "lan.cipher-suites: no suite"),
            ("sessions = 63", "expected a number from 1 to 62"),
            ("sessions = 0", "expected a number from 1 to 62"),
            ("handshakes = 0", "expected a number from 1 to 4096"),
            ("requests-per-session = 0", "expected a number from 1 to 64"),
            ("idle-timeout = 0", "expected a number from 1 to 86400"),
            ("idle-timeout = 18446744073709551615", "expected a number from 1 to 86400"),
            ("setup-timeout = 18446744073709551615", "expected a number from 1 to 300"),
            ("packets-per-second = 0", "expected a number from 1 to 1000000"),
            ("packets-per-second = 4294967295", "expected a number from 1 to 1000000"),
            ("failed-logins-per-minute = 0", "expected a number from 1 to 60000"),
            ("cipher-suite = [3]", "cipher-suite"),
            ("ipmi-15 = [\"md4\"]", "md4"),
            ("ipmi-15 = [\"md5\", \"md5\"]", "lan.ipmi-15[1]"),
        ];
        for (line, culprit) in cases {
            let error = config(&format!("[lan]\n{line}\n")).unwrap_err();
            assert!(error.starts_with("causeway.toml:2: "), "{line}: {error}");
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
        let config = config(&text).unwrap();
        assert_eq!(config.server("eth0").unwrap().1.instance, Instance::new(0).unwrap());
        assert_eq!(config.server("eth1").unwrap().1.instance, Instance::new(1).unwrap());
        assert_eq!(config.server("eth0.5").unwrap().0.name, "eth0_5");
        assert!(config.server("lan0").is_err());
        let built_in = Config::default();
        assert!(built_in.server("kcs0").is_err() && built_in.server("eth0").is_err());
    }
}
