//! Where consoles reach the bridge, for the LAN parameters that report it (IPMI v2.0 §23.2, parameters 3, 6 and 8).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use nix::ifaddrs::getifaddrs;

/// The port that is served, and on which address.
#[derive(Clone, Debug)]
pub struct Served {
    /// The socket's own address.
    pub socket: SocketAddr,
    /// The interface that the socket is bound to.
    pub interface: Option<String>,
}

impl Served {
    /// The IPv4 address on which the bridge is reached, with its prefix length; `None` if it serves several, or none.
    ///
    /// It is looked up each time: an interface's address may change.
    #[must_use]
    pub fn ipv4(&self) -> Option<(Ipv4Addr, u8)> {
        let own = match self.socket.ip().to_canonical() {
            IpAddr::V4(own) if !own.is_unspecified() => Some(own),
            IpAddr::V6(own) if !own.is_unspecified() => return None,
            _ => None,
        };
        let networks = networks();
        match (own, &self.interface) {
            (Some(own), _) => {
                let around = networks.iter().filter(|network| network.contains(own));
                Some((own, around.map(|network| network.prefix).max().unwrap_or(32)))
            }
            (None, Some(name)) => {
                let first = networks.iter().find(|network| network.interface == *name);
                first.map(|network| (network.address, network.prefix))
            }
            (None, None) => None,
        }
    }
}

/// An address of this machine.
#[derive(Debug)]
struct Network {
    interface: String,
    address: Ipv4Addr,
    prefix: u8,
}

impl Network {
    /// Whether `address` is in the same network.
    fn contains(&self, address: Ipv4Addr) -> bool {
        let differs = self.address.to_bits() ^ address.to_bits();
        differs.checked_shr(32 - u32::from(self.prefix)).unwrap_or(0) == 0
    }
}

/// The IPv4 addresses of this machine; none if they cannot be read.
fn networks() -> Vec<Network> {
    let Ok(addresses) = getifaddrs() else { return Vec::new() };
    addresses
        .filter_map(|each| {
            let address = each.address.as_ref()?.as_sockaddr_in()?.ip();
            let mask = each.netmask.as_ref()?.as_sockaddr_in()?.ip();
            let prefix = u8::try_from(mask.to_bits().leading_ones()).ok()?;
            Some(Network { interface: each.interface_name, address, prefix })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ipv4(socket: &str, interface: Option<&str>) -> Option<(Ipv4Addr, u8)> {
        let interface = interface.map(str::to_owned);
        Served { socket: socket.parse().unwrap(), interface }.ipv4()
    }

    #[test]
    fn a_loopback_address_has_the_loopback_networks_mask() {
        let own = Ipv4Addr::new(127, 3, 4, 5);
        assert_eq!(ipv4("127.3.4.5:6230", None), Some((own, 8)));
        assert_eq!(ipv4("[::ffff:127.3.4.5]:6230", None), Some((own, 8)));
        assert_eq!(ipv4("0.0.0.0:623", Some("lo")), Some((Ipv4Addr::LOCALHOST, 8)));
        assert_eq!(ipv4("[::]:623", Some("lo")), Some((Ipv4Addr::LOCALHOST, 8)));
    }

    #[test]
    fn many_addresses_and_those_of_ipv6_are_none() {
        for socket in ["0.0.0.0:623", "[::]:623", "[::1]:623"] {
            assert_eq!(ipv4(socket, None), None, "{socket}");
        }
        assert_eq!(ipv4("[::1]:623", Some("lo")), None);
        assert_eq!(ipv4("0.0.0.0:623", Some("nosuchif0")), None);
    }

    #[test]
    fn an_address_of_no_network_stands_alone() {
        let network = |prefix| Network {
            interface: String::new(),
            address: Ipv4Addr::new(192, 0, 2, 1),
            prefix,
        };
        for (prefix, last, expected) in
            [(24, 200, true), (25, 200, false), (32, 1, true), (32, 2, false), (0, 9, true)]
        {
            assert_eq!(network(prefix).contains(Ipv4Addr::new(192, 0, 2, last)), expected);
        }
    }
}
