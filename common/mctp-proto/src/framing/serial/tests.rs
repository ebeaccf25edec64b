use alloc::vec;

use hex_literal::hex;
use proptest::prelude::*;

use super::*;

type Found = Result<Vec<u8>, DropReason>;

fn decode(bytes: &[u8]) -> Vec<Found> {
    let mut all = Vec::new();
    Decoder::new().feed(bytes, |found| all.push(found.map(<[u8]>::to_vec)));
    all
}

fn good(bytes: &[u8]) -> Vec<Vec<u8>> {
    decode(bytes).into_iter().filter_map(Result::ok).collect()
}

fn frame(packet: &[u8]) -> Vec<u8> {
    let (header, payload) = packet.split_first_chunk().unwrap();
    let mut out = Vec::new();
    emit(*header, payload, &mut out).unwrap();
    out
}

/// The first and third were taken by libmctp's daemon, the second is as it answers.
const GOLDEN: [(&str, &[u8], &[u8]); 3] = [
    (
        "Get Endpoint ID",
        &hex!("01 08 09 c8 00 80 02"),
        &hex!("7e 01 07 01 08 09 c8 00 80 02 01 dd 7e"),
    ),
    (
        "its answer",
        &hex!("01 09 08 c0 00 00 02 00 08 01 00"),
        &hex!("7e 01 0b 01 09 08 c0 00 00 02 00 08 01 00 b0 6f 7e"),
    ),
    (
        "escapes",
        &hex!("01 08 7e c9 05 7d 7e"),
        &hex!("7e 01 07 01 08 7d 5e c9 05 7d 5d 7d 5e 74 6f 7e"),
    ),
];

#[test]
fn frames_match_golden_bytes() {
    for (name, packet, bytes) in GOLDEN {
        assert_eq!(frame(packet), bytes, "emit: {name}");
        assert_eq!(decode(bytes), [Ok(packet.to_vec())], "parse: {name}");
    }
}

#[test]
fn frames_may_come_byte_by_byte() {
    let mut decoder = Decoder::new();
    let mut all = Vec::new();
    for byte in GOLDEN[2].2 {
        decoder.feed(&[*byte], |found| all.push(found.map(<[u8]>::to_vec)));
    }
    assert_eq!(all, [Ok(GOLDEN[2].1.to_vec())]);
}

#[test]
fn count_and_fcs_go_raw_even_when_they_look_special() {
    for count in [0x7d_usize, 0x7e] {
        for filler in 0..=255 {
            let mut packet = vec![filler; count];
            packet[..4].copy_from_slice(&[1, 8, 9, 0xc8]);
            assert_eq!(decode(&frame(&packet)), [Ok(packet)], "{count:x} {filler:x}");
        }
    }
    let special = (0..=u16::MAX).map(u16::to_be_bytes).filter(|pair| {
        let bytes = frame(&[1, 8, 9, 0xc8, pair[0], pair[1]]);
        bytes[bytes.len() - 3..].iter().filter(|&&byte| byte == FLAG || byte == ESCAPE).count() > 1
    });
    let mut seen = 0;
    for pair in special {
        let packet = vec![1, 8, 9, 0xc8, pair[0], pair[1]];
        assert_eq!(decode(&frame(&packet)), [Ok(packet)]);
        seen += 1;
    }
    assert!(seen > 500);
}

#[test]
fn shared_and_idle_flags_lose_nothing() {
    let one = frame(GOLDEN[0].1);
    let shared = [&one[..], &one[1..], &one[1..]].concat();
    assert_eq!(good(&shared).len(), 3);
    let idle = [&[FLAG; 7][..], &one, &[FLAG; 9], &one].concat();
    assert_eq!(good(&idle).len(), 2);
}

#[test]
fn noise_then_a_frame_gives_the_frame() {
    let one = frame(GOLDEN[2].1);
    for noise in [
        &hex!("00 11 22")[..],
        &hex!("01 07 01"),
        &hex!("7e 01 02"),
        &hex!("7e 01 ff 00 11"),
        &hex!("7e 01 07 01 08 09 c8 00 80 02 01"),
        &hex!("7d"),
        &hex!("7e 01 05 01 08 09 c8 7d"),
    ] {
        assert_eq!(good(&[noise, &one].concat()), [GOLDEN[2].1], "{noise:02x?}");
    }
}

#[test]
fn bad_check_sequence_is_distinguished_from_bad_framing() {
    let mut bytes = GOLDEN[0].2.to_vec();
    bytes[10] ^= 1;
    assert_eq!(decode(&bytes), [Err(DropReason::Checksum)]);
    assert_eq!(decode(&hex!("7e 01 03")), [Err(DropReason::Framing)]);
    let mut open_ended = GOLDEN[0].2.to_vec();
    *open_ended.last_mut().unwrap() = 0;
    assert_eq!(decode(&open_ended), [Err(DropReason::Framing)]);
}

#[test]
fn too_long_a_packet_is_refused_whole() {
    let mut out = Vec::new();
    assert_eq!(emit([1, 8, 9, 0xc8], &[0; 252], &mut out), Err(DropReason::Framing));
    assert!(out.is_empty());
    assert!(emit([1, 8, 9, 0xc8], &[FLAG; 251], &mut out).is_ok());
    assert!(out.len() <= MAX_FRAME);
}

#[test]
fn every_single_byte_damage_spares_the_next_frame() {
    let (first, second) = (frame(GOLDEN[2].1), frame(GOLDEN[0].1));
    let stream = [&first[..], &second].concat();
    for at in 0..first.len() {
        for value in 0..=255 {
            let mut damaged = stream.clone();
            damaged[at] = value;
            assert_eq!(good(&damaged).last().unwrap(), GOLDEN[0].1, "{at} {value:02x}");
        }
    }
}

fn packets() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let byte = prop_oneof![any::<u8>(), Just(FLAG), Just(ESCAPE), Just(REVISION)];
    proptest::collection::vec(proptest::collection::vec(byte, 4..140), 2..5)
}

proptest! {
    #[test]
    fn packets_go_both_ways(packets in packets()) {
        let stream: Vec<u8> = packets.iter().flat_map(|packet| frame(packet)).collect();
        prop_assert_eq!(good(&stream), packets);
    }

    #[test]
    fn one_byte_of_damage_costs_one_frame(packets in packets(), at: prop::sample::Index, by: u8) {
        let frames: Vec<Vec<u8>> = packets.iter().map(|packet| frame(packet)).collect();
        let hit = at.index(frames.len() - 1);
        let within = at.index(frames[hit].len());
        let mut stream = frames.concat();
        let start: usize = frames[..hit].iter().map(Vec::len).sum();
        stream[start + within] = by;
        let got = good(&stream);
        let after = &packets[hit + 1..];
        prop_assert!(got.ends_with(after), "{} of {}", got.len(), packets.len());
        prop_assert!(got.starts_with(&packets[..hit]));
    }

    #[test]
    fn any_split_gives_the_same(bytes in proptest::collection::vec(
        prop_oneof![Just(FLAG), Just(REVISION), Just(4_u8), any::<u8>()], 0..200), cut: prop::sample::Index) {
        let at = cut.index(bytes.len() + 1);
        let mut decoder = Decoder::new();
        let mut all: Vec<Found> = Vec::new();
        decoder.feed(&bytes[..at], |found| all.push(found.map(<[u8]>::to_vec)));
        decoder.feed(&bytes[at..], |found| all.push(found.map(<[u8]>::to_vec)));
        prop_assert_eq!(all, decode(&bytes));
    }
}
