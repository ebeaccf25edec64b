//! Several network interfaces: a netipmid for each, and addresses of every kind.

use std::process::Command;

use tests::client::{self, Output};
use tests::clients::{PASSWORD, USER};
use tests::netns::{self, Namespace, Standing};
use tests::process::Process;
use tests::suite::Suite;
use tests::wait;

/// The channels beside the built-in one: an interface each, one of them a VLAN's.
const CHANNELS: [(u8, &str); 3] = [(2, "eth0"), (3, "eth1"), (4, "eth0_5")];

/// A BMC with interfaces in one namespace, and its clients in another.
struct Site {
    suite: Suite,
    bmc: Namespace,
    lan: Namespace,
}

impl Site {
    fn new() -> Self {
        let mut lines = String::new();
        for (number, name, medium) in [(1, "lan0", "lan"), (8, "INTRABMC", "system")] {
            lines += &channel(number, name, medium);
        }
        for (number, name) in CHANNELS {
            lines += &channel(number, name, "lan");
        }
        let suite = Suite::with(&lines);
        for (number, _) in CHANNELS {
            // Set User Access: the administrator, with messaging, on that channel.
            let (code, _) = suite.bus.execute(0x06, 0x43, &[0x90 | number, 2, 4, 0]);
            assert_eq!(code, 0, "channel {number}");
        }
        let (bmc, lan) = (Namespace::new(), Namespace::new());
        Self { suite, bmc, lan }
    }

    /// Get Device ID at `host`, asked for by a client in the LAN, once.
    fn ask(&self, host: &str) -> Output {
        let mut command = Command::new("ipmitool");
        command.args(["-I", "lanplus", "-C", "17", "-N", "1", "-R", "2", "-H", host]);
        command.args(["-U", USER, "-P", PASSWORD, "mc", "info"]);
        client::run(&mut self.lan.command(&command))
    }

    /// Waits until `host` answers, which an interface just set up may not at once.
    #[track_caller]
    fn answers(&self, host: &str) {
        wait::until_true(&format!("{host} answers"), || self.ask(host).code == Some(0));
    }
}

fn channel(number: u8, name: &str, medium: &str) -> String {
    let sessions = if medium == "lan" { "multi-session" } else { "session-less" };
    let protocol = if medium == "lan" { "ipmb-1.0" } else { "oem-1" };
    format!(
        "[[channel]]\nnumber = {number}\nname = \"{name}\"\nmedium = \"{medium}\"\n\
         protocol = \"{protocol}\"\nsessions = \"{sessions}\"\n"
    )
}

/// Whether somebody from `peer` has logged in there.
fn knows(netipmid: &Process, peer: &str) -> bool {
    let peer = format!("peer={peer}:");
    let log = netipmid.log();
    log.lines().any(|line| line.contains("login user=") && line.contains(&peer))
}

#[test]
fn each_answers_on_its_own_interface_from_the_address_that_was_asked() {
    let test = "each_answers_on_its_own_interface_from_the_address_that_was_asked";
    if netns::as_root(test) == Standing::Refused {
        eprintln!("{test}: skipped: no network namespaces here");
        return;
    }
    let site = Site::new();
    let Site { suite, bmc, lan } = &site;
    let many =
        ["10.77.0.1/24", "10.77.0.9/24", "10.99.0.1/32", "fd77::1/64", "fd77::9/64", "fe80::77/64"];
    bmc.wire(("eth0", &many), lan, ("c0", &["10.77.0.2/24", "fd77::2/64", "fe80::2/64"]));
    bmc.wire(("eth1", &["10.77.1.1/24"]), lan, ("c1", &["10.77.1.2/24"]));
    lan.ip("route add 10.99.0.1 via 10.77.0.1");
    let first = suite.netipmid_in(bmc, "eth0");
    let mut second = suite.netipmid_in(bmc, "eth1");

    // A client takes an answer only from the address that it asked.
    for (host, peer) in [
        ("10.77.0.1", "10.77.0.2"),
        ("10.77.0.9", "10.77.0.2"),
        ("10.99.0.1", "10.77.0.2"),
        ("fd77::1", "[fd77::2]"),
        ("fd77::9", "[fd77::2]"),
        ("fe80::77%c0", "[fe80::"),
    ] {
        site.answers(host);
        assert!(first.log().contains(peer), "{host} is eth0's");
    }
    site.answers("10.77.1.1");
    assert!(knows(&second, "10.77.1.2") && !knows(&second, "10.77.0.2"));
    assert!(knows(&first, "10.77.0.2") && !knows(&first, "10.77.1.2"));

    second.pause();
    site.ask("10.77.1.1").failed();
    site.answers("10.77.0.1");
    second.resume();
    site.answers("10.77.1.1");
    assert!(!knows(&first, "10.77.1.2"), "eth0 does not answer for eth1");
}

#[test]
fn an_interface_of_a_vlan_has_its_own() {
    let test = "an_interface_of_a_vlan_has_its_own";
    if netns::as_root(test) == Standing::Refused {
        eprintln!("{test}: skipped: no network namespaces here");
        return;
    }
    let site = Site::new();
    let Site { suite, bmc, lan } = &site;
    bmc.wire(("eth0", &["10.77.0.1/24"]), lan, ("c0", &["10.77.0.2/24"]));
    let tagged = |name: &str| format!("link add link {name} name {name}.5 type vlan id 5");
    if bmc.try_ip(&tagged("eth0")).code == Some(0) {
        lan.ip(&tagged("c0"));
        bmc.set_up("eth0.5", &["10.77.5.1/24"]);
        lan.set_up("c0.5", &["10.77.5.2/24"]);
    } else {
        eprintln!("{test}: no VLANs in this kernel: another interface of such a name instead");
        bmc.wire(("eth0.5", &["10.77.5.1/24"]), lan, ("c0.5", &["10.77.5.2/24"]));
    }
    let plain = suite.netipmid_in(bmc, "eth0");
    let vlan = suite.netipmid_in(bmc, "eth0.5");
    site.answers("10.77.5.1");
    site.answers("10.77.0.1");
    assert!(knows(&vlan, "10.77.5.2") && !knows(&vlan, "10.77.0.2"));
    assert!(knows(&plain, "10.77.0.2") && !knows(&plain, "10.77.5.2"));
}
