//! Requests that are under way to satellite controllers: sequence numbers, retries, and which
//! response belongs to which request. No bus, device or clock in here.
//!
//! A slot is a sequence number in use. It is freed by a response, by the last retry's end, or with
//! the tracker; there is no other way out of it, and none that keeps it. The number of a request
//! that was sent more than once rests before it is used again, as long as the request itself may
//! take: another of its answers may still be on its way.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use ipmi_proto::ipmb::{IpmbAddress, IpmbHeader, IpmbRequest, IpmbResponse, IpmbSequence};
use ipmi_proto::{CompletionCode, NetFn, Request, Response};

/// Sequence numbers there are (IPMB v1.0 §2.11.3: six bits).
const SEQUENCES: usize = 64;

/// Names one request; never used twice.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RequestId(u64);

/// How a request to a satellite controller ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It answered.
    Answered(Response),
    /// It did not answer any of the tries.
    Silent,
    /// None of the tries could be written: nobody acknowledges that address.
    Unreachable,
}

/// How often and how patiently a request is sent (OpenBMC's ipmbbridge uses the same).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Patience {
    /// How long one try may take.
    pub per_try: Duration,
    /// How often a request is sent in all.
    pub tries: u8,
}

impl Patience {
    /// How long a request may take in all.
    #[must_use]
    pub fn in_all(&self) -> Duration {
        self.per_try * u32::from(self.tries)
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self { per_try: Duration::from_millis(250), tries: 6 }
    }
}

/// What the tracker wants written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outgoing {
    /// To be given back if the write fails.
    pub id: RequestId,
    /// The whole frame, beginning with the responder's address.
    pub frame: Vec<u8>,
}

/// The outstanding requests of one BMC on one IPMB.
#[derive(Debug)]
pub struct Tracker {
    own: IpmbAddress,
    patience: Patience,
    next_id: u64,
    next_sequence: IpmbSequence,
    slots: BTreeMap<u8, Slot>,
    /// Numbers that rest, and until when.
    resting: BTreeMap<u8, Instant>,
    outgoing: VecDeque<Outgoing>,
    ended: VecDeque<(RequestId, Outcome)>,
    stray: u64,
}

#[derive(Debug)]
struct Slot {
    id: RequestId,
    header: IpmbHeader,
    frame: Vec<u8>,
    tries: u8,
    tries_left: u8,
    due: Instant,
    /// Whether any try could be written.
    reached: bool,
    relayed: Relayed,
}

/// The frame inside of a tracked Send Message (IPMI v2.0 §22.7), whose response its bridge passes
/// back after its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Relayed {
    /// Not a tracked Send Message.
    Nothing,
    /// The bridge has yet to accept it.
    Unaccepted(IpmbHeader),
    /// The bridge has accepted it; the next response is the relayed one.
    Accepted(IpmbHeader),
}

impl Tracker {
    /// No request, as the BMC at `own`.
    #[must_use]
    pub fn new(own: IpmbAddress, patience: Patience) -> Self {
        Self {
            own,
            patience,
            next_id: 0,
            next_sequence: IpmbSequence::default(),
            slots: BTreeMap::new(),
            resting: BTreeMap::new(),
            outgoing: VecDeque::new(),
            ended: VecDeque::new(),
            stray: 0,
        }
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
            tries: 0,
            tries_left: self.patience.tries,
            due: now,
            reached: false,
            relayed: relayed_by(request),
        };
        self.slots.insert(sequence.value(), slot);
        self.handle_timeout(now);
        Some(id)
    }

    /// Takes a response from the bus; whether a request waited for it.
    pub fn handle_response(&mut self, now: Instant, response: &IpmbResponse<'_>) -> bool {
        let found = self.slots.iter().find(|(_, slot)| slot.matches(response));
        let Some((&key, _)) = found else {
            self.stray += 1;
            return false;
        };
        let accepts = response.completion == CompletionCode::OK && response.data.is_empty();
        if let Some(slot) = self.slots.get_mut(&key)
            && let Relayed::Unaccepted(inner) = slot.relayed
            && accepts
        {
            slot.relayed = Relayed::Accepted(inner);
            slot.tries_left = 0;
            slot.due = now + self.patience.in_all();
            return true;
        }
        self.end(now, key, |slot| Outcome::Answered(slot.response(response)));
        true
    }

    /// The frame of `id` was acknowledged by its receiver.
    pub fn handle_written(&mut self, id: RequestId) {
        if let Some(slot) = self.slots.values_mut().find(|slot| slot.id == id) {
            slot.reached = true;
        }
    }

    /// Sends again what was not answered in time, and ends what was sent often enough.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut over = Vec::new();
        for (&key, slot) in self.slots.iter_mut().filter(|(_, slot)| slot.due <= now) {
            match slot.tries_left.checked_sub(1) {
                None => over.push(key),
                Some(left) => {
                    slot.tries_left = left;
                    slot.tries += 1;
                    slot.due = now + self.patience.per_try;
                    self.outgoing.push_back(Outgoing { id: slot.id, frame: slot.frame.clone() });
                }
            }
        }
        for key in over {
            self.end(now, key, |slot| match slot.reached {
                true => Outcome::Silent,
                false => Outcome::Unreachable,
            });
        }
    }

    /// The next frame to be written.
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

    /// Requests under way.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.slots.len()
    }

    /// Responses that no request waited for.
    #[must_use]
    pub fn stray(&self) -> u64 {
        self.stray
    }

    /// The next number that no request uses and that does not rest.
    fn free_sequence(&mut self, now: Instant) -> Option<IpmbSequence> {
        self.resting.retain(|_, until| *until > now);
        for _ in 0..SEQUENCES {
            let sequence = self.next_sequence;
            self.next_sequence = sequence.next();
            let key = sequence.value();
            if !self.slots.contains_key(&key) && !self.resting.contains_key(&key) {
                return Some(sequence);
            }
        }
        None
    }

    fn end(&mut self, now: Instant, key: u8, outcome: impl FnOnce(&Slot) -> Outcome) {
        if let Some(slot) = self.slots.remove(&key) {
            let was_relayed = matches!(slot.relayed, Relayed::Accepted(_));
            if slot.tries > 1 || was_relayed {
                self.resting.insert(key, now + self.patience.in_all());
            }
            self.outgoing.retain(|outgoing| outgoing.id != slot.id);
            self.ended.push_back((slot.id, outcome(&slot)));
        }
    }
}

impl Slot {
    /// Whether `response` is this request's: same controller, function, command, number and LUNs.
    fn matches(&self, response: &IpmbResponse<'_>) -> bool {
        let expected =
            |header: &IpmbHeader| IpmbHeader { netfn: header.netfn.response(), ..*header };
        match self.relayed {
            Relayed::Nothing | Relayed::Unaccepted(_) => response.header == expected(&self.header),
            // Bridges differ in whose number and LUN they put into a relayed response.
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

    /// The outcome of the request, of which a relayed response is the data.
    fn response(&self, response: &IpmbResponse<'_>) -> Response {
        let request = Request {
            netfn: self.header.netfn,
            lun: self.header.responder_lun,
            command: self.header.command,
            data: Vec::new(),
        };
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

/// The frame that a tracked Send Message has its receiver pass on.
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
