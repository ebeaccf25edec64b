//! Endpoints that an operator asks for their id, to see whether they answer.

use std::time::Duration;

use mctp_proto::control::requester::Request as ControlRequest;
use mctp_proto::{BusPath, Eid};

use super::{Demux, LinkKind, Requester};

/// Pings at a time.
const MAX: usize = 8;

/// A ping that has not ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PingId(u64);

/// Why an endpoint cannot be asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PingError {
    /// The id is this endpoint's, or no endpoint's.
    #[error("it is no other endpoint's id")]
    NotAnEndpoint,
    /// No route leads to it.
    #[error("no route leads to it")]
    NoRoute,
    /// Its binding's device is not open.
    #[error("its binding is down")]
    LinkDown,
    /// The kernel's own stack sends the control messages of its binding.
    #[error("control messages of its binding are the kernel's")]
    Kernel,
    /// Too much is under way.
    #[error("too many requests are under way")]
    Busy,
}

/// The answer to a ping.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pong {
    /// The whole message, from its type byte on.
    pub message: Vec<u8>,
    /// The time from the request to the answer.
    pub took: Duration,
}

/// A ping.
#[derive(Debug)]
pub(super) struct Ping {
    id: PingId,
    sent: Duration,
    pong: Option<Pong>,
}

impl Demux {
    /// Sends Get Endpoint ID (DSP0236, "Get Endpoint ID") to an endpoint. To be ended with
    /// [`end_ping`](Self::end_ping).
    ///
    /// # Errors
    ///
    /// [`PingError`].
    pub fn ping(&mut self, now: Duration, eid: Eid) -> Result<PingId, PingError> {
        if eid == self.eid() || !eid.is_assignable() {
            return Err(PingError::NotAnEndpoint);
        }
        let (link, address) = self.routes.lookup(eid).ok_or(PingError::NoRoute)?;
        if self.kind_of(link) == LinkKind::Kernel {
            return Err(PingError::Kernel);
        }
        if !self.is_up(link) {
            return Err(PingError::LinkDown);
        }
        if self.pings.len() == MAX {
            return Err(PingError::Busy);
        }
        let number = self.next_ping;
        let id = PingId(number);
        let instance = u8::try_from(number & 0x1f).unwrap_or_default();
        let message = ControlRequest::GetEndpointId.emit(instance);
        let path = BusPath::new(link, address);
        if !self.push_own_request(now, path, eid, Requester::Ping(id), message) {
            return Err(PingError::Busy);
        }
        self.next_ping += 1;
        self.pings.push(Ping { id, sent: now, pong: None });
        Ok(id)
    }

    /// The answer, once it has come.
    #[must_use]
    pub fn pong(&self, id: PingId) -> Option<&Pong> {
        self.pings.iter().find(|ping| ping.id == id)?.pong.as_ref()
    }

    /// Forgets a ping, whether it was answered or not.
    pub fn end_ping(&mut self, now: Duration, id: PingId) {
        self.pings.retain(|ping| ping.id != id);
        self.tags.forget(now, |request| request.by == Requester::Ping(id));
    }

    /// Whether a ping was answered since this was last called.
    pub fn take_pinged(&mut self) -> bool {
        std::mem::take(&mut self.pinged)
    }

    pub(super) fn ping_answered(&mut self, now: Duration, id: PingId, message: &[u8]) {
        if let Some(ping) = self.pings.iter_mut().find(|ping| ping.id == id) {
            let took = now.saturating_sub(ping.sent);
            ping.pong = Some(Pong { message: message.to_vec(), took });
            self.pinged = true;
        }
    }
}
