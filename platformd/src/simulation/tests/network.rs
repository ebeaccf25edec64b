//! The network: what clients set and add, and what of it outlives the process.

use openbmc_dbus::network::ethernet_interface::{self as ethernet, DhcpConf};
use openbmc_dbus::network::ip::{self, AddressOrigin, Protocol};
use openbmc_dbus::network::{
    ROOT, ip_create, mac_address, neighbor, neighbor_create, vlan, vlan_create,
};
use openbmc_dbus::object::delete;
use zbus::wire::Variant;

use super::Bench;
use crate::fault::Fault;
use crate::tree::Kept;

const NETWORK: &str = "
[[network.interface]]
name = \"eth0\"
mac = \"02:00:00:00:00:01\"
gateway = \"192.0.2.1\"
address = [
    { address = \"192.0.2.10\", prefix = 24 },
    { address = \"fe80::1\", prefix = 64, origin = \"link-local\" },
]
neighbor = [{ address = \"192.0.2.1\", mac = \"02:00:00:00:00:fe\" }]
";
const ETH0: &str = "/xyz/openbmc_project/network/eth0";

/// The addresses of an interface, with where they are from.
fn addresses(bench: &mut Bench, interface: &str) -> Vec<(String, AddressOrigin)> {
    let tree = bench.simulation.tree(bench.now);
    let below = tree
        .below(interface)
        .filter_map(|(path, _)| Some((tree.get(path, ip::ADDRESS)?, tree.get(path, ip::ORIGIN)?)));
    below.collect()
}

fn add(bench: &mut Bench, address: &'static str, prefix: u8) -> Result<String, Fault> {
    let family = if address.contains(':') { Protocol::IPv6 } else { Protocol::IPv4 };
    let arguments = [family.as_str().into(), address.into(), prefix.into(), "".into()];
    let returned = bench.try_call(ETH0, &ip_create::IP, &arguments)?;
    match returned.as_slice() {
        [Variant::ObjectPath(path)] => Ok(path.to_string()),
        other => panic!("{other:?}"),
    }
}

fn kept(bench: &mut Bench) -> Kept {
    bench.simulation.take_unsaved().unwrap().clone()
}

#[test]
fn what_the_file_describes_is_there() {
    let mut bench = Bench::new(NETWORK);
    assert_eq!(
        addresses(&mut bench, ETH0),
        [
            ("192.0.2.10".to_owned(), AddressOrigin::Static),
            ("fe80::1".to_owned(), AddressOrigin::LinkLocal)
        ]
    );
    assert_eq!(bench.get(ETH0, ethernet::DEFAULT_GATEWAY), "192.0.2.1");
    let neighbor = format!("{ETH0}/static_neighbor/192_2e0_2e2_2e1");
    assert_eq!(bench.get(&neighbor, neighbor::MAC_ADDRESS), "02:00:00:00:00:fe");
}

#[test]
fn addresses_are_added_and_deleted_and_stay_so() {
    let mut bench = Bench::new(NETWORK);
    let path = add(&mut bench, "198.51.100.7", 25).unwrap();
    assert_eq!(path, format!("{ETH0}/198_2e51_2e100_2e7_2f25"));
    bench.call(&format!("{ETH0}/192_2e0_2e2_2e10_2f24"), &delete::DELETE, &[]);
    bench.call(&format!("{ETH0}/static_neighbor/192_2e0_2e2_2e1"), &delete::DELETE, &[]);
    let expected = [
        ("198.51.100.7".to_owned(), AddressOrigin::Static),
        ("fe80::1".to_owned(), AddressOrigin::LinkLocal),
    ];
    assert_eq!(addresses(&mut bench, ETH0), expected);
    let saved = kept(&mut bench);
    let mut bench = Bench::again(NETWORK, saved, false);
    assert_eq!(addresses(&mut bench, ETH0), expected);
    // Added again and deleted again, it is still deleted.
    let path = add(&mut bench, "192.0.2.10", 24).unwrap();
    bench.call(&path, &delete::DELETE, &[]);
    let saved = kept(&mut bench);
    assert_eq!(addresses(&mut Bench::again(NETWORK, saved, false), ETH0), expected);
}

#[test]
fn nonsense_is_refused() {
    let mut bench = Bench::new(NETWORK);
    assert!(add(&mut bench, "198.51.100.300", 24).is_err());
    assert!(add(&mut bench, "198.51.100.3", 33).is_err());
    let mixed = [Protocol::IPv6.as_str().into(), "198.51.100.3".into(), 24_u8.into(), "".into()];
    assert!(bench.try_call(ETH0, &ip_create::IP, &mixed).is_err());
    let neighbor = ["192.0.2.9".into(), "no MAC".into()];
    assert!(bench.try_call(ETH0, &neighbor_create::NEIGHBOR, &neighbor).is_err());
    let mac = "02:00".to_owned();
    assert!(bench.try_set(ETH0, mac_address::MAC_ADDRESS, mac).is_err());
    let gateway = "somewhere".to_owned();
    assert!(bench.try_set(ETH0, ethernet::DEFAULT_GATEWAY, gateway).is_err());
    for id in [0_u32, 4095] {
        assert!(bench.try_call(ROOT, &vlan_create::VLAN, &["eth0".into(), id.into()]).is_err());
    }
    assert!(bench.try_call(ROOT, &vlan_create::VLAN, &["eth9".into(), 5_u32.into()]).is_err());
}

#[test]
fn dhcp_replaces_addresses_set_by_hand_and_the_other_way_round() {
    let mut bench = Bench::new(NETWORK);
    bench.set(ETH0, ethernet::DHCP4, true);
    assert_eq!(bench.get(ETH0, ethernet::DHCP_ENABLED), DhcpConf::v4);
    bench.pass(1000);
    let v4 = |bench: &mut Bench| {
        let all = addresses(bench, ETH0);
        all.into_iter().filter(|(text, _)| text.contains('.')).collect::<Vec<_>>()
    };
    assert_eq!(v4(&mut bench), [("192.0.2.100".to_owned(), AddressOrigin::DHCP)]);
    bench.set(ETH0, ethernet::DHCP_ENABLED, DhcpConf::none);
    assert!(!bench.get(ETH0, ethernet::DHCP4));
    assert_eq!(v4(&mut bench), []);
    add(&mut bench, "192.0.2.20", 24).unwrap();
    assert_eq!(v4(&mut bench), [("192.0.2.20".to_owned(), AddressOrigin::Static)]);
}

#[test]
fn a_vlan_is_an_interface_of_its_own_that_stays() {
    let mut bench = Bench::new(NETWORK);
    bench.call(ROOT, &vlan_create::VLAN, &["eth0".into(), 42_u32.into()]);
    let path = format!("{ETH0}_42");
    assert_eq!(bench.get(&path, vlan::ID), 42);
    assert_eq!(bench.get(&path, ethernet::INTERFACE_NAME), "eth0.42");
    let saved = kept(&mut bench);
    let mut bench = Bench::again(NETWORK, saved, false);
    assert_eq!(bench.get(&path, vlan::ID), 42);
    bench.call(&path, &delete::DELETE, &[]);
    assert!(bench.simulation.tree(bench.now).object(&path).is_none());
    // The interface itself cannot be deleted.
    assert!(bench.simulation.tree(bench.now).object(ETH0).is_some());
}
