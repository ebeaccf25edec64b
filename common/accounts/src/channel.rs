//! Channels: the configured table, and access to each (IPMI v2.0 §6.3-6.6, §22.22-22.24).

use std::collections::BTreeMap;

use ipmi_proto::{AccessMode, ChannelNumber, ChannelProtocol, Medium, Privilege, SessionSupport};
use serde::{Deserialize, Serialize};

use crate::text;

/// One channel as configured: a `[[channel]]` of the configuration file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Channel {
    pub(crate) number: u8,
    /// The name, which is also the last part of the bridge's bus name.
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

    fn check(&self) -> Result<(), String> {
        let Self { number, name, .. } = self;
        if !matches!(number, 0..=0x0b | 0x0f) {
            return Err(format!("channel {number}: the number is none of 0 to 11 and 15"));
        }
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let letter_first = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        if !letter_first || !name.bytes().all(word) || name.len() > 64 {
            return Err(format!("channel {number}: {name:?} cannot be part of a bus name"));
        }
        Ok(())
    }
}

/// All channels, in the order of their numbers.
///
/// The default is the built-in table; a configuration that lists channels replaces all of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(try_from = "Vec<Channel>")]
pub struct ChannelTable(Vec<Channel>);

impl ChannelTable {
    /// The channels.
    pub fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.0.iter()
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

    fn try_from(mut channels: Vec<Channel>) -> Result<Self, String> {
        channels.iter().try_for_each(Channel::check)?;
        channels.sort_by_key(|channel| channel.number);
        let mut names = BTreeMap::new();
        for channel in &channels {
            if let Some(other) = names.insert(&channel.name, channel.number) {
                return Err(format!("channels {other} and {} have one name", channel.number));
            }
        }
        if let Some([same, _]) = channels.array_windows().find(|[a, b]| a.number == b.number) {
            return Err(format!("channel {} is listed twice", same.number));
        }
        Ok(Self(channels))
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
    struct View {
        #[serde(rename = "channel")]
        channels: ChannelTable,
    }

    fn table(text: &str) -> Result<ChannelTable, String> {
        toml::from_str::<View>(text).map(|view| view.channels).map_err(|e| e.message().to_owned())
    }

    #[test]
    fn built_in_table_is_the_documented_one() {
        let table = ChannelTable::default();
        let names: Vec<_> = table.iter().map(|c| (c.number().value(), c.name.as_str())).collect();
        let documented =
            [(0, "Ipmb"), (1, "lan0"), (8, "INTRABMC"), (9, "bt0"), (10, "ssif0"), (15, "kcs0")];
        assert_eq!(names, documented);
        assert!(table.iter().all(|channel| channel.check() == Ok(())));
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
    fn mistakes_in_the_table_are_told() {
        let row = |number: u8, name: &str, medium: &str| {
            format!(
                "[[channel]]\nnumber = {number}\nname = \"{name}\"\nmedium = \"{medium}\"\n\
                 protocol = \"kcs\"\n"
            )
        };
        for (text, culprit) in [
            (row(14, "a", "lan"), "channel 14"),
            (row(12, "a", "lan"), "channel 12"),
            (row(1, "", "lan"), "bus name"),
            (row(1, "9lives", "lan"), "bus name"),
            (row(1, "a.b", "lan"), "bus name"),
            (row(1, "a", "wlan"), "`wlan` is no channel medium"),
            (row(1, "a", "lan") + &row(1, "b", "lan"), "listed twice"),
            (row(1, "a", "lan") + &row(2, "a", "lan"), "one name"),
            (row(1, "a", "lan") + "colour = 1\n", "colour"),
        ] {
            let error = table(&text).unwrap_err();
            assert!(error.contains(culprit), "{error}");
        }
    }
}
