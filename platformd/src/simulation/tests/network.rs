//! The network: what clients set and add, and what of it outlives the process.

use openbmc_dbus::network::ethernet_interface::{self as ethernet, DhcpConf};
use openbmc_dbus::network::ip::{self, AddressOrigin, Protocol};
use openbmc_dbus::network::{
    ROOT, ip_create, mac_address, neighbor, neighbor_create, vlan, vlan_create,
};
use openbmc_dbus::object::delete;
use zbus::wire::Variant;

use super::TestPlatform;
use crate::fault::Fault;
use crate::tree::SavedValues;

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
fn addresses(platform: &mut TestPlatform, interface: &str) -> Vec<(String, AddressOrigin)> {
    let tree = platform.simulation.tree(platform.now);
    let below = tree
        .below(interface)
        .filter_map(|(path, _)| Some((tree.get(path, ip::ADDRESS)?, tree.get(path, ip::ORIGIN)?)));
    below.collect()
}

fn add(platform: &mut TestPlatform, address: &'static str, prefix: u8) -> Result<String, Fault> {
    let family = if address.contains(':') { Protocol::IPv6 } else { Protocol::IPv4 };
    let arguments = [family.as_str().into(), address.into(), prefix.into(), "".into()];
    let returned = platform.try_call(ETH0, &ip_create::IP, &arguments)?;
    match returned.as_slice() {
        [Variant::ObjectPath(path)] => Ok(path.to_string()),
        other => panic!("{other:?}"),
    }
}

fn take_saved(platform: &mut TestPlatform) -> SavedValues {
    platform.simulation.take_unsaved().unwrap().clone()
}

#[test]
fn what_the_file_describes_is_there() {
    let mut platform = TestPlatform::new(NETWORK);
    assert_eq!(
        addresses(&mut platform, ETH0),
        [
            ("192.0.2.10".to_owned(), AddressOrigin::Static),
            ("fe80::1".to_owned(), AddressOrigin::LinkLocal)
        ]
    );
    assert_eq!(platform.get(ETH0, ethernet::DEFAULT_GATEWAY), "192.0.2.1");
    let neighbor = format!("{ETH0}/static_neighbor/192_2e0_2e2_2e1");
    assert_eq!(platform.get(&neighbor, neighbor::MAC_ADDRESS), "02:00:00:00:00:fe");
}

#[test]
fn addresses_are_added_and_deleted_and_stay_so() {
    let mut platform = TestPlatform::new(NETWORK);
    let path = add(&mut platform, "198.51.100.7", 25).unwrap();
    assert_eq!(path, format!("{ETH0}/198_2e51_2e100_2e7_2f25"));
    platform.call(&format!("{ETH0}/192_2e0_2e2_2e10_2f24"), &delete::DELETE, &[]);
    platform.call(&format!("{ETH0}/static_neighbor/192_2e0_2e2_2e1"), &delete::DELETE, &[]);
    let expected = [
        ("198.51.100.7".to_owned(), AddressOrigin::Static),
        ("fe80::1".to_owned(), AddressOrigin::LinkLocal),
    ];
    assert_eq!(addresses(&mut platform, ETH0), expected);
    let saved = take_saved(&mut platform);
    let mut platform = TestPlatform::again(NETWORK, saved, false);
    assert_eq!(addresses(&mut platform, ETH0), expected);
    // Added again and deleted again, it is still deleted.
    let path = add(&mut platform, "192.0.2.10", 24).unwrap();
    platform.call(&path, &delete::DELETE, &[]);
    let saved = take_saved(&mut platform);
    assert_eq!(addresses(&mut TestPlatform::again(NETWORK, saved, false), ETH0), expected);
}

#[test]
fn nonsense_is_refused() {
    let mut platform = TestPlatform::new(NETWORK);
    assert!(add(&mut platform, "198.51.100.300", 24).is_err());
    assert!(add(&mut platform, "198.51.100.3", 33).is_err());
    let mixed = [Protocol::IPv6.as_str().into(), "198.51.100.3".into(), 24_u8.into(), "".into()];
    assert!(platform.try_call(ETH0, &ip_create::IP, &mixed).is_err());
    let neighbor = ["192.0.2.9".into(), "no MAC".into()];
    assert!(platform.try_call(ETH0, &neighbor_create::NEIGHBOR, &neighbor).is_err());
    let mac = "02:00".to_owned();
    assert!(platform.try_set(ETH0, mac_address::MAC_ADDRESS, mac).is_err());
    let gateway = "somewhere".to_owned();
    assert!(platform.try_set(ETH0, ethernet::DEFAULT_GATEWAY, gateway).is_err());
    for id in [0_u32, 4095] {
        assert!(platform.try_call(ROOT, &vlan_create::VLAN, &["eth0".into(), id.into()]).is_err());
    }
    assert!(platform.try_call(ROOT, &vlan_create::VLAN, &["eth9".into(), 5_u32.into()]).is_err());
}

#[test]
fn dhcp_replaces_addresses_set_by_hand_and_the_other_way_round() {
    let mut platform = TestPlatform::new(NETWORK);
    platform.set(ETH0, ethernet::DHCP4, true);
    assert_eq!(platform.get(ETH0, ethernet::DHCP_ENABLED), DhcpConf::v4);
    platform.pass(1000);
    let v4 = |platform: &mut TestPlatform| {
        let all = addresses(platform, ETH0);
        all.into_iter().filter(|(text, _)| text.contains('.')).collect::<Vec<_>>()
    };
    assert_eq!(v4(&mut platform), [("192.0.2.100".to_owned(), AddressOrigin::DHCP)]);
    platform.set(ETH0, ethernet::DHCP_ENABLED, DhcpConf::none);
    assert!(!platform.get(ETH0, ethernet::DHCP4));
    assert_eq!(v4(&mut platform), []);
    add(&mut platform, "192.0.2.20", 24).unwrap();
    assert_eq!(v4(&mut platform), [("192.0.2.20".to_owned(), AddressOrigin::Static)]);
}

#[test]
fn a_vlan_is_an_interface_of_its_own_that_stays() {
    let mut platform = TestPlatform::new(NETWORK);
    platform.call(ROOT, &vlan_create::VLAN, &["eth0".into(), 42_u32.into()]);
    let path = format!("{ETH0}_42");
    assert_eq!(platform.get(&path, vlan::ID), 42);
    assert_eq!(platform.get(&path, ethernet::INTERFACE_NAME), "eth0.42");
    let saved = take_saved(&mut platform);
    let mut platform = TestPlatform::again(NETWORK, saved, false);
    assert_eq!(platform.get(&path, vlan::ID), 42);
    platform.call(&path, &delete::DELETE, &[]);
    assert!(platform.simulation.tree(platform.now).object(&path).is_none());
    // The interface itself cannot be deleted.
    assert!(platform.simulation.tree(platform.now).object(ETH0).is_some());
}

#[test]
fn a_lease_is_of_no_interface_that_is_deleted() {
    let mut platform = TestPlatform::new(NETWORK);
    platform.call(ROOT, &vlan_create::VLAN, &["eth0".into(), 42_u32.into()]);
    let path = format!("{ETH0}_42");
    platform.set(&path, ethernet::DHCP4, true);
    platform.call(&path, &delete::DELETE, &[]);
    platform.pass(1000);
    assert_eq!(addresses(&mut platform, &path), []);
    assert!(
        platform
            .simulation
            .tree(platform.now)
            .object(&format!("{path}/192_2e0_2e2_2e100_2f24"))
            .is_none()
    );
}

#[test]
fn a_vlan_with_dhcp_gets_its_lease_again_after_a_restart() {
    let mut platform = TestPlatform::new(NETWORK);
    platform.call(ROOT, &vlan_create::VLAN, &["eth0".into(), 42_u32.into()]);
    let path = format!("{ETH0}_42");
    platform.set(&path, ethernet::DHCP4, true);
    let leased = [("192.0.2.100".to_owned(), AddressOrigin::DHCP)];
    platform.pass(1000);
    assert_eq!(addresses(&mut platform, &path), leased);
    let saved = take_saved(&mut platform);
    let mut platform = TestPlatform::again(NETWORK, saved, false);
    platform.pass(1000);
    assert_eq!(addresses(&mut platform, &path), leased);
}

#[test]
fn a_lease_that_is_added_is_static_and_stays_when_dhcp_ends() {
    let mut platform = TestPlatform::new(NETWORK);
    let local = ("fe80::1".to_owned(), AddressOrigin::LinkLocal);
    platform.set(ETH0, ethernet::DHCP4, true);
    platform.pass(1000);
    add(&mut platform, "192.0.2.100", 24).unwrap();
    assert!(!platform.get(ETH0, ethernet::DHCP4));
    platform.set(ETH0, ethernet::DHCP4, false);
    platform.pass(1000);
    let expected = [("192.0.2.100".to_owned(), AddressOrigin::Static), local.clone()];
    assert_eq!(addresses(&mut platform, ETH0), expected);
    // Any other static address ends DHCP, and with it the lease.
    platform.set(ETH0, ethernet::DHCP4, true);
    platform.pass(1000);
    add(&mut platform, "192.0.2.20", 24).unwrap();
    platform.pass(1000);
    let expected = [("192.0.2.20".to_owned(), AddressOrigin::Static), local];
    assert_eq!(addresses(&mut platform, ETH0), expected);
}
