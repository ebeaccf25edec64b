//! IPv6 parameters (50 to 80; IPMI v2.0 errata 4, Table 23-4).

use std::net::Ipv6Addr;

use ipmi_proto::CompletionCode;
use ipmi_proto::codec::{Remaining, Zero};

use super::ipv4::machine_mac;
use super::{Data, Done, Lan, LanProvider, PARAMETER_NOT_SUPPORTED, READ_ONLY, unmanaged};
use crate::platform::{Ipv6Address, Ipv6Source, LinkChange, Network, Sessions};

/// IPv6 can be used together with IPv4 (bit 1); not alone, not to alert destinations.
const SUPPORT: u8 = 0x02;
/// Both are enabled.
const BOTH: u8 = 2;
/// Static addresses, dynamic addresses, and that both kinds of configuration are there.
const STATUS: [u8; 3] = [STATIC_ADDRESSES, DYNAMIC_ADDRESSES, 0x03];
const STATIC_ADDRESSES: u8 = 15;
const DYNAMIC_ADDRESSES: u8 = 16;
/// Status of an address: active, or not there.
const ACTIVE: u8 = 0;
const DISABLED: u8 = 1;
/// Router configuration: static, and by advertisements.
const STATIC_ROUTER: u8 = 0x01;
const DYNAMIC_ROUTER: u8 = 0x02;

impl<P: Network + Sessions> LanProvider<P> {
    pub(super) async fn ipv6(&self, lan: &Lan, parameter: u8, selector: u8) -> Data {
        let link = self.platform.link(&lan.name).await.map_err(unmanaged)?;
        let is_static = |address: &&Ipv6Address| address.source == Ipv6Source::Static;
        Ok(match parameter {
            50 => vec![SUPPORT],
            51 => vec![BOTH],
            // Traffic class, hop limit, flow label: the kernel's.
            52 => vec![0],
            53 => vec![64],
            54 => vec![0; 3],
            55 => STATUS.to_vec(),
            56 if selector < STATIC_ADDRESSES => {
                entry(selector, link.ipv6.iter().filter(is_static).nth(selector.into()))
            }
            59 if selector < DYNAMIC_ADDRESSES => {
                let dynamic = link.ipv6.iter().filter(|address| !is_static(address));
                entry(selector, dynamic.clone().nth(selector.into()))
            }
            56 | 59 => return Err(CompletionCode::PARAMETER_OUT_OF_RANGE),
            64 => {
                let dynamic = if link.accepts_ra { DYNAMIC_ROUTER } else { 0 };
                vec![STATIC_ROUTER | dynamic]
            }
            65 => link.gateway6.octets().to_vec(),
            66 => link.gateway6_mac.unwrap_or_default().to_vec(),
            67 => vec![0],
            68 => vec![0; 16],
            // Routers learnt by advertisements are in the kernel's table alone.
            73 => vec![0],
            _ => return Err(PARAMETER_NOT_SUPPORTED),
        })
    }

    pub(super) async fn set_ipv6(&self, lan: &Lan, parameter: u8, data: &Remaining) -> Done {
        let invalid = CompletionCode::INVALID_DATA_FIELD;
        match parameter {
            50 | 55 | 59 | 73 => Err(READ_ONLY),
            51 if data.decode::<u8>()? == BOTH => Ok(()),
            51 => Err(invalid),
            56 => self.set_static_ipv6(lan, data).await,
            64 => {
                let (is_static, dynamic, _): (bool, bool, Zero<6>) = data.decode()?;
                if !is_static && !dynamic {
                    return Err(invalid);
                }
                self.change(lan, LinkChange::AcceptRa(dynamic)).await
            }
            65 => {
                let gateway = host_address(data.decode()?)?;
                self.change(lan, LinkChange::Gateway6(gateway)).await
            }
            66 => self.set_gateway6_mac(lan, machine_mac(data.decode()?)?).await,
            // The router is the default one: its prefix is none.
            67 if data.decode::<u8>()? == 0 => Ok(()),
            67 => Err(invalid),
            68 => data.decode::<[u8; 16]>().map(drop).map_err(Into::into),
            _ => Err(PARAMETER_NOT_SUPPORTED),
        }
    }

    /// The router's MAC address; of no router there is none. One that is held may be of a router that
    /// is held too.
    async fn set_gateway6_mac(&self, lan: &Lan, mac: [u8; 6]) -> Done {
        let link = self.platform.link(&lan.name).await.map_err(unmanaged)?;
        if link.gateway6.is_unspecified() && !lan.dry {
            return if mac == [0; 6] { Ok(()) } else { Err(CompletionCode::NOT_IN_PRESENT_STATE) };
        }
        self.change(lan, LinkChange::Neighbor(link.gateway6.into(), mac)).await
    }

    /// Selector; source with the enable bit; address, prefix length, status (read-only).
    async fn set_static_ipv6(&self, lan: &Lan, data: &Remaining) -> Done {
        type Entry = (u8, (Zero<7>, bool), [u8; 16], u8, Option<u8>);
        let (selector, (_, enabled), address, prefix, _): Entry = data.decode()?;
        if selector >= STATIC_ADDRESSES {
            return Err(CompletionCode::PARAMETER_OUT_OF_RANGE);
        }
        if enabled && !(1..=128).contains(&prefix) {
            return Err(CompletionCode::INVALID_DATA_FIELD);
        }
        let link = self.platform.link(&lan.name).await.map_err(unmanaged)?;
        let old = link
            .ipv6
            .iter()
            .filter(|address| address.source == Ipv6Source::Static)
            .nth(selector.into())
            .map(|old| old.address);
        let new = match enabled {
            true => Some((host_address(address)?, prefix)),
            false => None,
        };
        self.change(lan, LinkChange::Ipv6 { old, new }).await
    }
}

/// An address that one machine can have; `::` stands for none.
fn host_address(address: [u8; 16]) -> Result<Ipv6Addr, CompletionCode> {
    let address = Ipv6Addr::from(address);
    (!address.is_multicast()).then_some(address).ok_or(CompletionCode::INVALID_DATA_FIELD)
}

/// An address with its selector, source, prefix length and status.
fn entry(selector: u8, address: Option<&Ipv6Address>) -> Vec<u8> {
    let mut data = vec![selector];
    match address {
        Some(address) => {
            // Static entries have bit 7 for "enabled"; dynamic ones tell their source.
            data.push(match address.source {
                Ipv6Source::Static => 0x80,
                Ipv6Source::Slaac => 1,
                Ipv6Source::Dhcp => 2,
            });
            data.extend(address.address.octets());
            data.extend([address.prefix, ACTIVE]);
        }
        None => {
            data.extend([0; 18]);
            data.push(DISABLED);
        }
    }
    data
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::transport::lan::tests::{answer, commands};

    #[tokio::test]
    async fn static_addresses_are_set_replaced_and_taken_away() {
        let commands = commands();
        let empty = hex!("11 00 00 00000000000000000000000000000000 00 01");
        assert_eq!(commands.send(0x02, &[1, 56, 0, 0]).await, answer(&empty));
        let set = hex!("01 38 00 80 20010db8000000000000000000000007 40 00");
        assert_eq!(commands.send(0x01, &set).await, answer(&[]));
        let there = hex!("11 00 80 20010db8000000000000000000000007 40 00");
        assert_eq!(commands.send(0x02, &[1, 56, 0, 0]).await, answer(&there));
        let gone = hex!("01 38 00 00 00000000000000000000000000000000 00 00");
        assert_eq!(commands.send(0x01, &gone).await, answer(&[]));
        assert_eq!(commands.send(0x02, &[1, 56, 0, 0]).await, answer(&empty));
        let refused = Err(CompletionCode::INVALID_DATA_FIELD);
        let wide = hex!("01 38 00 80 20010db8000000000000000000000007 81 00");
        assert_eq!(commands.send(0x01, &wide).await, refused);
        let of_many = hex!("01 38 00 80 ff020000000000000000000000000001 40 00");
        assert_eq!(commands.send(0x01, &of_many).await, refused);
        let router = hex!("01 41 ff020000000000000000000000000002");
        assert_eq!(commands.send(0x01, &router).await, refused);
        let group = hex!("01 42 333300000001");
        assert_eq!(commands.send(0x01, &group).await, refused);
    }

    #[tokio::test]
    async fn read_only_parameters_are_refused() {
        let commands = commands();
        assert_eq!(commands.send(0x02, &[1, 50, 0, 0]).await, answer(&[0x11, SUPPORT]));
        assert_eq!(commands.send(0x01, &[1, 50, 1]).await, Err(READ_ONLY));
        assert_eq!(commands.send(0x01, &[1, 51, 2]).await, answer(&[]));
        let refused = Err(CompletionCode::INVALID_DATA_FIELD);
        assert_eq!(commands.send(0x01, &[1, 51, 1]).await, refused);
    }

    #[tokio::test]
    async fn static_router_has_an_address_and_a_mac_and_is_the_default_one() {
        let commands = commands();
        let mac = hex!("01 42 525400000009");
        let nowhere = Err(CompletionCode::NOT_IN_PRESENT_STATE);
        assert_eq!(commands.send(0x01, &mac).await, nowhere);
        assert_eq!(commands.send(0x01, &hex!("01 42 000000000000")).await, answer(&[]));
        let router = hex!("01 41 20010db8000000000000000000000001");
        assert_eq!(commands.send(0x01, &router).await, answer(&[]));
        assert_eq!(commands.send(0x01, &mac).await, answer(&[]));
        let read = hex!("11 525400000009");
        assert_eq!(commands.send(0x02, &[1, 66, 0, 0]).await, answer(&read));
        assert_eq!(commands.send(0x01, &[1, 67, 0]).await, answer(&[]));
        let refused = Err(CompletionCode::INVALID_DATA_FIELD);
        assert_eq!(commands.send(0x01, &[1, 67, 64]).await, refused);
        let prefix = [&[1, 68][..], &[0; 16]].concat();
        assert_eq!(commands.send(0x01, &prefix).await, answer(&[]));
    }
}
