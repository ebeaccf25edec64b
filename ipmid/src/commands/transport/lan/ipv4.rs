//! IPv4 parameters: address, source, masks, gateways, ARP, VLAN (3 to 15, 20, 21).

use std::net::Ipv4Addr;

use ipmi_proto::CompletionCode;
use ipmi_proto::codec::{Bits, Remaining, Uint, Zero};

use super::{Data, Done, Lan, LanProvider, PARAMETER_NOT_SUPPORTED, unmanaged};
use crate::model::lan::Ipv4State;
use crate::platform::{Link, LinkChange, Network, Sessions};

/// UDP ports of RMCP and of secure RMCP.
const PRIMARY_PORT: u16 = 623;
const SECONDARY_PORT: u16 = 664;
/// Address sources: static, and DHCP.
const STATIC: u8 = 1;
const DHCP: u8 = 2;

fn mask(prefix: u8) -> Ipv4Addr {
    let bits = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
    Ipv4Addr::from(bits)
}

/// The prefix length of a mask; `None` for one with holes.
fn prefix(mask: Ipv4Addr) -> Option<u8> {
    let bits = u32::from(mask);
    let ones = bits.leading_ones();
    (bits.checked_shl(ones).unwrap_or(0) == 0).then(|| u8::try_from(ones).unwrap_or(32))
}

/// An address that one machine can have; 0.0.0.0 stands for none.
fn host_address(address: [u8; 4]) -> Result<Ipv4Addr, CompletionCode> {
    let address = Ipv4Addr::from(address);
    let is_of_many = address.is_multicast() || address.is_broadcast();
    (!is_of_many).then_some(address).ok_or(CompletionCode::INVALID_DATA_FIELD)
}

/// A MAC address that one machine can have: bit 0 of the first byte says that it is a group's.
pub(super) fn machine_mac(mac: [u8; 6]) -> Result<[u8; 6], CompletionCode> {
    (mac[0] & 0x01 == 0).then_some(mac).ok_or(CompletionCode::INVALID_DATA_FIELD)
}

impl<P: Network + Sessions> LanProvider<P> {
    async fn link(&self, lan: &Lan) -> Result<Link, CompletionCode> {
        self.platform.link(&lan.name).await.map_err(unmanaged)
    }

    pub(super) async fn ipv4(&self, lan: &Lan, parameter: u8) -> Data {
        let state = self.read_state(lan, |state| state.ipv4.clone());
        Ok(match parameter {
            3 => self.link(lan).await?.address.0.octets().to_vec(),
            4 => vec![if self.link(lan).await?.dhcp { DHCP } else { STATIC }],
            5 => self.link(lan).await?.mac.to_vec(),
            6 => mask(self.link(lan).await?.address.1).octets().to_vec(),
            7 => state.header.to_vec(),
            8 => PRIMARY_PORT.to_le_bytes().to_vec(),
            9 => SECONDARY_PORT.to_le_bytes().to_vec(),
            10 => vec![state.arp_control],
            11 => vec![state.arp_interval],
            12 => self.link(lan).await?.gateway.octets().to_vec(),
            13 => self.link(lan).await?.gateway_mac.unwrap_or_default().to_vec(),
            14 => state.backup_gateway.to_vec(),
            15 => state.backup_gateway_mac.to_vec(),
            20 => {
                let (id, on) = match self.link(lan).await?.vlan {
                    Some(id) => (id, 0x8000),
                    None => (state.vlan_id, 0),
                };
                (id | on).to_le_bytes().to_vec()
            }
            21 => vec![state.vlan_priority],
            _ => return Err(PARAMETER_NOT_SUPPORTED),
        })
    }

    pub(super) async fn set_ipv4(&self, lan: &Lan, parameter: u8, data: &Remaining) -> Done {
        let invalid = CompletionCode::INVALID_DATA_FIELD;
        match parameter {
            3 => {
                let address = host_address(data.decode()?)?;
                let prefix = match self.link(lan).await?.address.1 {
                    0 => 24, // until the mask is set
                    prefix => prefix,
                };
                self.change(lan, LinkChange::Address(address, prefix)).await
            }
            4 => {
                let (source, _): (Bits<4>, Zero<4>) = data.decode()?;
                let dhcp = match source.value() {
                    STATIC => false,
                    DHCP => true,
                    _ => return Err(invalid),
                };
                self.change(lan, LinkChange::Dhcp(dhcp)).await
            }
            5 => {
                let mac = machine_mac(data.decode()?)?;
                self.change(lan, LinkChange::Mac(mac)).await
            }
            6 => {
                let mask = Ipv4Addr::from(data.decode::<[u8; 4]>()?);
                let prefix = prefix(mask).ok_or(invalid)?;
                let address = self.link(lan).await?.address.0;
                self.change(lan, LinkChange::Address(address, prefix)).await
            }
            12 => {
                let gateway = host_address(data.decode()?)?;
                self.change(lan, LinkChange::Gateway(gateway)).await
            }
            13 => {
                let mac = machine_mac(data.decode()?)?;
                let gateway = self.link(lan).await?.gateway;
                self.change(lan, LinkChange::Neighbor(gateway.into(), mac)).await
            }
            20 => self.set_vlan(lan, data.decode()?).await,
            _ => self.set_ipv4_state(lan, parameter, data).await,
        }
    }

    /// Bits 11:0 are the id, bit 15 says whether it counts.
    async fn set_vlan(&self, lan: &Lan, (id, _, on): (Uint<12>, Zero<3>, bool)) -> Done {
        let id = u16::try_from(id.value()).unwrap_or_default();
        if on && !(1..=4094).contains(&id) {
            return Err(CompletionCode::INVALID_DATA_FIELD);
        }
        self.change(lan, LinkChange::Vlan(on.then_some(id))).await?;
        self.update_state(lan, |state| {
            state.ipv4.vlan_id = id;
            Ok(())
        })
        .await
    }

    async fn set_ipv4_state(&self, lan: &Lan, parameter: u8, data: &Remaining) -> Done {
        match parameter {
            // The ports are fixed.
            8 if data.decode::<u16>()? == PRIMARY_PORT => Ok(()),
            9 if data.decode::<u16>()? == SECONDARY_PORT => Ok(()),
            _ => self.update_state(lan, |state| set(&mut state.ipv4, parameter, data)).await,
        }
    }
}

/// Sets a parameter that no service has.
fn set(state: &mut Ipv4State, parameter: u8, data: &Remaining) -> Done {
    match parameter {
        7 => state.header = data.decode()?,
        10 if data.decode::<u8>()? & !0x03 == 0 => state.arp_control = data.decode()?,
        11 => state.arp_interval = data.decode()?,
        14 => state.backup_gateway = host_address(data.decode()?)?.octets(),
        15 => state.backup_gateway_mac = machine_mac(data.decode()?)?,
        21 => {
            let (priority, _): (Bits<3>, Zero<5>) = data.decode()?;
            state.vlan_priority = priority.value();
        }
        // Ports and ARP flags that cannot be.
        8..=10 => return Err(CompletionCode::INVALID_DATA_FIELD),
        _ => return Err(PARAMETER_NOT_SUPPORTED),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::transport::lan::tests::{answer, commands};

    #[test]
    fn masks_are_prefixes() {
        for (length, text) in [(0, "0.0.0.0"), (8, "255.0.0.0"), (32, "255.255.255.255")] {
            assert_eq!(mask(length).to_string(), text);
            assert_eq!(prefix(mask(length)), Some(length));
        }
        assert_eq!(prefix(Ipv4Addr::new(255, 0, 255, 0)), None);
    }

    #[tokio::test]
    async fn what_ipmitool_prints_matches_the_network() {
        let commands = commands();
        for (parameter, value) in [
            (3, &hex!("c0 00 02 0a")[..]),
            (4, &hex!("01")),
            (5, &hex!("52 54 00 12 34 56")),
            (6, &hex!("ff ff ff 00")),
            (7, &hex!("40 40 10")),
            (8, &hex!("6f 02")),
            (10, &hex!("02")),
            (12, &hex!("c0 00 02 01")),
            (13, &hex!("00 00 00 00 00 00")),
            (20, &hex!("00 00")),
            (21, &hex!("00")),
        ] {
            let reply = [&[0x11][..], value].concat();
            assert_eq!(
                commands.send(0x02, &[1, parameter, 0, 0]).await,
                answer(&reply),
                "{parameter}"
            );
        }
    }

    #[tokio::test]
    async fn settings_reach_the_network_and_read_back() {
        let commands = commands();
        for (parameter, value) in [
            (3, &hex!("c0 00 02 63")[..]),
            (6, &hex!("ff ff 00 00")),
            (12, &hex!("c0 00 02 fe")),
            (5, &hex!("52 54 00 00 00 01")),
            (4, &hex!("02")),
            (14, &hex!("c0 00 02 03")),
            (20, &hex!("64 80")),
            (21, &hex!("05")),
            (10, &hex!("03")),
        ] {
            let request = [&[1, parameter][..], value].concat();
            assert_eq!(commands.send(0x01, &request).await, answer(&[]), "{parameter}");
            let reply = [&[0x11][..], value].concat();
            assert_eq!(
                commands.send(0x02, &[1, parameter, 0, 0]).await,
                answer(&reply),
                "{parameter}"
            );
        }
        assert_eq!(commands.platform.state().link.vlan, Some(100));
        let refused = Err(CompletionCode::INVALID_DATA_FIELD);
        for (parameter, value) in [
            (6, &hex!("ff 00 ff 00")[..]),
            (4, &hex!("07")),
            (20, &hex!("00 80")),
            (8, &hex!("01 00")),
            // Addresses of many.
            (3, &hex!("ff ff ff ff")),
            (3, &hex!("e0 00 00 01")),
            (12, &hex!("ff ff ff ff")),
            (14, &hex!("ef 00 00 01")),
            (5, &hex!("01 00 00 00 00 00")),
            (13, &hex!("ff ff ff ff ff ff")),
            (15, &hex!("33 33 00 00 00 01")),
        ] {
            let request = [&[1, parameter][..], value].concat();
            assert_eq!(commands.send(0x01, &request).await, refused, "{parameter}");
        }
    }
}
