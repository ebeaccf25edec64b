//! Limits on packets of one source, and on failed logins.
//!
//! A source is an IPv4 address or an IPv6 /64, since one attacker has all addresses of a /64. All tables
//! are of a fixed size.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::accounts::BadPassword;
use crate::wire::rakp::UserName;

/// A rate: a burst, and then one in each period.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    /// How many may come at once.
    pub burst: u32,
    /// After how long there is one more.
    pub period: Duration,
}

/// What packets and failed logins are counted by.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Source {
    V4(Ipv4Addr),
    /// The network part.
    V6([u8; 8]),
}

impl From<SocketAddr> for Source {
    fn from(peer: SocketAddr) -> Self {
        match peer.ip().to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [network @ .., _, _, _, _, _, _, _, _] = address.octets();
                Self::V6(network)
            }
        }
    }
}

/// Sets of a bucket table, and buckets in each.
const SETS: usize = 256;
const WAYS: usize = 4;

/// A token bucket per key, in a table of fixed size: the bucket of a new key replaces the one in its set that
/// is nearest to full, with which the least is forgotten.
pub(super) struct Buckets<K> {
    /// Keeps keys from being chosen to fall into one set.
    seed: u64,
    /// Empty before the first key. A set is allocated with its first key: most sets of most tables have none.
    sets: Vec<Option<Box<Set<K>>>>,
}

/// For each key of the set, when its bucket is full again.
type Set<K> = [Option<(K, Instant)>; WAYS];

impl<K: Copy + Eq + Hash> Buckets<K> {
    pub(super) const fn new(seed: u64) -> Self {
        Self { seed, sets: Vec::new() }
    }

    /// Whether the key's bucket has a token.
    pub(super) fn has(&self, now: Instant, key: &K, rate: Rate) -> bool {
        let set = self.sets.get(self.set_of(key)).and_then(Option::as_deref);
        let set = set.into_iter().flatten().flatten();
        let full_at = set.filter(|(other, _)| other == key).map(|(_, full_at)| *full_at).next();
        full_at.is_none_or(|full_at| {
            full_at.saturating_duration_since(now) + rate.period <= rate.period * rate.burst
        })
    }

    /// Takes a token out of the key's bucket, if there is one.
    pub(super) fn take(&mut self, now: Instant, key: K, rate: Rate) -> bool {
        if !self.has(now, &key, rate) {
            return false;
        }
        if self.sets.is_empty() {
            self.sets.resize_with(SETS, || None);
        }
        let set = self.set_of(&key);
        let Some(set) = self.sets.get_mut(set) else {
            return true;
        };
        let set = set.get_or_insert_with(|| Box::new([None; WAYS]));
        let order = |slot: &Option<(K, Instant)>| match slot {
            Some((other, _)) if *other == key => None,
            other => Some(other.map(|(_, full_at)| full_at)),
        };
        // Its own bucket sorts first, then an empty one, then the one nearest to full.
        if let Some(slot) = set.iter_mut().min_by_key(|slot| order(slot)) {
            let own = slot.filter(|(other, _)| *other == key).map(|(_, full_at)| full_at);
            *slot = Some((key, own.map_or(now, |full_at| full_at.max(now)) + rate.period));
        }
        true
    }

    /// Puts `tokens` back into the key's bucket, which then has at most its burst.
    pub(super) fn put_back(&mut self, key: &K, tokens: u32, rate: Rate) {
        let set = self.set_of(key);
        let set = self.sets.get_mut(set).and_then(Option::as_deref_mut);
        for (_, full_at) in set.into_iter().flatten().flatten().filter(|(other, _)| other == key) {
            *full_at = full_at.checked_sub(rate.period * tokens).unwrap_or(*full_at);
        }
    }

    fn set_of(&self, key: &K) -> usize {
        let mut hasher = DefaultHasher::new();
        self.seed.hash(&mut hasher);
        key.hash(&mut hasher);
        usize::try_from(hasher.finish() % SETS as u64).unwrap_or_default()
    }
}

/// How many pairs of source and user are remembered that have logged in.
const KNOWN: usize = 64;

/// Who may try a password now.
///
/// Failures are counted by source and by user. A source that has logged in as a user is not held
/// up, nor locked out, by what others try as that user.
pub(super) struct Guesses {
    sources: Buckets<Source>,
    users: Buckets<UserName>,
    known: VecDeque<(Source, UserName)>,
    /// By user id.
    locks: HashMap<u8, Lock>,
}

/// Failures of one user (IPMI v2.0 §23.2, LAN parameter 26).
#[derive(Clone, Copy, Debug)]
struct Lock {
    failures: u8,
    since: Instant,
    locked: bool,
    /// When the user was enabled last, see [`Accounts::enabled_mark`](super::Accounts::enabled_mark).
    mark: u64,
}

impl Guesses {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            sources: Buckets::new(seed),
            users: Buckets::new(seed),
            known: VecDeque::new(),
            locks: HashMap::new(),
        }
    }

    /// Whether `source` may try a password of `user` now.
    pub(super) fn admits(
        &self,
        now: Instant,
        (source, user): (Source, UserName),
        by_source: Rate,
        by_user: Rate,
    ) -> bool {
        self.sources.has(now, &source, by_source)
            && (self.known.contains(&(source, user)) || self.users.has(now, &user, by_user))
    }

    /// A try failed.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        (source, user): (Source, UserName),
        by_source: Rate,
        by_user: Rate,
    ) {
        self.sources.take(now, source, by_source);
        self.users.take(now, user, by_user);
    }

    /// A login succeeded.
    pub(super) fn succeeded(&mut self, id: u8, pair: (Source, UserName)) {
        // A locked user stays locked for other sources, until the time is over or an administrator ends it.
        if self.locks.get(&id).is_some_and(|lock| !lock.locked) {
            self.locks.remove(&id);
        }
        self.known.retain(|known| *known != pair);
        self.known.push_back(pair);
        if self.known.len() > KNOWN {
            self.known.pop_front();
        }
    }

    /// A wrong password was tried as the user `id`, who was enabled last at `mark`.
    pub(super) fn count(&mut self, now: Instant, (id, mark): (u8, u64), policy: BadPassword) {
        if policy.threshold == 0 {
            return;
        }
        let fresh = Lock { failures: 0, since: now, locked: false, mark };
        let lock = self.locks.entry(id).or_insert(fresh);
        let age = now.saturating_duration_since(lock.since);
        let ends = if lock.locked { policy.lockout } else { policy.reset };
        if lock.mark != mark || ends.is_some_and(|end| age >= end) {
            *lock = fresh;
        }
        lock.failures = lock.failures.saturating_add(1);
        if lock.failures >= policy.threshold && !lock.locked {
            lock.locked = true;
            lock.since = now;
        }
    }

    /// Whether the user `id`, who was enabled last at `mark`, is locked for this source.
    pub(super) fn is_locked(
        &self,
        now: Instant,
        (id, mark): (u8, u64),
        pair: (Source, UserName),
        policy: BadPassword,
    ) -> bool {
        let lock = self.locks.get(&id);
        let Some(lock) = lock.filter(|lock| lock.locked && lock.mark == mark) else {
            return false;
        };
        let age = now.saturating_duration_since(lock.since);
        let over = policy.lockout.is_some_and(|lockout| age >= lockout);
        policy.threshold != 0 && !over && !self.known.contains(&pair)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::now;

    const RATE: Rate = Rate { burst: 3, period: Duration::from_secs(1) };

    fn source(text: &str) -> Source {
        SocketAddr::new(text.parse().unwrap(), 1).into()
    }

    #[test]
    fn sources_are_addresses_and_networks() {
        assert_eq!(source("192.0.2.1"), source("::ffff:192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_one_a_period() {
        let (mut buckets, start) = (Buckets::new(1), now());
        let key = source("192.0.2.1");
        for _ in 0..3 {
            assert!(buckets.take(start, key, RATE));
        }
        assert!(!buckets.take(start, key, RATE));
        assert!(!buckets.take(start + Duration::from_millis(999), key, RATE));
        assert!(buckets.take(start + RATE.period, key, RATE));
        assert!(!buckets.take(start + RATE.period, key, RATE));
        let later = start + Duration::from_secs(60);
        for _ in 0..3 {
            assert!(buckets.take(later, key, RATE));
        }
        assert!(!buckets.has(later, &key, RATE));
        assert!(buckets.has(later, &source("192.0.2.2"), RATE));
    }

    #[test]
    fn what_is_put_back_can_be_taken_again() {
        let (mut buckets, start) = (Buckets::new(1), now());
        let key = source("192.0.2.1");
        while buckets.take(start, key, RATE) {}
        buckets.put_back(&key, 2, RATE);
        assert_eq!((0..9).filter(|_| buckets.take(start, key, RATE)).count(), 2);
        buckets.put_back(&key, 100, RATE);
        assert_eq!(
            (0..9).filter(|_| buckets.take(start, key, RATE)).count(),
            3,
            "no more than the burst"
        );
        buckets.put_back(&source("192.0.2.2"), 2, RATE);
        assert!(!buckets.has(start, &key, RATE));
    }

    #[test]
    fn the_table_does_not_grow_and_keeps_who_is_limited_longest() {
        let (mut buckets, start) = (Buckets::new(1), now());
        let greedy = source("192.0.2.1");
        while buckets.take(start, greedy, RATE) {}
        for number in 0..100_000u32 {
            let other = Source::V4(Ipv4Addr::from(0x0a00_0000 + number));
            buckets.take(start, other, RATE);
        }
        assert_eq!(buckets.sets.len() * WAYS, 1024);
        assert!(!buckets.has(start, &greedy, RATE), "fuller buckets went first");
    }

    #[test]
    fn guesses_of_others_do_not_hold_up_a_source_that_has_logged_in() {
        let (mut guesses, start) = (Guesses::new(1), now());
        let user = UserName::new(b"root").unwrap();
        let (owner, attacker) = (source("192.0.2.1"), source("192.0.2.66"));
        guesses.succeeded(2, (owner, user));
        for _ in 0..3 {
            assert!(guesses.admits(start, (attacker, user), RATE, RATE));
            guesses.failed(start, (attacker, user), RATE, RATE);
        }
        assert!(!guesses.admits(start, (attacker, user), RATE, RATE));
        let third = source("192.0.2.3");
        assert!(!guesses.admits(start, (third, user), RATE, RATE), "by user");
        assert!(guesses.admits(start, (owner, user), RATE, RATE));
        let other = UserName::new(b"guest").unwrap();
        assert!(guesses.admits(start, (third, other), RATE, RATE));
    }

    #[test]
    fn a_user_is_locked_at_the_threshold_for_its_time() {
        let (mut guesses, start) = (Guesses::new(1), now());
        let seconds = |count| Some(Duration::from_secs(count));
        let policy = BadPassword { threshold: 2, reset: seconds(20), lockout: seconds(30) };
        let user = UserName::new(b"root").unwrap();
        let (owner, other) = ((source("192.0.2.1"), user), (source("192.0.2.2"), user));
        let root = (2, 0);
        guesses.succeeded(2, owner);
        guesses.count(start, root, policy);
        let later = start + Duration::from_secs(20);
        guesses.count(later, root, policy);
        assert!(!guesses.is_locked(later, root, other, policy), "counted anew");
        guesses.count(later, root, policy);
        assert!(guesses.is_locked(later, root, other, policy));
        assert!(!guesses.is_locked(later, root, owner, policy));
        assert!(!guesses.is_locked(later, (3, 0), other, policy));
        let after = later + Duration::from_secs(30);
        assert!(!guesses.is_locked(after, root, other, policy));
        guesses.count(after, root, policy);
        assert!(!guesses.is_locked(after, root, other, policy));
        guesses.count(after, root, policy);
        assert!(guesses.is_locked(after, root, other, policy), "once more");
    }

    #[test]
    fn a_user_locked_for_good_is_enabled_by_an_administrator_alone() {
        let (mut guesses, start) = (Guesses::new(1), now());
        let policy =
            BadPassword { threshold: 2, reset: Some(Duration::from_secs(20)), lockout: None };
        let user = UserName::new(b"root").unwrap();
        let (owner, other) = ((source("192.0.2.1"), user), (source("192.0.2.2"), user));
        let (root, enabled_again) = ((2, 7), (2, 8));
        guesses.succeeded(2, owner);
        guesses.count(start, root, policy);
        guesses.count(start, root, policy);
        let later = start + Duration::from_secs(9999);
        assert!(guesses.is_locked(later, root, other, policy));
        // Neither another failure nor the owner's own login ends it.
        guesses.count(later, root, policy);
        guesses.succeeded(2, owner);
        assert!(guesses.is_locked(later, root, other, policy));
        assert!(!guesses.is_locked(later, root, owner, policy));
        assert!(!guesses.is_locked(later, enabled_again, other, policy));
        guesses.count(later, enabled_again, policy);
        assert!(!guesses.is_locked(later, enabled_again, other, policy));
    }
}
