//! The bridges' end: one connection, owning the channel's bus name, with a bounded number of
//! requests in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use daemon::metrics::BUS_RECONNECTS;
use daemon::{AbortOnDrop, Outage, lock};
use ipmi_proto::{CompletionCode, NetFn, Request, Response};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time;
use tracing::{info, warn};
use zbus::{Connection, Message};

use super::link::{self, Frames, LinkSlot, Reply};
use super::message::Caller;
use super::{CHANNEL_PREFIX, direct};
use crate::bus::{self, NameEnd, OwnNameError, OwnedName};
use crate::recorder::{self, RequestView};

/// Requests that one bridge may have in flight; further ones wait for their turn.
///
/// Far enough below the library's queue of 64 that no reply ever waits for room in it.
pub const MAX_IN_FLIGHT: usize = 32;

/// Requests that may wait for their turn, in the order of their arrival; further ones are answered C0h at
/// once. As many as 62 sessions with 16 requests each.
const MAX_WAITING: usize = 62 * 16;

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
    recorder: Arc<recorder::Channel>,
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
    bus: LinkSlot<Vec<Message>>,
    direct: Arc<LinkSlot<Frames>>,
    turns: Turns,
}

impl IpmiHost {
    /// Starts to connect as the bridge of `channel` (`lan0`, `ipmi_kcs3`, …) and returns at once; requests are recorded
    /// by `recorder`.
    ///
    /// The second value follows the connection, for a bridge that serves objects on it.
    #[must_use]
    pub fn new(channel: &str, recorder: Arc<recorder::Channel>) -> (Self, LinkState) {
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
        (Self { shared, recorder, taken, _task }, receiver)
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
    /// There is always a response: C0h when too many requests wait for one of [`MAX_IN_FLIGHT`] turns already, D2h while
    /// `ipmid` or the bus is down, C3h past the deadline or when `ipmid` ended before it replied, FFh for an invalid
    /// reply.
    pub async fn execute(&self, request: &Request, caller: Caller, deadline: Duration) -> Response {
        let started = self.recorder.begin(&RequestView::of(request, caller.into()));
        let answer = time::timeout(deadline, self.send_in_turn(request, caller)).await;
        let is_late = answer.is_err();
        let response = match answer.unwrap_or(Err(CompletionCode::TIMEOUT)) {
            Ok((completion, data)) => Response::to(request, completion, data),
            Err(completion) => Response::failure(request, completion),
        };
        self.recorder.end(started, response.completion.0, &response.data, is_late);
        response
    }

    /// The recorder of the channel, for requests that the bridge answers itself.
    #[must_use]
    pub fn recorder(&self) -> &recorder::Channel {
        &self.recorder
    }

    /// The wait for a turn and the call, both within one deadline.
    async fn send_in_turn(&self, request: &Request, caller: Caller) -> Reply {
        let Shared { bus, direct, turns } = &*self.shared;
        let _turn = turns.enter().await?;
        let link = lock(direct).clone();
        if let Some(link) = link {
            return link.call(request, caller).await;
        }
        let link = lock(bus).clone();
        link.ok_or(CompletionCode::INITIALIZING)?.call(request, caller).await
    }
}

/// The turns of requests: first come, first served. One session cannot have more of them waiting than its
/// own bound, so none waits behind more than that of another.
#[derive(Debug)]
struct Turns {
    free: Semaphore,
    waiting: AtomicUsize,
}

impl Default for Turns {
    fn default() -> Self {
        Self { free: Semaphore::new(MAX_IN_FLIGHT), waiting: AtomicUsize::new(0) }
    }
}

impl Turns {
    /// Waits for a turn, which is given back on drop.
    ///
    /// # Errors
    ///
    /// `C0h` when [`MAX_WAITING`] requests wait.
    async fn enter(&self) -> Result<SemaphorePermit<'_>, CompletionCode> {
        if let Ok(turn) = self.free.try_acquire() {
            return Ok(turn);
        }
        let _waiting = Waiting::enter(&self.waiting).ok_or(CompletionCode::BUSY)?;
        self.free.acquire().await.map_err(|_| CompletionCode::BUSY)
    }
}

/// One of the [`MAX_WAITING`] waiting requests.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Option<Self> {
        let before = count.fetch_add(1, Ordering::Relaxed);
        let waiting = Self(count); // given back on drop, also when there was no room
        (before < MAX_WAITING).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
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
        let forwarding = link::forward_on_bus(&shared.bus, &connection);
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
        BUS_RECONNECTS.add(1);
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

    #[tokio::test]
    async fn requests_wait_for_their_turn_in_order_and_bounded() {
        let turns = Turns::default();
        let mut running = Vec::new();
        for _ in 0..MAX_IN_FLIGHT {
            running.push(turns.enter().await.unwrap());
        }
        let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(turns.enter())).collect();
        for one in &mut waiting {
            assert!(futures_util::poll!(one).is_pending());
        }
        assert_eq!(turns.enter().await.err(), Some(CompletionCode::BUSY));
        running.pop();
        assert!(futures_util::poll!(&mut waiting[1]).is_pending(), "the first one's turn");
        let turn = futures_util::poll!(&mut waiting[0]);
        assert!(turn.is_ready());
        drop((turn, waiting, running));
        assert_eq!(turns.waiting.load(Ordering::Relaxed), 0, "also of those that were given up");
        assert_eq!(turns.free.available_permits(), MAX_IN_FLIGHT);
    }
}
