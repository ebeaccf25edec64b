//! Several network interfaces: a netipmid for each, and addresses of every kind.

use std::process::Command;

use tests::client::{self, Output};
use tests::clients::{Login, PASSWORD, USER};
use tests::netns::{self, Namespace, NamespaceAccess};
use tests::process::Process;
use tests::shell::Shell;
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

    /// Sends Get Device ID once to `host`, from a client in the LAN.
    fn ask(&self, host: &str) -> Output {
        let mut command = Command::new("ipmitool");
        command.args(["-I", "lanplus", "-C", "17", "-N", "1", "-R", "2", "-H", host]);
        command.args(["-U", USER, "-P", PASSWORD, "mc", "info"]);
        client::run(&mut self.lan.command(&command))
    }

    /// A session with `host` from a client in the LAN.
    fn session(&self, host: &str) -> Shell {
        let address = format!("{host}:623").parse().expect("an address");
        let login = Login::administrator(address, self.suite.dir());
        Shell::open_by(self.lan.command(&login.ipmitool_command()))
    }

    /// Waits until `host` answers; an interface that was just set up needs a moment.
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

/// Whether this netipmid has logged a login from `peer`.
fn knows(netipmid: &Process, peer: &str) -> bool {
    let peer = format!("peer={peer}:");
    let log = netipmid.log();
    log.lines().any(|line| line.contains("login user=") && line.contains(&peer))
}

#[test]
fn each_answers_on_its_own_interface_from_the_address_that_was_asked() {
    let test = "each_answers_on_its_own_interface_from_the_address_that_was_asked";
    if netns::as_root(test) == NamespaceAccess::Refused {
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

    // A client accepts responses only from the address that it sent the request to.
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
    if netns::as_root(test) == NamespaceAccess::Refused {
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

    // Without the VLAN's interface only its own netipmid stops serving.
    bmc.ip("link del eth0.5");
    wait::until_true("the VLAN is missed", || lines(&vlan, GONE) == 1);
    site.answers("10.77.0.1");
    if bmc.try_ip(&tagged("eth0")).code == Some(0) {
        bmc.set_up("eth0.5", &["10.77.5.1/24"]);
    } else {
        bmc.wire(("eth0.5", &["10.77.5.1/24"]), lan, ("c0.5", &["10.77.5.2/24"]));
    }
    came_back(&vlan, 1);
    site.answers("10.77.5.1");
    assert_eq!(lines(&plain, "interface is"), 0, "{}", plain.log());
}

/// How many lines of the log have `text`.
fn lines(netipmid: &Process, text: &str) -> usize {
    netipmid.log().lines().filter(|line| line.contains(text)).count()
}

const GONE: &str = "interface is gone";
const BACK: &str = "interface is back";

/// Waits until an interface has gone and come back so often, as the log has it.
#[track_caller]
fn came_back(netipmid: &Process, times: usize) {
    wait::until_true("the interface is served again", || lines(netipmid, BACK) == times);
    assert_eq!(lines(netipmid, GONE), times, "{}", netipmid.log());
}

#[test]
fn an_interface_that_is_deleted_and_made_again_is_served_and_its_sessions_live_on() {
    let test = "an_interface_that_is_deleted_and_made_again_is_served_and_its_sessions_live_on";
    if netns::as_root(test) == NamespaceAccess::Refused {
        eprintln!("{test}: skipped: no network namespaces here");
        return;
    }
    let site = Site::new();
    let Site { suite, bmc, lan } = &site;
    let wire = || {
        let addresses = ["10.77.0.1/24", "fd77::1/64"];
        bmc.wire(("eth0", &addresses), lan, ("c0", &["10.77.0.2/24", "fd77::2/64"]));
    };
    wire();
    bmc.wire(("eth1", &["10.77.1.1/24"]), lan, ("c1", &["10.77.1.2/24"]));
    let first = suite.netipmid_in(bmc, "eth0");
    let second = suite.netipmid_in(bmc, "eth1");
    assert_eq!((first.capabilities(), second.capabilities()), (0, 0));
    site.answers("10.77.0.1");
    let mut session = site.session("10.77.0.1");
    for times in 1..=3 {
        bmc.ip("link del eth0");
        wait::until_true("the interface is missed", || lines(&first, GONE) == times);
        site.answers("10.77.1.1");
        assert!(!knows(&first, "10.77.1.2"), "eth0's does not answer for eth1");
        wire();
        came_back(&first, times);
        site.answers("10.77.0.1");
        site.answers("fd77::1");
        let answer = session.run("raw 6 1");
        assert!(answer.contains("20 "), "{answer}");
    }
    let logins = |line: &&str| line.contains("login user=") && line.contains("peer=10.77.0.2:");
    let ended = |line: &&str| line.contains("session ended") && line.contains("idle");
    assert_eq!(first.log().lines().filter(ended).count(), 0);
    assert!(first.log().lines().filter(logins).count() >= 4);
    assert_eq!(lines(&second, "interface is"), 0, "{}", second.log());
}

#[test]
fn an_interface_is_followed_by_its_name() {
    let test = "an_interface_is_followed_by_its_name";
    if netns::as_root(test) == NamespaceAccess::Refused {
        eprintln!("{test}: skipped: no network namespaces here");
        return;
    }
    let site = Site::new();
    let Site { suite, bmc, lan } = &site;
    bmc.wire(("eth0", &["10.77.0.1/24"]), lan, ("c0", &["10.77.0.2/24"]));
    bmc.wire(("spare", &["10.77.1.1/24"]), lan, ("c1", &["10.77.1.2/24"]));
    let netipmid = suite.netipmid_in(bmc, "eth0");
    site.answers("10.77.0.1");
    // Other addresses, a link that is down for a while: nothing is gone.
    bmc.ip("address add 10.77.0.7/24 dev eth0");
    bmc.ip("address del 10.77.0.1/24 dev eth0");
    bmc.ip("link set eth0 down");
    bmc.set_up("eth0", &["10.77.0.8/24", "fd77::8/64"]);
    lan.ip("address add fd77::2/64 dev c0 nodad");
    for host in ["10.77.0.8", "fd77::8"] {
        site.answers(host);
    }
    assert_eq!(lines(&netipmid, "interface is"), 0, "{}", netipmid.log());
    // Another one has the name.
    bmc.ip("link set eth0 down");
    bmc.ip("link set eth0 name old");
    wait::until_true("the interface is missed", || lines(&netipmid, GONE) == 1);
    bmc.set_up("old", &[]);
    site.ask("10.77.0.8").failed();
    bmc.ip("link set spare down");
    bmc.ip("link set spare name eth0");
    came_back(&netipmid, 1);
    bmc.ip("link set eth0 up");
    site.answers("10.77.1.1");
    site.ask("10.77.0.8").failed();
    // In another network namespace, and here again.
    let other = Namespace::new();
    bmc.ip(&format!("link set eth0 netns {}", other.id()));
    wait::until_true("the interface is missed", || lines(&netipmid, GONE) == 2);
    other.ip(&format!("link set eth0 netns {}", bmc.id()));
    came_back(&netipmid, 2);
    bmc.set_up("eth0", &["10.77.1.1/24"]);
    site.answers("10.77.1.1");
}
