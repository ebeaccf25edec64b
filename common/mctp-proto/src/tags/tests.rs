use alloc::vec;

use super::*;

const LINK: LinkId = LinkId(0);
const PEER: TagPeer = at(9, Address::None);
const OTHER: TagPeer = at(10, Address::None);

const fn at(eid: u8, address: Address) -> TagPeer {
    TagPeer { path: BusPath::new(LINK, address), eid: Eid(eid) }
}

fn allocate<H: Clone>(tags: &mut TagTable<H>, peer: TagPeer, holder: H) -> Option<Tag> {
    tags.allocate(Duration::ZERO, peer, holder, TAG_LIFE)
}

fn answer<H: Clone>(tags: &mut TagTable<H>, peer: TagPeer, tag: Tag) -> Answered<H> {
    tags.answer(Duration::ZERO, peer, tag, None)
}

#[test]
fn eight_tags_for_each_peer() {
    let mut tags = TagTable::default();
    let taken: Vec<u8> = (0..8).map(|n| allocate(&mut tags, PEER, n).unwrap().value()).collect();
    assert_eq!(taken, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(allocate(&mut tags, PEER, 8), None);
    assert!(allocate(&mut tags, OTHER, 8).is_some());
    assert_eq!((tags.outstanding(PEER), tags.outstanding(OTHER)), (8, 1));
    assert!(tags.is_held_by(PEER, |h| *h == 7) && !tags.is_held_by(PEER, |h| *h == 8));
}

#[test]
fn an_answer_frees_its_tag_once() {
    let mut tags = TagTable::default();
    let tag = allocate(&mut tags, PEER, 'a').unwrap();
    assert_eq!(answer(&mut tags, OTHER, tag), Answered::Unsolicited);
    assert_eq!(answer(&mut tags, PEER, tag), Answered::Held('a'));
    assert_eq!(answer(&mut tags, PEER, tag), Answered::Unsolicited);
}

#[test]
fn freed_tags_are_not_taken_again_at_once() {
    let mut tags = TagTable::default();
    let first = allocate(&mut tags, PEER, 0).unwrap();
    answer(&mut tags, PEER, first);
    assert_ne!(allocate(&mut tags, PEER, 0), Some(first));
}

#[test]
fn any_endpoint_at_the_address_answers_a_request_to_the_null_id() {
    let mut tags = TagTable::default();
    let tag = allocate(&mut tags, at(0, Address::None), 'n').unwrap();
    assert_eq!(answer(&mut tags, PEER, tag), Answered::Held('n'));
    assert_eq!(answer(&mut tags, PEER, tag), Answered::Unsolicited);
}

#[test]
fn the_null_id_and_an_id_at_the_same_address_never_have_the_same_tag() {
    let mut tags = TagTable::default();
    let mut taken: Vec<u8> = [0, 9, 10, 0, 9, 10]
        .into_iter()
        .map(|eid| allocate(&mut tags, at(eid, Address::None), eid).unwrap().value())
        .collect();
    let of_null = [taken[0], taken[3]];
    let of_others = [taken[1], taken[2], taken[4], taken[5]];
    assert!(of_null.iter().all(|tag| !of_others.contains(tag)), "{taken:?}");
    taken.dedup();
    // Two ids share none with each other, and may have the same tags.
    assert_eq!(allocate(&mut tags, at(11, Address::None), 11).map(Tag::value), Some(1));
}

#[test]
fn physical_addresses_have_eight_tags_each() {
    let mut tags = TagTable::default();
    for address in [0x10, 0x11, 0x12].map(Address::Smbus) {
        for _ in 0..8 {
            assert!(allocate(&mut tags, at(0, address), address).is_some());
        }
        assert_eq!(allocate(&mut tags, at(0, address), address), None);
    }
    let from = at(9, Address::Smbus(0x11));
    assert_eq!(answer(&mut tags, from, Tag::from_bits(3)), Answered::Held(Address::Smbus(0x11)));
}

#[test]
fn a_broadcast_takes_answers_until_its_time_is_over() {
    let mut tags = TagTable::default();
    let tag = allocate(&mut tags, at(0xff, Address::None), 'b').unwrap();
    for sender in [PEER, OTHER, PEER] {
        assert_eq!(answer(&mut tags, sender, tag), Answered::Held('b'));
    }
    assert_ne!(allocate(&mut tags, PEER, 'a'), Some(tag));
    tags.handle_timeout(TAG_LIFE);
    assert_eq!(answer(&mut tags, PEER, tag), Answered::Unsolicited);
}

#[test]
fn an_answer_that_announces_another_keeps_the_tag_for_as_long() {
    let mut tags = TagTable::default();
    let tag = allocate(&mut tags, PEER, 'a').unwrap();
    let (second, more) = (Duration::from_secs(5), Duration::from_secs(30));
    assert_eq!(tags.answer(second, PEER, tag, Some(more)), Answered::Held('a'));
    tags.handle_timeout(Duration::from_secs(34));
    assert_eq!(tags.answer(Duration::from_secs(34), PEER, tag, None), Answered::Held('a'));
    assert_eq!(tags.outstanding(PEER), 0);
}

#[test]
fn a_sender_that_does_not_return_the_tag_is_matched_by_what_the_holder_says() {
    let mut tags = TagTable::default();
    allocate(&mut tags, PEER, 'a').unwrap();
    allocate(&mut tags, PEER, 'b').unwrap();
    let of_b = |_, holder: Option<&char>| holder == Some(&'b');
    assert_eq!(tags.answer_where(Duration::ZERO, OTHER, None, of_b), Answered::Unsolicited);
    assert_eq!(tags.answer_where(Duration::ZERO, PEER, None, of_b), Answered::Held('b'));
    assert_eq!(tags.outstanding(PEER), 1);
}

#[test]
fn tags_are_freed_after_their_life() {
    let mut tags = TagTable::default();
    allocate(&mut tags, PEER, 'a').unwrap();
    tags.allocate(Duration::from_secs(1), PEER, 'b', TAG_LIFE).unwrap();
    assert_eq!(tags.poll_timeout(), Some(TAG_LIFE));
    assert_eq!(tags.handle_timeout(TAG_LIFE), vec![LINK]);
    assert_eq!(tags.poll_timeout(), Some(Duration::from_secs(7)));
    assert_eq!(tags.handle_timeout(Duration::from_secs(7)), vec![LINK]);
    assert_eq!(tags.poll_timeout(), None);
}

#[test]
fn a_tag_with_a_long_life_is_taken_away_only_when_no_other_is_left() {
    let mut tags = TagTable::default();
    let long = Duration::from_secs(60);
    for n in 0..8 {
        tags.allocate(Duration::ZERO, PEER, n, long).unwrap();
    }
    assert_eq!(tags.allocate(Duration::from_secs(5), PEER, 8, long), None);
    assert_eq!(tags.handle_timeout(TAG_LIFE), vec![LINK]);
    assert_eq!(tags.outstanding(PEER), 0);
    assert_eq!(tags.allocate(TAG_LIFE, PEER, 8, long), Some(Tag::from_bits(0)));
    assert_eq!(tags.answer(TAG_LIFE, PEER, Tag::from_bits(0), None), Answered::Held(8));
    assert_eq!(tags.answer(TAG_LIFE, PEER, Tag::from_bits(7), None), Answered::Held(7));
}

#[test]
fn tags_of_a_holder_that_has_disconnected_are_free_after_a_grace_or_with_their_answer() {
    let mut tags = TagTable::default();
    let tag = allocate(&mut tags, PEER, 'a').unwrap();
    allocate(&mut tags, OTHER, 'a').unwrap();
    allocate(&mut tags, OTHER, 'b').unwrap();
    tags.forget(Duration::from_secs(1), |holder| *holder == 'a');
    assert_eq!((tags.outstanding(PEER), tags.outstanding(OTHER)), (1, 2));
    assert_eq!(answer(&mut tags, PEER, tag), Answered::Abandoned);
    let over = Duration::from_secs(1) + TAG_GRACE;
    assert_eq!(tags.poll_timeout(), Some(over));
    assert_eq!(tags.handle_timeout(over), vec![LINK]);
    assert_eq!((tags.outstanding(PEER), tags.outstanding(OTHER)), (0, 1));
}

#[test]
fn tags_are_freed_when_their_link_is_down() {
    let mut tags = TagTable::default();
    allocate(&mut tags, OTHER, 'b').unwrap();
    tags.forget_link(LinkId(1));
    assert_eq!(tags.outstanding(OTHER), 1);
    tags.forget_link(LINK);
    assert_eq!(tags.outstanding(OTHER), 0);
}
