//! Outstanding requests to satellite controllers: sequence numbers, retries, and matching responses to
//! requests. No bus, device or clock in here.
//!
//! A slot is a sequence number in use. It is freed by a response or by the end of the last retry, and by
//! nothing else. The number of a request that was sent more than once is reserved before it is used
//! again, for as long as the request itself may take: another response to it may still arrive.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use ipmi_proto::ipmb::{IpmbAddress, IpmbHeader, IpmbRequest, IpmbResponse, IpmbSequence};
use ipmi_proto::{CompletionCode, NetFn, Request, Response};

/// The number of sequence numbers (IPMB v1.0 §2.11.3: six bits).
const SEQUENCES: usize = 64;

/// Identifies one request; never used twice.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RequestId(u64);

/// How a request to a satellite controller ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The satellite responded.
    Answered(Response),
    /// There was no response to any of the tries.
    TimedOut,
    /// None of the tries could be written: no controller acknowledges that address.
    Unreachable,
}

/// Number and interval of the tries of a request (OpenBMC's ipmbbridge uses the same).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RetryPolicy {
    /// The time for a response to one try.
    pub per_try: Duration,
    /// The number of tries.
    pub tries: u8,
}

impl RetryPolicy {
    /// The time that a request may take.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.per_try * u32::from(self.tries)
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { per_try: Duration::from_millis(250), tries: 6 }
    }
}

/// A frame to write.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outgoing {
    /// The request; to be passed to `handle_written` when the frame was acknowledged.
    pub id: RequestId,
    /// The whole frame, beginning with the responder's address.
    pub frame: Vec<u8>,
}

/// The outstanding requests of one BMC on one IPMB.
#[derive(Debug)]
pub struct Tracker {
    own: IpmbAddress,
    retry_policy: RetryPolicy,
    next_id: u64,
    next_sequence: IpmbSequence,
    slots: BTreeMap<u8, Slot>,
    /// Reserved sequence numbers, and the end of the reservation.
    reserved: BTreeMap<u8, Instant>,
    outgoing: VecDeque<Outgoing>,
    ended: VecDeque<(RequestId, Outcome)>,
    unmatched: u64,
}

#[derive(Debug)]
struct Slot {
    id: RequestId,
    header: IpmbHeader,
    frame: Vec<u8>,
    /// As it was when the request was started.
    retry_policy: RetryPolicy,
    tries: u8,
    tries_left: u8,
    due: Instant,
    /// Whether any try was acknowledged.
    acknowledged: bool,
    relayed: Relayed,
}

/// The frame inside a tracked Send Message (IPMI v2.0 §22.7). The controller that forwards it sends its
/// own response first and the relayed one after it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Relayed {
    /// Not a tracked Send Message.
    Nothing,
    /// The controller has not accepted it yet.
    Unaccepted(IpmbHeader),
    /// The controller has accepted it; the next response is the relayed one.
    Accepted(IpmbHeader),
}

impl Tracker {
    /// A tracker without requests, for the BMC at `own`.
    #[must_use]
    pub fn new(own: IpmbAddress, retry_policy: RetryPolicy) -> Self {
        Self {
            own,
            retry_policy,
            next_id: 0,
            next_sequence: IpmbSequence::default(),
            slots: BTreeMap::new(),
            reserved: BTreeMap::new(),
            outgoing: VecDeque::new(),
            ended: VecDeque::new(),
            unmatched: 0,
        }
    }

    /// Sets the tries of requests that are started from now on.
    pub fn set_retry_policy(&mut self, retry_policy: RetryPolicy) {
        self.retry_policy = retry_policy;
    }

    /// Starts a request to the controller at `to`; `None` when every sequence number is in use.
    pub fn start(&mut self, now: Instant, to: IpmbAddress, request: &Request) -> Option<RequestId> {
        let sequence = self.free_sequence(now)?;
        let header = IpmbHeader {
            responder: to,
            responder_lun: request.lun,
            requester: self.own,
            requester_lun: ipmi_proto::Lun::BMC,
            sequence,
            netfn: request.netfn,
            command: request.command,
        };
        let data = &request.data;
        let mut frame = Vec::new();
        IpmbRequest { header, data }.emit(&mut frame);
        self.next_id += 1;
        let id = RequestId(self.next_id);
        let slot = Slot {
            id,
            header,
            frame,
            retry_policy: self.retry_policy,
            tries: 0,
            tries_left: self.retry_policy.tries,
            due: now,
            acknowledged: false,
            relayed: relayed_by(request),
        };
        self.slots.insert(sequence.value(), slot);
        self.handle_timeout(now);
        Some(id)
    }

    /// Handles a response from the bus; returns whether it matches a request.
    pub fn handle_response(&mut self, now: Instant, response: &IpmbResponse<'_>) -> bool {
        let found = self.slots.iter().find(|(_, slot)| slot.matches(response));
        let Some((&key, _)) = found else {
            self.unmatched += 1;
            return false;
        };
        let accepts = response.completion == CompletionCode::OK && response.data.is_empty();
        if let Some(slot) = self.slots.get_mut(&key)
            && let Relayed::Unaccepted(inner) = slot.relayed
            && accepts
        {
            slot.relayed = Relayed::Accepted(inner);
            slot.tries_left = 0;
            slot.due = now + slot.retry_policy.total();
            return true;
        }
        self.end(now, key, |slot| Outcome::Answered(slot.response(response)));
        true
    }

    /// Handles the acknowledgement of a frame of `id` by its receiver.
    pub fn handle_written(&mut self, id: RequestId) {
        if let Some(slot) = self.slots.values_mut().find(|slot| slot.id == id) {
            slot.acknowledged = true;
        }
    }

    /// Repeats requests without a response in time, and ends those without tries left.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut over = Vec::new();
        for (&key, slot) in self.slots.iter_mut().filter(|(_, slot)| slot.due <= now) {
            match slot.tries_left.checked_sub(1) {
                None => over.push(key),
                Some(left) => {
                    slot.tries_left = left;
                    slot.tries += 1;
                    slot.due = now + slot.retry_policy.per_try;
                    self.outgoing.push_back(Outgoing { id: slot.id, frame: slot.frame.clone() });
                }
            }
        }
        for key in over {
            self.end(now, key, |slot| match slot.acknowledged {
                true => Outcome::TimedOut,
                false => Outcome::Unreachable,
            });
        }
    }

    /// The next frame to write.
    pub fn poll_transmit(&mut self) -> Option<Outgoing> {
        self.outgoing.pop_front()
    }

    /// The next request that ended.
    pub fn poll_event(&mut self) -> Option<(RequestId, Outcome)> {
        self.ended.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.slots.values().map(|slot| slot.due).min()
    }

    /// The number of outstanding requests.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.slots.len()
    }

    /// The number of responses that matched no request.
    #[must_use]
    pub fn unmatched(&self) -> u64 {
        self.unmatched
    }

    /// The next sequence number that is neither in use nor reserved.
    fn free_sequence(&mut self, now: Instant) -> Option<IpmbSequence> {
        self.reserved.retain(|_, until| *until > now);
        for _ in 0..SEQUENCES {
            let sequence = self.next_sequence;
            self.next_sequence = sequence.next();
            let key = sequence.value();
            if !self.slots.contains_key(&key) && !self.reserved.contains_key(&key) {
                return Some(sequence);
            }
        }
        None
    }

    fn end(&mut self, now: Instant, key: u8, outcome: impl FnOnce(&Slot) -> Outcome) {
        if let Some(slot) = self.slots.remove(&key) {
            let was_relayed = matches!(slot.relayed, Relayed::Accepted(_));
            if slot.tries > 1 || was_relayed {
                self.reserved.insert(key, now + slot.retry_policy.total());
            }
            self.outgoing.retain(|outgoing| outgoing.id != slot.id);
            self.ended.push_back((slot.id, outcome(&slot)));
        }
    }
}

impl Slot {
    /// Whether `response` matches: same controller, function, command, sequence number and LUNs.
    fn matches(&self, response: &IpmbResponse<'_>) -> bool {
        let expected =
            |header: &IpmbHeader| IpmbHeader { netfn: header.netfn.response(), ..*header };
        match self.relayed {
            Relayed::Nothing | Relayed::Unaccepted(_) => response.header == expected(&self.header),
            // Controllers differ in whose sequence number and LUN they put into a relayed response.
            Relayed::Accepted(inner) => {
                let (got, ours) = (response.header, self.header);
                got.responder == ours.responder
                    && got.requester == ours.requester
                    && [inner.sequence, ours.sequence].contains(&got.sequence)
                    && got.netfn == inner.netfn.response()
                    && got.command == inner.command
            }
        }
    }

    /// The response to the request; a relayed response is its data.
    fn response(&self, response: &IpmbResponse<'_>) -> Response {
        let request = self.header.request(Vec::new());
        match self.relayed {
            Relayed::Accepted(inner) => {
                let mut frame = Vec::new();
                let relayed = IpmbResponse {
                    header: IpmbHeader { netfn: inner.netfn.response(), ..inner },
                    ..*response
                };
                relayed.emit(&mut frame);
                Response::to(&request, CompletionCode::OK, frame)
            }
            _ => Response::to(&request, response.completion, response.data.to_vec()),
        }
    }
}

/// The frame that the receiver of a tracked Send Message forwards.
fn relayed_by(request: &Request) -> Relayed {
    const SEND_MESSAGE: u8 = 0x34;
    const TRACKING: u8 = 0xc0;
    const TRACKED: u8 = 0x40;
    match request {
        Request { netfn: NetFn::APP, command: SEND_MESSAGE, data, .. } => {
            match data.split_first() {
                Some((channel, frame)) if channel & TRACKING == TRACKED => {
                    let inner = IpmbRequest::parse(frame).map(|inner| inner.header);
                    inner.map_or(Relayed::Nothing, Relayed::Unaccepted)
                }
                _ => Relayed::Nothing,
            }
        }
        _ => Relayed::Nothing,
    }
}

#[cfg(test)]
mod tests;
