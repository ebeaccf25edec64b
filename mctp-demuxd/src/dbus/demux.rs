//! Interfaces of our own: the daemon as a whole, and its bindings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mctp_proto::{DropReason, Eid, LinkId, MessageType};
use zbus::{fdo, interface};

use crate::capture::TraceError;
use crate::demux::{ClientCounters, ClientId, PingId, Pong, Refusal};
use crate::engine::EngineHandle;

/// A client: number, type, messages and bytes from it, messages and bytes to it, messages that had to
/// wait, answers it owes, messages queued for it.
type ClientEntry = (u64, u8, u64, u64, u64, u64, u64, u64, u64);

/// How long an endpoint may take to answer a ping.
const PING_LIMIT: Duration = Duration::from_secs(2);

type ClientState = (ClientId, MessageType, ClientCounters, usize);

/// The daemon as a whole.
pub(super) struct Root {
    pub(super) handle: Arc<EngineHandle>,
}

#[interface(name = "org.causeway.MCTP.Demux")]
impl Root {
    /// This endpoint's id; 0 while it has none.
    #[zbus(property, name = "EID")]
    fn eid(&self) -> u8 {
        self.handle.with(|engine| engine.demux.eid().0)
    }

    /// Types that clients have registered for.
    #[zbus(property)]
    fn types(&self) -> Vec<u8> {
        self.handle.with(|engine| engine.demux.types().map(|kind| kind.value()).collect())
    }

    /// Messages thrown away at the sockets' side, by reason.
    #[zbus(property)]
    fn refusals(&self) -> BTreeMap<&'static str, u64> {
        self.handle.with(|engine| {
            let count = |refusal: Refusal| (refusal.name(), engine.demux.refusals().of(refusal));
            Refusal::ALL.into_iter().map(count).collect()
        })
    }

    /// Every client, in the order in which they connected.
    #[zbus(property)]
    fn clients(&self) -> Vec<ClientEntry> {
        self.handle.with(|engine| {
            let entry = |(id, kind, counters, owed): ClientState| {
                (
                    id.0,
                    kind.value(),
                    counters.messages_in,
                    counters.bytes_in,
                    counters.messages_out,
                    counters.bytes_out,
                    counters.waits,
                    owed as u64,
                    engine.sockets.queued(id).0 as u64,
                )
            };
            engine.demux.clients(engine.now()).map(entry).collect()
        })
    }

    /// Sends Get Endpoint ID to an endpoint: its response from the type byte on, and the round trip in microseconds.
    async fn ping(&self, eid: u8) -> fdo::Result<(Vec<u8>, u64)> {
        let ping = self.handle.with(|engine| engine.demux.ping(engine.now(), Eid(eid)));
        let id = ping.map_err(|error| {
            fdo::Error::Failed(format!("endpoint {eid} cannot be asked: {error}"))
        })?;
        let pong = tokio::time::timeout(PING_LIMIT, pong(&self.handle, id)).await;
        self.handle.with(|engine| engine.demux.end_ping(engine.now(), id));
        let Pong { message, took } =
            pong.map_err(|_| fdo::Error::TimedOut(format!("endpoint {eid} does not answer")))?;
        Ok((message, u64::try_from(took.as_micros()).unwrap_or(u64::MAX)))
    }

    /// A socket with all packets from now on, as [`Capture::trace`](crate::capture::Capture::trace) sends them.
    fn trace(&self) -> fdo::Result<zbus::OwnedFd> {
        let socket = self.handle.with(|engine| engine.capture.trace());
        socket.map(zbus::OwnedFd::from).map_err(|error| match error {
            TraceError::Full => fdo::Error::LimitsExceeded(error.to_string()),
            TraceError::Socket(_) => fdo::Error::Failed(error.to_string()),
        })
    }
}

/// Waits for the answer to a ping.
async fn pong(handle: &EngineHandle, id: PingId) -> Pong {
    loop {
        let answered = handle.ping_answered();
        tokio::pin!(answered);
        answered.as_mut().enable();
        if let Some(pong) = handle.peek(|engine| engine.demux.pong(id).cloned()) {
            return pong;
        }
        answered.await;
    }
}

/// One link.
pub(super) struct Binding {
    pub(super) handle: Arc<EngineHandle>,
    pub(super) link: LinkId,
}

#[interface(name = "org.causeway.MCTP.Demux.Binding")]
impl Binding {
    /// The binding as it was configured.
    #[zbus(property)]
    fn name(&self) -> String {
        self.handle.with(|engine| engine.link_name(self.link).to_owned())
    }

    /// Whether its device is open.
    #[zbus(property)]
    fn up(&self) -> bool {
        self.handle.with(|engine| engine.link(self.link).is_some_and(|link| link.up))
    }

    /// Packets, messages and bytes both ways.
    #[zbus(property)]
    fn counters(&self) -> BTreeMap<&'static str, u64> {
        let counters = self.handle.with(|engine| engine.link(self.link).map(|link| link.counters));
        let counters = counters.unwrap_or_default();
        BTreeMap::from([
            ("packets-in", counters.packets_in),
            ("packets-out", counters.packets_out),
            ("messages-in", counters.messages_in),
            ("messages-out", counters.messages_out),
            ("bytes-in", counters.bytes_in),
            ("bytes-out", counters.bytes_out),
            ("forwarded", counters.forwarded),
        ])
    }

    /// Messages for this endpoint, by type: those of DSP0239, FFh for all others.
    #[zbus(property)]
    fn messages_in(&self) -> BTreeMap<u8, u64> {
        let counters = self.handle.with(|engine| engine.link(self.link).map(|link| link.counters));
        counters.unwrap_or_default().types_in.iter().collect()
    }

    /// Messages from this endpoint, as `MessagesIn`.
    #[zbus(property)]
    fn messages_out(&self) -> BTreeMap<u8, u64> {
        let counters = self.handle.with(|engine| engine.link(self.link).map(|link| link.counters));
        counters.unwrap_or_default().types_out.iter().collect()
    }

    /// Frames, packets and unfinished messages thrown away, by reason.
    #[zbus(property)]
    fn drops(&self) -> BTreeMap<&'static str, u64> {
        let counters = self.handle.with(|engine| engine.link(self.link).map(|link| link.counters));
        let drops = counters.unwrap_or_default().drops;
        DropReason::ALL.into_iter().map(|reason| (reason.name(), drops.of(reason))).collect()
    }
}
