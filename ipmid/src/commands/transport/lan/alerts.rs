//! Where alerts go: community string and destinations (16 to 19, 25).

use ipmi_proto::CompletionCode;
use ipmi_proto::codec::{self, Bits, Remaining, Text};

use super::{
    Data, Done, INVALID_VALUE, Lan, LanProvider, PARAMETER_NOT_SUPPORTED, READ_ONLY, reserved,
};
use crate::model::lan::{Community, DESTINATIONS, Destination, DestinationKind};
use crate::platform::{Network, Sessions};

/// Selector and reserved bits; type, reserved, acknowledged; time-out; retries, reserved.
type TypeData = ((Bits<4>, Bits<4>), (Bits<3>, Bits<4>, bool), u8, (Bits<3>, Bits<5>));
/// Selector; address format; gateway, reserved; IP and MAC address.
type AddressData = ((Bits<4>, Bits<4>), (Bits<4>, Bits<4>), (bool, Bits<7>), [u8; 4], [u8; 6]);
/// Selector; tag format; tag.
type VlanData = ((Bits<4>, Bits<4>), (Bits<4>, Bits<4>), u16);

impl<P: Network + Sessions> LanProvider<P> {
    pub(super) fn alerts(&self, lan: &Lan, parameter: u8, selector: u8) -> Data {
        let number = usize::from(selector & 0x0f);
        let all = self.state.look(|state| state.destinations(lan.number.value()));
        let destination = all.get(number).cloned().ok_or(CompletionCode::PARAMETER_OUT_OF_RANGE)?;
        let selector = (Bits::low(selector), Bits::low(0));
        Ok(match parameter {
            16 => {
                let community: String =
                    self.read_state(lan, |state| state.community.clone()).into();
                codec::encode(
                    &Text::<18>::new(community.as_bytes()).ok_or(PARAMETER_NOT_SUPPORTED)?,
                )
            }
            // The volatile one is not counted.
            17 => vec![u8::try_from(DESTINATIONS - 1).unwrap_or(0)],
            18 => {
                let kind = match destination.kind {
                    DestinationKind::Pet => 0,
                    DestinationKind::Oem1 => 6,
                    DestinationKind::Oem2 => 7,
                };
                let kind = (Bits::low(kind), Bits::low(0), destination.acknowledged);
                let retries = (Bits::low(destination.retries), Bits::low(0));
                let data: TypeData = (selector, kind, destination.timeout, retries);
                codec::encode(&data)
            }
            19 => {
                let gateway = (destination.backup_gateway, Bits::low(0));
                let address = destination.address.octets();
                let format = (Bits::low(0), Bits::low(0));
                let data: AddressData = (selector, format, gateway, address, destination.mac);
                codec::encode(&data)
            }
            25 => {
                // Format 1h in bits 7:4 is an 802.1q tag.
                let format = (Bits::low(0), Bits::low(u8::from(destination.vlan.is_some())));
                let data: VlanData = (selector, format, destination.vlan.unwrap_or(0));
                codec::encode(&data)
            }
            _ => return Err(PARAMETER_NOT_SUPPORTED.into()),
        })
    }

    pub(super) async fn set_alerts(&self, lan: &Lan, parameter: u8, data: &Remaining) -> Done {
        match parameter {
            16 => {
                let text: Text<18> = data.decode()?;
                let community =
                    String::from_utf8(text.as_bytes().to_vec()).map_err(|_| INVALID_VALUE)?;
                self.update_state(lan, |state| {
                    state.community = Community::from(community);
                    Ok(())
                })
                .await
            }
            17 => Err(READ_ONLY.into()),
            18 => {
                let ((selector, one), (kind, two, acknowledged), timeout, (retries, three)): TypeData =
                    data.decode()?;
                reserved(one).and(reserved(two)).and(reserved(three))?;
                let kind = match kind.value() {
                    0 => DestinationKind::Pet,
                    6 => DestinationKind::Oem1,
                    7 => DestinationKind::Oem2,
                    _ => return Err(INVALID_VALUE.into()),
                };
                self.update_destination(lan, selector, |destination| {
                    destination.kind = kind;
                    destination.acknowledged = acknowledged;
                    destination.timeout = timeout;
                    destination.retries = retries.value();
                })
                .await
            }
            19 => {
                let ((selector, one), (two, format), (gateway, three), address, mac): AddressData =
                    data.decode()?;
                reserved(one).and(reserved(two)).and(reserved(three))?;
                if format.value() != 0 {
                    return Err(INVALID_VALUE.into()); // IPv6 destinations
                }
                self.update_destination(lan, selector, |destination| {
                    destination.backup_gateway = gateway;
                    destination.address = address.into();
                    destination.mac = mac;
                })
                .await
            }
            25 => {
                let ((selector, one), (two, format), tag): VlanData = data.decode()?;
                reserved(one).and(reserved(two))?;
                let vlan = match format.value() {
                    0 => None,
                    1 => Some(tag),
                    _ => return Err(INVALID_VALUE.into()),
                };
                self.update_destination(lan, selector, |destination| destination.vlan = vlan).await
            }
            _ => Err(PARAMETER_NOT_SUPPORTED.into()),
        }
    }

    async fn update_destination(
        &self,
        lan: &Lan,
        selector: Bits<4>,
        change: impl FnOnce(&mut Destination),
    ) -> Done {
        self.update_state(lan, |state| {
            state.destinations.resize_with(DESTINATIONS, Destination::default);
            if let Some(destination) = state.destinations.get_mut(usize::from(selector.value())) {
                change(destination);
            }
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;
    use crate::commands::transport::lan::tests::{answer, commands};

    #[tokio::test]
    async fn destinations_are_written_and_read_by_selector() {
        let commands = commands();
        let community = hex!("11 7075626c6963 000000000000000000000000");
        assert_eq!(commands.send(0x02, &[1, 16, 0, 0]).await, answer(&community));
        assert_eq!(commands.send(0x02, &[1, 17, 0, 0]).await, answer(&[0x11, 15]));
        for (parameter, value) in [
            (18, &hex!("03 80 05 02")[..]),
            (19, &hex!("03 00 00 c0 00 02 09 52 54 00 00 00 09")),
            (25, &hex!("03 10 64 00")),
        ] {
            let request = [&[1, parameter][..], value].concat();
            assert_eq!(commands.send(0x01, &request).await, answer(&[]), "{parameter}");
            let reply = [&[0x11][..], value].concat();
            assert_eq!(
                commands.send(0x02, &[1, parameter, 3, 0]).await,
                answer(&reply),
                "{parameter}"
            );
            assert_ne!(commands.send(0x02, &[1, parameter, 2, 0]).await, answer(&reply));
        }
        assert_eq!(commands.send(0x01, &[1, 17, 1]).await, Err(READ_ONLY));
        let refused = Err(INVALID_VALUE);
        assert_eq!(commands.send(0x01, &hex!("01 12 03 01 05 02")).await, refused);
    }
}
