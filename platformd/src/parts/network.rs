//! The network: interfaces, addresses, neighbours and VLANs.
//!
//! No real interface is configured. What clients set and add is saved, as phosphor-networkd does; an
//! interface whose IPv4 comes from DHCP gets an address a moment after that was asked for.

mod objects;

use std::net::IpAddr;
use std::time::Duration;

use openbmc_dbus::interface::PropertyValue;
use openbmc_dbus::network::ethernet_interface::{self as ethernet, DhcpConf};
use openbmc_dbus::network::ip::{self, AddressOrigin, Protocol};
use openbmc_dbus::network::{
    CONFIG_PATH, DHCP_PATH, ROOT, SERVICE, dhcp_configuration, ip_create, mac_address, neighbor,
    neighbor_create, system_configuration, vlan, vlan_create,
};
use openbmc_dbus::object::delete;
use zbus::wire::{ObjectPath, Variant};

pub(crate) use self::objects::is_mac;
use self::objects::{NewAddress, NewNeighbor};
use crate::config::{self, Platform};
use crate::derived::Known;
use crate::fault::Fault;
use crate::part::{Context, Invocation, Part, Returned, Setting};
use crate::tree::Instance;

/// How long a DHCP server takes.
const LEASE: Duration = Duration::from_millis(200);
/// What a DHCP server gives.
const LEASED: (&str, u8) = ("192.0.2.100", 24);
/// How many addresses and neighbours an interface may have.
const MOST_CHILDREN: usize = 64;

/// The network.
#[derive(Debug)]
pub(crate) struct Network {
    config: config::Network,
    known: Known,
    /// When an interface gets its lease.
    leases: Vec<(Duration, String)>,
}

impl Network {
    pub(crate) fn new(config: &Platform) -> Self {
        let known = Known::of(config);
        Self { config: config.network.clone(), known, leases: Vec::new() }
    }

    /// The three properties for DHCP say the same, whichever of them is set.
    fn set_dhcp(&mut self, context: &mut Context<'_>, path: &str, setting: &Setting<'_>) {
        let get = |property| context.tree.get(path, property).unwrap_or_default();
        let (mut v4, mut v6) = (get(ethernet::DHCP4), get(ethernet::DHCP6));
        let value = setting.value.clone();
        if setting.is(path, ethernet::DHCP4) {
            v4 = bool::from_variant(value).unwrap_or(v4);
        } else if setting.is(path, ethernet::DHCP6) {
            v6 = bool::from_variant(value).unwrap_or(v6);
        } else if let Ok(conf) = DhcpConf::from_variant(value) {
            (v4, v6) = objects::families(conf);
        }
        context.tree.set(path, ethernet::DHCP4, v4);
        context.tree.set(path, ethernet::DHCP6, v6);
        let conf = objects::dhcp_conf(v4, v6);
        context.tree.set(path, ethernet::DHCP_ENABLED, conf);
        let had = objects::children(context.tree, path, ip::NAME)
            .into_iter()
            .filter(|child| context.tree.get(child, ip::TYPE) == Some(Protocol::IPv4));
        let leased = Some(AddressOrigin::DHCP);
        // As networkd does: what the other way of getting addresses set is gone. Link-local ones are of neither.
        let gone = if v4 { Some(AddressOrigin::Static) } else { leased };
        for child in had.collect::<Vec<_>>() {
            if context.tree.get(&child, ip::ORIGIN) == gone {
                objects::remove(context.tree, &child);
            }
        }
        self.leases.retain(|(_, interface)| interface != path);
        if v4 {
            self.await_lease(context, path.to_owned());
        }
    }

    /// The interface at `path` gets a lease in a moment.
    fn await_lease(&mut self, context: &Context<'_>, path: String) {
        self.leases.push((context.now.uptime + LEASE, path));
    }

    fn create(
        &mut self,
        context: &mut Context<'_>,
        call: &Invocation<'_>,
    ) -> Result<String, Fault> {
        if objects::children(context.tree, call.path, ip::NAME).len() >= MOST_CHILDREN {
            return Err(Fault::not_allowed("too many addresses"));
        }
        match (*call.method, call.arguments) {
            (
                ip_create::IP,
                [Variant::Str(family), Variant::Str(address), Variant::U8(prefix), _],
            ) => {
                let family: Protocol = family.as_str().parse()?;
                let address: IpAddr = parse(address)?;
                if address.is_ipv4() != (family == Protocol::IPv4) {
                    return Err(Fault::invalid("address and family do not agree"));
                }
                let origin = AddressOrigin::Static;
                let new = NewAddress { address, prefix: *prefix, origin };
                let path = new.add(context.tree, call.path, true)?;
                if family == Protocol::IPv4
                    && context.tree.get(call.path, ethernet::DHCP4) == Some(true)
                {
                    let (interface, property) = (ethernet::DHCP4.interface, ethernet::DHCP4.name);
                    let setting =
                        Setting { path: call.path, interface, property, value: false.into() };
                    self.set_dhcp(context, call.path, &setting);
                }
                Ok(path)
            }
            (neighbor_create::NEIGHBOR, [Variant::Str(address), Variant::Str(mac)]) => {
                let address = parse(address)?;
                let new = NewNeighbor { address, mac: mac.to_string() };
                new.add(context.tree, call.path, true)
            }
            (vlan_create::VLAN, [Variant::Str(interface), Variant::U32(id)]) => {
                objects::add_vlan(context.tree, interface.as_str(), *id, true)
            }
            _ => Err(Fault::arguments(call.method.input)),
        }
    }
}

fn parse(text: &str) -> Result<IpAddr, Fault> {
    text.parse().map_err(|_| Fault::invalid(format!("{text} is no address")))
}

impl Part for Network {
    fn start(&mut self, context: &mut Context<'_>) {
        let root = Instance::new(&vlan_create::INTERFACE);
        context.tree.add(SERVICE, ROOT, [root]);
        let name = Instance::new(&system_configuration::INTERFACE)
            .with(system_configuration::HOST_NAME, self.config.host_name.clone());
        context.tree.add(SERVICE, CONFIG_PATH, [name.persistent()]);
        let dhcp = Instance::new(&dhcp_configuration::INTERFACE)
            .with(dhcp_configuration::DNS_ENABLED, true)
            .with(dhcp_configuration::NTP_ENABLED, true)
            .with(dhcp_configuration::HOST_NAME_ENABLED, true)
            .with(dhcp_configuration::SEND_HOST_NAME_ENABLED, true);
        context.tree.add(SERVICE, DHCP_PATH, [dhcp.persistent()]);
        let derived = self.known.derive(context.tree);
        for interface in &self.config.interface {
            let mac = interface.mac.clone().unwrap_or_else(|| derived.mac(&interface.name));
            objects::add_interface(context.tree, interface, mac);
        }
        objects::restore(context.tree);
        for path in objects::children(context.tree, ROOT, ethernet::NAME) {
            if context.tree.get(&path, ethernet::DHCP4) == Some(true) {
                self.await_lease(context, path);
            }
        }
    }

    fn set(
        &mut self,
        context: &mut Context<'_>,
        setting: &Setting<'_>,
    ) -> Option<Result<(), Fault>> {
        let path = setting.path;
        let dhcp = setting.is(path, ethernet::DHCP4)
            || setting.is(path, ethernet::DHCP6)
            || setting.is(path, ethernet::DHCP_ENABLED);
        if dhcp {
            self.set_dhcp(context, path, setting);
            return Some(Ok(()));
        }
        let text = String::from_variant(setting.value.clone());
        let gateway = setting.is(path, ethernet::DEFAULT_GATEWAY)
            || setting.is(path, ethernet::DEFAULT_GATEWAY6);
        if gateway && text.as_ref().is_ok_and(|text| !text.is_empty() && parse(text).is_err()) {
            return Some(Err(Fault::invalid("a gateway is an address or empty")));
        }
        if setting.is(path, mac_address::MAC_ADDRESS)
            && !text.is_ok_and(|text| objects::is_mac(&text))
        {
            return Some(Err(Fault::invalid("six hexadecimal numbers with colons")));
        }
        if [ip::NAME, neighbor::NAME, vlan::NAME].contains(&setting.interface) {
            // As in networkd: another address is another object.
            return Some(Err(Fault::not_allowed("delete it and create another")));
        }
        None
    }

    fn call(
        &mut self,
        context: &mut Context<'_>,
        call: &Invocation<'_>,
    ) -> Option<Result<Returned, Fault>> {
        match *call.method {
            ip_create::IP | neighbor_create::NEIGHBOR | vlan_create::VLAN => {
                Some(self.create(context, call).and_then(|path| {
                    let path = ObjectPath::try_from(path);
                    path.map(|path| vec![Variant::from(path)])
                        .map_err(|_| Fault::invalid("a name that no path can have"))
                }))
            }
            delete::DELETE if call.path.starts_with(ROOT) => {
                objects::remove(context.tree, call.path);
                Some(Ok(Vec::new()))
            }
            _ => None,
        }
    }

    fn timeout(&mut self, context: &mut Context<'_>) {
        let now = context.now.uptime;
        let due: Vec<_> = self.leases.extract_if(.., |(due, _)| *due <= now).collect();
        for (_, path) in due {
            // A VLAN may have been deleted meanwhile.
            if context.tree.get(&path, ethernet::DHCP4) != Some(true) {
                continue;
            }
            let (address, prefix) = LEASED;
            let Ok(address) = parse(address) else {
                continue;
            };
            let origin = AddressOrigin::DHCP;
            let new = NewAddress { address, prefix, origin };
            // It fails only where the same address is there already.
            let _there = new.add(context.tree, &path, false);
        }
    }

    fn deadline(&self) -> Option<Duration> {
        self.leases.iter().map(|(due, _)| *due).min()
    }
}
