//! Several bindings, bridging, and owning a bus.

use std::path::PathBuf;
use std::time::Duration;

use hex_literal::hex;

use crate::daemon::Daemon;
use crate::dbus::{Bus, NAME};
use crate::wire::{EOM, FAR, OWN, SOM, TO, Wire, wait_until};

/// A daemon whose binding 0 is a second line, and binding 1 the one in [`Daemon`].
fn two_lines(config: &str) -> (Daemon, Wire, tempfile::TempDir) {
    let other = Wire::new();
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("causeway.toml");
    std::fs::write(&file, config).unwrap();
    let binding = format!("serial:{},baud=115200", other.path.display());
    let mut daemon = Daemon::with(&["--config", file.to_str().unwrap(), &binding]);
    daemon.settle();
    (daemon, other, folder)
}

const ROUTES: &str = "
    [[mctp.route]]
    eid = 30
    last = 39
    binding = 0
    [[mctp.route]]
    eid = 40
    last = 49
    binding = 1
";

#[test]
fn messages_leave_on_the_line_that_leads_to_their_endpoint() {
    let (mut daemon, mut other, _folder) = two_lines(ROUTES);
    let client = daemon.client(0x20);
    client.send(35, b"\x20to the first");
    assert_eq!(other.message().bytes, b"\x20to the first");
    client.send(45, b"\x20to the second");
    assert_eq!(daemon.wire.message().bytes, b"\x20to the second");
}

#[test]
fn the_line_that_a_sender_was_seen_on_leads_back_to_it() {
    let (mut daemon, mut other, _folder) = two_lines("");
    let client = daemon.client(0x20);
    for eid in [60, 61] {
        daemon.wire.send(eid, TO, b"\x20hello");
        assert_eq!(client.message().0, eid);
        client.send(eid, b"\x20answer");
        assert!(!daemon.wire.message().owner);
        client.send(eid, b"\x20question");
        assert!(daemon.wire.message().owner);
    }
    client.send(62, b"\x20unknown");
    assert_eq!(other.message().bytes, b"\x20unknown");
}

#[test]
fn a_stalled_line_does_not_stop_the_other() {
    let (mut daemon, _other, _folder) = two_lines(ROUTES);
    let (flood, client) = (daemon.client(1), daemon.client(0x20));
    let mut message = crate::wire::filler(1, 4096, 0);
    message[1] = 0xc0;
    while flood.try_send(35, &message) {
        std::thread::sleep(Duration::from_micros(500));
    }
    for _ in 0..50 {
        client.send(45, b"\x20ping");
        let request = daemon.wire.message();
        daemon.wire.answer(&request, b"\x20pong");
        assert_eq!(client.message().1, b"\x20pong");
    }
}

#[test]
fn foreign_packets_are_passed_on_by_a_bridge_only() {
    for bridge in [true, false] {
        let (mut daemon, mut other, _folder) =
            two_lines(&format!("[mctp]\nbridge = {bridge}\n{ROUTES}"));
        daemon.wire.send_packet(35, 45, SOM | EOM | TO | 3, b"\x20through");
        if bridge {
            let message = other.message();
            assert_eq!((message.to, message.from, message.tag), (35, 45, 3));
            other.send_packet(45, 35, SOM | EOM | 3, b"\x20and back");
            assert_eq!(daemon.wire.message().from, 35);
        }
        // Back where it came from, or to where no route leads, nothing is passed on.
        daemon.wire.send_packet(46, 45, SOM | EOM | TO, b"\x20no");
        daemon.wire.is_silent();
        other.is_silent();
    }
}

#[test]
fn a_bus_owner_finds_an_endpoint_and_gives_it_an_id() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("causeway.toml");
    let config = "
        [mctp]
        role = \"bus-owner\"
        [mctp.owned]
        first = 20
        last = 29
        answer-ms = 30000
        poll-s = 1
        [[mctp.owned.place]]
        binding = 0
    ";
    std::fs::write(&file, config).unwrap();
    let mut daemon = Daemon::with(&["--config", file.to_str().unwrap()]);
    let mut asked = Vec::new();
    for answer in [
        &hex!("00 00 00 00")[..],
        &hex!("00 00 14 00"),
        &hex!("05"),
        &hex!("00 02 00 01"),
        &hex!("00 14 00 00"),
    ] {
        let request = daemon.wire.message();
        asked.push((request.to, request.bytes[2]));
        let far = if request.to == 0 { 0 } else { request.to };
        let answer = [&[0, request.bytes[1] & 0x1f, request.bytes[2]], answer].concat();
        daemon.wire.send(far, request.tag, &answer);
    }
    assert_eq!(asked, [(0, 2), (0, 1), (20, 3), (20, 5), (20, 2)]);
    // And it answers itself, as an owner.
    daemon.wire.send_packet(OWN, FAR, SOM | EOM | TO, &hex!("00 81 0a 00"));
    let table = loop {
        let message = daemon.wire.message();
        if !message.owner {
            break message.bytes;
        }
    };
    assert_eq!(table, hex!("00 01 0a 00 ff 01 01 14 00 05 30 00"));
}

#[test]
fn a_line_that_goes_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("line");
    let mut first = Wire::new();
    std::os::unix::fs::symlink(&first.path, &link).unwrap();
    let binding = format!("serial:{}", link.display());
    let (child, socket) = crate::daemon::spawn(&[&binding], "unix:path=/nonexistent");
    let mut moved = Daemon::take_over(child, socket, Wire::new());
    first.send(0x55, 0x0f, &[0, 0x9e, 2]);
    first.message();
    // The line's other end closes; a new one takes its place.
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&moved.wire.path, &link).unwrap();
    drop(first);
    let client = moved.client(0x20);
    moved.wire.request(0, b"\x20back");
    assert_eq!(client.message().1, b"\x20back");
}

#[test]
fn the_first_of_two_bus_owners_keeps_its_id_and_its_packets() {
    let (mut daemon, mut other, _folder) = two_lines("");
    let client = daemon.client(0x20);
    let set = |wire: &mut Wire, operation: u8, eid: u8| {
        wire.send_packet(0, FAR, SOM | EOM | TO | 1, &[0, 0x81, 1, operation, eid]);
        wire.message().bytes[3..].to_vec()
    };
    assert_eq!(set(&mut daemon.wire, 0, 0x20), hex!("00 00 20 00"));
    assert_eq!(set(&mut other, 0, 0x30), hex!("00 10 20 00"));
    daemon.wire.send_packet(0x20, FAR, SOM | EOM | TO, b"\x20still");
    assert_eq!(client.message().1, b"\x20still");
    assert_eq!(set(&mut other, 1, 0x30), hex!("00 00 30 00"));
}

#[test]
fn a_bridge_that_needs_no_ids_asks_for_no_pool() {
    let (mut daemon, _other, _folder) = two_lines("[mctp]\nbridge = true\n");
    daemon.wire.send_packet(0, FAR, SOM | EOM | TO | 1, &hex!("00 81 01 00 20"));
    assert_eq!(daemon.wire.message().bytes[3..], hex!("00 00 20 00"));
}

#[test]
fn made_up_source_ids_publish_nothing_and_one_that_answers_is_published() {
    let bus = Bus::start();
    let other = Wire::new();
    let binding = format!("serial:{}", other.path.display());
    let mut daemon = Daemon::on_bus(&[&binding], &bus.address);
    bus.wait_for_name();
    for eid in 100..140 {
        daemon.wire.send(eid, TO, b"\x21spoofed");
    }
    daemon.settle();
    let endpoints = || bus.busctl(&["--list", "tree", NAME]).matches("/endpoints/").count();
    assert_eq!(endpoints(), 1);
    let client = daemon.client(0x20);
    client.send(139, b"\x20ask");
    let asked = daemon.wire.message();
    daemon.wire.answer(&asked, b"\x20answer");
    wait_until(|| endpoints() == 2);
}
