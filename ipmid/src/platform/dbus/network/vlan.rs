//! Moving a channel onto a VLAN, off it, and from one to another.
//!
//! A VLAN is an interface of its own. As in phosphor-host-ipmid, the channel's settings (addresses,
//! gateways, DHCP) move with it, so that it stays reachable, in the other network.

use std::net::{IpAddr, Ipv4Addr};

use openbmc_dbus::client::{CallError, Client, ObjectAt};
use openbmc_dbus::network::{
    self, ethernet_interface as interface, ip, neighbor_create, vlan as vlan_interface, vlan_create,
};
use zbus::wire::OwnedObjectPath;

use super::{addresses, create, format_mac, read, remove, set_gateway, set_gateway6};
use crate::platform::{Ipv6Source, Link};

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
    let settings = read(client, object).await?;
    if present.is_some() {
        remove(client, object).await?;
    } else {
        clear(client, object).await?;
    }
    let target = match wanted {
        Some(id) => {
            let root = ObjectAt::new(object.service.clone(), network::ROOT);
            let path: OwnedObjectPath = client.call(&root, vlan_create::VLAN, &(base, id)).await?;
            path.to_string()
        }
        None => format!("{}/{base}", network::ROOT),
    };
    let target = ObjectAt::new(object.service.clone(), target);
    copy_settings(client, &target, &settings).await
}

/// Clears the settings of an interface that move to its VLAN.
async fn clear(client: &Client, object: &ObjectAt) -> Result<(), CallError> {
    client.set(object, interface::DHCP4, false).await?;
    for address in addresses(client, object).await? {
        if address.origin == ip::AddressOrigin::Static {
            remove(client, &address.object).await?;
        }
    }
    Ok(())
}

async fn copy_settings(client: &Client, to: &ObjectAt, settings: &Link) -> Result<(), CallError> {
    client.set(to, interface::IPV6_ACCEPT_RA, settings.accepts_ra).await?;
    let (address, prefix) = settings.address;
    if settings.dhcp {
        client.set(to, interface::DHCP4, true).await?;
    } else if address != Ipv4Addr::UNSPECIFIED {
        create(client, to, ip::Protocol::IPv4, address.to_string(), prefix).await?;
    }
    for address in &settings.ipv6 {
        if address.source == Ipv6Source::Static {
            let text = address.address.to_string();
            create(client, to, ip::Protocol::IPv6, text, address.prefix).await?;
        }
    }
    set_gateway(client, to, settings.gateway).await?;
    set_gateway6(client, to, settings.gateway6).await?;
    let neighbors = [
        (IpAddr::from(settings.gateway), settings.gateway_mac),
        (IpAddr::from(settings.gateway6), settings.gateway6_mac),
    ];
    for (address, mac) in neighbors {
        if let Some(mac) = mac {
            let arguments = (address.to_string(), format_mac(mac));
            let _: OwnedObjectPath = client.call(to, neighbor_create::NEIGHBOR, &arguments).await?;
        }
    }
    Ok(())
}
