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
    /// IPv4 addresses.
    pub ipv4: Vec<Ipv4Address>,
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

impl Link {
    /// The IPv4 address of the LAN parameters 3 and 6, of those that the interface has: one of the present source, as
    /// `getIfAddr4` of phosphor-host-ipmid's `transporthandler.cpp` has it, or else a static one or one from DHCP; a
    /// link-local one if there is no other. Of several, the one that was reported `before`.
    #[must_use]
    pub fn reported(&self, before: Option<Ipv4Addr>) -> Option<Ipv4Address> {
        let present = if self.dhcp { Ipv4Source::Dhcp } else { Ipv4Source::Static };
        let rank = |known: &&Ipv4Address| {
            let source = match known.source {
                source if source == present => 0,
                Ipv4Source::Static | Ipv4Source::Dhcp => 1,
                Ipv4Source::LinkLocal => 2,
            };
            (source, Some(known.address) != before)
        };
        self.ipv4.iter().min_by_key(rank).copied()
    }
}

/// One IPv4 address of an interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ipv4Address {
    /// The address.
    pub address: Ipv4Addr,
    /// Its prefix length.
    pub prefix: u8,
    /// Its source.
    pub source: Ipv4Source,
}

/// The source of an IPv4 address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ipv4Source {
    /// Set by an administrator.
    Static,
    /// DHCP.
    Dhcp,
    /// The link itself (RFC 3927).
    LinkLocal,
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
    /// Replaces the IPv4 address `old` by `new`, static from then on: `new` is added before `old` is removed, and no
    /// other address changes. Only a static address can be removed; one from DHCP ends with DHCP.
    Ipv4 {
        /// The address to remove.
        old: Option<Ipv4Addr>,
        /// The address to add, with its prefix length.
        new: Option<(Ipv4Addr, u8)>,
    },
    /// Whether IPv4 comes from DHCP.
    Dhcp(bool),
    /// The MAC address.
    Mac([u8; 6]),
    /// The IPv4 gateway; it takes the MAC address of the gateway before it over.
    Gateway(Ipv4Addr),
    /// The MAC address of a neighbour; none removes the neighbour.
    Neighbor(IpAddr, Option<[u8; 6]>),
    /// The VLAN, or none.
    Vlan(Option<u16>),
    /// Replaces the static IPv6 address `old` by `new`, which is added first; only adds `new` if `old` is `None`, and
    /// only removes `old` if `new` is.
    Ipv6 {
        /// The address to remove.
        old: Option<Ipv6Addr>,
        /// The address to add, with its prefix length.
        new: Option<(Ipv6Addr, u8)>,
    },
    /// The IPv6 gateway; likewise.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reported_is_an_address_of_the_present_source_and_never_a_link_local_one_beside_another() {
        let known = |last, source| {
            let address = Ipv4Addr::new(192, 0, 2, last);
            Ipv4Address { address, prefix: 24, source }
        };
        let (local, lease) = (known(1, Ipv4Source::LinkLocal), known(2, Ipv4Source::Dhcp));
        let (one, two) = (known(3, Ipv4Source::Static), known(4, Ipv4Source::Static));
        for (dhcp, ipv4, before, expected) in [
            (false, vec![], None, None),
            (false, vec![local], None, Some(local)),
            (false, vec![local, one, two], None, Some(one)),
            (false, vec![local, one, two], Some(two), Some(two)),
            (false, vec![local, one], Some(local), Some(one)),
            (false, vec![local, lease, one], None, Some(one)),
            (true, vec![local, lease, one], Some(one), Some(lease)),
            (true, vec![local, one], None, Some(one)),
            (true, vec![local], None, Some(local)),
        ] {
            let link = Link { dhcp, ipv4, ..crate::platform::fake::link() };
            let before = before.map(|known: Ipv4Address| known.address);
            assert_eq!(link.reported(before), expected, "{link:?} {before:?}");
        }
    }
}
