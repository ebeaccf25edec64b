//! Exchanges on their way to those who have subscribed to them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use daemon::{AbortOnDrop, lock};
use tokio::sync::mpsc;

use super::exchange::Exchange;

/// Subscribers at a time.
const SUBSCRIBERS: usize = 8;

/// Exchanges that may wait to be sent; more are lost, and counted.
const QUEUE: usize = 1024;

/// The subscribers, and the exchanges for them.
#[derive(Debug, Default)]
pub(super) struct Tap {
    /// Whether there are any: all that a request looks at while there are none.
    is_open: AtomicBool,
    state: Mutex<State>,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    subscribers: Vec<Subscribed>,
    queue: Option<mpsc::Sender<Exchange>>,
}

/// A connection that gets exchanges.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Subscriber {
    /// Its unique bus name.
    pub(super) name: String,
    /// The channel whose exchanges it gets; empty for all.
    pub(super) channel: String,
}

/// A subscriber, and the task that waits for the end of its connection.
#[derive(Debug)]
struct Subscribed {
    subscriber: Subscriber,
    watch: Option<AbortOnDrop>,
}

/// There are as many subscribers as may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Full;

impl Tap {
    /// Has the exchanges sent to the receiver that this returns, and forgets all subscribers: they were on another
    /// connection.
    pub(super) fn connect(&self) -> mpsc::Receiver<Exchange> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let mut state = lock(&self.state);
        state.subscribers.clear();
        state.queue = Some(sender);
        self.is_open.store(false, Ordering::Relaxed);
        receiver
    }

    /// Adds a subscriber, in place of an earlier subscription of the same connection.
    pub(super) fn add(&self, subscriber: Subscriber) -> Result<(), Full> {
        let mut state = lock(&self.state);
        state.subscribers.retain(|other| other.subscriber.name != subscriber.name);
        if state.subscribers.len() >= SUBSCRIBERS {
            return Err(Full);
        }
        state.subscribers.push(Subscribed { subscriber, watch: None });
        self.is_open.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Has `watch`, which removes the subscriber when its connection ends, end with the subscription.
    pub(super) fn watch(&self, name: &str, watch: AbortOnDrop) {
        let mut state = lock(&self.state);
        let mut subscribed = state.subscribers.iter_mut();
        if let Some(subscribed) = subscribed.find(|other| other.subscriber.name == name) {
            subscribed.watch = Some(watch);
        }
    }

    /// Removes the subscriber of this unique name; `false` if there is none.
    pub(super) fn remove(&self, name: &str) -> bool {
        let mut state = lock(&self.state);
        let before = state.subscribers.len();
        state.subscribers.retain(|other| other.subscriber.name != name);
        self.is_open.store(!state.subscribers.is_empty(), Ordering::Relaxed);
        state.subscribers.len() < before
    }

    /// The unique names of those who get the exchanges of a channel.
    pub(super) fn subscribers(&self, channel: &str) -> Vec<String> {
        let state = lock(&self.state);
        let all = state.subscribers.iter().map(|subscribed| &subscribed.subscriber);
        let wanted = all.filter(|subscriber| subscriber.wants(channel));
        wanted.map(|subscriber| subscriber.name.clone()).collect()
    }

    /// Whether anybody gets the exchanges of a channel.
    pub(super) fn is_wanted(&self, channel: &str) -> bool {
        self.is_open.load(Ordering::Relaxed)
            && lock(&self.state).subscribers.iter().any(|other| other.subscriber.wants(channel))
    }

    /// Queues an exchange for the subscribers.
    pub(super) fn put(&self, exchange: Exchange) {
        let queue = lock(&self.state).queue.clone();
        if queue.is_none_or(|queue| queue.try_send(exchange).is_err()) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many exchanges were lost since this was last asked.
    pub(super) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

impl Subscriber {
    fn wants(&self, channel: &str) -> bool {
        self.channel.is_empty() || self.channel == channel
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscriber(name: &str, channel: &str) -> Subscriber {
        Subscriber { name: name.to_owned(), channel: channel.to_owned() }
    }

    #[test]
    fn exchanges_are_wanted_while_somebody_has_subscribed_to_their_channel() {
        let tap = Tap::default();
        let _queue = tap.connect();
        assert!(!tap.is_wanted("lan0"));
        tap.add(subscriber(":1.1", "kcs0")).unwrap();
        assert!(tap.is_wanted("kcs0") && !tap.is_wanted("lan0"));
        tap.add(subscriber(":1.1", "")).unwrap();
        tap.add(subscriber(":1.2", "lan0")).unwrap();
        assert_eq!(tap.subscribers("lan0"), [":1.1", ":1.2"]);
        assert!(tap.remove(":1.1") && !tap.remove(":1.1"));
        assert!(!tap.is_wanted("kcs0"));
        // Those of a connection that was lost are gone with it.
        let _queue = tap.connect();
        assert!(!tap.is_wanted("lan0") && tap.subscribers("lan0").is_empty());
    }

    #[test]
    fn subscribers_and_waiting_exchanges_are_bounded() {
        let tap = Tap::default();
        let mut queue = tap.connect();
        for number in 0..SUBSCRIBERS {
            tap.add(subscriber(&format!(":1.{number}"), "")).unwrap();
        }
        assert_eq!(tap.add(subscriber(":1.100", "")), Err(Full));
        assert_eq!(tap.add(subscriber(":1.0", "lan0")), Ok(()));
        for _ in 0..QUEUE + 5 {
            tap.put(Exchange::default());
        }
        assert_eq!((tap.take_lost(), tap.take_lost()), (5, 0));
        assert!(queue.try_recv().is_ok());
    }
}
