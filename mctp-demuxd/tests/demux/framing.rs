//! The serial line: what is damaged costs no more than itself.

use hex_literal::hex;

use crate::daemon::Daemon;
use crate::wire::{EOM, FAR, OWN, SOM, TO, frame};

const KIND: u8 = 0x20;

/// Sends noise, then a good frame; the client has to get the latter, and nothing before it.
fn survives(name: &str, noise: &[u8]) {
    let mut daemon = Daemon::start();
    let client = daemon.client(KIND);
    daemon.wire.send_raw(noise);
    daemon.wire.request(0, b"\x20good");
    assert_eq!(client.message(), (FAR, b"\x20good".to_vec()), "{name}");
}

fn good() -> Vec<u8> {
    frame(&[&[1, OWN, FAR, SOM | EOM | TO], &b"\x20damaged"[..]].concat())
}

#[test]
fn vectors_are_answered_bit_by_bit() {
    let mut daemon = Daemon::start();
    daemon.wire.send_raw(&hex!("7e 01 07 01 08 09 c8 00 80 02 01 dd 7e"));
    let answer = daemon.wire.packet();
    assert_eq!(frame(&answer), hex!("7e 01 0b 01 09 08 c0 00 00 02 00 08 01 00 b0 6f 7e"));
}

#[test]
fn the_escape_vector_is_taken_and_given() {
    let mut daemon = Daemon::start();
    let client = daemon.client(5);
    daemon.wire.send_raw(&hex!("7e 01 07 01 08 7d 5e c9 05 7d 5d 7d 5e 74 6f 7e"));
    assert_eq!(client.message(), (0x7e, hex!("05 7d 7e").to_vec()));
    client.send(0x7e, &hex!("05 7d 7e"));
    assert_eq!(daemon.wire.packet(), hex!("01 7e 08 c1 05 7d 7e"));
}

#[test]
fn escapes_in_every_place() {
    let mut daemon = Daemon::start();
    let client = daemon.client(KIND);
    for special in [0x7d, 0x7e] {
        for place in 1..70 {
            let mut message = vec![0x20; 70];
            message[0] = KIND;
            message[place] = special;
            daemon.wire.send(special, TO | 1, &message);
            assert_eq!(client.message(), (special, message.clone()));
            client.send(special, &message);
            assert_eq!(daemon.wire.message().bytes, message);
        }
    }
}

#[test]
fn counts_that_look_like_flags_and_escapes_go_raw() {
    let mut daemon = Daemon::with(&["--mtu", "200"]);
    let client = daemon.client(KIND);
    for len in [0x7d - 4, 0x7e - 4] {
        let message = crate::wire::filler(KIND, len, 1);
        daemon.wire.send_packet(OWN, FAR, SOM | EOM | TO, &message);
        assert_eq!(client.message().1, message);
        client.send(FAR, &message);
        assert_eq!(daemon.wire.message().bytes, message);
    }
}

#[test]
fn a_bad_check_sequence_is_dropped() {
    let mut bytes = good();
    let at = bytes.len() - 2;
    bytes[at] ^= 1;
    survives("bad FCS", &bytes);
}

#[test]
fn noise_before_a_frame_is_passed_over() {
    for (name, noise) in [
        ("letters", &b"login: "[..]),
        ("a start of a frame", &hex!("7e 01 07 01 08")),
        ("a frame without an end", &hex!("7e 01 07 01 08 09 c8 05 80 02 01 dd")),
        ("too short a count", &hex!("7e 01 03 01 08 09 00 00 7e")),
        ("another revision", &hex!("7e 02 07 01 08 09 c8 05 80 02 01 dd 7e")),
        ("an escape at the end", &hex!("7e 01 07 01 08 7d")),
        ("the longest count", &hex!("7e 01 ff 01 02 03")),
    ] {
        survives(name, noise);
    }
}

#[test]
fn damage_to_any_byte_costs_one_frame() {
    let mut daemon = Daemon::start();
    let client = daemon.client(KIND);
    let whole = good();
    for at in 0..whole.len() {
        for value in [0x00, 0x01, 0x7d, 0x7e, 0xff, whole[at] ^ 1] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            daemon.wire.send_raw(&bytes);
            daemon.wire.request(0, b"\x20next");
            let mut got = client.message().1;
            if got == b"\x20damaged" {
                // The value was what it was before, or the flag was one too many.
                got = client.message().1;
            }
            assert_eq!(got, b"\x20next", "{at} {value:02x}");
        }
    }
}

#[test]
fn shared_and_idle_flags_lose_nothing() {
    let mut daemon = Daemon::start();
    let client = daemon.client(KIND);
    let one = good();
    daemon.wire.send_raw(&[&one[..], &one[1..], &[0x7e; 5], &one].concat());
    for _ in 0..3 {
        assert_eq!(client.message().1, b"\x20damaged");
    }
}

#[test]
fn a_frame_may_come_byte_by_byte() {
    let mut daemon = Daemon::start();
    let client = daemon.client(KIND);
    for byte in good() {
        daemon.wire.send_raw(&[byte]);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert_eq!(client.message().1, b"\x20damaged");
}
