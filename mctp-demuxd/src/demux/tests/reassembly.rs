//! Messages of several packets: what is delivered, and what is given up.

use mctp_proto::DropReason;

use super::*;

/// Start, end and tag owner bit.
const SOM: u8 = 0x80;
const EOM: u8 = 0x40;
const TO: u8 = 0x08;

fn fragment(demux: &mut TestDemux, from: u8, flags: u8, sequence: u8, payload: &[u8]) {
    let packet = [&[1, OWN, from, flags | sequence << 4], payload].concat();
    demux.packet(Address::None, &packet);
}

fn dropped(demux: &TestDemux, reason: DropReason) -> u64 {
    demux.inner.links()[0].counters.drops.of(reason)
}

#[test]
fn an_unfinished_message_is_given_up_after_six_seconds() {
    let mut demux = TestDemux::new();
    let client = demux.client(0x20);
    fragment(&mut demux, FAR, SOM | TO, 0, b"\x20aa");
    demux.wait(Duration::from_millis(5900));
    fragment(&mut demux, FAR, TO, 1, b"bbb");
    demux.wait(Duration::from_millis(5900));
    fragment(&mut demux, FAR, EOM | TO, 2, b"cc");
    assert_eq!(demux.given(client), [b"\x20aabbbcc"]);
    fragment(&mut demux, FAR, SOM | TO, 0, b"\x20aa");
    demux.wait(Duration::from_millis(6100));
    fragment(&mut demux, FAR, EOM | TO, 1, b"bb");
    assert!(demux.given(client).is_empty());
    assert_eq!(
        (dropped(&demux, DropReason::TimedOut), dropped(&demux, DropReason::NoStart)),
        (1, 1)
    );
}

#[test]
fn messages_of_several_endpoints_and_tags_do_not_mix() {
    let mut demux = TestDemux::new();
    let client = demux.client(0x20);
    for (from, tag) in [(9, 0), (9, 1), (10, 0)] {
        fragment(&mut demux, from, SOM | TO | tag, 0, &[0x20, from, tag]);
    }
    for (from, tag) in [(10, 0), (9, 1), (9, 0)] {
        fragment(&mut demux, from, EOM | TO | tag, 1, &[from, tag]);
    }
    let expected = [[0x20, 10, 0, 10, 0], [0x20, 9, 1, 9, 1], [0x20, 9, 0, 9, 0]];
    assert_eq!(demux.given(client), expected);
}

#[test]
fn a_gap_ends_a_message_and_a_link_that_is_down_all_of_its_messages() {
    let mut demux = TestDemux::new();
    let client = demux.client(0x20);
    fragment(&mut demux, FAR, SOM | TO, 0, b"\x20aa");
    fragment(&mut demux, FAR, EOM | TO, 2, b"cc");
    assert_eq!(dropped(&demux, DropReason::Sequence), 1);
    fragment(&mut demux, FAR, SOM | TO, 0, b"\x20aa");
    demux.inner.set_link_up(demux.now, LINK, false, &mut demux.out);
    demux.inner.set_link_up(demux.now, LINK, true, &mut demux.out);
    fragment(&mut demux, FAR, EOM | TO, 1, b"bb");
    assert!(demux.given(client).is_empty());
    assert_eq!(dropped(&demux, DropReason::NoStart), 1);
}
