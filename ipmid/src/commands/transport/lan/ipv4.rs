//! IPv4 parameters: address, source, masks, gateways, ARP, VLAN (3 to 15, 20, 21).

use std::net::{IpAddr, Ipv4Addr};

use ipmi_proto::CompletionCode;
use ipmi_proto::codec::{Bits, Remaining, Uint};

use super::{
    Data, Done, INVALID_VALUE, Lan, LanProvider, PARAMETER_NOT_SUPPORTED, reserved, unmanaged,
};
use crate::model::lan::Ipv4State;
use crate::platform::{Ipv4Address, Ipv4Source, Link, LinkChange, Network, Sessions};
use crate::request::command::HandlerResult;

/// UDP port of secure RMCP.
const SECONDARY_PORT: u16 = 664;
/// The prefix length of an address whose mask was not set.
const DEFAULT_PREFIX: u8 = 24;
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
    (!is_of_many).then_some(address).ok_or(INVALID_VALUE)
}

/// A MAC address that one machine can have: bit 0 of the first byte says that it is a group's.
pub(super) fn machine_mac(mac: [u8; 6]) -> Result<[u8; 6], CompletionCode> {
    (mac[0] & 0x01 == 0).then_some(mac).ok_or(INVALID_VALUE)
}

impl<P: Network + Sessions> LanProvider<P> {
    async fn link(&self, lan: &Lan) -> HandlerResult<Link> {
        self.platform.link(&lan.name).await.map_err(unmanaged)
    }

    /// The port that is served. It is the primary RMCP port, whatever its number.
    async fn served_port(&self, lan: &Lan) -> HandlerResult<u16> {
        Ok(self.platform.served_port(lan.number.value()).await?)
    }

    /// The interface, and that address of it which parameters 3 and 6 are about. Which one it is, is saved, so that
    /// another one that is added or removed does not take its place.
    async fn reported(&self, lan: &Lan) -> HandlerResult<(Link, Option<Ipv4Address>)> {
        let link = self.link(lan).await?;
        let before = self.read_state(lan, |state| state.ipv4.reported);
        let reported = link.reported(before);
        let stays = reported.filter(|known| known.source != Ipv4Source::LinkLocal);
        let now = stays.map(|known| known.address);
        if now.is_some() && now != before {
            let save = self.update_state(lan, |state| {
                // A write may have set another meanwhile.
                if state.ipv4.reported == before {
                    state.ipv4.reported = now;
                }
                Ok(())
            });
            // It is reported even if it cannot be saved, which is logged.
            let _ = save.await;
        }
        Ok((link, reported))
    }

    pub(super) async fn ipv4(&self, lan: &Lan, parameter: u8) -> Data {
        let state = self.read_state(lan, |state| state.ipv4.clone());
        Ok(match parameter {
            3 => {
                let (_, reported) = self.reported(lan).await?;
                reported.map_or([0; 4], |known| known.address.octets()).to_vec()
            }
            4 => vec![if self.link(lan).await?.dhcp { DHCP } else { STATIC }],
            5 => self.link(lan).await?.mac.to_vec(),
            6 => {
                let (_, reported) = self.reported(lan).await?;
                let prefix = reported.map(|known| known.prefix).or(state.prefix);
                mask(prefix.unwrap_or(0)).octets().to_vec()
            }
            7 => state.header.to_vec(),
            8 => self.served_port(lan).await?.to_le_bytes().to_vec(),
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
            _ => return Err(PARAMETER_NOT_SUPPORTED.into()),
        })
    }

    pub(super) async fn set_ipv4(&self, lan: &Lan, parameter: u8, data: &Remaining) -> Done {
        match parameter {
            3 => self.set_address(lan, host_address(data.decode()?)?).await,
            4 => {
                let (source, rest): (Bits<4>, Bits<4>) = data.decode()?;
                reserved(rest)?;
                match source.value() {
                    STATIC => self.set_static(lan).await,
                    DHCP => self.change(lan, LinkChange::Dhcp(true)).await,
                    _ => Err(INVALID_VALUE.into()),
                }
            }
            5 => {
                let mac = machine_mac(data.decode()?)?;
                self.change(lan, LinkChange::Mac(mac)).await
            }
            6 => self.set_mask(lan, data.decode::<[u8; 4]>()?.into()).await,
            12 => {
                let gateway = host_address(data.decode()?)?;
                self.change(lan, LinkChange::Gateway(gateway)).await
            }
            13 => {
                let mac = machine_mac(data.decode()?)?;
                let gateway = self.link(lan).await?.gateway;
                self.set_gateway_mac(lan, gateway.into(), mac).await
            }
            20 => self.set_vlan(lan, data.decode()?).await,
            _ => self.set_ipv4_state(lan, parameter, data).await,
        }
    }

    /// Replaces the reported address; 0.0.0.0 removes it.
    async fn set_address(&self, lan: &Lan, address: Ipv4Addr) -> Done {
        let (_, reported) = self.reported(lan).await?;
        let state = self.read_state(lan, |state| state.ipv4.clone());
        let prefix = reported.map(|known| known.prefix).or(state.prefix);
        let new = Some(address).filter(|address| !address.is_unspecified());
        self.replace(lan, reported, new.map(|new| (new, prefix.unwrap_or(DEFAULT_PREFIX)))).await
    }

    /// Changes the mask of the reported address; if there is none, it will be that of the next one.
    async fn set_mask(&self, lan: &Lan, mask: Ipv4Addr) -> Done {
        let prefix = prefix(mask).ok_or(INVALID_VALUE)?;
        match self.reported(lan).await?.1 {
            // Everything is local with it, which no network is.
            Some(_) if prefix == 0 => Err(INVALID_VALUE.into()),
            Some(known) => self.replace(lan, Some(known), Some((known.address, prefix))).await,
            None => {
                self.update_state(lan, |state| {
                    state.ipv4.prefix = Some(prefix).filter(|prefix| *prefix != 0);
                    Ok(())
                })
                .await
            }
        }
    }

    /// Ends DHCP. The address that it gave stays, as a static one, so that the interface stays reachable.
    async fn set_static(&self, lan: &Lan) -> Done {
        let (link, reported) = self.reported(lan).await?;
        match reported.filter(|known| link.dhcp && known.source == Ipv4Source::Dhcp) {
            Some(lease) => self.replace(lan, None, Some((lease.address, lease.prefix))).await,
            None => self.change(lan, LinkChange::Dhcp(false)).await,
        }
    }

    async fn replace(
        &self,
        lan: &Lan,
        old: Option<Ipv4Address>,
        new: Option<(Ipv4Addr, u8)>,
    ) -> Done {
        let old = old.map(|known| known.address);
        self.change(lan, LinkChange::Ipv4 { old, new }).await?;
        self.update_state(lan, |state| {
            state.ipv4.reported = new.map(|(address, _)| address);
            state.ipv4.prefix = None;
            Ok(())
        })
        .await
    }

    /// Sets the gateway's MAC address (zero: none), which needs a gateway. A held address may belong to a gateway that is
    /// held too.
    pub(super) async fn set_gateway_mac(&self, lan: &Lan, gateway: IpAddr, mac: [u8; 6]) -> Done {
        let mac = Some(mac).filter(|mac| *mac != [0; 6]);
        match mac {
            Some(_) if gateway.is_unspecified() && !lan.dry => {
                Err(CompletionCode::NOT_IN_PRESENT_STATE.into())
            }
            None if gateway.is_unspecified() => Ok(()),
            mac => self.change(lan, LinkChange::Neighbor(gateway, mac)).await,
        }
    }

    /// Bits 11:0 are the id, bit 15 says whether it counts.
    async fn set_vlan(&self, lan: &Lan, (id, rest, on): (Uint<12>, Bits<3>, bool)) -> Done {
        reserved(rest)?;
        let id = u16::try_from(id.value()).unwrap_or_default();
        if on && !(1..=4094).contains(&id) {
            return Err(INVALID_VALUE.into());
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
            // The bridge's command line says which port it serves.
            8 if data.decode::<u16>()? == self.served_port(lan).await? => Ok(()),
            9 if data.decode::<u16>()? == SECONDARY_PORT => Ok(()),
            _ => self.update_state(lan, |state| set(&mut state.ipv4, parameter, data)).await,
        }
    }
}

/// Sets a parameter that no service has.
fn set(state: &mut Ipv4State, parameter: u8, data: &Remaining) -> Result<(), CompletionCode> {
    match parameter {
        7 => state.header = data.decode()?,
        10 if data.decode::<u8>()? & !0x03 == 0 => state.arp_control = data.decode()?,
        11 => state.arp_interval = data.decode()?,
        14 => state.backup_gateway = host_address(data.decode()?)?.octets(),
        15 => state.backup_gateway_mac = machine_mac(data.decode()?)?,
        21 => {
            let (priority, rest): (Bits<3>, Bits<5>) = data.decode()?;
            reserved(rest)?;
            state.vlan_priority = priority.value();
        }
        // Ports and ARP flags that cannot be.
        8..=10 => return Err(INVALID_VALUE),
        _ => return Err(PARAMETER_NOT_SUPPORTED),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::test_support::TestCommands;
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
            (13, &hex!("52 54 00 00 00 fe")),
            (4, &hex!("02")),
            (4, &hex!("01")),
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
        let refused = Err(INVALID_VALUE);
        for (parameter, value) in [
            (6, &hex!("ff 00 ff 00")[..]),
            // Unspecified, of the BIOS, and by another protocol.
            (4, &hex!("00")),
            (4, &hex!("03")),
            (4, &hex!("04")),
            (6, &hex!("00 00 00 00")),
            // Reserved bits.
            (4, &hex!("12")),
            (10, &hex!("04")),
            (20, &hex!("64 90")),
            (21, &hex!("08")),
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

    fn known(last: u8, prefix: u8, source: Ipv4Source) -> Ipv4Address {
        Ipv4Address { address: Ipv4Addr::new(192, 0, 2, last), prefix, source }
    }

    fn addresses(commands: &TestCommands) -> Vec<Ipv4Address> {
        commands.platform.state().link.ipv4.clone()
    }

    #[tokio::test]
    async fn a_write_replaces_the_reported_address_alone() {
        let commands = commands();
        let (local, one, two) = (
            known(7, 16, Ipv4Source::LinkLocal),
            known(9, 24, Ipv4Source::Static),
            known(61, 24, Ipv4Source::Static),
        );
        commands.platform.state().link.ipv4 = vec![local, two];
        assert_eq!(commands.send(0x02, &[1, 3, 0, 0]).await, answer(&hex!("11 c0 00 02 3d")));
        // One that sorts before it changes nothing.
        commands.platform.state().link.ipv4 = vec![local, one, two];
        assert_eq!(commands.send(0x02, &[1, 3, 0, 0]).await, answer(&hex!("11 c0 00 02 3d")));
        assert_eq!(commands.send(0x01, &hex!("01 06 ff ff ff 80")).await, answer(&[]));
        assert_eq!(addresses(&commands), [local, one, known(61, 25, Ipv4Source::Static)]);
        assert_eq!(commands.send(0x01, &hex!("01 03 c0 00 02 c8")).await, answer(&[]));
        assert_eq!(addresses(&commands), [local, one, known(200, 25, Ipv4Source::Static)]);
        assert_eq!(commands.send(0x02, &[1, 3, 0, 0]).await, answer(&hex!("11 c0 00 02 c8")));
        assert_eq!(commands.send(0x02, &[1, 6, 0, 0]).await, answer(&hex!("11 ff ff ff 80")));
        // None removes it, and the next one is reported.
        assert_eq!(commands.send(0x01, &hex!("01 03 00 00 00 00")).await, answer(&[]));
        assert_eq!(addresses(&commands), [local, one]);
        assert_eq!(commands.send(0x02, &[1, 3, 0, 0]).await, answer(&hex!("11 c0 00 02 09")));
    }

    #[tokio::test]
    async fn an_address_from_dhcp_stays_when_dhcp_ends() {
        for write in [&hex!("01 04 01")[..], &hex!("01 06 ff ff ff 00")] {
            let commands = commands();
            let lease = known(100, 24, Ipv4Source::Dhcp);
            commands.platform.state().link.ipv4 = vec![lease];
            commands.platform.state().link.dhcp = true;
            assert_eq!(commands.send(0x01, write).await, answer(&[]));
            assert_eq!(addresses(&commands), [known(100, 24, Ipv4Source::Static)]);
            assert_eq!(commands.send(0x02, &[1, 4, 0, 0]).await, answer(&hex!("11 01")));
        }
    }

    #[tokio::test]
    async fn a_mask_that_is_set_first_is_that_of_the_address_set_then() {
        let commands = commands();
        commands.platform.state().link.ipv4 = Vec::new();
        assert_eq!(commands.send(0x01, &hex!("01 06 00 00 00 00")).await, answer(&[]));
        assert_eq!(commands.send(0x01, &hex!("01 06 ff ff 00 00")).await, answer(&[]));
        assert_eq!(commands.send(0x02, &[1, 6, 0, 0]).await, answer(&hex!("11 ff ff 00 00")));
        assert_eq!(commands.send(0x01, &hex!("01 03 c0 00 02 09")).await, answer(&[]));
        assert_eq!(addresses(&commands), [known(9, 16, Ipv4Source::Static)]);
        assert_eq!(commands.send(0x02, &[1, 6, 0, 0]).await, answer(&hex!("11 ff ff 00 00")));
    }

    #[tokio::test]
    async fn the_primary_port_is_the_one_that_is_served() {
        let commands = commands();
        commands.platform.state().served_port = 6230;
        assert_eq!(commands.send(0x02, &[1, 8, 0, 0]).await, answer(&hex!("11 56 18")));
        assert_eq!(commands.send(0x01, &hex!("01 08 56 18")).await, answer(&[]));
        assert_eq!(commands.send(0x01, &hex!("01 08 6f 02")).await, Err(INVALID_VALUE));
    }

    #[tokio::test]
    async fn no_gateway_has_no_mac_address() {
        let commands = commands();
        let mac = hex!("01 0d 52 54 00 00 00 fe");
        assert_eq!(commands.send(0x01, &mac).await, answer(&[]));
        assert_eq!(commands.send(0x01, &hex!("01 0d 00 00 00 00 00 00")).await, answer(&[]));
        assert_eq!(commands.platform.state().link.gateway_mac, None);
        assert_eq!(commands.send(0x01, &hex!("01 0c 00 00 00 00")).await, answer(&[]));
        let nowhere = Err(CompletionCode::NOT_IN_PRESENT_STATE);
        assert_eq!(commands.send(0x01, &mac).await, nowhere);
    }
}
