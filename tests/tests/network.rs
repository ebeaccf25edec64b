//! The BMC's own network as administrators see and set it: ipmitool and FreeIPMI over RMCP+, the network service beneath.

use tests::clients::Login;
use tests::monitor::Monitor;
use tests::suite::Suite;
use tests::wait;

const LAN0: &str = "/xyz/openbmc_project/network/lan0";
/// FreeIPMI's section of IPv6 parameters.
const LAN6: &str = "--category=core -e Lan6_Conf";

/// A suite whose one interface has these addresses, as the platform's file describes them.
fn suite_with(addresses: &str) -> Suite {
    let interface = "[[network.interface]]\nname = \"lan0\"\nmac = \"02:00:00:00:00:10\"\n";
    let gateway = "gateway = \"192.0.2.1\"\n";
    Suite::configured("", &format!("{interface}{gateway}address = [{addresses}]\n"))
}

/// The addresses that the network service has, as the ends of the paths of their objects.
fn addresses(suite: &Suite) -> Vec<String> {
    let mapper = "xyz.openbmc_project.ObjectMapper";
    let path = "/xyz/openbmc_project/object_mapper";
    let wanted =
        ["sias", "/xyz/openbmc_project/network", "0", "1", "xyz.openbmc_project.Network.IP"];
    let call = ["call", mapper, path, mapper, "GetSubTreePaths"];
    let output = suite.bus.busctl(&[&call[..], &wanted].concat());
    let reply: serde_json::Value = serde_json::from_str(output.ok()).expect("JSON of busctl");
    let paths = reply["data"][0].as_array().cloned().unwrap_or_default();
    let shown = |path: &serde_json::Value| {
        let path = path.as_str().unwrap_or_default();
        let tail = path.strip_prefix("/xyz/openbmc_project/network/").unwrap_or(path);
        tail.replace("_2e", ".").replace("_3a", ":").replace("_2f", "/")
    };
    let mut found: Vec<String> = paths.iter().map(shown).collect();
    found.sort();
    found
}

/// Another client of the network service adds an address.
fn add(suite: &Suite, address: &str, prefix: &str) {
    let family = if address.contains(':') { "IPv6" } else { "IPv4" };
    let family = format!("xyz.openbmc_project.Network.IP.Protocol.{family}");
    let service =
        ["call", "xyz.openbmc_project.Network", LAN0, "xyz.openbmc_project.Network.IP.Create"];
    let arguments = ["IP", "ssys", &family, address, prefix, ""];
    suite.bus.busctl(&[&service[..], &arguments].concat()).ok();
}

/// Asserts that ipmitool prints these lines, blanks counted as one.
#[track_caller]
fn prints(login: &Login, arguments: &str, expected: &[&str]) {
    let output = login.ipmitool(arguments);
    let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = output.ok().lines().map(line).collect();
    for expected in expected {
        assert!(lines.iter().any(|line| line == expected), "no {expected:?} in\n{output}");
    }
}

/// The objects of the network service that a command adds and deletes, as the methods called, in their order.
fn changes_of(suite: &Suite, login: &Login, arguments: &str) -> Vec<String> {
    let monitor = Monitor::start(&suite.bus, suite.dir());
    login.ipmitool(arguments).ok();
    let calls = monitor.finish(&suite.bus).into_iter().map(|call| call.member);
    calls.filter(|member| ["VLAN", "IP", "Neighbor", "Delete"].contains(&member.as_str())).collect()
}

#[test]
fn ipmitool_sees_and_changes_one_address_of_several() {
    let mut suite = suite_with(
        "{ address = \"169.254.7.7\", prefix = 16, origin = \"link-local\" },\
         { address = \"192.0.2.61\", prefix = 24 }",
    );
    let login = suite.administrator();
    prints(&login, "lan print 1", &["IP Address : 192.0.2.61", "Subnet Mask : 255.255.255.0"]);
    // One whose path sorts before it.
    add(&suite, "10.1.1.1", "24");
    prints(&login, "lan print 1", &["IP Address : 192.0.2.61"]);
    let changes = changes_of(&suite, &login, "lan set 1 netmask 255.255.255.128");
    assert_eq!(changes, ["IP", "Delete"]);
    let others = ["lan0/10.1.1.1/24", "lan0/169.254.7.7/16"];
    assert_eq!(addresses(&suite), [others[0], others[1], "lan0/192.0.2.61/25"]);
    login.ipmitool("lan set 1 ipaddr 192.0.2.99").ok();
    assert_eq!(addresses(&suite), [others[0], others[1], "lan0/192.0.2.99/25"]);
    suite.ipmid.terminate();
    suite.restart_ipmid();
    let expected = ["IP Address : 192.0.2.99", "Subnet Mask : 255.255.255.128"];
    wait::until_true("ipmid serves", || login.ipmitool("mc guid").code == Some(0));
    prints(&login, "lan print 1", &expected);
}

#[test]
fn ipmitool_ends_dhcp_and_the_address_stays() {
    let suite = suite_with("{ address = \"192.0.2.10\", prefix = 24 }");
    let login = suite.administrator();
    login.ipmitool("lan set 1 ipsrc dhcp").ok();
    wait::until_true("a lease", || addresses(&suite) == ["lan0/192.0.2.100/24"]);
    login.ipmitool("lan set 1 ipsrc static").ok();
    assert_eq!(addresses(&suite), ["lan0/192.0.2.100/24"]);
    let expected = ["IP Address Source : Static Address", "IP Address : 192.0.2.100"];
    prints(&login, "lan print 1", &expected);
}

#[test]
fn ipmitool_moves_the_channel_to_a_vlan_and_back_with_all_that_it_has() {
    let suite = suite_with(
        "{ address = \"192.0.2.10\", prefix = 24 }, { address = \"10.1.1.1\", prefix = 8 },\
         { address = \"2001:db8::10\", prefix = 64 }",
    );
    let login = suite.administrator();
    login.ipmitool("lan set 1 defgw macaddr 02:00:00:00:00:fe").ok();
    let on = |interface: &str| {
        ["10.1.1.1/8", "192.0.2.10/24", "2001:db8::10/64"]
            .map(|known| format!("{interface}/{known}"))
    };
    assert_eq!(addresses(&suite), on("lan0"));
    let changes = changes_of(&suite, &login, "lan set 1 vlan id 400");
    let moved = ["VLAN", "IP", "IP", "IP", "Neighbor", "Delete", "Delete", "Delete", "Delete"];
    assert_eq!(changes, moved);
    assert_eq!(addresses(&suite), on("lan0_400"));
    login.ipmitool("lan set 1 macaddr 02:00:00:00:00:77").ok();
    let mut expected = vec![
        "MAC Address : 02:00:00:00:00:77",
        "Default Gateway IP : 192.0.2.1",
        "Default Gateway MAC : 02:00:00:00:00:fe",
        "802.1q VLAN ID : 400",
    ];
    prints(&login, "lan print 1", &expected);
    login.ipmitool("lan set 1 vlan id off").ok();
    assert_eq!(addresses(&suite), on("lan0"));
    expected[3] = "802.1q VLAN ID : Disabled";
    prints(&login, "lan print 1", &expected);
    // The gateway's MAC address is a parameter of its own.
    login.ipmitool("lan set 1 defgw ipaddr 192.0.2.2").ok();
    expected[1] = "Default Gateway IP : 192.0.2.2";
    prints(&login, "lan print 1", &expected);

    login.ipmitool("lan set 1 ipsrc dhcp").ok();
    login.ipmitool("lan set 1 vlan id 401").ok();
    wait::until_true("a lease on the VLAN", || {
        addresses(&suite).contains(&"lan0_401/192.0.2.100/24".to_owned())
    });
    login.ipmitool("lan set 1 vlan id off").ok();
    wait::until_true("a lease", || {
        addresses(&suite) == ["lan0/192.0.2.100/24", "lan0/2001:db8::10/64"]
    });
}

/// Selector, enabled, address and prefix length as ipmitool's raw command prints them.
fn reads_static(login: &Login, selector: u8, expected: &str) {
    let output = login.ipmitool(&format!("raw 0x0c 2 1 56 {selector} 0"));
    let bytes = output.ok().split_whitespace().collect::<Vec<_>>().join("");
    assert_eq!(bytes, format!("11{selector:02x}{expected}"), "{output}");
}

#[test]
fn ipv6_selectors_are_identities_for_ipmitool_and_freeipmi() {
    const NONE: &str = "00000000000000000000000000000000000001";
    let mut suite = suite_with("{ address = \"2001:db8::10\", prefix = 64 }");
    let login = suite.administrator().level("ADMIN");
    let of = |last: &str, prefix: &str| format!("8020010db80000000000000000000000{last}{prefix}00");
    reads_static(&login, 0, &of("10", "40"));
    // Sorted before, and so is what another client adds.
    login.ipmitool("lan6 set 1 static_addr 3 enable 2001:db8::1 48").ok();
    reads_static(&login, 3, &of("01", "30"));
    add(&suite, "2001:db8::0:9", "64");
    for (selector, last, prefix) in [(0, "10", "40"), (1, "09", "40"), (3, "01", "30")] {
        reads_static(&login, selector, &of(last, prefix));
    }
    reads_static(&login, 2, NONE);
    // FreeIPMI writes the address, and then the prefix length with the address that it has read.
    let commit = |key: &str| {
        let output = login.freeipmi("ipmi-config", &format!("--commit {LAN6}:{key}"));
        assert_eq!(output.code, Some(0), "{output}");
    };
    commit("IPv6_Static_Address=2001:db8::99 -e Lan6_Conf:IPv6_Static_Address_Prefix_Length=56");
    for (selector, last, prefix) in [(0, "99", "38"), (1, "09", "40"), (3, "01", "30")] {
        reads_static(&login, selector, &of(last, prefix));
    }
    assert_eq!(
        addresses(&suite),
        ["lan0/2001:db8::1/48", "lan0/2001:db8::9/64", "lan0/2001:db8::99/56"]
    );
    // Disabled, it is only out of use.
    commit("IPv6_Static_Address_Enable=No");
    assert_eq!(addresses(&suite), ["lan0/2001:db8::1/48", "lan0/2001:db8::9/64"]);
    suite.ipmid.terminate();
    suite.restart_ipmid();
    wait::until_true("ipmid serves", || login.ipmitool("mc guid").code == Some(0));
    reads_static(&login, 3, &of("01", "30"));
    commit("IPv6_Static_Address_Enable=Yes");
    reads_static(&login, 0, &of("99", "38"));
    // An entry of nothing, in FreeIPMI's order.
    login.ipmitool("lan6 set 1 static_addr 0 disable :: 0").ok();
    reads_static(&login, 0, NONE);
    commit("IPv6_Static_Address_Enable=Yes");
    commit("IPv6_Static_Address=2001:db8::98");
    commit("IPv6_Static_Address_Prefix_Length=64");
    reads_static(&login, 0, &of("98", "40"));
}

/// ipmitool repeats a write that was answered CCh ten times, five seconds each, and says so.
#[test]
fn ipmitool_gives_up_an_invalid_value_at_once() {
    let suite = Suite::start();
    let login = suite.administrator();
    let before = login.ipmitool("lan print 1").ok().to_owned();
    for arguments in [
        "netmask 255.0.255.0",
        "netmask 0.0.0.0",
        "ipsrc none",
        "ipsrc bios",
        "ipaddr 255.255.255.255",
        "ipaddr 224.0.0.1",
        "defgw ipaddr 255.255.255.255",
        "defgw macaddr ff:ff:ff:ff:ff:ff",
        "bakgw ipaddr 224.0.0.1",
        "macaddr 01:00:5e:00:00:01",
    ] {
        let output = login.ipmitool(&format!("-v -v lan set 1 {arguments}"));
        let said = output.failed();
        assert!(said.contains("Set LAN Parameter failed: Parameter out of range"), "{output}");
        assert!(!said.contains("Retrying"), "{output}");
    }
    // What is set and reads back otherwise is waited for as long.
    let output = login.ipmitool("-v -v lan set 1 cipher_privs aaaaaaaaaaaaaaa");
    assert!(!format!("{output}").contains("does not match"), "{output}");
    assert_eq!(output.code, Some(0), "{output}");
    // "Other", which ipmitool has no word for.
    assert!(login.ipmitool("raw 0x0c 1 1 4 4").failed().contains("rsp=0xc9"));
    let privileges = |text: &str| text.contains("Cipher Suite Priv Max");
    let others = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !privileges(line)).map(str::to_owned).collect()
    };
    assert_eq!(others(login.ipmitool("lan print 1").ok()), others(&before));
}

#[test]
fn the_port_that_is_served_is_reported_over_lan_and_in_band() {
    let suite = Suite::start();
    let login = suite.administrator();
    let port = login.address.port();
    let bytes = port.to_le_bytes();
    let expected = (0, vec![0x11, bytes[0], bytes[1]]);
    assert_eq!(suite.bus.execute(0x0c, 0x02, &[1, 8, 0, 0]), expected);
    assert_eq!(suite.bus.execute(0x0c, 0x22, &[1, 8, 0, 0]), expected);
    prints(&login, "sol info 1", &[&format!("Payload Port : {port}")]);
}

#[test]
fn without_an_address_the_one_that_is_served_is_printed() {
    let suite = suite_with("");
    let login = suite.administrator();
    let served = format!("IP Address : {}", login.address.ip());
    prints(
        &login,
        "lan print 1",
        &[&served, "Subnet Mask : 255.0.0.0", "IP Address Source : Static Address"],
    );
    let [low, high] = login.address.port().to_le_bytes();
    prints(&login, "raw 0x0c 2 1 8 0 0", &[&format!("11 {low:02x} {high:02x}")]);
    // The network service's comes first.
    login.ipmitool("lan set 1 ipaddr 192.0.2.7").ok();
    prints(&login, "lan print 1", &["IP Address : 192.0.2.7", "Subnet Mask : 255.255.255.0"]);
}

#[test]
fn bmcs_of_one_platform_differ() {
    let suites = [Suite::configured("", ""), Suite::configured("", "")];
    let line = |output: &str, name: &str| {
        let line = output.lines().find(|line| line.trim_start().starts_with(name));
        line.unwrap_or_else(|| panic!("no {name} in\n{output}")).to_owned()
    };
    for (command, name) in [
        ("mc guid", "System GUID"),
        ("lan print 1", "MAC Address"),
        ("fru print 0", "Product Serial"),
    ] {
        let [one, two] = suites.each_ref().map(|suite| {
            let login = suite.administrator();
            let _there = wait::until(&format!("there is a {name}"), || {
                let output = login.ipmitool(command);
                output.stdout.contains(name).then_some(output)
            });
            line(login.ipmitool(command).ok(), name)
        });
        assert_ne!(one, two);
    }
}
