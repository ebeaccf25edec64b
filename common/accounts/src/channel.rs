//! Channels: the configured table, and access to each (IPMI v2.0 §6.3-6.6, §22.22-22.24).

use ipmi_proto::{AccessMode, ChannelNumber, ChannelProtocol, Medium, Privilege, SessionSupport};
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};

use crate::text;

/// One channel as configured: a `[[channel]]` of the configuration file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Channel {
    #[serde(deserialize_with = "number")]
    pub(crate) number: u8,
    /// The name, which is also the last part of the bridge's bus name.
    #[serde(deserialize_with = "name")]
    pub name: String,
    /// What it runs over.
    #[serde(with = "text::medium")]
    pub medium: Medium,
    /// What it speaks.
    #[serde(with = "text::protocol")]
    pub protocol: ChannelProtocol,
    /// Whether it holds sessions.
    #[serde(with = "text::sessions", default = "session_less")]
    pub sessions: SessionSupport,
    /// The access that holds until another one is set.
    #[serde(with = "text::access_mode", default = "always")]
    pub access: AccessMode,
    /// The privilege limit that holds until another one is set.
    #[serde(with = "text::privilege", default = "administrator")]
    pub privilege_limit: Privilege,
}

fn session_less() -> SessionSupport {
    SessionSupport::SessionLess
}

fn always() -> AccessMode {
    AccessMode::AlwaysAvailable
}

fn administrator() -> Privilege {
    Privilege::Administrator
}

impl Channel {
    /// The number.
    #[must_use]
    pub fn number(&self) -> ChannelNumber {
        ChannelNumber::new(self.number).unwrap_or(ChannelNumber::IPMB)
    }

    /// Whether users log in on this channel.
    #[must_use]
    pub fn has_sessions(&self) -> bool {
        self.sessions != SessionSupport::SessionLess
    }

    /// The access that holds until another one is set.
    #[must_use]
    pub fn default_access(&self) -> ChannelAccess {
        ChannelAccess {
            mode: self.access,
            privilege_limit: self.privilege_limit,
            per_message_auth_disabled: false,
            user_level_auth_disabled: false,
            alerting_disabled: false,
        }
    }

    /// Why number, name, medium, protocol and sessions do not fit together (IPMI v2.0 §6.3 to 6.5),
    /// with the key that is wrong.
    fn contradiction(&self) -> Option<(&'static str, String)> {
        let Self { number, medium, protocol, sessions, .. } = self;
        let host_protocol = matches!(
            protocol,
            ChannelProtocol::Kcs
                | ChannelProtocol::Smic
                | ChannelProtocol::Bt10
                | ChannelProtocol::Bt15
        );
        let has_sessions = matches!(medium, Medium::Lan | Medium::OtherLan | Medium::Serial)
            || !self.has_sessions();
        if *number == 0 && *medium != Medium::Ipmb {
            Some(("medium", "channel 0 is the primary IPMB: `ipmb`".to_owned()))
        } else if *number == 15 && *medium != Medium::System {
            Some(("medium", "channel 15 is the system interface: `system`".to_owned()))
        } else if host_protocol && *medium != Medium::System {
            let (protocol, medium) = (protocol.name(), medium.name());
            Some(("protocol", format!("`{protocol}` is not spoken over `{medium}`")))
        } else if !has_sessions {
            let (sessions, medium) = (sessions.name(), medium.name());
            Some(("sessions", format!("`{medium}` has none, so it cannot be `{sessions}`")))
        } else {
            None
        }
    }
}

/// The number of a channel that can be configured (IPMI v2.0 Table 6-1).
fn check_number(number: u8) -> Result<u8, String> {
    match number {
        0..=0x0b | 0x0f => Ok(number),
        _ => Err(format!("channel {number}: the number is not 0 to 11 or 15")),
    }
}

/// The name of a channel, which is part of its bridge's bus name.
fn check_name(name: String) -> Result<String, String> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let letter_first = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if letter_first && name.bytes().all(word) && name.len() <= 64 {
        Ok(name)
    } else {
        Err(format!("{name:?} cannot be part of a bus name"))
    }
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    check_number(u8::deserialize(deserializer)?).map_err(de::Error::custom)
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    check_name(String::deserialize(deserializer)?).map_err(de::Error::custom)
}

/// All channels.
///
/// The default is the built-in table; a configuration that lists channels replaces all of it, and is
/// to be [validated](Self::validate).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(transparent)]
pub struct ChannelTable(Vec<Channel>);

impl ChannelTable {
    /// The channels, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Channel> {
        let mut channels: Vec<&Channel> = self.0.iter().collect();
        channels.sort_by_key(|channel| channel.number);
        channels.into_iter()
    }

    /// Checks each channel, and the channels against each other.
    ///
    /// # Errors
    ///
    /// The key of the configuration file and the reason.
    pub fn validate(&self) -> Result<(), (String, String)> {
        if self.0.is_empty() {
            return Err(("channel".to_owned(), "no channel is left".to_owned()));
        }
        for (at, channel) in self.0.iter().enumerate() {
            if let Some((key, reason)) = channel.contradiction() {
                return Err((format!("channel[{at}].{key}"), reason));
            }
        }
        match self.repeated() {
            Some((at, key, reason)) => Err((format!("channel[{at}].{key}"), reason)),
            None => Ok(()),
        }
    }

    /// The first channel whose number or name another one before has, the key, and why that is wrong.
    fn repeated(&self) -> Option<(usize, &'static str, String)> {
        self.0.iter().enumerate().find_map(|(at, channel)| {
            self.0.iter().take(at).find_map(|other| {
                let (one, two) = (other.number, channel.number);
                if one == two {
                    Some((at, "number", format!("channel {one} is listed twice")))
                } else if other.name == channel.name {
                    Some((at, "name", format!("channels {one} and {two} have one name")))
                } else {
                    None
                }
            })
        })
    }

    /// The channel of this number.
    #[must_use]
    pub fn get(&self, number: ChannelNumber) -> Option<&Channel> {
        self.0.iter().find(|channel| channel.number == number.value())
    }

    /// The channel of this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Channel> {
        self.0.iter().find(|channel| channel.name == name)
    }
}

impl TryFrom<Vec<Channel>> for ChannelTable {
    type Error = String;

    /// From channels that are not of the configuration file: OpenBMC's.
    fn try_from(channels: Vec<Channel>) -> Result<Self, String> {
        for channel in &channels {
            let number = check_number(channel.number)?;
            check_name(channel.name.clone())
                .map_err(|error| format!("channel {number}: {error}"))?;
        }
        let table = Self(channels);
        match table.repeated() {
            Some((_, _, reason)) => Err(reason),
            None => Ok(table),
        }
    }
}

impl Default for ChannelTable {
    fn default() -> Self {
        use ChannelProtocol::{Bt15, Ipmb, Kcs, Oem1, Smbus};
        use SessionSupport::{MultiSession, SessionLess};
        let rows = [
            (0x00, "Ipmb", Medium::Ipmb, Ipmb, SessionLess),
            (0x01, "lan0", Medium::Lan, Ipmb, MultiSession),
            (0x08, "INTRABMC", Medium::System, Oem1, SessionLess),
            (0x09, "bt0", Medium::System, Bt15, SessionLess),
            (0x0a, "ssif0", Medium::System, Smbus, SessionLess),
            (0x0f, "kcs0", Medium::System, Kcs, SessionLess),
        ];
        let channel = |(number, name, medium, protocol, sessions)| Channel {
            number,
            name: str::to_owned(name),
            medium,
            protocol,
            sessions,
            access: always(),
            privilege_limit: administrator(),
        };
        Self(rows.map(channel).into())
    }
}

/// Which of the two settings of channel access (IPMI v2.0 §22.22, bits 7:6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Setting {
    /// What holds after the next start of the BMC.
    NonVolatile,
    /// What holds now.
    Volatile,
}

/// Access to a channel (IPMI v2.0 §22.22).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ChannelAccess {
    /// When the channel takes messages.
    #[serde(with = "text::access_mode")]
    pub mode: AccessMode,
    /// The highest privilege of a session on the channel.
    #[serde(with = "text::privilege")]
    pub privilege_limit: Privilege,
    /// Whether the messages of an IPMI 1.5 session go without authentication codes (bit 4).
    #[serde(default)]
    pub per_message_auth_disabled: bool,
    /// Whether User level commands of an IPMI 1.5 session go without them (bit 3).
    #[serde(default)]
    pub user_level_auth_disabled: bool,
    /// Whether PEF sends no alerts over the channel (bit 5).
    #[serde(default)]
    pub alerting_disabled: bool,
}

/// What happens after wrong passwords (IPMI v2.0 §23.2, LAN parameter 26); all zero is nothing.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct BadPassword {
    /// Whether a session audit event is logged when a user gets locked.
    pub audit_event: bool,
    /// How many wrong passwords lock a user; 0 is never.
    pub threshold: u8,
    /// After how long the count starts anew, in units of 10 s; 0 is never.
    pub reset_interval: u16,
    /// For how long a user is locked, in units of 10 s; 0 is until enabled again.
    pub lockout_interval: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Config {
        #[serde(rename = "channel")]
        channels: ChannelTable,
    }

    fn table(text: &str) -> Result<ChannelTable, String> {
        let config: Config = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        let valid = config.channels.validate();
        valid.map_err(|(key, reason)| format!("{key}: {reason}"))?;
        Ok(config.channels)
    }

    #[test]
    fn built_in_table_is_the_documented_one() {
        let table = ChannelTable::default();
        let names: Vec<_> = table.iter().map(|c| (c.number().value(), c.name.as_str())).collect();
        let documented =
            [(0, "Ipmb"), (1, "lan0"), (8, "INTRABMC"), (9, "bt0"), (10, "ssif0"), (15, "kcs0")];
        assert_eq!(names, documented);
        assert_eq!(table.validate(), Ok(()));
        assert_eq!(table.by_name("lan0").map(Channel::has_sessions), Some(true));
        assert_eq!(table.get(ChannelNumber::CURRENT), None);
    }

    #[test]
    fn configured_channels_replace_the_table() {
        let table = table(
            "[[channel]]\nnumber = 3\nname = \"eth0\"\nmedium = \"lan\"\nprotocol = \"ipmb-1.0\"\n\
             sessions = \"multi-session\"\nprivilege-limit = \"operator\"\naccess = \"disabled\"\n",
        )
        .unwrap();
        assert_eq!(table.iter().count(), 1);
        let access = table.by_name("eth0").unwrap().default_access();
        assert_eq!(access.mode, AccessMode::Disabled);
        assert_eq!(access.privilege_limit, Privilege::Operator);
        assert_eq!(super::tests::table("").unwrap(), ChannelTable::default());
    }

    #[test]
    fn mistakes_in_the_table_are_refused() {
        let row = |number: u8, name: &str, medium: &str| {
            format!(
                "[[channel]]\nnumber = {number}\nname = \"{name}\"\nmedium = \"{medium}\"\n\
                 protocol = \"oem-1\"\n"
            )
        };
        for (text, culprit) in [
            ("channel = []".to_owned(), "channel: no channel"),
            (row(14, "a", "lan"), "channel 14"),
            (row(12, "a", "lan"), "channel 12"),
            (row(1, "", "lan"), "bus name"),
            (row(1, "9lives", "lan"), "bus name"),
            (row(1, "a.b", "lan"), "bus name"),
            (row(1, "a", "wlan"), "`wlan` is no channel medium"),
            (
                row(1, "a", "lan") + &row(1, "b", "lan"),
                "channel[1].number: channel 1 is listed twice",
            ),
            (
                row(1, "a", "lan") + &row(2, "a", "lan"),
                "channel[1].name: channels 1 and 2 have one name",
            ),
            (row(1, "a", "lan") + "colour = 1\n", "colour"),
            (row(0, "a", "lan"), "channel[0].medium: channel 0 is the primary IPMB"),
            (row(15, "a", "lan"), "channel[0].medium: channel 15 is the system interface"),
            (row(3, "a", "system") + "sessions = \"multi-session\"\n", "channel[0].sessions"),
            (row(3, "a", "lan").replace("oem-1", "kcs"), "channel[0].protocol: `kcs` is not"),
        ] {
            let error = table(&text).unwrap_err();
            assert!(error.contains(culprit), "{error}");
        }
    }
}
