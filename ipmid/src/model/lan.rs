//! LAN configuration parameters that no service of the platform stores, so ipmid saves them itself; among them the
//! alert destinations.

mod selectors;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

pub(crate) use self::selectors::{Ipv6Entry, Selectors};

/// How sessions over LAN may be opened, as the configuration has it.
#[derive(Clone, Debug, Default)]
pub struct LanSessions {
    /// Ids of the cipher suites of RMCP+.
    pub cipher_suites: Vec<u8>,
    /// Authentication types of IPMI 1.5, each a bit by its number.
    pub auth_types: u8,
}

/// Saved LAN parameters, by channel number.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, transparent)]
pub struct LanState(BTreeMap<u8, ChannelState>);

/// Saved parameters of one channel.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ChannelState {
    pub(crate) ipv4: Ipv4State,
    /// The static IPv6 addresses by set selector (parameter 56).
    pub(crate) static_ipv6: Selectors,
    /// The dynamic IPv6 addresses by set selector (parameter 59).
    pub(crate) dynamic_ipv6: Selectors,
    pub(crate) community: Community,
    pub(crate) destinations: Vec<Destination>,
}

impl LanState {
    /// The saved parameters of a channel, if any.
    pub(crate) fn channel(&self, number: u8) -> Option<&ChannelState> {
        self.0.get(&number)
    }

    /// The saved parameters of a channel, to be changed.
    pub(crate) fn channel_mut(&mut self, number: u8) -> &mut ChannelState {
        self.0.entry(number).or_default()
    }

    /// The alert destinations of a channel, the volatile one first.
    #[must_use]
    pub fn destinations(&self, channel: u8) -> Vec<Destination> {
        let saved = self.0.get(&channel).map(|state| state.destinations.clone());
        let mut destinations = saved.unwrap_or_default();
        destinations.resize_with(DESTINATIONS, Destination::default);
        destinations
    }

    /// The community string of a channel's alerts.
    #[must_use]
    pub fn community(&self, channel: u8) -> String {
        let saved = self.0.get(&channel).map(|state| state.community.clone());
        saved.unwrap_or_default().into()
    }
}

/// Number of destinations: the volatile one and those that are saved.
pub(crate) const DESTINATIONS: usize = 16;

/// What an alert to a destination is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DestinationKind {
    /// A Platform Event Trap.
    #[default]
    Pet,
    /// OEM 1.
    Oem1,
    /// OEM 2.
    Oem2,
}

/// One alert destination.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Destination {
    /// What is sent.
    pub kind: DestinationKind,
    /// Whether it is sent again until it is acknowledged.
    pub acknowledged: bool,
    /// Seconds to wait for an acknowledgement, or between two that are not waited for.
    pub timeout: u8,
    /// How often it is sent again, 0 to 7.
    pub retries: u8,
    /// Whether the backup gateway is used.
    pub backup_gateway: bool,
    /// Where it goes; unspecified for nowhere.
    pub address: Ipv4Addr,
    /// The destination's MAC address.
    pub mac: [u8; 6],
    /// VLAN tag: whether there is one, and its 16 bits.
    pub vlan: Option<u16>,
}

impl Default for Destination {
    fn default() -> Self {
        Self {
            kind: DestinationKind::Pet,
            acknowledged: false,
            timeout: 0,
            retries: 0,
            backup_gateway: false,
            address: Ipv4Addr::UNSPECIFIED,
            mac: [0; 6],
            vlan: None,
        }
    }
}

/// The community string of PETs, "public" by default.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Community(String);

impl Default for Community {
    fn default() -> Self {
        Self("public".to_owned())
    }
}

impl From<Community> for String {
    fn from(community: Community) -> Self {
        community.0
    }
}

impl From<String> for Community {
    fn from(community: String) -> Self {
        Self(community)
    }
}

/// IPv4 parameters that no service stores.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Ipv4State {
    /// Time to live, flags, type of service of what the BMC sends by itself.
    pub(crate) header: [u8; 3],
    /// Gratuitous ARPs and ARP responses; both are the kernel's, so both bits are for show alone.
    pub(crate) arp_control: u8,
    /// In units of 500 ms.
    pub(crate) arp_interval: u8,
    pub(crate) backup_gateway: [u8; 4],
    pub(crate) backup_gateway_mac: [u8; 6],
    pub(crate) vlan_priority: u8,
    /// The id that a VLAN switched off had.
    pub(crate) vlan_id: u16,
    /// The address that was reported last: of several, it is reported again as long as it exists.
    pub(crate) reported: Option<Ipv4Addr>,
    /// The prefix length of an address that is still to be set.
    pub(crate) prefix: Option<u8>,
}

impl Default for Ipv4State {
    fn default() -> Self {
        Self {
            header: [0x40, 0x40, 0x10],
            arp_control: ARP_RESPONSES,
            arp_interval: 0,
            backup_gateway: [0; 4],
            backup_gateway_mac: [0; 6],
            vlan_priority: 0,
            vlan_id: 0,
            reported: None,
            prefix: None,
        }
    }
}

/// ARP responses are on, gratuitous ARPs off: what the kernel does.
const ARP_RESPONSES: u8 = 0x02;
