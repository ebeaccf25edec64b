//! One host, one request at a time: who gets which answer, and by when.
//!
//! No device, bus, task or clock in here. A host interface has no way to tell whose answer it is
//! handed (KCS, SSIF) or hangs on the wrong one (QEMU's link), so the rules are strict:
//!
//! - A request is answered once, by its deadline come what may: C3h when `ipmid` has not answered.
//! - A new request ends the one before it, as a host that asks again has given up on the first.
//! - Each request has a [`Token`] of its own; an answer with any but the latest is dropped and
//!   counted.
//! - Requests that are over but still run in `ipmid` are bounded; beyond that the answer is C0h.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ipmi_proto::{CompletionCode, NetFn, Request, Response};

/// Names one request of the host; never used twice.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Token(u64);

/// The bounds of an [`Exchange`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How long after a request it is answered at the latest.
    pub answer_within: Duration,
    /// How many requests may run in `ipmid`, those that the host no longer waits for included.
    pub running: usize,
    /// The most data bytes that an answer may have on this transport.
    pub answer_data: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { answer_within: Duration::from_secs(3), running: 8, answer_data: 250 }
    }
}

/// One answer for the host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// The transport's sequence number of the request, 0 where it has none.
    pub seq: u8,
    /// What the host is told.
    pub response: Response,
    /// Whether this answer turns the host's message interrupt on or off.
    pub interrupt: Option<bool>,
}

/// What the driver has to carry out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Execute {
    /// To be given back with the answer.
    pub token: Token,
    /// What `ipmid` is asked.
    pub request: Request,
}

/// What became of the host's requests.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Requests that could be read.
    pub requests: u64,
    /// Requests answered, by `ipmid` or in its place.
    pub answered: u64,
    /// Requests answered C3h at their deadline.
    pub timed_out: u64,
    /// Requests answered C0h for too many that still ran.
    pub busy: u64,
    /// Requests the host gave up: it asked again, or was reset.
    pub abandoned: u64,
    /// Answers that came for a request that was already over.
    pub late: u64,
    /// Answers too long for the transport, replaced by CAh.
    pub too_long: u64,
}

/// The state between one host interface and `ipmid`.
#[derive(Debug)]
pub struct Exchange {
    limits: Limits,
    next_token: u64,
    pending: Option<Pending>,
    running: usize,
    execute: VecDeque<Execute>,
    transmit: Option<Reply>,
    counters: Counters,
}

/// The request the host waits for.
#[derive(Debug)]
struct Pending {
    token: Token,
    seq: u8,
    /// The request without its data, for the answer's header.
    head: Request,
    deadline: Instant,
    /// Bit 0 of a Set BMC Global Enables (IPMI v2.0 §22.1), in force once it succeeds.
    interrupt: Option<bool>,
}

impl Exchange {
    /// An idle exchange.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            next_token: 0,
            pending: None,
            running: 0,
            execute: VecDeque::new(),
            transmit: None,
            counters: Counters::default(),
        }
    }

    /// Takes a request of the host; ends the one before.
    pub fn handle_request(&mut self, now: Instant, seq: u8, request: Request) {
        self.abandon();
        self.counters.requests += 1;
        let head = head_of(&request);
        if self.running >= self.limits.running {
            self.counters.busy += 1;
            let response = Response::failure(&head, CompletionCode::BUSY);
            self.reply(seq, response, None);
            return;
        }
        let token = self.token();
        self.pending = Some(Pending {
            token,
            seq,
            interrupt: interrupt_wanted(&request),
            head,
            deadline: now + self.limits.answer_within,
        });
        self.running += 1;
        self.execute.push_back(Execute { token, request });
    }

    /// Takes what `ipmid` answered to the request named `token`, once for each [`Execute`].
    pub fn handle_response(&mut self, token: Token, mut response: Response) {
        self.running = self.running.saturating_sub(1);
        let Some(pending) = self.pending.take_if(|pending| pending.token == token) else {
            self.counters.late += 1;
            return;
        };
        if response.data.len() > self.limits.answer_data {
            self.counters.too_long += 1;
            response = Response::failure(&pending.head, CompletionCode::CANNOT_RETURN_BYTES);
        }
        // The header is the request's, whatever the answer says.
        let response = Response::to(&pending.head, response.completion, response.data);
        let done = response.completion == CompletionCode::OK;
        let interrupt = pending.interrupt.filter(|_| done);
        self.reply(pending.seq, response, interrupt);
    }

    /// The host was reset or its end of the link went: nobody waits any more.
    pub fn handle_reset(&mut self) {
        self.abandon();
    }

    /// Answers C3h when the deadline has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(pending) = self.pending.take_if(|pending| pending.deadline <= now) {
            self.counters.timed_out += 1;
            let response = Response::failure(&pending.head, CompletionCode::TIMEOUT);
            self.reply(pending.seq, response, None);
        }
    }

    /// The next request to be carried out.
    pub fn poll_execute(&mut self) -> Option<Execute> {
        self.execute.pop_front()
    }

    /// The answer to be sent, if there is one.
    pub fn poll_transmit(&mut self) -> Option<Reply> {
        self.transmit.take()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.pending.as_ref().map(|pending| pending.deadline)
    }

    /// What became of the requests so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Requests that run in `ipmid` now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running
    }

    fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    fn reply(&mut self, seq: u8, response: Response, interrupt: Option<bool>) {
        self.counters.answered += 1;
        self.transmit = Some(Reply { seq, response, interrupt });
    }

    fn abandon(&mut self) {
        self.transmit = None;
        if let Some(pending) = self.pending.take() {
            self.counters.abandoned += 1;
            // One that was not even handed out need not run at all.
            let waiting = self.execute.len();
            self.execute.retain(|execute| execute.token != pending.token);
            self.running -= waiting - self.execute.len();
        }
    }
}

fn head_of(request: &Request) -> Request {
    Request { data: Vec::new(), ..*request }
}

/// What a Set BMC Global Enables makes of the receive message queue interrupt (IPMI v2.0 §22.1).
fn interrupt_wanted(request: &Request) -> Option<bool> {
    const SET_BMC_GLOBAL_ENABLES: u8 = 0x2e;
    match request {
        Request { netfn: NetFn::APP, command: SET_BMC_GLOBAL_ENABLES, data, .. } => {
            data.first().map(|enables| enables & 0x01 != 0)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
