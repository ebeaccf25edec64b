//! The network of the fake platform: one interface.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::FakePlatform;
use crate::platform::{
    IpCounters, Ipv4Address, Ipv4Source, Ipv6Address, Ipv6Source, Link, LinkChange, Network,
    PlatformResult,
};

/// An interface with an address and a gateway.
pub(crate) fn link() -> Link {
    Link {
        mac: [0x52, 0x54, 0x00, 0x12, 0x34, 0x56],
        dhcp: false,
        ipv4: vec![static_ipv4([192, 0, 2, 10].into(), 24)],
        gateway: [192, 0, 2, 1].into(),
        gateway_mac: None,
        vlan: None,
        ipv6: Vec::new(),
        gateway6: Ipv6Addr::UNSPECIFIED,
        gateway6_mac: None,
        accepts_ra: false,
    }
}

fn static_ipv4(address: Ipv4Addr, prefix: u8) -> Ipv4Address {
    Ipv4Address { address, prefix, source: Ipv4Source::Static }
}

impl Network for FakePlatform {
    async fn link(&self, _channel: &str) -> PlatformResult<Link> {
        self.step().await;
        self.answer(|state| state.link.clone())
    }
    async fn change_link(&self, _channel: &str, change: LinkChange) -> PlatformResult<()> {
        self.step().await;
        if let LinkChange::Ipv4 { old, .. } = change {
            // A change of several steps.
            self.answer(|state| state.link.ipv4.retain(|known| Some(known.address) != old))?;
            self.step().await;
        }
        self.answer(|state| {
            let link = &mut state.link;
            match change {
                LinkChange::Ipv4 { old: _, new } => {
                    link.ipv4.retain(|known| known.source != Ipv4Source::Dhcp);
                    link.ipv4.extend(new.map(|(address, prefix)| static_ipv4(address, prefix)));
                    link.dhcp = false;
                }
                LinkChange::Dhcp(dhcp) => link.dhcp = dhcp,
                LinkChange::Mac(mac) => link.mac = mac,
                LinkChange::Gateway(gateway) => link.gateway = gateway,
                LinkChange::Neighbor(IpAddr::V4(_), mac) => link.gateway_mac = mac,
                LinkChange::Neighbor(IpAddr::V6(_), mac) => link.gateway6_mac = mac,
                LinkChange::Vlan(vlan) => link.vlan = vlan,
                LinkChange::Gateway6(gateway) => link.gateway6 = gateway,
                LinkChange::AcceptRa(accepts) => link.accepts_ra = accepts,
                LinkChange::Ipv6 { old, new } => {
                    link.ipv6.retain(|known| Some(known.address) != old);
                    let source = Ipv6Source::Static;
                    link.ipv6.extend(new.map(|(address, prefix)| Ipv6Address {
                        address,
                        prefix,
                        source,
                    }));
                }
            }
        })
    }
    fn ip_counters(&self) -> PlatformResult<IpCounters> {
        self.answer(|_| [7, 0, 0, 0, 5, 3, 3, 0, 0])
    }
}
