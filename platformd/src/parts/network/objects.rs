//! The network's objects, and those of them that clients added and that outlive the process.

use std::net::IpAddr;

use openbmc_dbus::network::ethernet_interface::{self as ethernet, DhcpConf};
use openbmc_dbus::network::ip::{self, AddressOrigin, Protocol};
use openbmc_dbus::network::neighbor::{self, State};
use openbmc_dbus::network::{
    ROOT, SERVICE, channel_access, ip_create, mac_address, neighbor_create, vlan,
};
use openbmc_dbus::object::delete;
use zbus::wire::Variant;

use crate::config::{Address, Interface, Origin};
use crate::fault::Fault;
use crate::tree::{Instance, Tree};

/// The greatest VLAN number.
const MOST_VLAN: u32 = 4094;

/// The saved key of an object that a client added, and the arguments of the call.
const ADDED: &str = "added";
/// The saved key of a configured object that a client deleted.
const DELETED: &str = "deleted";

/// An address to be added.
pub(super) struct NewAddress {
    pub(super) address: IpAddr,
    pub(super) prefix: u8,
    pub(super) origin: AddressOrigin,
}

impl NewAddress {
    /// Adds it to an interface, and saves it if `persist`.
    pub(super) fn add(
        &self,
        tree: &mut Tree,
        interface: &str,
        persist: bool,
    ) -> Result<String, Fault> {
        let longest = if self.address.is_ipv4() { 32 } else { 128 };
        if self.prefix > longest {
            return Err(Fault::invalid("the prefix is longer than the address"));
        }
        let path = child(interface, &format!("{}/{}", self.address, self.prefix));
        let family = if self.address.is_ipv4() { Protocol::IPv4 } else { Protocol::IPv6 };
        let address = Instance::new(&ip::INTERFACE)
            .with(ip::ADDRESS, self.address.to_string())
            .with(ip::PREFIX_LENGTH, self.prefix)
            .with(ip::ORIGIN, self.origin)
            .with(ip::TYPE, family);
        if tree.object(&path).is_none() {
            tree.add(SERVICE, &path, [address, Instance::new(&delete::INTERFACE)]);
        } else if self.origin == AddressOrigin::Static {
            // As networkd does: an address from DHCP becomes a static one.
            tree.set(&path, ip::ORIGIN, AddressOrigin::Static);
        }
        if persist {
            let entry = format!("ip {} {} {interface}", self.address, self.prefix);
            tree.save_value(&path, ADDED, Variant::from(entry));
        }
        Ok(path)
    }
}

/// A neighbour to be added.
pub(super) struct NewNeighbor {
    pub(super) address: IpAddr,
    pub(super) mac: String,
}

impl NewNeighbor {
    /// Adds it to an interface, and saves it if `persist`.
    pub(super) fn add(
        &self,
        tree: &mut Tree,
        interface: &str,
        persist: bool,
    ) -> Result<String, Fault> {
        if !is_mac(&self.mac) {
            return Err(Fault::invalid("six hexadecimal numbers with colons"));
        }
        let path = child(&format!("{interface}/static_neighbor"), &self.address.to_string());
        let entry = Instance::new(&neighbor::INTERFACE)
            .with(neighbor::IP_ADDRESS, self.address.to_string())
            .with(neighbor::MAC_ADDRESS, self.mac.clone())
            .with(neighbor::STATE, State::Permanent);
        tree.add(SERVICE, &path, [entry, Instance::new(&delete::INTERFACE)]);
        if persist {
            let entry = format!("neighbor {} {} {interface}", self.address, self.mac);
            tree.save_value(&path, ADDED, Variant::from(entry));
        }
        Ok(path)
    }
}

/// Adds a VLAN to an interface, and saves it if `persist`.
pub(super) fn add_vlan(tree: &mut Tree, on: &str, id: u32, persist: bool) -> Result<String, Fault> {
    let parent = format!("{ROOT}/{on}");
    let mac = tree.get(&parent, mac_address::MAC_ADDRESS);
    let mac = mac.ok_or_else(|| Fault::invalid(format!("no interface {on}")))?;
    if !(1..=MOST_VLAN).contains(&id) {
        return Err(Fault::invalid("a VLAN has a number from 1 to 4094"));
    }
    let path = format!("{ROOT}/{on}_{id}");
    if tree.object(&path).is_some() {
        return Err(Fault::not_allowed("there is such a VLAN"));
    }
    let interface = Interface {
        name: format!("{on}_{id}"),
        mac: None,
        speed: tree.get(&parent, ethernet::SPEED).unwrap_or_default(),
        mtu: tree.get(&parent, ethernet::MTU).unwrap_or_default(),
        dhcp4: false,
        dhcp6: false,
        gateway: String::new(),
        gateway6: String::new(),
        address: Vec::new(),
        neighbor: Vec::new(),
        max_privilege: "priv-admin".to_owned(),
    };
    add_interface(tree, &interface, mac);
    let number = Instance::new(&vlan::INTERFACE).with(vlan::ID, id);
    tree.add(SERVICE, &path, [number, Instance::new(&delete::INTERFACE)]);
    tree.set(&path, ethernet::INTERFACE_NAME, format!("{on}.{id}"));
    if persist {
        tree.save_value(&path, ADDED, Variant::from(format!("vlan {id} {on}")));
    }
    Ok(path)
}

/// Adds an interface with the addresses that are described for it.
pub(super) fn add_interface(tree: &mut Tree, interface: &Interface, mac: String) {
    let path = format!("{ROOT}/{}", interface.name);
    let settings = Instance::new(&ethernet::INTERFACE)
        .with(ethernet::INTERFACE_NAME, interface.name.clone())
        .with(ethernet::SPEED, interface.speed)
        .with(ethernet::DHCP_ENABLED, dhcp_conf(interface.dhcp4, interface.dhcp6))
        .with(ethernet::DHCP4, interface.dhcp4)
        .with(ethernet::DHCP6, interface.dhcp6)
        .with(ethernet::LINK_UP, true)
        .with(ethernet::NIC_ENABLED, true)
        .with(ethernet::MTU, interface.mtu)
        .with(ethernet::DEFAULT_GATEWAY, interface.gateway.clone())
        .with(ethernet::DEFAULT_GATEWAY6, interface.gateway6.clone())
        .with(ethernet::IPV6_ACCEPT_RA, true);
    let mac = Instance::new(&mac_address::INTERFACE).with(mac_address::MAC_ADDRESS, mac);
    let access = Instance::new(&channel_access::INTERFACE)
        .with(channel_access::MAX_PRIVILEGE, interface.max_privilege.clone());
    let methods = [&ip_create::INTERFACE, &neighbor_create::INTERFACE].map(Instance::new);
    let saved = [settings, mac, access].map(Instance::persistent);
    tree.add(SERVICE, &path, saved.into_iter().chain(methods));
    for Address { address, prefix, origin } in &interface.address {
        let new = NewAddress { address: *address, prefix: *prefix, origin: shown(*origin) };
        add_unless_deleted(tree, &child(&path, &format!("{address}/{prefix}")), |tree| {
            new.add(tree, &path, false)
        });
    }
    for described in &interface.neighbor {
        let new = NewNeighbor { address: described.address, mac: described.mac.clone() };
        let at = child(&format!("{path}/static_neighbor"), &described.address.to_string());
        add_unless_deleted(tree, &at, |tree| new.add(tree, &path, false));
    }
}

/// Adds what the file describes, unless a client deleted it.
fn add_unless_deleted(
    tree: &mut Tree,
    path: &str,
    add: impl FnOnce(&mut Tree) -> Result<String, Fault>,
) {
    if tree.recall(path, DELETED).is_none()
        && let Err(fault) = add(tree)
    {
        tracing::warn!(path, %fault, "cannot create an object of the platform's file; leaving it out");
    }
}

/// Removes an object and what is below it; what the file describes stays removed.
pub(super) fn remove(tree: &mut Tree, path: &str) {
    let below: Vec<String> = tree.below(path).map(|(path, _)| path.to_owned()).collect();
    for path in below {
        let added = tree.recall(&path, ADDED).is_some();
        let leased = tree.get(&path, ip::ORIGIN) == Some(AddressOrigin::DHCP);
        let deleted = tree.recall(&path, DELETED).is_some();
        tree.remove(&path);
        if deleted || !(added || leased) {
            tree.save_value(&path, DELETED, Variant::from(true));
        }
    }
}

/// Restores the objects that clients added before this process started.
pub(super) fn restore(tree: &mut Tree) {
    let entries: Vec<String> = tree
        .saved()
        .values()
        .filter_map(|object| match object.get(ADDED) {
            Some(Variant::Str(entry)) => Some(entry.to_string()),
            _ => None,
        })
        .collect();
    // VLANs first, as addresses may be on them.
    let (vlans, others): (Vec<_>, Vec<_>) =
        entries.iter().partition(|entry| entry.starts_with("vlan "));
    for entry in vlans.into_iter().chain(others) {
        let words: Vec<&str> = entry.split(' ').collect();
        // An interface that the file does not describe any more has no addresses either.
        let _gone = restore_one(tree, &words);
    }
}

fn restore_one(tree: &mut Tree, words: &[&str]) -> Option<String> {
    match words {
        ["vlan", id, on] => add_vlan(tree, on, id.parse().ok()?, false).ok(),
        ["ip", address, prefix, interface] if tree.object(interface).is_some() => {
            let origin = AddressOrigin::Static;
            let (address, prefix) = (address.parse().ok()?, prefix.parse().ok()?);
            NewAddress { address, prefix, origin }.add(tree, interface, false).ok()
        }
        ["neighbor", address, mac, interface] if tree.object(interface).is_some() => {
            let (address, mac) = (address.parse().ok()?, (*mac).to_owned());
            NewNeighbor { address, mac }.add(tree, interface, false).ok()
        }
        _ => None,
    }
}

/// The objects of an interface that have `kind`.
pub(super) fn children(tree: &Tree, interface: &str, kind: &str) -> Vec<String> {
    tree.below(interface)
        .filter(|(path, object)| *path != interface && object.interfaces.contains_key(kind))
        .map(|(path, _)| path.to_owned())
        .collect()
}

/// The DHCP setting for both address families.
pub(super) const fn dhcp_conf(v4: bool, v6: bool) -> DhcpConf {
    match (v4, v6) {
        (true, true) => DhcpConf::both,
        (true, false) => DhcpConf::v4,
        (false, true) => DhcpConf::v6,
        (false, false) => DhcpConf::none,
    }
}

/// Which address families use DHCP for addresses.
pub(super) const fn families(conf: DhcpConf) -> (bool, bool) {
    match conf {
        DhcpConf::both => (true, true),
        DhcpConf::v4 | DhcpConf::v4v6stateless => (true, false),
        DhcpConf::v6 => (false, true),
        DhcpConf::v6stateless | DhcpConf::none => (false, false),
    }
}

/// Whether it is a MAC address as networkd takes it.
pub(crate) fn is_mac(text: &str) -> bool {
    let hex = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split(':').count() == 6 && text.split(':').all(hex)
}

/// The path of a thing called `name` below `parent`: letters and digits stay, the rest is `_XX`, as
/// sdbusplus has it.
fn child(parent: &str, name: &str) -> String {
    let mut path = format!("{parent}/");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("_{byte:02x}"));
        }
    }
    path
}

const fn shown(origin: Origin) -> AddressOrigin {
    match origin {
        Origin::Static => AddressOrigin::Static,
        Origin::Dhcp => AddressOrigin::DHCP,
        Origin::LinkLocal => AddressOrigin::LinkLocal,
        Origin::Slaac => AddressOrigin::SLAAC,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_keep_letters_and_digits() {
        assert_eq!(child("/e", "10.0.0.1/8"), "/e/10_2e0_2e0_2e1_2f8");
    }

    #[test]
    fn mac_addresses_are_six_numbers() {
        assert!(is_mac("02:00:00:ab:CD:01"));
        for text in ["", "02:00:00:00:00", "02:00:00:00:00:0g", "2:0:0:0:0:1"] {
            assert!(!is_mac(text), "{text}");
        }
    }
}
