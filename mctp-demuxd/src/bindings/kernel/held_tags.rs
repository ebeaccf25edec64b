//! Tags that the kernel has allocated beforehand, until they are given back.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use mctp_proto::protocols::Reading;
use sys::{MctpPeer, MctpSocket};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// A tag that is out, and its socket.
#[derive(Debug)]
pub(super) struct HeldTag<S = MctpSocket> {
    socket: Arc<S>,
    peer: MctpPeer,
    limit: Duration,
    until: Instant,
}

/// Gives tags back; a socket.
pub(super) trait DropTag {
    fn drop_tag(&self, peer: MctpPeer);
}

impl DropTag for MctpSocket {
    fn drop_tag(&self, peer: MctpPeer) {
        Self::drop_tag(self, peer);
    }
}

impl<S> HeldTag<S> {
    /// A request was sent that may wait so long for its answer.
    pub(super) fn new(socket: Arc<S>, peer: MctpPeer, limit: Duration) -> Self {
        Self { socket, peer, limit, until: Instant::now() + limit }
    }
}

/// All tags of a binding that are out.
#[derive(Debug)]
pub(super) struct HeldTags<S = MctpSocket> {
    tags: Mutex<Vec<HeldTag<S>>>,
    added: Notify,
}

impl<S> Default for HeldTags<S> {
    fn default() -> Self {
        Self { tags: Mutex::new(Vec::new()), added: Notify::new() }
    }
}

impl<S: DropTag> HeldTags<S> {
    pub(super) fn add(&self, tag: HeldTag<S>) {
        self.lock().push(tag);
        self.added.notify_one();
    }

    /// An answer has come: unless another one is announced, the tag is given back.
    pub(super) fn answered(&self, socket: &Arc<S>, from: MctpPeer, reading: Reading) {
        let mut tags = self.lock();
        let of_answer = |held: &HeldTag<S>| {
            Arc::ptr_eq(&held.socket, socket)
                && held.peer.tag == from.tag
                && (held.peer.eid == from.eid || held.peer.eid == 0)
        };
        let Some(at) = tags.iter().position(of_answer) else {
            return;
        };
        let Some(held) = tags.get_mut(at) else { return };
        match reading.more_within(|| held.limit) {
            Some(more) => held.until = held.until.max(Instant::now() + more),
            None => {
                let held = tags.swap_remove(at);
                held.socket.drop_tag(held.peer);
            }
        }
    }

    /// Gives back the next tag whose time is over, once it is.
    pub(super) async fn expire(&self) {
        let next = self.lock().iter().map(|held| held.until).min();
        match next {
            Some(until) => {
                tokio::select! {
                    () = sleep_until(until) => self.drop_expired(Instant::now()),
                    () = self.added.notified() => {}
                }
            }
            None => self.added.notified().await,
        }
    }

    fn drop_expired(&self, now: Instant) {
        self.lock().retain(|held| {
            let expired = held.until <= now;
            if expired {
                held.socket.drop_tag(held.peer);
            }
            !expired
        });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<HeldTag<S>>> {
        daemon::lock(&self.tags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Fake(Mutex<Vec<u8>>);

    impl DropTag for Fake {
        fn drop_tag(&self, peer: MctpPeer) {
            self.0.lock().unwrap().push(peer.tag);
        }
    }

    fn peer(eid: u8, tag: u8) -> MctpPeer {
        MctpPeer { network: 1, eid, kind: 0x84, tag, tag_owner: true, allocated: true }
    }

    #[test]
    fn a_tag_is_given_back_with_the_last_answer_and_not_before() {
        let (tags, socket) = (HeldTags::default(), Arc::new(Fake::default()));
        tags.add(HeldTag::new(Arc::clone(&socket), peer(9, 3), Duration::from_secs(1)));
        let more = Reading::of(&[0x84, 0x88, 0, 0, 1, 0, 0, 0]);
        let last = Reading::of(&[0x84, 0x88, 0, 0, 0, 0, 0, 0]);
        tags.answered(&socket, peer(9, 3), more);
        tags.answered(&socket, peer(9, 4), last);
        tags.answered(&socket, peer(10, 3), last);
        assert!(socket.0.lock().unwrap().is_empty());
        tags.answered(&socket, peer(9, 3), last);
        tags.answered(&socket, peer(9, 3), last);
        assert_eq!(*socket.0.lock().unwrap(), [3]);
    }

    #[test]
    fn a_tag_whose_time_is_over_is_given_back() {
        let (tags, socket) = (HeldTags::default(), Arc::new(Fake::default()));
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(10));
        tags.add(HeldTag::new(Arc::clone(&socket), peer(9, 1), short));
        tags.add(HeldTag::new(Arc::clone(&socket), peer(9, 2), long));
        tags.drop_expired(Instant::now() + short);
        assert_eq!(*socket.0.lock().unwrap(), [1]);
    }
}
