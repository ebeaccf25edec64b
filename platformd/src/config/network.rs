//! `[network]` and `[[network.interface]]`: the BMC's own network.

use serde::Deserialize;

/// `[network]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Network {
    pub(crate) host_name: String,
    pub(crate) interface: Vec<Interface>,
}

impl Default for Network {
    fn default() -> Self {
        let interface = Interface {
            name: "eth0".to_owned(),
            mac: None,
            speed: 1000,
            mtu: 1500,
            dhcp4: false,
            dhcp6: false,
            gateway: String::new(),
            gateway6: String::new(),
            address: Vec::new(),
            neighbor: Vec::new(),
            max_privilege: "priv-admin".to_owned(),
        };
        Self { host_name: "causeway".to_owned(), interface: vec![interface] }
    }
}

/// One of `[[network.interface]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Interface {
    pub(crate) name: String,
    /// If it is not given, it follows from the BMC's identity; see [`Derived`](crate::derived::Known).
    #[serde(default)]
    pub(crate) mac: Option<String>,
    /// In Mbit/s.
    #[serde(default = "speed", deserialize_with = "daemon::range::number::<0, 1000000, _, _>")]
    pub(crate) speed: u32,
    #[serde(default = "mtu", deserialize_with = "daemon::range::number::<68, 65535, _, _>")]
    pub(crate) mtu: u64,
    #[serde(default)]
    pub(crate) dhcp4: bool,
    #[serde(default)]
    pub(crate) dhcp6: bool,
    #[serde(default)]
    pub(crate) gateway: String,
    #[serde(default)]
    pub(crate) gateway6: String,
    #[serde(default)]
    pub(crate) address: Vec<Address>,
    #[serde(default)]
    pub(crate) neighbor: Vec<Neighbor>,
    /// The highest privilege over this interface's channel.
    #[serde(default = "max_privilege")]
    pub(crate) max_privilege: String,
}

const fn speed() -> u32 {
    1000
}

const fn mtu() -> u64 {
    1500
}

fn max_privilege() -> String {
    "priv-admin".to_owned()
}

/// An address, IPv4 or IPv6.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Address {
    pub(crate) address: std::net::IpAddr,
    #[serde(deserialize_with = "daemon::range::number::<0, 128, _, _>")]
    pub(crate) prefix: u8,
    #[serde(default)]
    pub(crate) origin: Origin,
}

/// Where an address is from.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Origin {
    #[default]
    Static,
    Dhcp,
    LinkLocal,
    Slaac,
}

/// A neighbour whose address is known.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Neighbor {
    pub(crate) address: std::net::IpAddr,
    pub(crate) mac: String,
}
