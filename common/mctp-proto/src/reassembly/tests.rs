use alloc::vec;

use proptest::prelude::*;

use super::*;
use crate::fragment::Fragmenter;

const LINK: LinkId = LinkId(0);

struct TestReassembler {
    reassembler: Reassembler,
    drops: DropCounts,
    now: Duration,
}

impl TestReassembler {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let reassembler = Reassembler::new(limits);
        Self { reassembler, drops: DropCounts::default(), now: Duration::ZERO }
    }

    fn accept(&mut self, header: Header, payload: &[u8]) -> Option<Vec<u8>> {
        self.reassembler
            .accept(self.now, LINK, Address::None, &header, payload, &mut self.drops)
            .map(Cow::into_owned)
    }

    fn drops(&self, reason: DropReason) -> u64 {
        assert_eq!(self.drops.total(), self.drops.of(reason), "{:?}", self.drops);
        self.drops.of(reason)
    }
}

fn header(source: u8, flags: u8) -> Header {
    Header::parse(&[1, 8, source, flags]).unwrap().0
}

const START: u8 = 0x80;
const END: u8 = 0x40;
const OWNER: u8 = 0x08;

fn sequence(number: u8) -> u8 {
    number << 4
}

#[test]
fn messages_of_many_sources_and_tags_interleave() {
    let mut test = TestReassembler::new();
    for part in 0..3_u8 {
        for source in 9..13 {
            for tag in 0..8 {
                let ends = [START, 0, END][usize::from(part)];
                let got = test.accept(
                    header(source, ends | OWNER | sequence(part) | tag),
                    &[source, tag, part],
                );
                let whole = vec![source, tag, 0, source, tag, 1, source, tag, 2];
                assert_eq!(got, (part == 2).then_some(whole));
            }
        }
    }
    assert_eq!(test.drops.total(), 0);
    assert_eq!(test.reassembler.unfinished(), 0);
}

#[test]
fn tag_owner_bit_is_in_the_key() {
    let mut test = TestReassembler::new();
    test.accept(header(9, START | OWNER), b"req1");
    test.accept(header(9, START), b"ans1");
    assert_eq!(test.accept(header(9, END | OWNER | sequence(1)), b"2"), Some(b"req12".to_vec()));
    assert_eq!(test.accept(header(9, END | sequence(1)), b"2"), Some(b"ans12".to_vec()));
}

#[test]
fn sequence_may_start_anywhere_and_wraps() {
    let mut test = TestReassembler::new();
    test.accept(header(9, START | sequence(3)), b"a");
    test.accept(header(9, sequence(0)), b"b");
    assert_eq!(test.accept(header(9, END | sequence(1)), b"c"), Some(b"abc".to_vec()));
}

#[test]
fn packet_out_of_sequence_ends_the_message() {
    let mut test = TestReassembler::new();
    test.accept(header(9, START), b"a");
    assert_eq!(test.accept(header(9, sequence(2)), b"b"), None);
    assert_eq!(test.drops(DropReason::Sequence), 1);
    assert_eq!(test.reassembler.unfinished(), 0);
}

#[test]
fn end_without_a_start_is_dropped() {
    let mut test = TestReassembler::new();
    assert_eq!(test.accept(header(9, END), b"b"), None);
    assert_eq!(test.drops(DropReason::NoStart), 1);
}

#[test]
fn new_start_on_an_open_key_begins_again() {
    let mut test = TestReassembler::new();
    test.accept(header(9, START), b"old");
    test.accept(header(9, START), b"new");
    assert_eq!(test.accept(header(9, END | sequence(1)), b"er"), Some(b"newer".to_vec()));
    assert_eq!(test.drops(DropReason::Superseded), 1);
}

#[test]
fn single_packet_over_an_open_key_is_delivered_and_ends_the_old_message() {
    let mut test = TestReassembler::new();
    test.accept(header(9, START), b"old");
    assert_eq!(test.accept(header(9, START | END), b"single"), Some(b"single".to_vec()));
    assert_eq!(test.drops(DropReason::Superseded), 1);
    assert_eq!(test.reassembler.unfinished(), 0);
}

#[test]
fn all_but_the_last_have_the_size_of_the_first() {
    for (flags, payload, good) in [
        (0, &b"abc"[..], true),
        (0, b"ab", false),
        (0, b"abcd", false),
        (END, b"abc", true),
        (END, b"a", true),
        (END, b"abcd", false),
        (END, b"", false),
    ] {
        let mut test = TestReassembler::new();
        test.accept(header(9, START), b"xyz");
        test.accept(header(9, flags | sequence(1)), payload);
        assert_eq!(
            test.drops(DropReason::FragmentSize),
            u64::from(!good),
            "{flags:02x} {payload:?}"
        );
    }
}

#[test]
fn start_without_payload_is_truncated() {
    let mut test = TestReassembler::new();
    assert_eq!(test.accept(header(9, START | END), b""), None);
    assert_eq!(test.drops(DropReason::Truncated), 1);
}

#[test]
fn message_over_the_limit_is_given_up() {
    let mut test = TestReassembler::with(Limits { message: 128, ..Limits::default() });
    let message = vec![1; 129];
    let mut fragmenter = Fragmenter::new(Eid(8), Eid(9), true, Tag::from_bits(0), 64);
    while let Some((header, payload)) = fragmenter.next(&message) {
        assert_eq!(test.accept(header, payload), None);
    }
    assert_eq!(test.drops(DropReason::TooLong), 1);
}

#[test]
fn a_peer_over_its_share_loses_its_own_oldest() {
    let limits = Limits { peer_assemblies: 2, ..Limits::default() };
    let mut test = TestReassembler::with(limits);
    test.accept(header(10, START), b"other");
    for tag in 0..3 {
        test.now += Duration::from_millis(1);
        test.accept(header(9, START | tag), b"a");
    }
    assert_eq!(test.drops(DropReason::NoRoom), 1);
    assert!(test.accept(header(10, END | sequence(1)), b"x").is_some());
    assert!(test.accept(header(9, END | sequence(1) | 1), b"x").is_some());
    assert!(test.accept(header(9, END | sequence(1)), b"x").is_none());
}

#[test]
fn when_all_are_taken_the_greediest_gives_one_up() {
    let mut test = TestReassembler::with(Limits { assemblies: 4, ..Limits::default() });
    for tag in 0..3 {
        test.accept(header(9, START | tag), b"a");
    }
    test.accept(header(10, START), b"b");
    test.accept(header(11, START), b"c");
    assert_eq!(test.drops(DropReason::NoRoom), 1);
    assert!(test.accept(header(10, END | sequence(1)), b"x").is_some());
    assert!(test.accept(header(11, END | sequence(1)), b"x").is_some());
}

#[test]
fn bytes_are_bounded_per_peer_and_in_all() {
    let limits = Limits { peer_bytes: 8, bytes: 12, ..Limits::default() };
    let mut test = TestReassembler::with(limits);
    test.accept(header(9, START), b"1234");
    test.accept(header(9, sequence(1)), b"5678");
    test.accept(header(9, sequence(2)), b"9abc");
    assert_eq!(test.drops(DropReason::NoRoom), 1);
    for source in 10..14 {
        test.accept(header(source, START), b"1234");
    }
    assert_eq!(test.drops(DropReason::NoRoom), 2);
    assert_eq!(test.reassembler.unfinished(), 3);
}

#[test]
fn unfinished_messages_time_out_after_their_last_packet() {
    let mut test = TestReassembler::new();
    test.accept(header(9, START), b"a");
    test.now = Duration::from_secs(5);
    test.accept(header(9, sequence(1)), b"b");
    let mut gone = 0;
    test.now = test.reassembler.poll_timeout().unwrap();
    test.reassembler.handle_timeout(test.now, |_| gone += 1);
    assert_eq!(gone, 0);
    test.now = test.reassembler.poll_timeout().unwrap();
    assert_eq!(test.now, Duration::from_secs(11));
    test.reassembler.handle_timeout(test.now, |_| gone += 1);
    assert_eq!((gone, test.reassembler.poll_timeout()), (1, None));
}

#[test]
fn a_link_that_goes_takes_its_messages_along() {
    let mut test = TestReassembler::new();
    test.accept(header(9, START), b"a");
    test.reassembler.forget_link(LINK);
    assert_eq!((test.reassembler.unfinished(), test.reassembler.bytes), (0, 0));
}

proptest! {
    #[test]
    fn any_message_cut_and_put_together_is_the_same(
        message in proptest::collection::vec(any::<u8>(), 1..2000),
        mtu in 1_usize..300,
        tag in 0_u8..8,
        owner: bool,
    ) {
        let mut test = TestReassembler::new();
        let mut fragmenter =
            Fragmenter::new(Eid(8), Eid(9), owner, Tag::from_bits(tag), mtu);
        let mut got = None;
        while let Some((header, payload)) = fragmenter.next(&message) {
            prop_assert_eq!(got, None);
            got = test.accept(header, payload);
        }
        prop_assert_eq!(got, Some(message));
        prop_assert_eq!(test.drops.total(), 0);
    }

    #[test]
    fn accounts_stay_true_and_bounded_whatever_comes(
        packets in proptest::collection::vec((any::<u8>(), 8_u8..40, 0_usize..70), 0..400),
    ) {
        let limits = Limits {
            message: 400, peer_assemblies: 3, peer_bytes: 600, assemblies: 10, bytes: 1500,
            timeout: Duration::from_millis(50),
        };
        let mut test = TestReassembler::with(limits);
        for (flags, source, len) in packets {
            test.now += Duration::from_millis(1);
            test.accept(header(source, flags), &vec![7; len]);
            let now = test.now;
            test.reassembler.handle_timeout(now, |_| {});
            let sum: usize = test.reassembler.open.iter().map(|a| a.message.len()).sum();
            prop_assert_eq!(test.reassembler.bytes, sum);
            prop_assert!(sum <= limits.bytes && test.reassembler.open.len() <= limits.assemblies);
        }
    }
}
