//! The bridges' end: one connection, owning the channel's bus name, with a bounded number of
//! requests in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use daemon::{AbortOnDrop, Outage, lock};
use ipmi_proto::{CompletionCode, NetFn, Request, Response};
use tokio::sync::watch;
use tokio::time;
use tracing::{info, warn};
use zbus::Connection;

use super::link::{self, Link, LinkSlot};
use super::message::{Caller, call_message, read_reply};
use super::transport::{Incoming, Outgoing};
use super::{CHANNEL_PREFIX, direct};
use crate::bus::{self, NameEnd, OwnNameError, OwnedName};

/// Requests that one bridge may have in flight; further ones get C0h at once.
///
/// Far enough below the library's queue of 64 that no reply ever waits for room in it.
pub const MAX_IN_FLIGHT: usize = 32;

/// The time between two attempts to own the channel's name.
const RETRY: Duration = Duration::from_secs(1);

/// How long a bridge that starts waits for a bus before it serves without one; longer than a killed predecessor
/// may own the name.
const START: Duration = Duration::from_secs(3);

/// Send Message (IPMI v2.0 §22.7), which responds D3h for a reason of its own.
const SEND_MESSAGE: u8 = 0x34;

/// Whether `response` says that `ipmid` does not serve the bridge that sent the request: D3h, to any command but
/// Send Message.
#[must_use]
pub fn is_bridge_refused(response: &Response) -> bool {
    let is_send_message =
        response.netfn == NetFn::APP.response() && response.command == SEND_MESSAGE;
    response.completion == CompletionCode::DESTINATION_UNAVAILABLE && !is_send_message
}

/// The bridge's connection to the bus; `None` while it is down.
pub type LinkState = watch::Receiver<Option<Connection>>;

/// A bridge's handle on `ipmid`.
///
/// Owns `xyz.openbmc_project.Ipmi.Channel.<channel>` on a connection of its own, and restores both after a
/// restart of the bus; it does not replace a bridge that owns the name. Requests go over a direct link if
/// `ipmid` offers one. Cheap to clone; the link ends with the last clone.
#[derive(Clone, Debug)]
pub struct IpmiHost {
    shared: Arc<Shared>,
    taken: watch::Receiver<Option<ChannelTaken>>,
    _task: Arc<AbortOnDrop>,
}

/// Another process is the bridge of the channel.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("cannot own bus name {name}: another process owns it")]
pub struct ChannelTaken {
    name: String,
}

#[derive(Debug, Default)]
struct Shared {
    bus: LinkSlot,
    direct: Arc<LinkSlot>,
    in_flight: AtomicUsize,
}

impl IpmiHost {
    /// Starts to connect as the bridge of `channel` (`lan0`, `ipmi_kcs3`, …) and returns at once.
    ///
    /// The second value follows the connection, for a bridge that serves objects on it.
    #[must_use]
    pub fn new(channel: &str) -> (Self, LinkState) {
        let shared = Arc::new(Shared::default());
        let (state, receiver) = watch::channel(None);
        let name = format!("{CHANNEL_PREFIX}{channel}");
        let (refusal, taken) = watch::channel(None);
        let linked = Arc::clone(&shared);
        let task = AbortOnDrop::spawn(async move {
            let Some(first) = connect_first(&name).await else {
                refusal.send_replace(Some(ChannelTaken { name }));
                return std::future::pending().await;
            };
            maintain_link(linked, state, name, first).await;
        });
        let _task = Arc::new(task);
        (Self { shared, taken, _task }, receiver)
    }

    /// Waits until the channel's name is owned, but no longer than 3 s while there is no bus.
    ///
    /// A bridge waits for this before it opens a device that it would take from a running bridge.
    ///
    /// # Errors
    ///
    /// [`ChannelTaken`], upon which the bridge has to end.
    pub async fn started(&self, mut link: LinkState) -> Result<(), ChannelTaken> {
        let owned = time::timeout(START, link.wait_for(Option::is_some));
        self.unless_taken(async { drop(owned.await) }).await
    }

    /// Runs `bridge`, unless another process was the bridge of the channel when this one started: `ipmid` could not
    /// distinguish the two hosts.
    ///
    /// # Errors
    ///
    /// [`ChannelTaken`], upon which the bridge has to end: it has no link.
    pub async fn unless_taken<T>(
        &self,
        bridge: impl Future<Output = T>,
    ) -> Result<T, ChannelTaken> {
        let mut taken = self.taken.clone();
        let refusal = async {
            match taken.wait_for(Option::is_some).await.map(|taken| taken.clone()) {
                Ok(Some(taken)) => taken,
                Ok(None) | Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            taken = refusal => Err(taken),
            done = bridge => Ok(done),
        }
    }

    /// Has `ipmid` execute `request` and returns its response, at `deadline` from now at the latest.
    ///
    /// There is always a response: C0h when [`MAX_IN_FLIGHT`] are in flight, D2h while `ipmid` or the bus is
    /// down, C3h past the deadline or when `ipmid` ended before it replied, FFh for an invalid reply.
    pub async fn execute(&self, request: &Request, caller: Caller, deadline: Duration) -> Response {
        match self.try_execute(request, caller, deadline).await {
            Ok((completion, data)) => Response::to(request, completion, data),
            Err(completion) => Response::failure(request, completion),
        }
    }

    async fn try_execute(
        &self,
        request: &Request,
        caller: Caller,
        deadline: Duration,
    ) -> Result<(CompletionCode, Vec<u8>), CompletionCode> {
        let _in_flight = InFlight::enter(&self.shared.in_flight).ok_or(CompletionCode::BUSY)?;
        let link = self.shared.link().ok_or(CompletionCode::INITIALIZING)?;
        let call = call_message(request, caller).map_err(|error| {
            warn!(%error, "cannot build the D-Bus call of a request; responding FFh");
            CompletionCode::UNSPECIFIED
        })?;
        let reply = time::timeout(deadline, link.call(call))
            .await
            .map_err(|_| CompletionCode::TIMEOUT)??;
        read_reply(&reply)
    }
}

impl Shared {
    /// The direct link if it is up, or else the bus.
    fn link(&self) -> Option<Link> {
        let direct = lock(&self.direct).clone();
        direct.or_else(|| lock(&self.bus).clone())
    }
}

/// One of the [`MAX_IN_FLIGHT`] requests.
struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    fn enter(count: &'a AtomicUsize) -> Option<Self> {
        let before = count.fetch_add(1, Ordering::Relaxed);
        // Dropped at once, and so counted no longer, if the limit is reached.
        let request = Self(count);
        (before < MAX_IN_FLIGHT).then_some(request)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that owns the bridge's name.
struct Owned {
    connection: Connection,
    name: OwnedName,
}

/// Connects and owns the name for the first time; `None` when another process owns it.
async fn connect_first(name: &str) -> Option<Owned> {
    let connection = bus::connect().await;
    match OwnedName::request_at_start(&connection, name).await {
        Ok(name) => Some(Owned { connection, name }),
        Err(OwnNameError::Taken) => None,
        Err(error) => {
            let outage = Outage::new();
            outage.begin();
            log_refusal(name, &error);
            Some(reconnect(name, &outage).await)
        }
    }
}

/// Connects and owns the name, however long it takes.
async fn reconnect(name: &str, outage: &Outage) -> Owned {
    let connect = || async {
        let connection = bus::connect().await;
        OwnedName::request(&connection, name).await.map(|name| Owned { connection, name })
    };
    let owned = outage.retry(RETRY, connect, |error| log_refusal(name, error)).await;
    info!(%name, "owns the channel's bus name again");
    owned
}

fn log_refusal(name: &str, error: &OwnNameError) {
    warn!(%error, %name, "cannot own the channel's bus name; retrying every second");
}

/// Forwards calls and replies until the bus goes down or the name is lost, then reconnects; never ends.
async fn maintain_link(
    shared: Arc<Shared>,
    state: watch::Sender<Option<Connection>>,
    name: String,
    mut owned: Owned,
) {
    loop {
        let Owned { connection, name: owned_name } = owned;
        let replies = Incoming::from(&connection);
        let calls = Outgoing::Bus(connection.clone());
        let forwarding = link::forward(&shared.bus, replies, calls);
        state.send_replace(Some(connection.clone()));
        let direct = AbortOnDrop::spawn(direct::maintain_link(
            connection.clone(),
            Arc::clone(&shared.direct),
        ));
        let end = tokio::select! {
            () = forwarding => NameEnd::BusClosed,
            end = owned_name.ended() => end,
        };
        drop(direct);
        state.send_replace(None);
        match end {
            NameEnd::BusClosed => warn!(%name, "the connection to the bus closed; reconnecting"),
            NameEnd::Lost => {
                warn!(%name, "lost the channel's bus name; connecting again");
                // ipmid would take requests without the name for those of another channel.
                let _closed = connection.close().await;
            }
        }
        owned = reconnect(&name, &Outage::new()).await;
    }
}

#[cfg(test)]
mod tests {
    use ipmi_proto::Lun;

    use super::*;

    #[test]
    fn d3_is_a_refusal_of_the_bridge_unless_a_message_was_to_be_sent() {
        let response = |command, completion| {
            let request = Request { netfn: NetFn::APP, lun: Lun::BMC, command, data: Vec::new() };
            Response::failure(&request, completion)
        };
        let unavailable = CompletionCode::DESTINATION_UNAVAILABLE;
        assert!(is_bridge_refused(&response(0x01, unavailable)));
        assert!(!is_bridge_refused(&response(SEND_MESSAGE, unavailable)));
        assert!(!is_bridge_refused(&response(0x01, CompletionCode::INSUFFICIENT_PRIVILEGE)));
    }

    #[test]
    fn requests_in_flight_are_bounded() {
        let count = AtomicUsize::new(0);
        let requests: Vec<_> =
            (0..MAX_IN_FLIGHT).map(|_| InFlight::enter(&count).unwrap()).collect();
        assert!(InFlight::enter(&count).is_none());
        assert_eq!(count.load(Ordering::Relaxed), MAX_IN_FLIGHT);
        drop(requests);
        assert!(InFlight::enter(&count).is_some());
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}
