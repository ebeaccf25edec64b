//! How clients register.

use crate::daemon::Daemon;
use crate::wire::{FAR, OWN};

#[test]
fn a_client_gets_messages_of_its_type_alone() {
    let mut daemon = Daemon::start();
    let (one, other) = (daemon.client(0x20), daemon.client(0x21));
    daemon.wire.request(0, b"\x21for other");
    daemon.wire.request(1, b"\x20for one");
    assert_eq!(one.message(), (FAR, b"\x20for one".to_vec()));
    assert_eq!(other.message(), (FAR, b"\x21for other".to_vec()));
    assert!(one.is_silent() && other.is_silent());
}

#[test]
fn type_zero_and_long_registrations_close_the_connection() {
    let daemon = Daemon::start();
    // Control is the daemon's own, with or without an integrity check bit.
    for first in [&[0][..], &[0x80], &[1, 2], &[1; 100]] {
        let client = daemon.connect();
        client.send_raw(first);
        assert!(client.is_closed(), "{first:?}");
    }
}

#[test]
fn an_empty_registration_closes_the_connection() {
    let daemon = Daemon::start();
    let client = daemon.connect();
    client.send_raw(&[]);
    assert!(client.is_closed());
}

#[test]
fn a_late_registration_counts_from_then_on() {
    let mut daemon = Daemon::start();
    let late = daemon.connect();
    let early = daemon.client(0x20);
    daemon.wire.request(0, b"\x20before");
    assert_eq!(early.message().1, b"\x20before");
    late.send_raw(&[0x20]);
    daemon.settle();
    daemon.wire.request(1, b"\x20after");
    assert_eq!(late.message().1, b"\x20after");
}

#[test]
fn a_connection_that_never_registers_gets_nothing_and_harms_no_other() {
    let mut daemon = Daemon::start();
    let silent = daemon.connect();
    let client = daemon.client(0x20);
    daemon.wire.request(0, b"\x20hello");
    assert_eq!(client.message().1, b"\x20hello");
    assert!(silent.is_silent());
}

#[test]
fn the_integrity_check_bit_is_no_part_of_the_type() {
    let mut daemon = Daemon::start();
    let (with, without) = (daemon.client(0x84), daemon.client(4));
    daemon.wire.request(0, &[0x84, 0x08, 0, 0]);
    assert_eq!(with.message().1, [0x84, 0x08, 0, 0]);
    assert_eq!(without.message().1, [0x84, 0x08, 0, 0]);
}

#[test]
fn a_client_sends_messages_of_its_type_alone() {
    let mut daemon = Daemon::start();
    let client = daemon.client(0x20);
    client.send(FAR, b"\x21not mine");
    client.send_raw(&[FAR]);
    client.send(FAR, b"\x20mine");
    assert_eq!(daemon.wire.message().bytes, b"\x20mine");
}

#[test]
fn a_message_to_our_own_id_goes_to_the_other_clients_of_its_type() {
    let mut daemon = Daemon::start();
    let same = daemon.clients(0x20, 3);
    let other = daemon.client(0x21);
    same[0].send(OWN, b"\x20neighbours");
    for client in &same[1..] {
        assert_eq!(client.message(), (OWN, b"\x20neighbours".to_vec()));
    }
    daemon.settle();
    assert!(same[0].is_silent() && other.is_silent());
    daemon.wire.is_silent();
}

#[test]
fn several_socket_names_serve_the_same_clients() {
    let name = format!("mctp-mux-test-{}", std::process::id());
    let mut daemon = Daemon::with(&["--socket", &name]);
    let first = daemon.client(0x20);
    let second = crate::daemon::Client(crate::daemon::try_connect(&name).unwrap());
    second.send_raw(&[0x20]);
    daemon.settle();
    daemon.wire.request(0, b"\x20both");
    assert_eq!(first.message().1, b"\x20both");
    assert_eq!(second.message().1, b"\x20both");
}

#[test]
fn types_that_clients_have_registered_for_are_listed_until_they_disconnect() {
    let mut daemon = Daemon::start();
    let both = (daemon.client(0x20), daemon.client(1));
    daemon.wire.request(2, &[0, 0x81, 5]);
    assert_eq!(daemon.wire.message().bytes, [0, 1, 5, 0, 3, 0, 1, 0x20]);
    drop(both);
    daemon.settle();
    daemon.wire.request(2, &[0, 0x81, 5]);
    assert_eq!(daemon.wire.message().bytes, [0, 1, 5, 0, 1, 0]);
}

#[test]
fn the_daemon_ends_on_sigterm_and_without_an_error() {
    let mut daemon = Daemon::start();
    let client = daemon.client(0x20);
    assert_eq!(daemon.end(), Some(0));
    assert!(client.is_closed());
}
