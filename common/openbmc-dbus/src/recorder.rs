//! The flight recorder: the last requests and responses of each channel, in memory, and what a daemon measures of them.
//!
//! Every bridge and `ipmid` has one [`Recorder`]. A request costs a copy of its first bytes into memory that is
//! allocated once; secrets are masked before ([`secrets`]). The log gets the last exchanges when a request misses its
//! deadline. Operators read all of it over D-Bus ([`object`]), or subscribe to the exchanges as they end, which
//! costs nothing while nobody does.

mod exchange;
pub mod object;
mod ring;
pub mod secrets;
mod tap;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use daemon::metrics::{LATE_REPLIES, Metrics, Times};
use daemon::{RateLimit, lock};
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use tracing::{info, warn};

pub use self::exchange::{Exchange, Origin};
pub use self::ring::RequestView;
use self::ring::{Ending, Ring};
use self::secrets::Hide;
use self::tap::Tap;

/// Different pairs of network function and completion code that one channel counts; further ones are counted as
/// completion code FFh.
const MAX_COUNTS: usize = 256;

/// Exchanges that are logged when a request misses its deadline.
const LOGGED: usize = 8;

/// What the names of metrics begin with: of a bridge, and of the requests that it sends to satellites.
const BRIDGE: &str = "causeway_ipmi";
const SATELLITES: &str = "causeway_ipmb";

static MISSED: RateLimit = RateLimit::new(1, Duration::from_secs(60));

/// `[recorder]`: the same for `ipmid` and all bridges.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RecorderConfig {
    /// Requests of each channel that are recorded; 0 for none.
    #[serde(deserialize_with = "daemon::range::number::<0, 4096, _, _>")]
    exchanges: usize,
    /// Data bytes of each request and each response that are recorded.
    #[serde(deserialize_with = "daemon::range::number::<0, 256, _, _>")]
    bytes: usize,
}

impl Default for RecorderConfig {
    fn default() -> Self {
        Self { exchanges: 64, bytes: 64 }
    }
}

/// Adds what a daemon measures beside its requests.
type Source = Box<dyn Fn(&mut Metrics) + Send + Sync>;

/// The recorder of one process; clones are the same one.
#[derive(Clone)]
pub struct Recorder(Arc<Shared>);

struct Shared {
    config: RecorderConfig,
    daemon: String,
    /// What the names of metrics of requests begin with.
    prefix: &'static str,
    channels: Mutex<Vec<Arc<Channel>>>,
    sources: OnceLock<Source>,
    tap: Arc<Tap>,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("config", &self.0.config).finish_non_exhaustive()
    }
}

impl Recorder {
    /// The recorder of a bridge, called `daemon`.
    #[must_use]
    pub fn of_bridge(daemon: &str, config: RecorderConfig) -> Self {
        Self::new(daemon, BRIDGE, config)
    }

    /// The recorder of `ipmid`, whose metrics have other names: the bridges count the same requests.
    #[must_use]
    pub fn of_ipmid(config: RecorderConfig) -> Self {
        Self::new("ipmid", "causeway_ipmid", config)
    }

    fn new(daemon: &str, prefix: &'static str, config: RecorderConfig) -> Self {
        Self(Arc::new(Shared {
            config,
            daemon: daemon.to_owned(),
            prefix,
            channels: Mutex::default(),
            sources: OnceLock::new(),
            tap: Arc::default(),
        }))
    }

    /// Adds a channel, for the requests that come on it.
    #[must_use]
    pub fn channel(&self, name: &str, number: u8) -> Arc<Channel> {
        self.add(name, number, self.0.prefix)
    }

    /// Adds the requests that the BMC itself sends to satellite controllers on a channel. Their metrics have names of
    /// their own, and a satellite that does not answer is not logged here.
    #[must_use]
    pub fn satellites(&self, name: &str, number: u8) -> Arc<Channel> {
        self.add(name, number, SATELLITES)
    }

    fn add(&self, name: &str, number: u8, prefix: &'static str) -> Arc<Channel> {
        let RecorderConfig { exchanges, bytes } = self.0.config;
        let channel = Arc::new(Channel {
            name: name.to_owned(),
            number,
            prefix,
            book: Mutex::new(Book::new(Ring::new(exchanges, bytes))),
            tap: Arc::clone(&self.0.tap),
        });
        lock(&self.0.channels).push(Arc::clone(&channel));
        channel
    }

    /// Has `source` add its metrics to those of the requests. There is one source; a second call does nothing.
    pub fn measure(&self, source: impl Fn(&mut Metrics) + Send + Sync + 'static) {
        let _first = self.0.sources.set(Box::new(source));
    }

    /// The exchanges of the channel called `name`, or of all if that is empty, the oldest of each channel first.
    #[must_use]
    pub fn exchanges(&self, name: &str) -> Vec<Exchange> {
        let channels = lock(&self.0.channels);
        let wanted = channels.iter().filter(|channel| name.is_empty() || channel.name == name);
        wanted.flat_map(|channel| channel.exchanges()).collect()
    }

    /// All metrics of the process.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::default();
        for channel in lock(&self.0.channels).iter() {
            channel.measure(&mut metrics);
        }
        metrics.of_process(&self.0.daemon);
        if let Some(source) = self.0.sources.get() {
            source(&mut metrics);
        }
        metrics
    }
}

/// The recorder of one channel.
#[derive(Debug)]
pub struct Channel {
    name: String,
    number: u8,
    /// What the names of its metrics begin with.
    prefix: &'static str,
    /// A daemon has one thread for all requests, so the lock is always free; its dump waits for no request either.
    book: Mutex<Book>,
    tap: Arc<Tap>,
}

/// All that a request changes, behind one lock: what it costs is two of these, and no memory is allocated.
#[derive(Debug)]
struct Book {
    /// The number of the last request.
    serial: u64,
    ring: Ring,
    clock: Clock,
    times: Times,
    misses: u64,
    /// Requests with completion code 00h, by half of their network function: most of all.
    done: [u64; 32],
    /// All others by network function and completion code.
    counts: BTreeMap<(u8, u8), u64>,
}

/// The time of day by the monotonic clock, so that a request costs one reading of a clock.
#[derive(Debug, Default)]
struct Clock {
    /// When the time of day was read, in microseconds of the monotonic clock.
    read: u64,
    wall: u64,
}

/// After so many microseconds the time of day is read again: it may have been set.
const READ_AGAIN: u64 = 1_000_000;

impl Clock {
    /// Microseconds since 1970 at `monotonic`, which is now.
    fn wall(&mut self, monotonic: u64) -> u64 {
        if self.wall == 0 || monotonic.saturating_sub(self.read) >= READ_AGAIN {
            *self = Self { read: monotonic, wall: wall() };
        }
        self.wall + monotonic.saturating_sub(self.read)
    }
}

/// A request without its response.
#[derive(Debug)]
#[must_use = "the exchange has no end"]
pub struct Started {
    serial: u64,
    /// Its slot in the ring.
    slot: usize,
    monotonic: u64,
    netfn: u8,
    command: u8,
    hide: Hide,
    /// The whole request, while somebody has subscribed.
    whole: Option<Box<Exchange>>,
}

impl Started {
    /// The time since the request.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_micros(monotonic().saturating_sub(self.monotonic))
    }
}

impl Channel {
    /// Records a request.
    pub fn begin(&self, request: &RequestView) -> Started {
        let monotonic = monotonic();
        let (serial, slot, wall) = lock(&self.book).begin(monotonic, request);
        let &RequestView { origin, netfn, lun, command, data } = request;
        let whole = self.tap.is_wanted(&self.name).then(|| {
            let mut bytes = data.to_vec();
            secrets::mask(&mut bytes, secrets::of_request(netfn, command, data));
            Box::new(Exchange {
                serial,
                wall,
                monotonic,
                channel: self.name.clone(),
                number: self.number,
                origin,
                netfn,
                lun,
                command,
                request_length: u32::try_from(data.len()).unwrap_or(u32::MAX),
                request: bytes,
                ..Exchange::default()
            })
        });
        let hide = secrets::of_response(netfn, command, data);
        Started { serial, slot, monotonic, netfn, command, hide, whole }
    }

    /// Records the response, completion code and data; `is_late` if it is C3h because the deadline has passed.
    pub fn end(&self, started: Started, completion: u8, data: &[u8], is_late: bool) {
        let elapsed = started.elapsed();
        let Started { serial, slot, netfn, command, hide, whole, .. } = started;
        let duration = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let state = if is_late { Exchange::MISSED } else { Exchange::ANSWERED };
        let ending = Ending { state, completion, duration, data, hide };
        lock(&self.book).end((slot, serial), netfn, &ending);
        if let Some(mut whole) = whole {
            let mut response = data.to_vec();
            secrets::mask(&mut response, hide.range(data));
            let response_length = u32::try_from(data.len()).unwrap_or(u32::MAX);
            *whole = Exchange { state, completion, duration, response_length, response, ..*whole };
            self.tap.put(*whole);
        }
        if is_late && self.prefix != SATELLITES {
            self.log_miss(netfn, command);
        }
    }

    /// Records a request that was answered at once.
    pub fn record(&self, request: &RequestView, completion: u8, data: &[u8]) {
        let started = self.begin(request);
        self.end(started, completion, data, false);
    }

    /// Records a broadcast, to which there is no response. It is in no metric: those are of responses.
    pub fn broadcast(&self, request: &RequestView) {
        let Started { serial, slot, hide, whole, .. } = self.begin(request);
        let state = Exchange::BROADCAST;
        let ending = Ending { state, completion: 0, duration: 0, data: &[], hide };
        lock(&self.book).ring.end(slot, serial, &ending);
        if let Some(whole) = whole {
            self.tap.put(Exchange { state, ..*whole });
        }
    }

    fn exchanges(&self) -> Vec<Exchange> {
        lock(&self.book).ring.exchanges(&self.name, self.number)
    }

    fn measure(&self, metrics: &mut Metrics) {
        let name = |end: &str| format!("{}_{end}", self.prefix);
        let channel = ("channel", self.name.as_str());
        let book = lock(&self.book);
        for ((netfn, completion), count) in book.counts() {
            let (netfn, completion) = (format!("0x{netfn:02x}"), format!("0x{completion:02x}"));
            let labels = [channel, ("netfn", netfn.as_str()), ("completion", completion.as_str())];
            metrics.number(&name("requests_total"), &labels, count);
        }
        metrics.number(&name("deadline_misses_total"), &[channel], book.misses);
        metrics.times(&name("request_duration_seconds"), &[channel], book.times.clone());
        if self.prefix == BRIDGE {
            metrics.number(&name("late_replies_total"), &[channel], LATE_REPLIES.get());
        }
    }

    /// The last exchanges, in the log: what was going on when a request missed its deadline. Without data bytes.
    fn log_miss(&self, netfn: u8, command: u8) {
        let Some(pass) = MISSED.admit() else { return };
        let exchanges = self.exchanges();
        let last = exchanges.get(exchanges.len().saturating_sub(LOGGED)..).unwrap_or_default();
        warn!(
            channel = self.name,
            netfn = format_args!("{netfn:02x}h"),
            command = format_args!("{command:02x}h"),
            swallowed = pass.swallowed,
            "a request missed its deadline; the channel's last requests follow"
        );
        let now = monotonic();
        for exchange in last {
            let Exchange { netfn, command, completion, duration, .. } = *exchange;
            let has_response = exchange.has_response();
            let seconds = |micros: u64| Duration::from_micros(micros).as_secs_f64();
            info!(
                before_s = format_args!("{:.3}", seconds(now.saturating_sub(exchange.monotonic))),
                netfn = format_args!("{netfn:02x}h"),
                command = format_args!("{command:02x}h"),
                user = exchange.origin.user,
                completion = has_response.then(|| format!("{completion:02x}h")),
                took_s = has_response.then(|| format!("{:.6}", seconds(duration))),
                "recorded request"
            );
        }
    }
}

impl Book {
    fn new(ring: Ring) -> Self {
        Self {
            serial: 0,
            ring,
            clock: Clock::default(),
            times: Times::default(),
            misses: 0,
            done: [0; 32],
            counts: BTreeMap::new(),
        }
    }

    /// Records a request; returns its number, its slot, and the time of day.
    fn begin(&mut self, monotonic: u64, request: &RequestView) -> (u64, usize, u64) {
        self.serial += 1;
        let wall = self.clock.wall(monotonic);
        let slot = self.ring.begin(self.serial, (wall, monotonic), request);
        (self.serial, slot, wall)
    }

    /// Records the end of request `serial`, in its slot.
    fn end(&mut self, (slot, serial): (usize, u64), netfn: u8, ending: &Ending) {
        self.ring.end(slot, serial, ending);
        self.count(netfn, ending.completion);
        self.times.add(ending.duration);
        self.misses += u64::from(ending.state == Exchange::MISSED);
    }

    /// All requests by network function and completion code.
    fn counts(&self) -> BTreeMap<(u8, u8), u64> {
        let done = (0..).step_by(2).zip(self.done).filter(|(_, count)| *count > 0);
        let done = done.map(|(netfn, count)| ((netfn, 0), count));
        done.chain(self.counts.iter().map(|(key, count)| (*key, *count))).collect()
    }

    fn count(&mut self, netfn: u8, completion: u8) {
        if completion == 0
            && let Some(count) = self.done.get_mut(usize::from(netfn / 2))
        {
            *count += 1;
            return;
        }
        let key = match self.counts.len() < MAX_COUNTS {
            true => (netfn, completion),
            false if self.counts.contains_key(&(netfn, completion)) => (netfn, completion),
            false => (0xff, 0xff),
        };
        *self.counts.entry(key).or_default() += 1;
    }
}

/// Microseconds since 1970.
fn wall() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Microseconds of the monotonic clock, which all processes share.
fn monotonic() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let micros = u64::try_from(time.tv_nsec).unwrap_or_default() / 1000;
    seconds * 1_000_000 + micros
}

#[cfg(test)]
mod tests;
