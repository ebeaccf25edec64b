//! The recorder on D-Bus, for operators: `org.causeway.Ipmi.Recorder` and `org.causeway.Metrics`.
//!
//! A bridge has them at the object of its channel, `ipmid` at [`IPMID_PATH`] under a bus name of its own, so that no
//! operator is in the way of a request. The bus policy says who may call.

use std::collections::BTreeMap;
use std::sync::Arc;

use daemon::AbortOnDrop;
use daemon::metrics::{Metrics, Sample, Times};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tracing::{debug, warn};
use zbus::fdo::{self, DBusProxy};
use zbus::message::Header;
use zbus::{Connection, Type, interface};

use super::Recorder;
use super::exchange::Exchange;
use super::tap::{Subscriber, Tap};
use crate::bus::watch_owner;
use crate::execute::LinkState;
use crate::ipmi::names::CHANNEL_PATH_PREFIX;

/// The bus name of `ipmid`'s recorder.
pub const IPMID_SERVICE: &str = "org.causeway.Ipmi.Diagnostics";
/// The object of `ipmid`'s recorder.
pub const IPMID_PATH: &str = "/org/causeway/Ipmi/Diagnostics";
/// The interface of the recorder.
pub const RECORDER: &str = "org.causeway.Ipmi.Recorder";
/// `Dump(s channel) → (a(...))`: the recorded exchanges of a channel, or of all if it is empty, the oldest first.
pub const DUMP: &str = "Dump";
/// `Subscribe(s channel)`: from now on the caller gets a signal [`EXCHANGED`] for each exchange of the channel that
/// ends, or of all, until it calls [`UNSUBSCRIBE`] or leaves the bus.
pub const SUBSCRIBE: &str = "Subscribe";
/// `Unsubscribe()`: ends the caller's subscription.
pub const UNSUBSCRIBE: &str = "Unsubscribe";
/// The signal with one [`Exchange`], and how many were lost before it.
pub const EXCHANGED: &str = "Exchanged";
/// The interface of the metrics.
pub const METRICS: &str = "org.causeway.Metrics";
/// `Read() → (a(sa{ss}t) numbers, a(sa{ss}att) times)`: [`Number`]s and [`Timing`]s.
pub const READ: &str = "Read";

/// A counter, if its name ends in `_total`, or a gauge.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, Type)]
pub struct Number {
    /// The name.
    pub name: String,
    /// What is counted.
    pub labels: BTreeMap<String, String>,
    /// How much.
    pub value: u64,
}

/// A histogram of times.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, Type)]
pub struct Timing {
    /// The name.
    pub name: String,
    /// What took these times.
    pub labels: BTreeMap<String, String>,
    /// How many there were within each of [`daemon::metrics::BOUNDS`] and above the one before it, and above all.
    pub buckets: Vec<u64>,
    /// All times together, in microseconds.
    pub sum: u64,
}

impl From<Sample<u64>> for Number {
    fn from(sample: Sample<u64>) -> Self {
        let Sample { name, labels, value } = sample;
        Self { name, labels, value }
    }
}

impl From<Sample<Times>> for Timing {
    fn from(sample: Sample<Times>) -> Self {
        let Sample { name, labels, value: Times { buckets, sum } } = sample;
        Self { name, labels, buckets: buckets.to_vec(), sum }
    }
}

impl Recorder {
    /// Serves the recorder of a bridge at the object of its channel, on each connection to the bus.
    pub fn serve(&self, channel: &str, mut link: LinkState) {
        let recorder = self.clone();
        // A bus path has no dash; the interface of a network has one.
        let path = format!("{CHANNEL_PATH_PREFIX}{}", channel.replace('-', "_"));
        tokio::spawn(async move {
            loop {
                let connection = link.borrow_and_update().clone();
                if let Some(connection) = connection
                    && let Err(error) = recorder.publish(&connection, &path).await
                {
                    warn!(%error, %path, "cannot serve the recorder; it cannot be read");
                }
                if link.changed().await.is_err() {
                    return;
                }
            }
        });
    }

    /// Serves the recorder at `path` of `connection`. Subscriptions on an earlier connection end.
    ///
    /// # Errors
    ///
    /// When the bus is gone.
    pub async fn publish(&self, connection: &Connection, path: &str) -> zbus::Result<()> {
        let exchanges = self.0.tap.connect();
        let server = connection.object_server();
        server.at(path, Object { recorder: self.clone() }).await?;
        let recorder = self.clone();
        server.at(path, MetricsObject::new(move || recorder.metrics())).await?;
        let sending =
            forward(Arc::clone(&self.0.tap), connection.clone(), path.to_owned(), exchanges);
        tokio::spawn(sending);
        Ok(())
    }
}

/// Sends each exchange to its subscribers, until there is a newer connection or this one is closed.
async fn forward(
    tap: Arc<Tap>,
    connection: Connection,
    path: String,
    mut exchanges: mpsc::Receiver<Exchange>,
) {
    loop {
        let exchange = tokio::select! {
            exchange = exchanges.recv() => exchange,
            () = connection.closed() => return,
        };
        let Some(exchange) = exchange else { return };
        let lost = tap.take_lost();
        for name in tap.subscribers(&exchange.channel) {
            let body = (lost, &exchange);
            let to = Some(name.as_str());
            let sent = connection.emit_signal(to, path.as_str(), RECORDER, EXCHANGED, &body).await;
            if let Err(error) = sent {
                debug!(%error, name, "cannot send an exchange to a subscriber");
            }
        }
    }
}

struct Object {
    recorder: Recorder,
}

#[interface(name = "org.causeway.Ipmi.Recorder")]
impl Object {
    /// The recorded exchanges of a channel, or of all if `channel` is empty; the oldest of each channel first.
    async fn dump(&self, channel: String) -> Vec<Exchange> {
        self.recorder.exchanges(&channel)
    }

    /// Sends the caller a signal for each exchange that ends, until it unsubscribes or leaves the bus.
    async fn subscribe(
        &self,
        channel: String,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<()> {
        let name = caller(&header)?;
        let tap = Arc::clone(&self.recorder.0.tap);
        let mut changes = watch_owner(connection, &name).await?;
        let full = |_| fdo::Error::LimitsExceeded("too many subscribers".to_owned());
        tap.add(Subscriber { name: name.clone(), channel }).map_err(full)?;
        // The caller may have left before the bus had the subscription to its name.
        let bus = DBusProxy::new(connection).await?;
        let is_there = bus.name_has_owner(name.as_str().try_into()?).await?;
        let (leaving, left) = (Arc::clone(&tap), name.clone());
        let watch = AbortOnDrop::spawn(async move {
            // A unique name changes once: when its connection ends.
            if is_there {
                changes.next().await;
            }
            leaving.remove(&left);
        });
        tap.watch(&name, watch);
        Ok(())
    }

    /// Ends the caller's subscription.
    async fn unsubscribe(&self, #[zbus(header)] header: Header<'_>) -> fdo::Result<()> {
        self.recorder.0.tap.remove(&caller(&header)?);
        Ok(())
    }

    /// An exchange that has ended, and how many before it could not be sent. To the subscribers alone.
    #[zbus(signal)]
    async fn exchanged(
        emitter: &zbus::object_server::SignalEmitter<'_>,
        lost: u64,
        exchange: Exchange,
    ) -> zbus::Result<()>;
}

fn caller(header: &Header<'_>) -> fdo::Result<String> {
    let name = header.sender().map(|name| name.as_str().to_owned());
    name.ok_or_else(|| fdo::Error::AccessDenied("a caller without a name".to_owned()))
}

/// What a daemon measures, on D-Bus: `org.causeway.Metrics`.
pub struct MetricsObject {
    read: Box<dyn Fn() -> Metrics + Send + Sync>,
}

impl std::fmt::Debug for MetricsObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricsObject").finish_non_exhaustive()
    }
}

impl MetricsObject {
    /// Of a daemon that measures what `read` returns.
    #[must_use]
    pub fn new(read: impl Fn() -> Metrics + Send + Sync + 'static) -> Self {
        Self { read: Box::new(read) }
    }
}

#[interface(name = "org.causeway.Metrics")]
impl MetricsObject {
    /// What the daemon has measured since it was started.
    async fn read(&self) -> (Vec<Number>, Vec<Timing>) {
        let Metrics { numbers, times } = (self.read)();
        (
            numbers.into_iter().map(Number::from).collect(),
            times.into_iter().map(Timing::from).collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time;
    use zbus::{Message, MessageStream};

    use super::*;
    use crate::recorder::{Channel, Origin, RecorderConfig, RequestView};
    use crate::testing::Bus;

    const PATH: &str = "/recorder";

    /// A recorder on a bus, its channel, and its unique name.
    async fn published(bus: &Bus) -> (Recorder, Arc<Channel>, Connection, String) {
        let recorder = Recorder::of_bridge("kcsbridged", RecorderConfig::default());
        let channel = recorder.channel("kcs0", 15);
        let connection = bus.connect().await;
        recorder.publish(&connection, PATH).await.unwrap();
        let name = connection.unique_name().unwrap().to_string();
        (recorder, channel, connection, name)
    }

    fn request(data: &[u8]) -> RequestView<'_> {
        RequestView { origin: Origin::host(), netfn: 6, lun: 0, command: 0x47, data }
    }

    async fn subscribe(caller: &Connection, name: &str, channel: &str) -> zbus::Result<Message> {
        caller.call_method(Some(name), PATH, Some(RECORDER), SUBSCRIBE, &(channel,)).await
    }

    /// The next signal with an exchange.
    async fn next(messages: &mut MessageStream) -> Option<(u64, Exchange)> {
        loop {
            let message = messages.next().await?.ok()?;
            if message.header().member().is_some_and(|member| member.as_str() == EXCHANGED) {
                return message.body().deserialize().ok();
            }
        }
    }

    async fn until(holds: impl Fn() -> bool) {
        while !holds() {
            time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn dumps_and_metrics_are_what_was_recorded() {
        let bus = Bus::start();
        let (recorder, channel, _connection, name) = published(&bus).await;
        channel.record(&request(&[2, 2, 7, 7, 7]), 0xcc, &[1]);
        let caller = bus.connect().await;
        let call = caller.call_method(Some(name.as_str()), PATH, Some(RECORDER), DUMP, &("",));
        let reply = call.await.unwrap();
        let signature = reply.body().signature().to_string_no_parens();
        assert_eq!(signature, "a(tttsy(yyuy)yyyuayyytuay)");
        let (dump,): (Vec<Exchange>,) = reply.body().deserialize().unwrap();
        assert_eq!(dump, recorder.exchanges(""));
        assert_eq!(
            (dump[0].completion, dump[0].request.as_slice()),
            (0xcc, &[2, 2, 42, 42, 42][..])
        );
        let call = caller.call_method(Some(name.as_str()), PATH, Some(METRICS), READ, &());
        let reply = call.await.unwrap();
        let signature = reply.body().signature().to_string_no_parens();
        assert_eq!(signature, "a(sa{ss}t)a(sa{ss}att)");
        let (numbers, times): (Vec<Number>, Vec<Timing>) = reply.body().deserialize().unwrap();
        assert!(numbers.iter().any(|number| number.name == "causeway_ipmi_requests_total"));
        assert_eq!(times[0].buckets.iter().sum::<u64>(), 1);
    }

    #[tokio::test]
    async fn exchanges_go_to_their_subscriber_alone_until_it_unsubscribes() {
        let bus = Bus::start();
        let (recorder, channel, _connection, name) = published(&bus).await;
        let (caller, other) = (bus.connect().await, bus.connect().await);
        let mut messages = MessageStream::from(&caller);
        let mut overheard = MessageStream::from(&other);
        channel.record(&request(&[1]), 0, &[]);
        subscribe(&caller, &name, "").await.unwrap();
        channel.record(&request(&[2]), 0, &[]);
        let (lost, exchange) = next(&mut messages).await.unwrap();
        assert_eq!((lost, exchange.serial, exchange.request), (0, 2, vec![2]));
        let call = caller.call_method(Some(name.as_str()), PATH, Some(RECORDER), UNSUBSCRIBE, &());
        call.await.unwrap();
        assert!(!recorder.0.tap.is_wanted("kcs0"));
        // Nothing came to the other one before the reply to its own call.
        let ping = other.call_method(Some(name.as_str()), PATH, Some(METRICS), READ, &());
        ping.await.unwrap();
        let quiet = time::timeout(Duration::from_millis(1), next(&mut overheard)).await;
        assert!(quiet.is_err(), "{quiet:?}");
    }

    #[tokio::test]
    async fn a_subscription_ends_with_its_connection() {
        let bus = Bus::start();
        let (recorder, _channel, connection, name) = published(&bus).await;
        let caller = bus.connect().await;
        subscribe(&caller, &name, "lan0").await.unwrap();
        let tap = &recorder.0.tap;
        assert!(tap.is_wanted("lan0") && !tap.is_wanted("kcs0"));
        caller.close().await.unwrap();
        until(|| !tap.is_wanted("lan0")).await;
        // And with the recorder's own.
        let caller = bus.connect().await;
        subscribe(&caller, &name, "").await.unwrap();
        assert!(tap.is_wanted("kcs0"));
        recorder.publish(&connection, "/elsewhere").await.unwrap();
        assert!(!tap.is_wanted("kcs0"));
    }
}
