//! One test for each rule of assembly and each reason to drop a packet.

use crate::daemon::Daemon;
use crate::wire::{EOM, FAR, OWN, SOM, TO, filler, packets};

const KIND: u8 = 0x20;

/// Sends packets `(flags, payload)` from the far end; then a good message. Gives what the client got
/// before that.
fn delivered(sent: &[(u8, &[u8])]) -> Vec<Vec<u8>> {
    let mut daemon = Daemon::start();
    let client = daemon.client(KIND);
    for (flags, payload) in sent {
        daemon.wire.send_packet(OWN, FAR, *flags, payload);
    }
    daemon.wire.send(0x50, TO | 7, b"\x20end");
    let all = std::iter::from_fn(|| Some(client.message().1));
    all.take_while(|message| message != b"\x20end").collect()
}

const fn seq(number: u8) -> u8 {
    number << 4
}

#[test]
fn messages_of_many_sources_and_tags_interleave() {
    let mut daemon = Daemon::start();
    let client = daemon.client(KIND);
    let mut expected = Vec::new();
    for part in 0..3 {
        for source in 20..28 {
            for tag in 0..8 {
                let whole = filler(KIND, 150, usize::from(source) * 8 + usize::from(tag));
                let flags = [SOM | TO, TO | seq(1), EOM | TO | seq(2)][part];
                let end = (64 * (part + 1)).min(whole.len());
                daemon.wire.send_packet(OWN, source, flags | tag, &whole[64 * part..end]);
                if part == 2 {
                    expected.push((source, whole));
                }
            }
        }
    }
    for whole in expected {
        assert_eq!(client.message(), whole);
    }
}

#[test]
fn the_tag_owner_bit_is_in_the_key() {
    let got = delivered(&[
        (SOM | TO, b"\x20req"),
        (SOM, b"\x20ans"),
        (EOM | TO | seq(1), b"uest"),
        (EOM | seq(1), b"wer"),
    ]);
    // The other one is an answer to nothing, and goes to nobody.
    assert_eq!(got, [b"\x20request"]);
}

#[test]
fn a_sequence_may_start_anywhere_and_wraps() {
    let got = delivered(&[
        (SOM | TO | seq(2), b"\x20a"),
        (TO | seq(3), b"bb"),
        (TO | seq(0), b"cc"),
        (EOM | TO | seq(1), b"d"),
    ]);
    assert_eq!(got, [b"\x20abbccd"]);
}

#[test]
fn a_packet_out_of_sequence_ends_its_message() {
    let got = delivered(&[
        (SOM | TO, b"\x20a"),
        (TO | seq(2), b"bb"),
        (TO | seq(1), b"bb"),
        (EOM | TO | seq(2), b"c"),
    ]);
    assert!(got.is_empty(), "{got:?}");
}

#[test]
fn a_packet_sent_twice_ends_its_message() {
    let got = delivered(&[
        (SOM | TO, b"\x20a"),
        (TO | seq(1), b"bb"),
        (TO | seq(1), b"bb"),
        (EOM | TO | seq(2), b"c"),
    ]);
    assert!(got.is_empty(), "{got:?}");
}

#[test]
fn middles_and_ends_without_a_start_are_dropped() {
    let got = delivered(&[(TO | seq(1), b"\x20a"), (EOM | TO | seq(2), b"\x20b")]);
    assert!(got.is_empty(), "{got:?}");
}

#[test]
fn a_start_in_the_middle_begins_anew() {
    let got =
        delivered(&[(SOM | TO, b"\x20old"), (SOM | TO, b"\x20new"), (EOM | TO | seq(1), b"er")]);
    assert_eq!(got, [b"\x20newer"]);
}

#[test]
fn a_single_packet_over_an_open_message_is_delivered_and_ends_it() {
    let got = delivered(&[
        (SOM | TO, b"\x20old"),
        (SOM | EOM | TO, b"\x20single"),
        (EOM | TO | seq(1), b"er"),
    ]);
    assert_eq!(got, [b"\x20single"]);
}

#[test]
fn all_packets_but_the_last_have_the_size_of_the_first() {
    for (middle, last, good) in [
        (&b"bbb"[..], &b"ccc"[..], true),
        (b"bbb", b"c", true),
        (b"bb", b"c", false),
        (b"bbbb", b"c", false),
        (b"bbb", b"cccc", false),
    ] {
        let got =
            delivered(&[(SOM | TO, b"\x20aa"), (TO | seq(1), middle), (EOM | TO | seq(2), last)]);
        assert_eq!(got.len(), usize::from(good), "{middle:?} {last:?}");
    }
}

#[test]
fn packets_larger_than_the_baseline_are_taken() {
    let mut daemon = Daemon::start();
    let client = daemon.client(KIND);
    let message = filler(KIND, 251, 0);
    daemon.wire.send_packet(OWN, FAR, SOM | EOM | TO, &message);
    assert_eq!(client.message().1, message);
}

#[test]
fn a_packet_without_payload_is_dropped() {
    assert!(delivered(&[(SOM | EOM | TO, b"")]).is_empty());
}

#[test]
fn another_header_version_is_dropped() {
    let mut daemon = Daemon::start();
    let client = daemon.client(KIND);
    for version in [0, 2, 0x0f] {
        let packet = [&[version, OWN, FAR, SOM | EOM | TO][..], b"\x20bad"].concat();
        let bytes = crate::wire::frame(&packet);
        daemon.wire.send_raw(&bytes);
    }
    let reserved = crate::wire::frame(&[&[0xf1, OWN, FAR, SOM | EOM | TO][..], b"\x20ok"].concat());
    daemon.wire.send_raw(&reserved);
    assert_eq!(client.message().1, b"\x20ok");
}

#[test]
fn foreign_destinations_and_the_broadcast_source_are_dropped() {
    let mut daemon = Daemon::start();
    let client = daemon.client(KIND);
    daemon.wire.send_packet(OWN + 1, FAR, SOM | EOM | TO, b"\x20foreign");
    daemon.wire.send_packet(OWN, 0xff, SOM | EOM | TO, b"\x20from all");
    daemon.wire.request(0, b"\x20mine");
    assert_eq!(client.message().1, b"\x20mine");
}

#[test]
fn null_and_broadcast_destinations_are_ours_and_keep_apart() {
    let mut daemon = Daemon::start();
    let client = daemon.client(KIND);
    for (to, body) in [(0, b"\x20to here"), (0xff, b"\x20to all.")] {
        daemon.wire.send_packet(to, FAR, SOM | EOM | TO, body);
        assert_eq!(client.message(), (FAR, body.to_vec()));
    }
    daemon.wire.send_packet(0, FAR, SOM | TO, b"\x20a");
    daemon.wire.send_packet(OWN, FAR, EOM | TO | seq(1), b"b");
    daemon.wire.send_packet(0, FAR, EOM | TO | seq(1), b"b");
    assert_eq!(client.message().1, b"\x20ab");
}

#[test]
fn sixty_four_unfinished_messages_then_traffic_as_usual() {
    let mut daemon = Daemon::start();
    let client = daemon.client(KIND);
    for source in 10..18 {
        for tag in 0..8 {
            daemon.wire.send_packet(OWN, source, SOM | TO | tag, &filler(KIND, 64, 0));
        }
    }
    for seed in 0..20 {
        let message = filler(KIND, 1000, seed);
        daemon.wire.send(0x60, TO | 1, &message);
        assert_eq!(client.message(), (0x60, message));
    }
}

#[test]
fn one_source_with_all_that_it_may_leave_open_does_not_stop_another() {
    let mut daemon = Daemon::start();
    let client = daemon.client(KIND);
    let long = packets(OWN, FAR, TO, &filler(KIND, 65_000, 0));
    for tag in 0..8 {
        daemon.wire.send_packet(OWN, FAR, SOM | TO | tag, &filler(KIND, 64, 0));
        daemon.wire.send_packet(0, FAR, SOM | TO | tag, &filler(KIND, 64, 0));
        daemon.wire.send_packet(0xff, FAR, SOM | TO | tag, &filler(KIND, 64, 0));
    }
    for chunk in long[..long.len() / 2].chunks(2048) {
        daemon.wire.send_raw(chunk);
    }
    let message = filler(KIND, 60_000, 3);
    daemon.wire.send(0x60, TO | 1, &message);
    assert_eq!(client.message(), (0x60, message));
}

#[test]
fn messages_of_every_size_up_to_64_kib_both_ways() {
    let mut daemon = Daemon::start();
    let client = daemon.client(KIND);
    for len in [1, 2, 63, 64, 65, 127, 128, 129, 1024, 4096, 32_768, 65_535, 65_536] {
        let message = filler(KIND, len, len);
        daemon.wire.request(3, &message);
        assert_eq!(client.message(), (FAR, message.clone()), "{len} in");
        client.send(FAR, &message);
        let out = daemon.wire.message();
        assert!(out.bytes == message && !out.owner && out.tag == 3, "{len} out");
    }
}

#[test]
fn a_message_over_64_kib_is_dropped_whole() {
    let mut daemon = Daemon::start();
    let client = daemon.client(KIND);
    daemon.wire.request(0, &filler(KIND, 65_537, 0));
    daemon.wire.request(1, b"\x20small");
    assert_eq!(client.message().1, b"\x20small");
    client.send(FAR, b"\x20answer");
    assert_eq!(daemon.wire.message().tag, 1);
    client.send_raw(&[&[FAR], &filler(KIND, 65_537, 0)[..]].concat());
    client.send(FAR, b"\x20request");
    assert_eq!(daemon.wire.message().bytes, b"\x20request");
}
