//! Packets put together to messages (DSP0236, "Message assembly").
//!
//! A message is known by its source, destination, tag and tag owner bit, and by where it came from.
//! What is unfinished is bounded per peer and in all: a peer that is over its share loses its own
//! oldest message, and when all are taken the peer that holds most loses one.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::time::Duration;

use crate::packet::{Header, Sequence};
use crate::{Address, DropCounts, DropReason, Eid, LinkId, MAX_MESSAGE, Tag};

/// Bounds on what is unfinished.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The largest message, in bytes.
    pub message: usize,
    /// Unfinished messages of one peer.
    pub peer_assemblies: usize,
    /// Bytes in unfinished messages of one peer.
    pub peer_bytes: usize,
    /// Unfinished messages in all.
    pub assemblies: usize,
    /// Bytes in unfinished messages in all.
    pub bytes: usize,
    /// How long a message waits for its next packet.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: MAX_MESSAGE,
            peer_assemblies: 16,
            peer_bytes: 4 * MAX_MESSAGE,
            assemblies: 128,
            bytes: 16 * MAX_MESSAGE,
            timeout: Duration::from_secs(6),
        }
    }
}

/// Who sends: the unit that has a share.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Peer {
    /// The link its packets come from.
    pub link: LinkId,
    /// Its place on that link.
    pub address: Address,
    /// The id it gives itself.
    pub eid: Eid,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Key {
    peer: Peer,
    destination: Eid,
    tag: Tag,
    tag_owner: bool,
}

#[derive(Debug)]
struct Assembly {
    key: Key,
    fragment: usize,
    next: Sequence,
    touched: Duration,
    message: Vec<u8>,
}

/// All messages that have begun and not ended.
#[derive(Debug, Default)]
pub struct Reassembler {
    limits: Limits,
    open: Vec<Assembly>,
    bytes: usize,
    /// Not after the first time-out; may be before it.
    check: Option<Duration>,
}

impl Reassembler {
    /// With nothing unfinished.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Sets the bounds of packets that come from now on.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Handles one packet; returns the message that it completes, if any.
    ///
    /// What is dropped is counted in `drops`.
    pub fn accept<'a>(
        &mut self,
        now: Duration,
        link: LinkId,
        address: Address,
        header: &Header,
        payload: &'a [u8],
        drops: &mut DropCounts,
    ) -> Option<Cow<'a, [u8]>> {
        let key = Key {
            peer: Peer { link, address, eid: header.source },
            destination: header.destination,
            tag: header.tag,
            tag_owner: header.tag_owner,
        };
        let open = self.open.iter().position(|assembly| assembly.key == key);
        if !header.start {
            let Some(index) = open else {
                drops.add(DropReason::NoStart);
                return None;
            };
            return match self.append(now, index, header, payload) {
                Ok(message) => message.map(Cow::Owned),
                Err(reason) => {
                    self.remove(index);
                    drops.add(reason);
                    None
                }
            };
        }
        if let Some(index) = open {
            self.remove(index);
            drops.add(DropReason::Superseded);
        }
        if payload.is_empty() {
            drops.add(DropReason::Truncated);
        } else if header.end {
            return Some(Cow::Borrowed(payload));
        } else {
            self.begin(now, key, header.sequence.next(), payload, drops);
        }
        None
    }

    /// Gives up what has waited too long for its next packet; calls `dropped` for each.
    pub fn handle_timeout(&mut self, now: Duration, mut dropped: impl FnMut(LinkId)) {
        if self.check.is_none_or(|check| now < check) {
            return;
        }
        let timeout = self.limits.timeout;
        while let Some(index) =
            self.open.iter().position(|assembly| assembly.touched + timeout <= now)
        {
            if let Some(removed) = self.remove(index) {
                dropped(removed.key.peer.link);
            }
        }
        self.check = self.open.iter().map(|assembly| assembly.touched + timeout).min();
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` while nothing is unfinished.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.check
    }

    /// How many messages are unfinished.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.open.len()
    }

    /// Forgets what was unfinished on a link that is down.
    pub fn forget_link(&mut self, link: LinkId) {
        self.open.retain(|assembly| assembly.key.peer.link != link);
        self.bytes = self.open.iter().map(|assembly| assembly.message.len()).sum();
    }

    fn begin(
        &mut self,
        now: Duration,
        key: Key,
        next: Sequence,
        payload: &[u8],
        drops: &mut DropCounts,
    ) {
        if payload.len() > self.limits.message {
            drops.add(DropReason::TooLong);
            return;
        }
        let own = self.open.iter().filter(|assembly| assembly.key.peer == key.peer).count();
        if own >= self.limits.peer_assemblies {
            self.remove_oldest_of(key.peer);
            drops.add(DropReason::NoRoom);
        } else if self.open.len() >= self.limits.assemblies {
            self.remove_from_greediest();
            drops.add(DropReason::NoRoom);
        }
        self.bytes += payload.len();
        self.check.get_or_insert(now + self.limits.timeout);
        let fragment = payload.len();
        self.open.push(Assembly { key, fragment, next, touched: now, message: payload.to_vec() });
        while self.bytes > self.limits.bytes && self.remove_from_greediest() {
            drops.add(DropReason::NoRoom);
        }
    }

    /// Adds a packet to an open message; an error ends the message.
    fn append(
        &mut self,
        now: Duration,
        index: usize,
        header: &Header,
        payload: &[u8],
    ) -> Result<Option<Vec<u8>>, DropReason> {
        let room = self.room_for(index);
        let Some(assembly) = self.open.get_mut(index) else {
            return Ok(None);
        };
        if header.sequence != assembly.next {
            return Err(DropReason::Sequence);
        }
        let fits = payload.len() == assembly.fragment
            || (header.end && !payload.is_empty() && payload.len() < assembly.fragment);
        if !fits {
            return Err(DropReason::FragmentSize);
        }
        if assembly.message.len() + payload.len() > self.limits.message {
            return Err(DropReason::TooLong);
        }
        if payload.len() > room {
            return Err(DropReason::NoRoom);
        }
        assembly.message.extend_from_slice(payload);
        assembly.next = header.sequence.next();
        assembly.touched = now;
        self.bytes += payload.len();
        Ok(if header.end { self.remove(index).map(|assembly| assembly.message) } else { None })
    }

    /// How many bytes the message at `index` may still grow by.
    fn room_for(&self, index: usize) -> usize {
        let in_all = self.limits.bytes.saturating_sub(self.bytes);
        let Some(assembly) = self.open.get(index) else {
            return 0;
        };
        let own: usize = match self.open.len() {
            1 => self.bytes,
            _ => self.of(assembly.key.peer).map(|(_, assembly)| assembly.message.len()).sum(),
        };
        in_all.min(self.limits.peer_bytes.saturating_sub(own))
    }

    fn of(&self, peer: Peer) -> impl Iterator<Item = (usize, &Assembly)> {
        self.open.iter().enumerate().filter(move |(_, assembly)| assembly.key.peer == peer)
    }

    fn remove(&mut self, index: usize) -> Option<Assembly> {
        if index >= self.open.len() {
            return None;
        }
        let assembly = self.open.swap_remove(index);
        self.bytes -= assembly.message.len();
        Some(assembly)
    }

    fn remove_oldest_of(&mut self, peer: Peer) {
        let oldest = self.of(peer).min_by_key(|(_, a)| a.touched).map(|(index, _)| index);
        if let Some(index) = oldest {
            self.remove(index);
        }
    }

    /// Gives up the oldest message of the link and peer that have most of them open.
    fn remove_from_greediest(&mut self) -> bool {
        let held_by_link =
            |link| self.open.iter().filter(|assembly| assembly.key.peer.link == link).count();
        let greediest = self
            .open
            .iter()
            .map(|assembly| assembly.key.peer)
            .max_by_key(|&peer| (held_by_link(peer.link), self.of(peer).count()));
        if let Some(peer) = greediest {
            self.remove_oldest_of(peer);
        }
        greediest.is_some()
    }
}

#[cfg(test)]
mod tests;
