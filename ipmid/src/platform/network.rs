//! The configuration of the network service: `Network.EthernetInterface` and the addresses under it.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::PlatformResult;

/// The configuration of an interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    /// Its MAC address.
    pub mac: [u8; 6],
    /// Whether its IPv4 address comes from DHCP.
    pub dhcp: bool,
    /// IPv4 address and prefix length; unspecified if there is none.
    pub address: (Ipv4Addr, u8),
    /// IPv4 gateway; unspecified if there is none.
    pub gateway: Ipv4Addr,
    /// The gateway's MAC address, where the service knows it.
    pub gateway_mac: Option<[u8; 6]>,
    /// VLAN id, where it is on one.
    pub vlan: Option<u16>,
    /// IPv6 addresses.
    pub ipv6: Vec<Ipv6Address>,
    /// IPv6 gateway; unspecified if there is none.
    pub gateway6: Ipv6Addr,
    /// The IPv6 gateway's MAC address, where the service knows it.
    pub gateway6_mac: Option<[u8; 6]>,
    /// Whether it takes router advertisements.
    pub accepts_ra: bool,
}

/// One IPv6 address of an interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ipv6Address {
    /// The address.
    pub address: Ipv6Addr,
    /// Its prefix length.
    pub prefix: u8,
    /// Its source.
    pub source: Ipv6Source,
}

/// The source of an IPv6 address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ipv6Source {
    /// Set by an administrator.
    Static,
    /// Stateless address configuration, or the link itself.
    Slaac,
    /// DHCPv6.
    Dhcp,
}

/// A change to an interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LinkChange {
    /// The IPv4 address and prefix length, static from then on.
    Address(Ipv4Addr, u8),
    /// Whether IPv4 comes from DHCP.
    Dhcp(bool),
    /// The MAC address.
    Mac([u8; 6]),
    /// The IPv4 gateway.
    Gateway(Ipv4Addr),
    /// The MAC address of a neighbour.
    Neighbor(IpAddr, [u8; 6]),
    /// The VLAN, or none.
    Vlan(Option<u16>),
    /// Replaces the static IPv6 address `old` by `new`; adds `new` if `old` is `None`, and removes `old` if `new` is.
    Ipv6 {
        /// The address to remove.
        old: Option<Ipv6Addr>,
        /// The address to add, with its prefix length.
        new: Option<(Ipv6Addr, u8)>,
    },
    /// The IPv6 gateway.
    Gateway6(Ipv6Addr),
    /// Whether router advertisements are taken.
    AcceptRa(bool),
}

/// Packets counted by the BMC's own IP stack, modulo 65,536 each (IPMI v2.0 §23.4).
pub type IpCounters = [u16; 9];

/// The network interfaces behind LAN channels.
pub trait Network: Send + Sync + 'static {
    /// The interface of the channel called `channel`: the one of that name, or else the first.
    fn link(&self, channel: &str) -> impl Future<Output = PlatformResult<Link>> + Send;

    /// Changes it.
    fn change_link(
        &self,
        channel: &str,
        change: LinkChange,
    ) -> impl Future<Output = PlatformResult<()>> + Send;

    /// Packets since the BMC started.
    fn ip_counters(&self) -> PlatformResult<IpCounters>;
}
