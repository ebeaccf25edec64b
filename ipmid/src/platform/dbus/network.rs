//! Network interfaces, their addresses and neighbours.

mod vlan;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use openbmc_dbus::client::{CallError, Client, Member, ObjectAt};
use openbmc_dbus::network::{
    self, ethernet_interface as interface, ip, ip_create, mac_address, neighbor, neighbor_create,
    vlan as vlan_interface,
};
use openbmc_dbus::object::delete;
use zbus::wire::OwnedObjectPath;

use super::{DbusPlatform, locate};
use crate::platform::{
    IpCounters, Ipv4Address, Ipv4Source, Ipv6Address, Ipv6Source, Link, LinkChange, Network,
    PlatformError, PlatformResult,
};

/// The kernel's counters.
const COUNTERS: &str = "/proc/net/snmp";

impl Network for DbusPlatform {
    async fn link(&self, channel: &str) -> PlatformResult<Link> {
        let connected = self.connected()?;
        let client = &connected.client;
        let object = find(client, channel).await?;
        Ok(read(client, &object).await?)
    }

    async fn change_link(&self, channel: &str, change: LinkChange) -> PlatformResult<()> {
        let connected = self.connected()?;
        let client = &connected.client;
        let object = find(client, channel).await?;
        Ok(apply(client, &object, change).await?)
    }

    fn ip_counters(&self) -> PlatformResult<IpCounters> {
        let text = fs::read_to_string(COUNTERS)
            .map_err(|error| PlatformError::absent(&format_args!("{COUNTERS}: {error}")))?;
        counters(&text).ok_or_else(|| {
            PlatformError::refused(&format_args!("{COUNTERS}: a counter is missing"))
        })
    }
}

/// The interface of a channel: a VLAN on it before the interface itself.
async fn find(client: &Client, channel: &str) -> Result<ObjectAt, CallError> {
    let all = locate::subtree(client, network::ROOT, interface::NAME).await?;
    let (mut first, mut itself) = (None, None);
    for object in all {
        let name = match client.get(&object, interface::INTERFACE_NAME).await {
            Err(error) if error.is_absent() => continue,
            other => other?,
        };
        match name.strip_prefix(channel) {
            Some("") => itself = Some(object),
            Some(vlan) if vlan.starts_with('.') => return Ok(object),
            _ => first = first.or(Some(object)),
        }
    }
    let member = Member::GetAll(interface::NAME);
    itself.or(first).ok_or_else(|| CallError::no_object(network::ROOT, member))
}

async fn read(client: &Client, object: &ObjectAt) -> Result<Link, CallError> {
    let properties = client.get_all(object, interface::NAME).await?;
    let mac = client.get(object, mac_address::MAC_ADDRESS).await.unwrap_or_default();
    let vlan =
        client.get(object, vlan_interface::ID).await.ok().and_then(|id| u16::try_from(id).ok());
    let gateway = parse(&properties.get(interface::DEFAULT_GATEWAY).unwrap_or_default());
    let gateway = gateway.unwrap_or(Ipv4Addr::UNSPECIFIED);
    let mut link = Link {
        mac: parse_mac(&mac).unwrap_or_default(),
        dhcp: properties.get(interface::DHCP4).unwrap_or_default(),
        ipv4: Vec::new(),
        gateway,
        gateway_mac: None,
        vlan,
        ipv6: Vec::new(),
        gateway6: parse(&properties.get(interface::DEFAULT_GATEWAY6).unwrap_or_default())
            .unwrap_or(Ipv6Addr::UNSPECIFIED),
        gateway6_mac: None,
        accepts_ra: properties.get(interface::IPV6_ACCEPT_RA).unwrap_or_default(),
    };
    for neighbor in neighbors(client, object).await? {
        if neighbor.address == link.gateway {
            link.gateway_mac = Some(neighbor.mac);
        } else if neighbor.address == link.gateway6 {
            link.gateway6_mac = Some(neighbor.mac);
        }
    }
    for address in addresses(client, object).await? {
        match address.kind {
            ip::Protocol::IPv4 => link.ipv4.extend(address.v4()),
            ip::Protocol::IPv6 => link.ipv6.extend(address.v6()),
        }
    }
    Ok(link)
}

/// An address object.
struct AddressObject {
    object: ObjectAt,
    kind: ip::Protocol,
    text: String,
    prefix: u8,
    origin: ip::AddressOrigin,
}

impl AddressObject {
    fn v4(&self) -> Option<Ipv4Address> {
        let source = match self.origin {
            ip::AddressOrigin::Static => Ipv4Source::Static,
            ip::AddressOrigin::DHCP => Ipv4Source::Dhcp,
            ip::AddressOrigin::LinkLocal | ip::AddressOrigin::SLAAC => Ipv4Source::LinkLocal,
        };
        Some(Ipv4Address { address: parse(&self.text)?, prefix: self.prefix, source })
    }

    fn v6(&self) -> Option<Ipv6Address> {
        let source = match self.origin {
            ip::AddressOrigin::Static => Ipv6Source::Static,
            ip::AddressOrigin::DHCP => Ipv6Source::Dhcp,
            ip::AddressOrigin::LinkLocal | ip::AddressOrigin::SLAAC => Ipv6Source::Slaac,
        };
        Some(Ipv6Address { address: parse(&self.text)?, prefix: self.prefix, source })
    }
}

/// The addresses of an interface; one that goes meanwhile is left out.
async fn addresses(client: &Client, object: &ObjectAt) -> Result<Vec<AddressObject>, CallError> {
    let mut found = Vec::new();
    for object in locate::subtree(client, &object.path, ip::NAME).await? {
        let properties = match client.get_all(&object, ip::NAME).await {
            Err(error) if error.is_absent() => continue,
            other => other?,
        };
        let read = || {
            let (kind, origin) = (properties.get(ip::TYPE)?, properties.get(ip::ORIGIN)?);
            Ok((kind, properties.get(ip::ADDRESS)?, properties.get(ip::PREFIX_LENGTH)?, origin))
        };
        let (kind, text, prefix, origin) =
            read().map_err(|error: CallError| error.of_object(&object))?;
        found.push(AddressObject { object, kind, text, prefix, origin });
    }
    Ok(found)
}

/// A static neighbour.
struct NeighborObject {
    object: ObjectAt,
    address: IpAddr,
    mac: [u8; 6],
}

/// The static neighbours of an interface; one that goes meanwhile is left out.
async fn neighbors(client: &Client, object: &ObjectAt) -> Result<Vec<NeighborObject>, CallError> {
    let mut found = Vec::new();
    for object in locate::subtree(client, &object.path, neighbor::NAME).await? {
        let properties = match client.get_all(&object, neighbor::NAME).await {
            Err(error) if error.is_absent() => continue,
            other => other?,
        };
        let read =
            || Ok((properties.get(neighbor::IP_ADDRESS)?, properties.get(neighbor::MAC_ADDRESS)?));
        let (address, mac) = read().map_err(|error: CallError| error.of_object(&object))?;
        let (address, mac) = (parse(&address), parse_mac(&mac));
        if let (Some(address), Some(mac)) = (address, mac) {
            found.push(NeighborObject { object, address, mac });
        }
    }
    Ok(found)
}

async fn apply(client: &Client, object: &ObjectAt, change: LinkChange) -> Result<(), CallError> {
    match change {
        LinkChange::Ipv4 { old, new } => {
            let new = new.map(|(address, prefix)| (address.into(), prefix));
            replace(client, object, old.map(IpAddr::from), new).await
        }
        LinkChange::Dhcp(dhcp) => client.set(object, interface::DHCP4, dhcp).await,
        LinkChange::Mac(mac) => client.set(object, mac_address::MAC_ADDRESS, format_mac(mac)).await,
        LinkChange::Gateway(gateway) => change_gateway(client, object, gateway.into()).await,
        LinkChange::Neighbor(address, mac) => set_neighbor(client, object, address, mac).await,
        LinkChange::Vlan(id) => vlan::set(client, object, id).await,
        LinkChange::Ipv6 { old, new } => {
            let new = new.map(|(address, prefix)| (address.into(), prefix));
            replace(client, object, old.map(IpAddr::from), new).await
        }
        LinkChange::Gateway6(gateway) => change_gateway(client, object, gateway.into()).await,
        LinkChange::AcceptRa(accept) => client.set(object, interface::IPV6_ACCEPT_RA, accept).await,
    }
}

/// Replaces the static address `old` by `new`, and no other. `new` is added first, so that the interface always has
/// an address; an IPv4 address ends DHCP.
async fn replace(
    client: &Client,
    object: &ObjectAt,
    old: Option<IpAddr>,
    new: Option<(IpAddr, u8)>,
) -> Result<(), CallError> {
    if let Some((address, prefix)) = new {
        create(client, object, address, prefix).await?;
    }
    if old.is_some_and(|old| old.is_ipv4()) || new.is_some_and(|(new, _)| new.is_ipv4()) {
        client.set(object, interface::DHCP4, false).await?;
    }
    for known in addresses(client, object).await? {
        let address = parse(&known.text);
        let is_new = address.map(|address| (address, known.prefix)) == new;
        let is_old = address.is_some() && address == old;
        if is_old && !is_new && known.origin == ip::AddressOrigin::Static {
            remove(client, &known.object).await?;
        }
    }
    Ok(())
}

async fn create(
    client: &Client,
    object: &ObjectAt,
    address: IpAddr,
    prefix: u8,
) -> Result<(), CallError> {
    let protocol = if address.is_ipv4() { ip::Protocol::IPv4 } else { ip::Protocol::IPv6 };
    let text = address.to_string();
    let arguments = (protocol.as_str(), text.as_str(), prefix, "");
    let _: OwnedObjectPath = client.call(object, ip_create::IP, &arguments).await?;
    Ok(())
}

async fn remove(client: &Client, object: &ObjectAt) -> Result<(), CallError> {
    client.call(object, delete::DELETE, &()).await
}

/// Sets the gateway of one address family. Its MAC address is a parameter of its own and stays, as in
/// `setGatewayProperty` of phosphor-host-ipmid's `transporthandler.cpp`: the static neighbour moves to the new gateway.
async fn change_gateway(
    client: &Client,
    object: &ObjectAt,
    gateway: IpAddr,
) -> Result<(), CallError> {
    let link = read(client, object).await?;
    let (before, mac) = match gateway {
        IpAddr::V4(_) => (IpAddr::from(link.gateway), link.gateway_mac),
        IpAddr::V6(_) => (IpAddr::from(link.gateway6), link.gateway6_mac),
    };
    if before == gateway {
        return Ok(());
    }
    if !gateway.is_unspecified() && mac.is_some() {
        set_neighbor(client, object, gateway, mac).await?;
    }
    set_gateway(client, object, gateway).await?;
    set_neighbor(client, object, before, None).await
}

/// Sets the gateway of one address family; the unspecified address stands for none.
async fn set_gateway(client: &Client, object: &ObjectAt, gateway: IpAddr) -> Result<(), CallError> {
    let text = Some(gateway).filter(|gateway| !gateway.is_unspecified());
    let text = text.map(|gateway| gateway.to_string()).unwrap_or_default();
    match gateway {
        IpAddr::V4(_) => client.set(object, interface::DEFAULT_GATEWAY, text).await,
        IpAddr::V6(_) => client.set(object, interface::DEFAULT_GATEWAY6, text).await,
    }
}

/// Adds a static neighbour, or removes the one that has this address.
async fn set_neighbor(
    client: &Client,
    object: &ObjectAt,
    address: IpAddr,
    mac: Option<[u8; 6]>,
) -> Result<(), CallError> {
    for known in neighbors(client, object).await? {
        if known.address == address {
            if Some(known.mac) == mac {
                return Ok(());
            }
            remove(client, &known.object).await?;
        }
    }
    if let Some(mac) = mac {
        let arguments = (address.to_string(), format_mac(mac));
        let _: OwnedObjectPath = client.call(object, neighbor_create::NEIGHBOR, &arguments).await?;
    }
    Ok(())
}

fn parse<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// The bytes of a MAC address such as `52:54:00:12:34:56`.
fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Vec<u8> =
        text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect::<Option<_>>()?;
    bytes.try_into().ok()
}

fn format_mac(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// The counters in the text of `/proc/net/snmp`: received, header errors, address errors,
/// fragments, sent; UDP received, which are all RMCP's as nothing else listens; no proxy.
fn counters(text: &str) -> Option<IpCounters> {
    let value = |protocol: &str, name: &str| -> Option<u16> {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(protocol));
        let index = lines.next()?.split_whitespace().position(|column| column == name)?;
        let value: u64 = lines.next()?.split_whitespace().nth(index)?.parse().ok()?;
        u16::try_from(value & 0xffff).ok()
    };
    let udp = value("Udp:", "InDatagrams")?;
    Some([
        value("Ip:", "InReceives")?,
        value("Ip:", "InHdrErrors")?,
        value("Ip:", "InAddrErrors")?,
        value("Ip:", "ReasmReqds")?,
        value("Ip:", "OutRequests")?,
        udp,
        udp,
        0,
        0,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_addresses_survive_their_text() {
        let mac = [0x52, 0x54, 0x00, 0x12, 0x34, 0xab];
        assert_eq!(parse_mac(&format_mac(mac)), Some(mac));
        for text in ["", "52:54", "52:54:00:12:34:56:78", "zz:54:00:12:34:56"] {
            assert_eq!(parse_mac(text), None, "{text}");
        }
    }

    #[test]
    fn counters_are_found_by_their_names() {
        let text = "Ip: Forwarding InReceives InHdrErrors InAddrErrors OutRequests ReasmReqds\n\
                    Ip: 1 65537 2 3 5 4\n\
                    Udp: InDatagrams NoPorts\nUdp: 6 7\n";
        assert_eq!(counters(text), Some([1, 2, 3, 4, 5, 6, 6, 0, 0]));
        assert_eq!(counters("Ip: InReceives\n"), None);
    }
}
