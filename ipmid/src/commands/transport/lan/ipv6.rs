//! IPv6 parameters (50 to 80; IPMI v2.0 errata 4, Table 23-4).

use std::net::Ipv6Addr;

use ipmi_proto::CompletionCode;
use ipmi_proto::codec::{Bits, Remaining};

use super::ipv4::machine_mac;
use super::{
    Data, Done, INVALID_VALUE, Lan, LanProvider, PARAMETER_NOT_SUPPORTED, READ_ONLY, reserved,
    unmanaged,
};
use crate::model::lan::{ChannelState, Ipv6Entry, Selectors};
use crate::platform::{Ipv6Address, Ipv6Source, Link, LinkChange, Network, Sessions};

/// IPv6 can be used together with IPv4 (bit 1); not alone, not to alert destinations.
const SUPPORT: u8 = 0x02;
/// Both are enabled.
const BOTH: u8 = 2;
/// Static addresses, dynamic addresses, and that both kinds of configuration are there.
const STATUS: [u8; 3] = [STATIC_ADDRESSES, DYNAMIC_ADDRESSES, 0x03];
const STATIC_ADDRESSES: u8 = 15;
const LONGEST_PREFIX: u8 = 128;
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
        Ok(match parameter {
            50 => vec![SUPPORT],
            51 => vec![BOTH],
            // Traffic class, hop limit, flow label: the kernel's.
            52 => vec![0],
            53 => vec![64],
            54 => vec![0; 3],
            55 => STATUS.to_vec(),
            56 if selector < STATIC_ADDRESSES => {
                let selectors = self.selectors(lan, &link, Kind::Static).await;
                entry(selector, selectors.entry(selector), &link, Kind::Static)
            }
            59 if selector < DYNAMIC_ADDRESSES => {
                let selectors = self.selectors(lan, &link, Kind::Dynamic).await;
                entry(selector, selectors.entry(selector), &link, Kind::Dynamic)
            }
            56 | 59 => return Err(CompletionCode::PARAMETER_OUT_OF_RANGE.into()),
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
            _ => return Err(PARAMETER_NOT_SUPPORTED.into()),
        })
    }

    pub(super) async fn set_ipv6(&self, lan: &Lan, parameter: u8, data: &Remaining) -> Done {
        match parameter {
            50 | 52..=55 | 59 | 73 => Err(READ_ONLY.into()),
            51 if data.decode::<u8>()? == BOTH => Ok(()),
            51 => Err(INVALID_VALUE.into()),
            56 => self.set_static_ipv6(lan, data).await,
            64 => {
                let (is_static, dynamic, rest): (bool, bool, Bits<6>) = data.decode()?;
                reserved(rest)?;
                // A static router cannot be switched off; there is none if it has no address.
                if !is_static {
                    return Err(INVALID_VALUE.into());
                }
                self.change(lan, LinkChange::AcceptRa(dynamic)).await
            }
            65 => {
                let gateway = host_address(data.decode()?)?;
                self.change(lan, LinkChange::Gateway6(gateway)).await
            }
            66 => {
                let mac = machine_mac(data.decode()?)?;
                let link = self.platform.link(&lan.name).await.map_err(unmanaged)?;
                self.set_gateway_mac(lan, link.gateway6.into(), mac).await
            }
            // It is the default router, which has no prefix.
            67 if data.decode::<u8>()? == 0 => Ok(()),
            68 if data.decode::<[u8; 16]>()? == [0; 16] => Ok(()),
            67 | 68 => Err(INVALID_VALUE.into()),
            _ => Err(PARAMETER_NOT_SUPPORTED.into()),
        }
    }

    /// The selectors of the static or the dynamic addresses, after those that the network has now were given theirs.
    async fn selectors(&self, lan: &Lan, link: &Link, kind: Kind) -> Selectors {
        let before = self.read_state(lan, |state| kind.of(state).clone());
        let mut selectors = before.clone();
        let present: Vec<Ipv6Addr> = kind.addresses(link).map(|known| known.address).collect();
        selectors.assign(&present, kind.room());
        if selectors != before && !present.is_empty() {
            let now = selectors.clone();
            let save = self.update_state(lan, |state| {
                // A write may have set others meanwhile.
                let saved = kind.of_mut(state);
                if *saved == before {
                    *saved = now;
                }
                Ok(())
            });
            // They are reported even if they cannot be saved, which is logged.
            let _ = save.await;
        }
        selectors
    }

    /// Selector; source with the enable bit; address, prefix length, status (read-only). The address of this selector
    /// is replaced, and no other. An entry that is disabled, or has no address or prefix length yet, is saved: FreeIPMI
    /// writes an entry in steps, and in each of them what it has read of the others.
    async fn set_static_ipv6(&self, lan: &Lan, data: &Remaining) -> Done {
        type Entry = (u8, (Bits<7>, bool), [u8; 16], u8, Option<u8>);
        let (selector, (source, enabled), address, prefix, _): Entry = data.decode()?;
        reserved(source)?;
        let address = host_address(address)?;
        if selector >= STATIC_ADDRESSES || prefix > LONGEST_PREFIX {
            return Err(INVALID_VALUE.into());
        }
        let link = self.platform.link(&lan.name).await.map_err(unmanaged)?;
        let selectors = self.selectors(lan, &link, Kind::Static).await;
        let is_present =
            |address| Kind::Static.addresses(&link).any(|known| known.address == address);
        let is_other = |at: &u8| *at != selector;
        let other = selectors.find(address).filter(is_other).map(|at| selectors.entry(at));
        let other = other.filter(|_| !address.is_unspecified() && !lan.dry);
        if other.is_some_and(|other| other.stored.is_some() || is_present(address)) {
            return Err(CompletionCode::NOT_IN_PRESENT_STATE.into());
        }
        let before = selectors.entry(selector);
        let old = Some(before.address).filter(|old| before.stored.is_none() && is_present(*old));
        let is_complete = enabled && !address.is_unspecified() && prefix != 0;
        let new = is_complete.then_some((address, prefix));
        if old.is_some() || new.is_some() {
            self.change(lan, LinkChange::Ipv6 { old, new }).await?;
        }
        let is_empty = !enabled && address.is_unspecified() && prefix == 0;
        let entry = match (is_complete, is_empty) {
            (true, _) => Ipv6Entry::of_network(address),
            (_, true) => Ipv6Entry::default(),
            _ => Ipv6Entry { address, prefix, stored: Some(enabled) },
        };
        self.update_state(lan, |state| {
            state.static_ipv6.remove(address);
            state.static_ipv6.set(selector, entry);
            Ok(())
        })
        .await
    }
}

/// Which addresses a parameter has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Static,
    Dynamic,
}

impl Kind {
    const fn of(self, state: &ChannelState) -> &Selectors {
        match self {
            Self::Static => &state.static_ipv6,
            Self::Dynamic => &state.dynamic_ipv6,
        }
    }

    const fn of_mut(self, state: &mut ChannelState) -> &mut Selectors {
        match self {
            Self::Static => &mut state.static_ipv6,
            Self::Dynamic => &mut state.dynamic_ipv6,
        }
    }

    const fn room(self) -> u8 {
        match self {
            Self::Static => STATIC_ADDRESSES,
            Self::Dynamic => DYNAMIC_ADDRESSES,
        }
    }

    fn addresses(self, link: &Link) -> impl Iterator<Item = &Ipv6Address> {
        let is_static = self == Self::Static;
        link.ipv6.iter().filter(move |known| (known.source == Ipv6Source::Static) == is_static)
    }
}

/// An address that one machine can have; `::` stands for none.
fn host_address(address: [u8; 16]) -> Result<Ipv6Addr, CompletionCode> {
    let address = Ipv6Addr::from(address);
    (!address.is_multicast()).then_some(address).ok_or(INVALID_VALUE)
}

/// An entry with its selector, source, address, prefix length and status. Bit 7 of a static entry's source is set if it
/// is enabled.
fn entry(selector: u8, entry: Ipv6Entry, link: &Link, kind: Kind) -> Vec<u8> {
    let known = kind.addresses(link).find(|known| known.address == entry.address);
    let (source, address, prefix, status) = match (entry.stored, known) {
        (Some(enabled), _) => (u8::from(enabled) << 7, entry.address, entry.prefix, DISABLED),
        (None, Some(known)) => {
            let source = match known.source {
                Ipv6Source::Static => 0x80,
                Ipv6Source::Slaac => 1,
                Ipv6Source::Dhcp => 2,
            };
            (source, known.address, known.prefix, ACTIVE)
        }
        (None, None) => (0, Ipv6Addr::UNSPECIFIED, 0, DISABLED),
    };
    let mut data = vec![selector, source];
    data.extend(address.octets());
    data.extend([prefix, status]);
    data
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::test_support::TestCommands;
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
        let refused = Err(INVALID_VALUE);
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
        let refused = Err(INVALID_VALUE);
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
        let refused = Err(INVALID_VALUE);
        assert_eq!(commands.send(0x01, &[1, 67, 64]).await, refused);
        let prefix = [&[1, 68][..], &[0; 16]].concat();
        assert_eq!(commands.send(0x01, &prefix).await, answer(&[]));
    }

    /// An entry as it is written and, with the status, read.
    fn written(selector: u8, source: u8, last: u8, prefix: u8) -> Vec<u8> {
        let address = match last {
            0 => Ipv6Addr::UNSPECIFIED,
            _ => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(last)),
        };
        [&[selector, source][..], &address.octets(), &[prefix]].concat()
    }

    async fn set(commands: &TestCommands, entry: &[u8]) {
        let request = [&[1, 56][..], entry, &[0]].concat();
        assert_eq!(commands.send(0x01, &request).await, answer(&[]), "{entry:02x?}");
    }

    async fn reads(commands: &TestCommands, parameter: u8, entry: &[u8], status: u8) {
        let reply = [&[0x11][..], entry, &[status]].concat();
        let read = commands.send(0x02, &[1, parameter, entry[0], 0]).await;
        assert_eq!(read, answer(&reply), "{entry:02x?}");
    }

    fn known(last: u16, source: Ipv6Source) -> Ipv6Address {
        let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
        Ipv6Address { address, prefix: 64, source }
    }

    #[tokio::test]
    async fn a_selector_has_what_was_written_to_it_while_others_come_and_go() {
        let commands = commands();
        let third = written(3, 0x80, 3, 48);
        set(&commands, &third).await;
        reads(&commands, 56, &third, ACTIVE).await;
        reads(&commands, 56, &written(0, 0, 0, 0), DISABLED).await;
        // Another client of the network service adds two.
        let mut ipv6 = commands.platform.state().link.ipv6.clone();
        ipv6.insert(0, known(1, Ipv6Source::Static));
        ipv6.push(known(9, Ipv6Source::Static));
        commands.platform.state().link.ipv6 = ipv6;
        reads(&commands, 56, &third, ACTIVE).await;
        reads(&commands, 56, &written(0, 0x80, 1, 64), ACTIVE).await;
        reads(&commands, 56, &written(1, 0x80, 9, 64), ACTIVE).await;
        // A write to one replaces it alone.
        set(&commands, &written(0, 0x80, 0x99, 48)).await;
        reads(&commands, 56, &written(0, 0x80, 0x99, 48), ACTIVE).await;
        reads(&commands, 56, &third, ACTIVE).await;
        assert_eq!(commands.platform.state().link.ipv6.len(), 3);
        commands.platform.state().link.ipv6.retain(|known| known.prefix == 48);
        reads(&commands, 56, &written(1, 0, 0, 0), DISABLED).await;
        reads(&commands, 56, &third, ACTIVE).await;
        // Two selectors cannot have one address.
        let again = [&[1, 56][..], &written(5, 0x80, 3, 64), &[0]].concat();
        let refused = Err(CompletionCode::NOT_IN_PRESENT_STATE);
        assert_eq!(commands.send(0x01, &again).await, refused);
    }

    #[tokio::test]
    async fn an_entry_may_be_written_in_steps_and_disabled_and_enabled_again() {
        let commands = commands();
        // As FreeIPMI does: enable, address, prefix length.
        for (step, status) in [
            (written(2, 0x80, 0, 0), DISABLED),
            (written(2, 0x80, 7, 0), DISABLED),
            (written(2, 0x80, 7, 64), ACTIVE),
            (written(2, 0x80, 8, 64), ACTIVE),
            (written(2, 0x80, 8, 48), ACTIVE),
            (written(2, 0x00, 8, 48), DISABLED),
            (written(2, 0x80, 8, 48), ACTIVE),
            (written(2, 0x00, 0, 0), DISABLED),
        ] {
            set(&commands, &step).await;
            reads(&commands, 56, &step, status).await;
            let there = usize::from(status == ACTIVE);
            assert_eq!(commands.platform.state().link.ipv6.len(), there, "{step:02x?}");
        }
        let refused = Err(INVALID_VALUE);
        for entry in [written(15, 0x80, 7, 64), written(0, 0x81, 7, 64), written(0, 0, 7, 129)] {
            let request = [&[1, 56][..], &entry, &[0]].concat();
            assert_eq!(commands.send(0x01, &request).await, refused, "{entry:02x?}");
        }
    }

    #[tokio::test]
    async fn dynamic_addresses_have_their_selectors_too() {
        let commands = commands();
        commands.platform.state().link.ipv6 =
            vec![known(5, Ipv6Source::Slaac), known(6, Ipv6Source::Dhcp)];
        reads(&commands, 59, &written(1, 2, 6, 64), ACTIVE).await;
        commands.platform.state().link.ipv6.remove(0);
        reads(&commands, 59, &written(0, 0, 0, 0), DISABLED).await;
        reads(&commands, 59, &written(1, 2, 6, 64), ACTIVE).await;
        let mut ipv6 = commands.platform.state().link.ipv6.clone();
        ipv6.insert(0, known(4, Ipv6Source::Slaac));
        commands.platform.state().link.ipv6 = ipv6;
        reads(&commands, 59, &written(1, 2, 6, 64), ACTIVE).await;
    }

    #[tokio::test]
    async fn what_cannot_be_changed_is_refused() {
        let commands = commands();
        for parameter in [52, 53, 54, 55, 59, 73] {
            assert_eq!(commands.send(0x01, &[1, parameter, 0]).await, Err(READ_ONLY));
        }
        let refused = Err(INVALID_VALUE);
        for value in [0, 2, 5] {
            assert_eq!(commands.send(0x01, &[1, 64, value]).await, refused);
        }
        let prefix = hex!("01 44 20010db8000000000000000000000000");
        assert_eq!(commands.send(0x01, &prefix).await, refused);
    }
}
