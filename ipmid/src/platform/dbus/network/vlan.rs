//! Moving a channel onto a VLAN, off it, and from one to another.
//!
//! A VLAN is an interface of its own. As in phosphor-host-ipmid, the channel's settings (static addresses and neighbours,
//! gateways, DHCP) move with it, so that it stays reachable, in the other network; its MAC address does too. Where the
//! channel goes to has all of them before they are removed where it was, and if that fails it stays where it was.

use std::net::IpAddr;

use openbmc_dbus::client::{CallError, Client, ObjectAt};
use openbmc_dbus::interface::Property;
use openbmc_dbus::network::{
    self, ethernet_interface as interface, ip, mac_address, vlan as vlan_interface, vlan_create,
};
use zbus::wire::OwnedObjectPath;

use super::{
    addresses, create, format_mac, neighbors, parse, parse_mac, remove, set_gateway, set_neighbor,
};

/// Puts the channel whose interface is `object` on the VLAN `id`, or on none.
pub(super) async fn set(
    client: &Client,
    object: &ObjectAt,
    id: Option<u16>,
) -> Result<(), CallError> {
    let present = client.get(object, vlan_interface::ID).await.ok();
    let wanted = id.map(u32::from);
    if present == wanted {
        return Ok(());
    }
    let name = client.get(object, interface::INTERFACE_NAME).await?;
    let base = name.split('.').next().unwrap_or(&name);
    let settings = Settings::read(client, object).await?;
    let target = match wanted {
        Some(id) => {
            let root = ObjectAt::new(object.service.clone(), network::ROOT);
            let path: OwnedObjectPath = client.call(&root, vlan_create::VLAN, &(base, id)).await?;
            path.to_string()
        }
        None => format!("{}/{base}", network::ROOT),
    };
    let target = ObjectAt::new(object.service.clone(), target);
    let written = settings.write(client, &target).await;
    if written.is_err() && wanted.is_some() {
        remove(client, &target).await?;
    }
    written?;
    if present.is_some() { remove(client, object).await } else { clear(client, object).await }
}

/// What moves with a channel.
struct Settings {
    dhcp4: bool,
    dhcp6: bool,
    accepts_ra: bool,
    mac: Option<[u8; 6]>,
    addresses: Vec<(IpAddr, u8)>,
    gateways: Vec<IpAddr>,
    neighbors: Vec<(IpAddr, [u8; 6])>,
}

impl Settings {
    async fn read(client: &Client, object: &ObjectAt) -> Result<Self, CallError> {
        let properties = client.get_all(object, interface::NAME).await?;
        let mac = client.get(object, mac_address::MAC_ADDRESS).await.unwrap_or_default();
        let dhcp4 = properties.get(interface::DHCP4).unwrap_or_default();
        let gateways = [
            properties.get(interface::DEFAULT_GATEWAY).unwrap_or_default(),
            properties.get(interface::DEFAULT_GATEWAY6).unwrap_or_default(),
        ];
        let addresses = addresses(client, object).await?.into_iter();
        let is_static = |known: &super::AddressObject| known.origin == ip::AddressOrigin::Static;
        // A static IPv4 address would end DHCP.
        let addresses = addresses
            .filter(|known| is_static(known) && !(dhcp4 && known.kind == ip::Protocol::IPv4));
        let neighbors = neighbors(client, object).await?.into_iter();
        Ok(Self {
            dhcp4,
            dhcp6: properties.get(interface::DHCP6).unwrap_or_default(),
            accepts_ra: properties.get(interface::IPV6_ACCEPT_RA).unwrap_or_default(),
            mac: parse_mac(&mac),
            addresses: addresses
                .filter_map(|known| Some((parse(&known.text)?, known.prefix)))
                .collect(),
            gateways: gateways.iter().filter_map(|gateway| parse(gateway)).collect(),
            neighbors: neighbors.map(|known| (known.address, known.mac)).collect(),
        })
    }

    async fn write(&self, client: &Client, to: &ObjectAt) -> Result<(), CallError> {
        let has = client.get(to, mac_address::MAC_ADDRESS).await.unwrap_or_default();
        if let Some(mac) = self.mac.filter(|mac| parse_mac(&has) != Some(*mac)) {
            client.set(to, mac_address::MAC_ADDRESS, format_mac(mac)).await?;
        }
        client.set(to, interface::IPV6_ACCEPT_RA, self.accepts_ra).await?;
        change(client, to, interface::DHCP4, self.dhcp4).await?;
        change(client, to, interface::DHCP6, self.dhcp6).await?;
        for (address, prefix) in &self.addresses {
            create(client, to, *address, *prefix).await?;
        }
        for (address, mac) in &self.neighbors {
            set_neighbor(client, to, *address, Some(*mac)).await?;
        }
        for gateway in &self.gateways {
            set_gateway(client, to, *gateway).await?;
        }
        Ok(())
    }
}

/// Removes from an interface what has moved to its VLAN.
async fn clear(client: &Client, object: &ObjectAt) -> Result<(), CallError> {
    change(client, object, interface::DHCP4, false).await?;
    change(client, object, interface::DHCP6, false).await?;
    client.set(object, interface::IPV6_ACCEPT_RA, false).await?;
    client.set(object, interface::DEFAULT_GATEWAY, String::new()).await?;
    client.set(object, interface::DEFAULT_GATEWAY6, String::new()).await?;
    for address in addresses(client, object).await? {
        if address.origin == ip::AddressOrigin::Static {
            remove(client, &address.object).await?;
        }
    }
    for neighbor in neighbors(client, object).await? {
        remove(client, &neighbor.object).await?;
    }
    Ok(())
}

/// Sets a property that is not so already.
async fn change(
    client: &Client,
    object: &ObjectAt,
    property: Property<bool>,
    value: bool,
) -> Result<(), CallError> {
    match client.get(object, property).await {
        Ok(present) if present == value => Ok(()),
        _ => client.set(object, property, value).await,
    }
}
