//! The bridges' end: one connection, which owns the channel's bus name, with a bounded number of
//! requests in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ipmi_proto::{CompletionCode, Request, Response};
use tokio::sync::watch;
use tokio::time;
use tracing::{info, warn};
use zbus::Connection;

use super::link::{self, Link, LinkSlot, lock};
use super::message::{Caller, call_message, read_reply};
use super::transport::{Incoming, Outgoing};
use super::{AbortOnDrop, CHANNEL_PREFIX, direct};
use crate::bus::{self, NameEnd, OwnNameError, OwnedName};

/// Requests that one bridge may have in flight; further ones are answered C0h at once.
///
/// Far enough below zbus's message queue of 64 that no reply ever waits for room in it.
pub const MAX_IN_FLIGHT: usize = 32;

/// The time between two attempts to own the channel's name.
const RETRY: Duration = Duration::from_secs(1);

/// How long a starting bridge waits for a bus before it serves without one; longer than the name may
/// still be owned by the bridge's previous process.
const START: Duration = Duration::from_secs(3);

/// The bridge's current connection; `None` while there is no bus.
pub type LinkState = watch::Receiver<Option<Connection>>;

/// A bridge's handle on `ipmid`.
///
/// Owns `xyz.openbmc_project.Ipmi.Channel.<channel>` on a connection of its own, and restores both
/// after a restart of the bus; a running bridge that owns the name keeps it. Requests go over a direct link while `ipmid` offers one. Cheap
/// to clone; the link ends with the last clone.
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
    /// The second value is notified when the link comes up or goes down, for a bridge that serves objects.
    #[must_use]
    pub fn new(channel: &str) -> (Self, LinkState) {
        let shared = Arc::new(Shared::default());
        let (state, receiver) = watch::channel(None);
        let name = format!("{CHANNEL_PREFIX}{channel}");
        let (refusal, taken) = watch::channel(None);
        let task_state = Arc::clone(&shared);
        let task = AbortOnDrop::spawn(async move {
            let Some(first) = connect_first(&name).await else {
                refusal.send_replace(Some(ChannelTaken { name }));
                return std::future::pending().await;
            };
            maintain_link(task_state, state, name, first).await;
        });
        let _task = Arc::new(task);
        (Self { shared, taken, _task }, receiver)
    }

    /// Waits until the channel's name is owned, but no longer than a moment while there is no bus.
    ///
    /// A bridge waits for this before it opens a device, which it would otherwise take from a running
    /// bridge of the same channel.
    ///
    /// # Errors
    ///
    /// [`ChannelTaken`]: the bridge has to end.
    pub async fn started(&self, mut link: LinkState) -> Result<(), ChannelTaken> {
        let owned = time::timeout(START, link.wait_for(Option::is_some));
        self.unless_taken(async { drop(owned.await) }).await
    }

    /// Runs `bridge`, unless another process was the bridge of the channel when this one started: clients
    /// would take the objects and the host of the one for those of the other.
    ///
    /// # Errors
    ///
    /// [`ChannelTaken`]: the bridge has no link and has to end.
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
    /// Failures are completion codes: C0h when [`MAX_IN_FLIGHT`] requests are in flight, D2h while
    /// `ipmid` or the bus is away, C3h past the deadline or when `ipmid` ended before it replied, FFh
    /// for a reply that does not have the method's signature.
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
        let _slot = Slot::take(&self.shared.in_flight).ok_or(CompletionCode::BUSY)?;
        let link = self.shared.link().ok_or(CompletionCode::INITIALIZING)?;
        let call = call_message(request, caller).map_err(|error| {
            warn!(%error, "cannot encode a request as a D-Bus message; answering it FFh");
            CompletionCode::UNSPECIFIED
        })?;
        let reply = time::timeout(deadline, link.call(call))
            .await
            .map_err(|_| CompletionCode::TIMEOUT)??;
        read_reply(&reply)
    }
}

impl Shared {
    /// The direct link, or the bus when there is none.
    fn link(&self) -> Option<Link> {
        let direct = lock(&self.direct).clone();
        direct.or_else(|| lock(&self.bus).clone())
    }
}

/// One of the [`MAX_IN_FLIGHT`] slots for requests.
struct Slot<'a>(&'a AtomicUsize);

impl<'a> Slot<'a> {
    fn take(count: &'a AtomicUsize) -> Option<Self> {
        let taken = count.fetch_add(1, Ordering::Relaxed);
        let slot = Self(count); // its drop undoes the count, also when all slots were taken
        (taken < MAX_IN_FLIGHT).then_some(slot)
    }
}

impl Drop for Slot<'_> {
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
            log_failure(name, &error);
            Some(connect_again(name, true).await)
        }
    }
}

/// Connects and owns the name, however long it takes.
async fn connect_again(name: &str, mut logged: bool) -> Owned {
    loop {
        let connection = bus::connect().await;
        match OwnedName::request(&connection, name).await {
            Ok(owned) => {
                info!(%name, "owns the channel's bus name again");
                return Owned { connection, name: owned };
            }
            Err(error) => {
                if !std::mem::replace(&mut logged, true) {
                    log_failure(name, &error);
                }
                time::sleep(RETRY).await;
            }
        }
    }
}

fn log_failure(name: &str, error: &OwnNameError) {
    warn!(%error, %name, "cannot own the channel's bus name; retrying every second");
}

/// Forwards calls and replies until the bus closes or the name is lost, then connects again; never ends.
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
            NameEnd::BusClosed => {
                warn!(%name, "the connection to the bus closed; connecting again")
            }
            NameEnd::Lost => {
                warn!(%name, "lost the channel's bus name; connecting again");
                // Requests without the name would be taken for those of another channel.
                let _closed = connection.close().await;
            }
        }
        owned = connect_again(&name, false).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_bounded_and_released() {
        let count = AtomicUsize::new(0);
        let slots: Vec<_> = (0..MAX_IN_FLIGHT).map(|_| Slot::take(&count).unwrap()).collect();
        assert!(Slot::take(&count).is_none());
        assert_eq!(count.load(Ordering::Relaxed), MAX_IN_FLIGHT);
        drop(slots);
        assert!(Slot::take(&count).is_some());
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}
