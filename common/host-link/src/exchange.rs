//! One host, one request at a time: which response belongs to which request, and its deadline.
//!
//! No device, bus, task or clock in here. A host interface cannot match a response to a request (KCS,
//! SSIF) or hangs on the wrong one (QEMU), so the rules are strict:
//!
//! - A request gets one response, by its deadline at the latest: C3h when `ipmid` has not responded.
//! - A new request ends the previous one: a host that sends another has given up on the first.
//! - Each request has a [`Token`] of its own; a response with any but the latest is dropped and
//!   counted.
//! - Requests that ended but still run in `ipmid` are bounded; beyond that the response is C0h.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ipmi_proto::{CompletionCode, NetFn, Request, Response};

/// Identifies one request of the host; never used twice.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Token(u64);

/// The bounds of an [`Exchange`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The time after a request by which the host gets a response.
    pub answer_within: Duration,
    /// The number of requests that may run in `ipmid`, abandoned ones included.
    pub running: usize,
    /// The most data bytes of a response on this transport.
    pub answer_data: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { answer_within: Duration::from_secs(3), running: 8, answer_data: 250 }
    }
}

/// One response for the host.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// The transport's sequence number of the request, 0 where it has none.
    pub seq: u8,
    /// The response.
    pub response: Response,
    /// Whether this response turns the host's message interrupt on or off.
    pub interrupt: Option<bool>,
}

/// A request that the driver of the exchange has to execute.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Execute {
    /// To be returned with the response.
    pub token: Token,
    /// The request for `ipmid`.
    pub request: Request,
}

/// Counters of the host's requests by outcome.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Valid requests.
    pub requests: u64,
    /// Responses sent, by `ipmid` or by the bridge.
    pub answered: u64,
    /// Requests answered C3h at their deadline.
    pub timed_out: u64,
    /// Requests answered C0h because too many still ran.
    pub busy: u64,
    /// Requests that the host abandoned by a new one or a reset.
    pub abandoned: u64,
    /// Responses to a request that had already ended.
    pub late: u64,
    /// Responses too long for the transport, replaced by CAh.
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

/// The request for which the host waits.
#[derive(Debug)]
struct Pending {
    token: Token,
    seq: u8,
    /// The request without its data, for the response's header.
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

    /// Sets the limits of requests that come from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Handles a request of the host; ends the previous one.
    pub fn handle_request(&mut self, now: Instant, seq: u8, request: Request) {
        self.abandon();
        self.counters.requests += 1;
        let head = without_data(&request);
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

    /// Handles `ipmid`'s response to the request of `token`, once for each [`Execute`].
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
        // ipmid's response may have another header; the host matches the request's.
        let response = Response::to(&pending.head, response.completion, response.data);
        let done = response.completion == CompletionCode::OK;
        let interrupt = pending.interrupt.filter(|_| done);
        self.reply(pending.seq, response, interrupt);
    }

    /// Handles a reset of the host or the loss of its transport: no request is pending afterwards.
    pub fn handle_reset(&mut self) {
        self.abandon();
    }

    /// Responds C3h when the deadline has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(pending) = self.pending.take_if(|pending| pending.deadline <= now) {
            self.counters.timed_out += 1;
            let response = Response::failure(&pending.head, CompletionCode::TIMEOUT);
            self.reply(pending.seq, response, None);
        }
    }

    /// The next request to execute.
    pub fn poll_execute(&mut self) -> Option<Execute> {
        self.execute.pop_front()
    }

    /// The response to send, if there is one.
    pub fn poll_transmit(&mut self) -> Option<Reply> {
        self.transmit.take()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.pending.as_ref().map(|pending| pending.deadline)
    }

    /// The counters.
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
            // A request that was not handed out yet is not executed at all.
            let waiting = self.execute.len();
            self.execute.retain(|execute| execute.token != pending.token);
            self.running -= waiting - self.execute.len();
        }
    }
}

fn without_data(request: &Request) -> Request {
    Request { data: Vec::new(), ..*request }
}

/// The receive message queue interrupt that a Set BMC Global Enables sets (IPMI v2.0 §22.1).
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
