//! Clients and lines that misbehave, and what the others notice of it.

use std::time::Duration;

use crate::daemon::{Client, Daemon};
use crate::dbus::Bus;
use crate::wire::{FAR, Message, filler, wait_until};

const KIND: u8 = 0x20;

#[test]
fn a_client_over_its_queue_is_disconnected_and_no_other_is_delayed() {
    let mut daemon = Daemon::start();
    let lazy = daemon.client(KIND);
    let diligent = daemon.client(KIND);
    let message = filler(KIND, 4096, 0);
    for _ in 0..400 {
        daemon.wire.request(0, &message);
        assert_eq!(diligent.message().1.len(), message.len());
    }
    // What was sent before is still there; then the end.
    let mut read = 0;
    while lazy.next().is_some() {
        read += 1;
    }
    assert!((20..400).contains(&read), "{read}");
    daemon.wire.request(0, b"\x20still here");
    assert_eq!(diligent.message().1, b"\x20still here");
}

#[test]
fn a_client_that_reads_late_loses_nothing_within_its_queue() {
    let mut daemon = Daemon::start();
    let client = daemon.client(KIND);
    let message = filler(KIND, 1024, 0);
    for _ in 0..250 {
        daemon.wire.request(0, &message);
    }
    daemon.settle();
    for number in 0..250 {
        assert_eq!(client.message().1, message, "{number}");
    }
}

#[test]
fn a_line_that_does_not_drain_loses_nothing() {
    let mut daemon = Daemon::start();
    let client = daemon.client(1);
    let message = |number: u16| {
        let mut message = filler(1, 1000, usize::from(number));
        message[1] = 0xc0;
        message[4..6].copy_from_slice(&number.to_be_bytes());
        message
    };
    let mut sent = 0_u16;
    while client.try_send(FAR, &message(sent)) && sent < 2000 {
        sent += 1;
        std::thread::sleep(Duration::from_micros(200));
    }
    assert!(sent > 20, "{sent}");
    let mut senders = 0;
    while senders < sent {
        assert_eq!(daemon.wire.message().bytes, message(senders));
        senders += 1;
        if sent < 2000 && client.try_send(FAR, &message(sent)) {
            sent += 1;
        }
    }
}

#[test]
fn a_stalled_line_does_not_stop_messages_between_clients() {
    let mut daemon = Daemon::start();
    let flood = daemon.client(1);
    let pair = daemon.clients(KIND, 2);
    let mut message = filler(1, 4096, 0);
    message[1] = 0xc0;
    while flood.try_send(FAR, &message) {
        std::thread::sleep(Duration::from_micros(500));
    }
    for _ in 0..100 {
        pair[0].send(8, b"\x20ping");
        assert_eq!(pair[1].message().1, b"\x20ping");
    }
}

#[test]
fn a_short_message_passes_a_long_one_on_the_line() {
    let mut daemon = Daemon::start();
    let (long, short) = (daemon.client(KIND), daemon.client(KIND));
    // With an escape for each byte it is far more than the line's buffers hold.
    let mut message = vec![0x7e; 65_536];
    message[0] = KIND;
    long.send(FAR, &message);
    short.send(FAR + 1, b"\x20short");
    assert_eq!(daemon.wire.message().bytes, b"\x20short");
    assert_eq!(daemon.wire.message().bytes, message);
}

#[test]
fn more_connections_than_may_be_are_closed() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("causeway.toml");
    std::fs::write(&config, "[mctp.limits]\nclients = 4\n").unwrap();
    let mut daemon = Daemon::with(&["--config", config.to_str().unwrap()]);
    // The connection that found the daemon there has to be gone.
    daemon.settle();
    let clients: Vec<Client> = (0..8).map(|_| daemon.connect()).collect();
    for client in &clients {
        // Those that are over may be closed already.
        let _ = client.try_send_raw(&[KIND]);
    }
    let closed = || clients.iter().filter(|client| client.is_ended()).count();
    wait_until(|| closed() >= 4);
    daemon.settle();
    assert_eq!(closed(), 4);
}

#[test]
fn an_idle_daemon_sleeps() {
    let bus = Bus::start();
    let mut daemon = Daemon::on_bus(&[], &bus.address);
    bus.wait_for_name();
    let client = daemon.client(KIND);
    daemon.wire.request(0, b"\x20once");
    client.message();
    let switches = |pid: u32| -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    // Once what was owed and held is over, it is not woken at all for two seconds.
    wait_until(|| {
        let before = switches(daemon.pid());
        std::thread::sleep(Duration::from_secs(2));
        switches(daemon.pid()) == before
    });
}

#[test]
fn a_client_that_floods_a_peer_leaves_the_others_a_tag() {
    let mut daemon = Daemon::start();
    let (flood, client) = (daemon.client(KIND), daemon.client(KIND + 1));
    for _ in 0..20 {
        flood.send(FAR, b"\x20flood");
    }
    for _ in 0..6 {
        assert_eq!(daemon.wire.message().bytes, b"\x20flood");
    }
    daemon.wire.is_silent();
    for _ in 0..50 {
        client.send(FAR, b"\x21ask");
        let request = daemon.wire.message();
        assert_eq!(request.bytes, b"\x21ask");
        daemon.wire.answer(&request, b"\x21answer");
        assert_eq!(client.message().1, b"\x21answer");
    }
}

#[test]
fn one_that_holds_all_tags_makes_way_for_a_newcomer() {
    let mut daemon = Daemon::start();
    let first = daemon.client(KIND);
    for _ in 0..20 {
        first.send(FAR, b"\x20flood");
    }
    let mut out: Vec<Message> = (0..8).map(|_| daemon.wire.message()).collect();
    let second = daemon.client(KIND + 1);
    second.send(FAR, b"\x21ask");
    daemon.settle();
    // The first tag that is free is the newcomer's, though the other has waited longer.
    daemon.wire.answer(&out.remove(0), b"\x20answer");
    let asked = daemon.wire.message();
    assert_eq!(asked.bytes, b"\x21ask");
    daemon.wire.answer(&asked, b"\x21answer");
    assert_eq!(second.message().1, b"\x21answer");
    // And the other has to make do with six of them from now on.
    daemon.wire.answer(&out.remove(0), b"\x20answer");
    daemon.wire.is_silent();
    daemon.wire.answer(&out.remove(0), b"\x20answer");
    assert_eq!(daemon.wire.message().bytes, b"\x20flood");
    daemon.wire.is_silent();
}

#[test]
fn one_that_never_stops_sending_leaves_others_room_on_the_line() {
    let mut daemon = Daemon::start();
    let (flood, client) = (daemon.client(1), daemon.client(KIND));
    let mut datagram = filler(1, 1000, 0);
    datagram[1] = 0xc0;
    // Ends with the daemon.
    std::thread::spawn(move || while flood.try_send_raw(&[&[FAR], &datagram[..]].concat()) {});
    for _ in 0..50 {
        client.send(FAR, b"\x20ask");
        let request = loop {
            let message = daemon.wire.message();
            if message.bytes == b"\x20ask" {
                break message;
            }
        };
        daemon.wire.answer(&request, b"\x20answer");
        assert_eq!(client.message().1, b"\x20answer");
    }
}
