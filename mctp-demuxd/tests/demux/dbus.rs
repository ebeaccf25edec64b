//! What an operator sees on a private bus, through `busctl`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::daemon::Daemon;
use crate::wire::{FAR, OWN, SOM, TO, wait_until};

pub(crate) const NAME: &str = "xyz.openbmc_project.MCTP.Demux";
pub(crate) const INTERFACE: &str = "org.causeway.MCTP.Demux";
pub(crate) const ROOT: &str = "/xyz/openbmc_project/mctp";
const BINDING: &str = "/xyz/openbmc_project/mctp/interfaces/0";

pub(crate) struct Bus {
    child: Child,
    pub(crate) address: String,
}

impl Bus {
    pub(crate) fn start() -> Self {
        let mut command = Command::new("dbus-daemon");
        command.args(["--session", "--nofork", "--nopidfile", "--print-address"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Self { child, address: address.trim().to_owned() }
    }

    pub(crate) fn busctl(&self, args: &[&str]) -> String {
        let mut command = Command::new("busctl");
        command.arg(format!("--address={}", self.address)).args(args);
        let output = command.output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn property(&self, path: &str, interface: &str, property: &str) -> String {
        self.busctl(&["get-property", NAME, path, interface, property])
    }

    pub(crate) fn wait_for_name(&self) {
        wait_until(|| !self.property(ROOT, INTERFACE, "EID").is_empty());
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn counters_clients_and_endpoints_are_on_the_bus() {
    let bus = Bus::start();
    let mut daemon = Daemon::on_bus(&[], &bus.address);
    bus.wait_for_name();
    assert_eq!(bus.property(ROOT, INTERFACE, "EID"), "y 8");
    let client = daemon.client(0x20);
    assert_eq!(bus.property(ROOT, INTERFACE, "Types"), "ay 1 32");
    daemon.wire.request(0, b"\x20hello");
    client.message();
    client.send(FAR, b"\x21wrong");
    daemon.wire.send_packet(OWN, FAR, TO, b"no start");
    daemon.wire.send_packet(OWN + 1, FAR, SOM, b"foreign");
    daemon.settle();
    let clients = bus.property(ROOT, INTERFACE, "Clients");
    assert_eq!(clients, "a(tyttttttt) 1 0 32 1 6 1 6 0 1 0");
    assert!(bus.property(ROOT, INTERFACE, "Refusals").contains("\"type-mismatch\" 1"));
    let binding = |property| bus.property(BINDING, "org.causeway.MCTP.Demux.Binding", property);
    assert_eq!(binding("Up"), "b true");
    assert!(binding("Name").contains("serial:/dev/pts/"));
    // Control messages, by which the test settles, and one of a type without a counter of its own.
    let (taken, sent) = (binding("MessagesIn"), binding("MessagesOut"));
    assert!(taken.starts_with("a{yt} 2 0 ") && taken.ends_with(" 255 1"), "{taken}");
    assert!(sent.starts_with("a{yt} 1 0 "), "{sent}");
    let drops = binding("Drops");
    for drop in ["\"no-start\" 1", "\"foreign-destination\" 1", "\"checksum\" 0"] {
        assert!(drops.contains(drop), "{drops}");
    }
    let own = format!("{ROOT}/networks/1/endpoints/8");
    assert_eq!(bus.property(&own, "xyz.openbmc_project.MCTP.Endpoint", "NetworkId"), "u 1");
    daemon.wire.send_packet(0, FAR, 0xc0 | TO, &[0, 0x81, 1, 0, 0x20]);
    daemon.wire.message();
    let moved = format!("{ROOT}/networks/1/endpoints/32");
    let eid_of = |path| bus.property(path, "xyz.openbmc_project.MCTP.Endpoint", "EID");
    wait_until(|| eid_of(&moved) == "y 32");
    wait_until(|| eid_of(&own).is_empty());
}

#[test]
fn a_bus_that_goes_and_comes_back_does_not_matter_to_clients() {
    let mut daemon;
    {
        let bus = Bus::start();
        daemon = Daemon::on_bus(&[], &bus.address);
        bus.wait_for_name();
    }
    let client = daemon.client(0x20);
    for _ in 0..10 {
        daemon.wire.request(0, b"\x20hello");
        assert_eq!(client.message().1, b"\x20hello");
    }
}
