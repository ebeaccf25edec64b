//! The eight tags between this endpoint and each peer (DSP0236, "Message tag").
//!
//! A tag is taken with each request that waits for an answer. It is free again with the answer, when
//! its time is over, or [`TAG_GRACE`] after its holder has disconnected, so that an answer that is
//! already on its way meets no other request. The null and the broadcast id stand for several
//! endpoints, so a tag that is out to one of those is not given out to an endpoint that may answer
//! for it, and the reverse.

use alloc::vec::Vec;
use core::time::Duration;

use crate::{Address, BusPath, Eid, LinkId, Tag};

/// How long a tag waits for its answer unless the protocol allows more.
///
/// A tag that may wait longer can be taken away after this time when a peer has no other left.
pub const TAG_LIFE: Duration = Duration::from_secs(6);

/// How long a tag still waits for its answer when its holder has disconnected.
pub const TAG_GRACE: Duration = Duration::from_millis(300);

const TAGS: usize = Tag::COUNT as usize;

/// The far end of a request: an endpoint id and its position.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TagPeer {
    /// The link and the physical address.
    pub path: BusPath,
    /// The id; null for any endpoint at the address, broadcast for all on the link.
    pub eid: Eid,
}

impl TagPeer {
    /// Whether an answer could belong to a request to either.
    fn shares_tags_with(self, other: Self) -> bool {
        if self.path.link != other.path.link {
            return false;
        }
        match (self.eid, other.eid) {
            (Eid::BROADCAST, _) | (_, Eid::BROADCAST) => true,
            (Eid::NULL, _) | (_, Eid::NULL) => {
                let addresses = [self.path.address, other.path.address];
                // On a bus with addresses, "no address" is its root, whose address is unknown.
                addresses[0] == addresses[1] || addresses.contains(&Address::None)
            }
            (own, other) => own == other,
        }
    }

    /// Whether a message from `sender` may answer a request to this peer.
    fn is_answered_by(self, sender: Self) -> bool {
        self.path.link == sender.path.link
            && match self.eid {
                Eid::BROADCAST => true,
                Eid::NULL => [sender.path.address, Address::None].contains(&self.path.address),
                eid => eid == sender.eid,
            }
    }
}

/// Which request an answer belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answered<H> {
    /// The request of this holder.
    Held(H),
    /// The request of a holder that has disconnected.
    Abandoned,
    /// No request: the tag is not out.
    Unsolicited,
}

#[derive(Clone, Debug)]
struct Held<H> {
    /// `None` once it has disconnected.
    holder: Option<H>,
    until: Duration,
    /// From when on another request may take the tag.
    stale_at: Duration,
}

#[derive(Clone, Debug)]
struct Entry<H> {
    peer: TagPeer,
    /// Tags are taken in turn, so that a late answer rarely meets a new request.
    next: u8,
    /// A bit for each tag that is out, and for each of those that another request may take.
    out: u8,
    stale: u8,
    held: [Option<Held<H>>; TAGS],
}

impl<H> Entry<H> {
    const fn new(peer: TagPeer) -> Self {
        Self { peer, next: 0, out: 0, stale: 0, held: [const { None }; TAGS] }
    }

    fn put(&mut self, tag: Tag, held: Held<H>) {
        if let Some(slot) = self.held.get_mut(usize::from(tag.value())) {
            *slot = Some(held);
            self.out |= mask(tag);
            self.stale &= !mask(tag);
        }
    }

    fn release(&mut self, tag: Tag) -> Option<Held<H>> {
        self.out &= !mask(tag);
        self.stale &= !mask(tag);
        self.held.get_mut(usize::from(tag.value()))?.take()
    }
}

/// The allocated tags, each with its holder.
#[derive(Debug)]
pub struct TagTable<H> {
    entries: Vec<Entry<H>>,
    check: Option<Duration>,
}

impl<H> Default for TagTable<H> {
    fn default() -> Self {
        Self { entries: Vec::new(), check: None }
    }
}

impl<H: Clone> TagTable<H> {
    /// Allocates a tag to a request that may wait `life` for its response; `None` when all eight are in use.
    pub fn allocate(
        &mut self,
        now: Duration,
        peer: TagPeer,
        holder: H,
        life: Duration,
    ) -> Option<Tag> {
        let index = match self.entries.iter().position(|entry| entry.peer == peer) {
            Some(index) => index,
            None => {
                self.entries.push(Entry::new(peer));
                self.entries.len() - 1
            }
        };
        let next = self.entries.get(index)?.next;
        let turn = || (0..Tag::COUNT).map(|step| Tag::from_bits(next + step));
        let (used, stale) = self.used(peer);
        let free = turn().find(|tag| used & mask(*tag) == 0);
        let tag = match free {
            Some(tag) => tag,
            None => {
                let tag = turn().find(|tag| stale & mask(*tag) != 0)?;
                self.free_stale(peer, tag);
                tag
            }
        };
        let entry = self.entries.get_mut(index)?;
        let (until, stale_at) = (now + life, now + TAG_LIFE);
        entry.put(tag, Held { holder: Some(holder), until, stale_at });
        entry.next = (tag.value() + 1) % Tag::COUNT;
        let check = until.min(stale_at);
        self.check = Some(self.check.map_or(check, |other| other.min(check)));
        Some(tag)
    }

    /// Returns the holder of the tag in a response from `sender`. The tag is then free, unless the
    /// response announces another one within `more`, or the request was a broadcast, to which several
    /// endpoints respond until its time is over.
    pub fn answer(
        &mut self,
        now: Duration,
        sender: TagPeer,
        tag: Tag,
        more: Option<Duration>,
    ) -> Answered<H> {
        self.answer_where(now, sender, more, |held, _| held == tag)
    }

    /// As [`answer`](Self::answer), for the tag and holder that `matches`: for a sender that does
    /// not return the tag.
    pub fn answer_where(
        &mut self,
        now: Duration,
        sender: TagPeer,
        more: Option<Duration>,
        matches: impl Fn(Tag, Option<&H>) -> bool,
    ) -> Answered<H> {
        let Some((index, tag)) = self.find(sender, matches) else {
            return Answered::Unsolicited;
        };
        let Some(entry) = self.entries.get_mut(index) else {
            return Answered::Unsolicited;
        };
        let stays = more.is_some() || entry.peer.eid == Eid::BROADCAST;
        let held = if stays {
            let slot = entry.held.get_mut(usize::from(tag.value())).and_then(Option::as_mut);
            slot.map(|held| {
                if let Some(more) = more {
                    held.until = held.until.max(now + more);
                    held.stale_at = held.until;
                }
                held.clone()
            })
        } else {
            entry.release(tag)
        };
        match held.map(|held| held.holder) {
            Some(Some(holder)) => Answered::Held(holder),
            Some(None) => Answered::Abandoned,
            None => Answered::Unsolicited,
        }
    }

    /// Frees one tag.
    pub fn free(&mut self, peer: TagPeer, tag: Tag) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.peer == peer) {
            entry.release(tag);
        }
    }

    /// A holder has disconnected: its tags are free after [`TAG_GRACE`], or with their answers.
    pub fn forget(&mut self, now: Duration, is_holder: impl Fn(&H) -> bool) {
        let until = now + TAG_GRACE;
        let all = self.entries.iter_mut().flat_map(|entry| entry.held.iter_mut().flatten());
        for held in all.filter(|held| held.holder.as_ref().is_some_and(&is_holder)) {
            held.holder = None;
            held.until = until;
            self.check = self.check.map(|check| check.min(until));
        }
    }

    /// Frees all tags of a link that is down.
    pub fn forget_link(&mut self, link: LinkId) {
        self.entries.retain(|entry| entry.peer.path.link != link);
    }

    /// Frees what has waited too long; gives the links on which a tag can be taken again.
    pub fn handle_timeout(&mut self, now: Duration) -> Vec<LinkId> {
        if self.check.is_none_or(|check| now < check) {
            return Vec::new();
        }
        let mut freed = Vec::new();
        let mut check: Option<Duration> = None;
        for entry in &mut self.entries {
            for tag in (0..Tag::COUNT).map(Tag::from_bits) {
                let Some(Some(held)) = entry.held.get(usize::from(tag.value())) else { continue };
                let was_stale = entry.stale & mask(tag) != 0;
                let (until, is_stale) = (held.until, held.stale_at <= now);
                let due = if is_stale { until } else { until.min(held.stale_at) };
                if until <= now {
                    entry.release(tag);
                } else {
                    entry.stale |= if is_stale { mask(tag) } else { 0 };
                    check = Some(check.map_or(due, |check| check.min(due)));
                }
                let freed_now = until <= now || (is_stale && !was_stale);
                if freed_now && !freed.contains(&entry.peer.path.link) {
                    freed.push(entry.peer.path.link);
                }
            }
        }
        self.entries.retain(|entry| entry.out != 0);
        self.check = check;
        freed
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` while no tag is out.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.check
    }

    /// How many tags a new request to `peer` cannot take.
    #[must_use]
    pub fn outstanding(&self, peer: TagPeer) -> usize {
        let (used, stale) = self.used(peer);
        (used & !stale).count_ones() as usize
    }

    /// Whether such a holder has a tag that is out to `peer`.
    #[must_use]
    pub fn is_held_by(&self, peer: TagPeer, is_holder: impl Fn(&H) -> bool) -> bool {
        let entry = self.entries.iter().find(|entry| entry.peer == peer);
        let mut held = entry.into_iter().flat_map(|entry| entry.held.iter().flatten());
        held.any(|held| held.holder.as_ref().is_some_and(&is_holder))
    }

    /// A bit for each tag that is out to a peer that shares tags with `peer`, and for each of those
    /// that another request may take.
    fn used(&self, peer: TagPeer) -> (u8, u8) {
        let sharing = self.entries.iter().filter(|entry| entry.peer.shares_tags_with(peer));
        let (out, busy) = sharing.fold((0, 0), |(out, busy), entry| {
            (out | entry.out, busy | (entry.out & !entry.stale))
        });
        (out, out & !busy)
    }

    fn free_stale(&mut self, peer: TagPeer, tag: Tag) {
        for entry in self.entries.iter_mut().filter(|entry| entry.peer.shares_tags_with(peer)) {
            entry.release(tag);
        }
    }

    /// The request that a message of `sender` answers: one to its own id before one to any.
    fn find(
        &self,
        sender: TagPeer,
        matches: impl Fn(Tag, Option<&H>) -> bool,
    ) -> Option<(usize, Tag)> {
        let possible = |entry: &&(usize, &Entry<H>)| entry.1.peer.is_answered_by(sender);
        let tag_in = |entry: &Entry<H>| {
            let mut tags = (0..Tag::COUNT).map(Tag::from_bits).zip(&entry.held);
            tags.find_map(|(tag, slot)| {
                let held = slot.as_ref()?;
                matches(tag, held.holder.as_ref()).then_some(tag)
            })
        };
        let all = || self.entries.iter().enumerate();
        let exact = all()
            .filter(|(_, entry)| entry.peer.eid == sender.eid)
            .filter(|entry| possible(&entry))
            .find_map(|(index, entry)| Some((index, tag_in(entry)?)));
        exact.or_else(|| {
            all()
                .filter(|entry| possible(&entry))
                .find_map(|(index, entry)| Some((index, tag_in(entry)?)))
        })
    }
}

const fn mask(tag: Tag) -> u8 {
    1 << tag.value()
}

#[cfg(test)]
mod tests;
