//! The control protocol on the line.

use hex_literal::hex;

use crate::daemon::Daemon;
use crate::wire::{EOM, FAR, Message, OWN, SOM, TO};

/// Sends command and data to `to`; gives the answer.
fn ask(daemon: &mut Daemon, to: u8, command: &[u8]) -> Message {
    let message = [&[0, 0x9a], command].concat();
    daemon.wire.send_packet(to, FAR, SOM | EOM | TO | 5, &message);
    let answer = daemon.wire.message();
    assert_eq!((answer.to, answer.owner, answer.tag), (FAR, false, 5));
    assert_eq!(answer.bytes[..3], [0, 0x1a, command[0]]);
    answer
}

#[test]
fn fixed_answers() {
    let mut daemon = Daemon::start();
    for (command, answer) in [
        (&hex!("02")[..], &hex!("00 08 01 00")[..]),
        (&hex!("04 ff"), &hex!("00 04 f1f0ff00 f1f1ff00 f1f2ff00 f1f3f100")),
        (&hex!("04 01"), &hex!("80")),
        (&hex!("05"), &hex!("00 01 00")),
        (&hex!("06 00"), &hex!("02")),
        (&hex!("02 00"), &hex!("03")),
        (&hex!("07 09"), &hex!("05")),
        (&hex!("08 00 01 09"), &hex!("05")),
        (&hex!("0a 00"), &hex!("05")),
        (&hex!("0b"), &hex!("05")),
        (&hex!("11"), &hex!("05")),
        (&hex!("ff"), &hex!("05")),
    ] {
        assert_eq!(ask(&mut daemon, OWN, command).bytes[3..], *answer, "{command:02x?}");
    }
}

#[test]
fn requests_to_the_null_id_are_answered_from_the_real_one() {
    let mut daemon = Daemon::start();
    let answer = ask(&mut daemon, 0, &[2]);
    assert_eq!((answer.from, &answer.bytes[3..]), (OWN, &hex!("00 08 01 00")[..]));
}

#[test]
fn what_is_not_to_be_answered_is_not() {
    let mut daemon = Daemon::start();
    for (flags, message) in [
        (TO, &hex!("00 1a 02")[..]),
        (TO, &hex!("00 da 02")),
        (TO, &hex!("00 9a")),
        (TO, &hex!("80 9a 02")),
        (0, &hex!("00 9a 02")),
    ] {
        daemon.wire.send_packet(OWN, FAR, SOM | EOM | flags, message);
    }
    daemon.wire.send_packet(0xff, FAR, SOM | EOM | TO, &hex!("00 9a 02"));
    daemon.wire.is_silent();
}

#[test]
fn an_assigned_id_is_in_force_at_once() {
    let mut daemon = Daemon::start();
    let client = daemon.client(0x20);
    for unassignable in [hex!("01 00 00"), hex!("01 00 03"), hex!("01 00 ff")] {
        assert_eq!(ask(&mut daemon, OWN, &unassignable).bytes[3..], hex!("02"));
    }
    assert_eq!(ask(&mut daemon, 0, &hex!("01 00 20")).bytes[3..], hex!("00 00 20 00"));
    assert_eq!(ask(&mut daemon, 0x20, &hex!("02")).bytes[3..], hex!("00 20 03 00"));
    client.send(FAR, b"\x20from the new id");
    assert_eq!(daemon.wire.message().from, 0x20);
    daemon.wire.send_packet(OWN, FAR, SOM | EOM | TO, b"\x20to the old id");
    daemon.wire.send_packet(0x20, FAR, SOM | EOM | TO, b"\x20to the new id");
    assert_eq!(client.message().1, b"\x20to the new id");
}

#[test]
fn an_endpoint_without_an_id_speaks_as_null_until_it_has_one() {
    let mut daemon = Daemon::with(&["--eid", "0"]);
    let answer = ask(&mut daemon, 0, &[2]);
    assert_eq!((answer.from, &answer.bytes[3..]), (0, &hex!("00 00 00 00")[..]));
    assert_eq!(ask(&mut daemon, 0, &hex!("01 00 0c")).bytes[3..], hex!("00 00 0c 00"));
    assert_eq!(ask(&mut daemon, 0, &[2]).from, 0x0c);
}

#[test]
fn a_uuid_is_the_same_at_each_start() {
    let uuid = || {
        let mut daemon = Daemon::start();
        ask(&mut daemon, OWN, &[3]).bytes[3..].to_vec()
    };
    let first = uuid();
    assert_eq!(uuid(), first);
    assert!(first == [5] || (first.len() == 17 && first[0] == 0), "{first:02x?}");
}

#[test]
fn every_type_that_is_listed_has_a_version() {
    let mut daemon = Daemon::start();
    let _clients = (daemon.client(0x20), daemon.client(1), daemon.client(0x7e));
    let types = ask(&mut daemon, OWN, &hex!("05")).bytes[5..].to_vec();
    assert_eq!(types, [0, 1, 0x20, 0x7e]);
    for kind in types {
        assert_eq!(ask(&mut daemon, OWN, &[4, kind]).bytes[3], 0, "{kind:02x}");
    }
    assert_eq!(ask(&mut daemon, OWN, &hex!("04 21")).bytes[3..], hex!("80"));
}
