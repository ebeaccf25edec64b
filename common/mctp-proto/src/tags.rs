//! The eight tags between this endpoint and each peer (DSP0236, "Message tag").
//!
//! A tag is taken with each request that waits for an answer, and is free again with the answer,
//! after [`TAG_LIFE`], or when whoever holds it goes; then [`TAG_GRACE`] later, so that an answer
//! that is already under way meets nobody else's request.

use alloc::vec::Vec;
use core::time::Duration;

use crate::{Eid, LinkId, Tag};

/// How long a tag waits for its answer.
pub const TAG_LIFE: Duration = Duration::from_secs(6);

/// How long a tag still waits for its answer when its holder has gone.
pub const TAG_GRACE: Duration = Duration::from_millis(300);

/// Whom tags are shared with: an endpoint on a link.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TagPeer {
    /// The link the endpoint is on.
    pub link: LinkId,
    /// The endpoint; null and broadcast stand for whoever answers.
    pub eid: Eid,
}

/// Whose request an answer is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answered<H> {
    /// For this holder, whose tag is now free.
    Held(H),
    /// For one that has gone; its tag is now free.
    Abandoned,
    /// For none: the tag is not out.
    Unsolicited,
}

#[derive(Clone, Debug)]
struct Held<H> {
    /// `None` when it has gone.
    holder: Option<H>,
    until: Duration,
}

#[derive(Clone, Debug)]
struct Entry<H> {
    peer: TagPeer,
    /// Tags are taken in turn, so that a late answer rarely meets a new request.
    next: u8,
    held: [Option<Held<H>>; Tag::COUNT as usize],
}

/// Every tag that is taken, with its holder.
#[derive(Debug)]
pub struct TagTable<H> {
    /// In the order of `peer`.
    entries: Vec<Entry<H>>,
    check: Option<Duration>,
}

impl<H> Default for TagTable<H> {
    fn default() -> Self {
        Self { entries: Vec::new(), check: None }
    }
}

impl<H: Clone + PartialEq> TagTable<H> {
    /// Takes a free tag; `None` when all eight are out.
    pub fn take(&mut self, now: Duration, peer: TagPeer, holder: H) -> Option<Tag> {
        let index = match self.index_of(peer) {
            Ok(index) => index,
            Err(index) => {
                let held = core::array::from_fn(|_| None);
                self.entries.insert(index, Entry { peer, next: 0, held });
                index
            }
        };
        let entry = self.entries.get_mut(index)?;
        let tag = (0..Tag::COUNT)
            .map(|step| Tag::from_bits(entry.next + step))
            .find(|tag| entry.held.get(usize::from(tag.value())).is_some_and(Option::is_none))?;
        let until = now + TAG_LIFE;
        *entry.held.get_mut(usize::from(tag.value()))? = Some(Held { holder: Some(holder), until });
        entry.next = (tag.value() + 1) % Tag::COUNT;
        self.check.get_or_insert(until);
        Some(tag)
    }

    /// Frees the tag that an answer from `peer` bears, and gives its holder.
    ///
    /// A request to the null or the broadcast id is answered under another one, so those count too.
    pub fn answer(&mut self, peer: TagPeer, tag: Tag) -> Answered<H> {
        let held = [peer.eid, Eid::NULL, Eid::BROADCAST]
            .into_iter()
            .find_map(|eid| self.free(TagPeer { eid, ..peer }, tag));
        match held {
            Some(Some(holder)) => Answered::Held(holder),
            Some(None) => Answered::Abandoned,
            None => Answered::Unsolicited,
        }
    }

    /// Frees one tag. Gives its holder, if it was out and its holder is still there.
    pub fn free(&mut self, peer: TagPeer, tag: Tag) -> Option<Option<H>> {
        let index = self.index_of(peer).ok()?;
        let slot = self.entries.get_mut(index)?.held.get_mut(usize::from(tag.value()))?;
        slot.take().map(|held| held.holder)
    }

    /// The holder has gone: what it has is free after [`TAG_GRACE`], or with its answer.
    pub fn forget(&mut self, now: Duration, holder: &H) {
        let until = now + TAG_GRACE;
        let all = self.entries.iter_mut().flat_map(|entry| entry.held.iter_mut().flatten());
        for held in all.filter(|held| held.holder.as_ref() == Some(holder)) {
            held.holder = None;
            held.until = until;
            self.check = self.check.map(|check| check.min(until));
        }
    }

    /// Frees all tags of a link that is gone; gives back with whom.
    pub fn forget_link(&mut self, link: LinkId) -> Vec<TagPeer> {
        self.free_where(|peer, _| peer.link == link)
    }

    /// Frees what has waited too long; gives back with whom, once for each tag.
    pub fn handle_timeout(&mut self, now: Duration) -> Vec<TagPeer> {
        if self.check.is_none_or(|check| now < check) {
            return Vec::new();
        }
        let freed = self.free_where(|_, held| held.until <= now);
        self.entries.retain(|entry| entry.held.iter().any(Option::is_some));
        let held = self.entries.iter().flat_map(|entry| entry.held.iter().flatten());
        self.check = held.map(|held| held.until).min();
        freed
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` while no tag is out.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.check
    }

    /// How many tags are out to `peer`.
    #[must_use]
    pub fn outstanding(&self, peer: TagPeer) -> usize {
        let entry = self.index_of(peer).ok().and_then(|index| self.entries.get(index));
        entry.map_or(0, |entry| entry.held.iter().flatten().count())
    }

    /// Whether `holder` has a tag that is out to `peer`.
    #[must_use]
    pub fn is_held_by(&self, peer: TagPeer, holder: &H) -> bool {
        let entry = self.index_of(peer).ok().and_then(|index| self.entries.get(index));
        let mut held = entry.into_iter().flat_map(|entry| entry.held.iter().flatten());
        held.any(|held| held.holder.as_ref() == Some(holder))
    }

    fn index_of(&self, peer: TagPeer) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&peer, |entry| entry.peer)
    }

    fn free_where(&mut self, mut wanted: impl FnMut(TagPeer, &Held<H>) -> bool) -> Vec<TagPeer> {
        let mut freed = Vec::new();
        for entry in &mut self.entries {
            for slot in &mut entry.held {
                if slot.as_ref().is_some_and(|held| wanted(entry.peer, held)) {
                    *slot = None;
                    freed.push(entry.peer);
                }
            }
        }
        freed
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    const PEER: TagPeer = TagPeer { link: LinkId(0), eid: Eid(9) };
    const OTHER: TagPeer = TagPeer { link: LinkId(0), eid: Eid(10) };

    #[test]
    fn eight_tags_for_each_peer() {
        let mut tags = TagTable::default();
        let taken: Vec<u8> =
            (0..8).map(|n| tags.take(Duration::ZERO, PEER, n).unwrap().value()).collect();
        assert_eq!(taken, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(tags.take(Duration::ZERO, PEER, 8), None);
        assert!(tags.take(Duration::ZERO, OTHER, 8).is_some());
        assert_eq!((tags.outstanding(PEER), tags.outstanding(OTHER)), (8, 1));
        assert!(tags.is_held_by(PEER, &7) && !tags.is_held_by(PEER, &8));
    }

    #[test]
    fn an_answer_frees_its_tag_once() {
        let mut tags = TagTable::default();
        let tag = tags.take(Duration::ZERO, PEER, 'a').unwrap();
        assert_eq!(tags.answer(OTHER, tag), Answered::Unsolicited);
        assert_eq!(tags.answer(PEER, tag), Answered::Held('a'));
        assert_eq!(tags.answer(PEER, tag), Answered::Unsolicited);
    }

    #[test]
    fn freed_tags_are_not_taken_again_at_once() {
        let mut tags = TagTable::default();
        let first = tags.take(Duration::ZERO, PEER, 0).unwrap();
        tags.answer(PEER, first);
        assert_ne!(tags.take(Duration::ZERO, PEER, 0), Some(first));
    }

    #[test]
    fn whoever_answers_a_request_to_the_null_id_is_right() {
        let mut tags = TagTable::default();
        for eid in [Eid::NULL, Eid::BROADCAST] {
            let tag = tags.take(Duration::ZERO, TagPeer { eid, ..PEER }, eid).unwrap();
            assert_eq!(tags.answer(PEER, tag), Answered::Held(eid));
        }
    }

    #[test]
    fn tags_are_freed_after_their_life() {
        let mut tags = TagTable::default();
        tags.take(Duration::ZERO, PEER, 'a').unwrap();
        tags.take(Duration::from_secs(1), PEER, 'b').unwrap();
        assert_eq!(tags.poll_timeout(), Some(TAG_LIFE));
        assert_eq!(tags.handle_timeout(TAG_LIFE), vec![PEER]);
        assert_eq!(tags.poll_timeout(), Some(Duration::from_secs(7)));
        assert_eq!(tags.handle_timeout(Duration::from_secs(7)), vec![PEER]);
        assert_eq!(tags.poll_timeout(), None);
    }

    #[test]
    fn tags_of_a_holder_that_has_gone_are_free_after_a_grace_or_with_their_answer() {
        let mut tags = TagTable::default();
        let tag = tags.take(Duration::ZERO, PEER, 'a').unwrap();
        tags.take(Duration::ZERO, OTHER, 'a').unwrap();
        tags.take(Duration::ZERO, OTHER, 'b').unwrap();
        tags.forget(Duration::from_secs(1), &'a');
        assert_eq!((tags.outstanding(PEER), tags.outstanding(OTHER)), (1, 2));
        assert_eq!(tags.answer(PEER, tag), Answered::Abandoned);
        let over = Duration::from_secs(1) + TAG_GRACE;
        assert_eq!(tags.poll_timeout(), Some(over));
        assert_eq!(tags.handle_timeout(over), vec![OTHER]);
        assert_eq!((tags.outstanding(PEER), tags.outstanding(OTHER)), (0, 1));
    }

    #[test]
    fn tags_are_freed_when_their_link_goes() {
        let mut tags = TagTable::default();
        tags.take(Duration::ZERO, OTHER, 'b').unwrap();
        assert_eq!(tags.forget_link(LinkId(1)), vec![]);
        assert_eq!(tags.forget_link(LinkId(0)), vec![OTHER]);
    }
}
