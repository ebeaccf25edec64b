//! The bridges' end: one connection, owning the channel's bus name, with a bounded number of
//! requests in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ipmi_proto::{CompletionCode, Request, Response};
use tokio::sync::watch;
use tokio::time;
use tracing::{info, warn};
use zbus::Connection;

use super::link::{self, Link, Place, lock};
use super::message::{Caller, call_message, read_reply};
use super::transport::{Incoming, Outgoing};
use super::{AbortOnDrop, CHANNEL_PREFIX, direct};
use crate::bus;

/// Requests that one bridge may have in flight; further ones are answered C0h at once.
///
/// Far enough below the library's queue of 64 that no reply ever waits for room in it.
pub const MAX_IN_FLIGHT: usize = 32;

/// The bridge's link to the bus as it is now; `None` while there is no bus.
pub type LinkState = watch::Receiver<Option<Connection>>;

/// A bridge's handle on `ipmid`.
///
/// Owns `xyz.openbmc_project.Ipmi.Channel.<channel>` on a connection of its own, and keeps both
/// through restarts of the bus. Requests go over a direct link as long as `ipmid` gives one. Cheap
/// to clone; the link ends with the last clone.
#[derive(Clone, Debug)]
pub struct IpmiHost {
    shared: Arc<Shared>,
    _task: Arc<AbortOnDrop>,
}

#[derive(Debug, Default)]
struct Shared {
    bus: Place,
    direct: Arc<Place>,
    in_flight: AtomicUsize,
}

impl IpmiHost {
    /// Starts to connect as the bridge of `channel` (`lan0`, `ipmi_kcs3`, …) and returns at once.
    ///
    /// The second value tells when the link comes and goes, for a bridge that serves objects.
    #[must_use]
    pub fn new(channel: &str) -> (Self, LinkState) {
        let shared = Arc::new(Shared::default());
        let (state, receiver) = watch::channel(None);
        let name = format!("{CHANNEL_PREFIX}{channel}");
        let task = AbortOnDrop::spawn(keep_linked(Arc::clone(&shared), state, name));
        let _task = Arc::new(task);
        (Self { shared, _task }, receiver)
    }

    /// Has `ipmid` execute `request` and returns its answer, at `deadline` from now at the latest.
    ///
    /// Always an answer: C0h when [`MAX_IN_FLIGHT`] are under way, D2h while `ipmid` or the bus is
    /// away, C3h past the deadline or when `ipmid` ended before it answered, FFh for a reply that
    /// is none.
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
            warn!(%error, "a request could not be put into a message");
            CompletionCode::UNSPECIFIED
        })?;
        let reply = time::timeout(deadline, link.ask(call))
            .await
            .map_err(|_| CompletionCode::TIMEOUT)??;
        read_reply(&reply)
    }
}

impl Shared {
    /// The shortest way to `ipmid` that there is.
    fn link(&self) -> Option<Link> {
        let direct = lock(&self.direct).clone();
        direct.or_else(|| lock(&self.bus).clone())
    }
}

/// One of the [`MAX_IN_FLIGHT`] places.
struct Slot<'a>(&'a AtomicUsize);

impl<'a> Slot<'a> {
    fn take(count: &'a AtomicUsize) -> Option<Self> {
        let taken = count.fetch_add(1, Ordering::Relaxed);
        let slot = Self(count); // given back on drop, also when there was no place
        (taken < MAX_IN_FLIGHT).then_some(slot)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Connects, owns the name, and carries calls and replies, until the bus goes; then again, for ever.
async fn keep_linked(shared: Arc<Shared>, state: watch::Sender<Option<Connection>>, name: String) {
    let (mut lost, mut refused) = (false, false);
    loop {
        let connection = bus::connect().await;
        if let Err(error) = bus::own_name(&connection, &name).await {
            if !std::mem::replace(&mut refused, true) {
                warn!(%error, %name, "cannot own the channel's bus name; retrying every second");
            }
            time::sleep(Duration::from_secs(1)).await;
            continue;
        }
        if lost || std::mem::take(&mut refused) {
            info!(%name, "linked again");
        }
        let replies = Incoming::from(&connection);
        let calls = Outgoing::Bus(connection.clone());
        let carried = link::carry(&shared.bus, replies, calls);
        state.send_replace(Some(connection.clone()));
        let direct = AbortOnDrop::spawn(direct::keep(connection, Arc::clone(&shared.direct)));
        carried.await;
        drop(direct);
        state.send_replace(None);
        warn!(%name, "the bus went away");
        lost = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_given_back_and_bounded() {
        let count = AtomicUsize::new(0);
        let slots: Vec<_> = (0..MAX_IN_FLIGHT).map(|_| Slot::take(&count).unwrap()).collect();
        assert!(Slot::take(&count).is_none());
        assert_eq!(count.load(Ordering::Relaxed), MAX_IN_FLIGHT);
        drop(slots);
        assert!(Slot::take(&count).is_some());
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}
