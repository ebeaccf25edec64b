//! The loop between a host interface, the state of its requests, and `ipmid`.

use std::future::{self, Future};
use std::time::{Duration, Instant};

use daemon::RateLimit;
use ipmi_proto::{CompletionCode, Lun, NetFn, Request, Response};
use openbmc_dbus::execute::{Caller, IpmiHost, is_bridge_refused};
use tokio::sync::mpsc;
use tokio::task::{self, AbortHandle};
use tokio::time;
use tracing::{debug, info, warn};

use crate::attention::{Call, Wish};
use crate::exchange::{Counters, Exchange, Execute, Limits, Token};
use crate::transport::{Incoming, Transport};

static BAD_REQUESTS: RateLimit = RateLimit::new(5, Duration::from_secs(10));
static REFUSED: RateLimit = RateLimit::new(1, Duration::from_secs(60));
static LOST_ANSWERS: RateLimit = RateLimit::new(5, Duration::from_secs(10));

/// Bit 0 is the message interrupt (IPMI v2.0 §22.2).
const GET_BMC_GLOBAL_ENABLES: u8 = 0x2f;
/// Any bit is a reason for attention (IPMI v2.0 §22.4).
const GET_MESSAGE_FLAGS: u8 = 0x31;

/// Who carries requests out: `ipmid`, or a test in its place.
pub trait Execution: Clone + Send + 'static {
    /// Answers `request` within `deadline`, with a completion code that says so if it cannot.
    fn execute(
        &self,
        request: Request,
        deadline: Duration,
    ) -> impl Future<Output = Response> + Send;
}

impl Execution for IpmiHost {
    async fn execute(&self, request: Request, deadline: Duration) -> Response {
        let response = Self::execute(self, &request, Caller::System, deadline).await;
        if is_bridge_refused(&response)
            && let Some(pass) = REFUSED.admit()
        {
            let swallowed = pass.swallowed;
            warn!(swallowed, "ipmid refuses this bridge's requests (D3h); see its log");
        }
        response
    }
}

/// What runs beside the loop comes back to it as one of these.
#[derive(Debug)]
enum Outcome {
    Answered(Token, Response),
    /// What `ipmid` has in bit 0 of its global enables.
    Interrupt(bool),
    /// Whether `ipmid` has any message flag up.
    Attention(bool),
}

/// One host interface, bridged to `ipmid`.
#[derive(Debug)]
pub struct Bridge<T, E> {
    transport: T,
    execution: E,
    calls: mpsc::Receiver<Call>,
    limits: Limits,
    exchange: Exchange,
    /// Whether `ipmid` wants the host's attention; told again whenever the transport comes up.
    attention: bool,
    sender: mpsc::Sender<Outcome>,
    outcomes: mpsc::Receiver<Outcome>,
    interrupt_query: Option<AbortHandle>,
    attention_query: Option<AbortHandle>,
    told: Counters,
}

impl<T: Transport, E: Execution> Bridge<T, E> {
    /// A bridge that has not yet seen its transport.
    pub fn new(transport: T, execution: E, calls: mpsc::Receiver<Call>, limits: Limits) -> Self {
        let (sender, outcomes) = mpsc::channel(limits.running + 2);
        let limits = Limits { answer_data: limits.answer_data.min(T::ANSWER_DATA), ..limits };
        Self {
            transport,
            execution,
            calls,
            limits,
            exchange: Exchange::new(limits),
            attention: false,
            sender,
            outcomes,
            interrupt_query: None,
            attention_query: None,
            told: Counters::default(),
        }
    }

    /// Bridges for ever.
    pub async fn run(mut self) {
        loop {
            self.drain();
            let deadline = self.exchange.poll_timeout();
            tokio::select! {
                incoming = self.transport.next() => self.on_incoming(incoming),
                Some(outcome) = self.outcomes.recv() => self.on_outcome(outcome),
                Some(call) = self.calls.recv() => self.on_call(call),
                () = until(deadline) => self.exchange.handle_timeout(Instant::now()),
            }
            self.tell_losses();
        }
    }

    fn drain(&mut self) {
        while let Some(execute) = self.exchange.poll_execute() {
            self.start(execute);
        }
        while let Some(reply) = self.exchange.poll_transmit() {
            self.transport.send(&reply);
            if let Some(on) = reply.interrupt {
                stop(&mut self.interrupt_query);
                self.transport.set_interrupt(on);
            }
        }
    }

    fn start(&self, execute: Execute) {
        let Execute { token, request } = execute;
        let (execution, sender) = (self.execution.clone(), self.sender.clone());
        let deadline = self.limits.answer_within;
        task::spawn(async move {
            let response = execution.execute(request, deadline).await;
            // Fails only when the bridge itself is gone.
            let _ = sender.send(Outcome::Answered(token, response)).await;
        });
    }

    fn on_incoming(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Request { seq, request } => {
                self.exchange.handle_request(Instant::now(), seq, request);
            }
            Incoming::Unreadable(error) => {
                if let Some(pass) = BAD_REQUESTS.admit() {
                    warn!(%error, swallowed = pass.swallowed, "not a request");
                }
                // The host waits for an answer that cannot be made: let it start anew.
                self.exchange.handle_reset();
                let _ = self.transport.force_abort();
            }
            Incoming::Reset => {
                info!("the host was reset");
                self.exchange.handle_reset();
            }
            Incoming::Down => {
                stop(&mut self.interrupt_query);
                stop(&mut self.attention_query);
                self.exchange.handle_reset();
            }
            Incoming::Up => self.on_up(),
        }
    }

    fn on_up(&mut self) {
        self.exchange.handle_reset();
        if self.attention {
            self.set_attention(true);
        }
        stop(&mut self.attention_query);
        self.attention_query =
            Some(self.query(GET_MESSAGE_FLAGS, |flags| Outcome::Attention(flags != 0)));
        if T::HAS_INTERRUPT {
            stop(&mut self.interrupt_query);
            self.interrupt_query =
                Some(self.query(GET_BMC_GLOBAL_ENABLES, |enables| {
                    Outcome::Interrupt(enables & 0x01 != 0)
                }));
        }
    }

    /// Asks `ipmid` for one byte of its state until it tells: the bridge may have been started
    /// anew, and so may `ipmid`.
    fn query(&self, command: u8, outcome: fn(u8) -> Outcome) -> AbortHandle {
        let (execution, sender) = (self.execution.clone(), self.sender.clone());
        let query = async move {
            if let Some(byte) = query_byte(execution, command).await {
                // Fails only when the bridge itself is gone.
                let _ = sender.send(outcome(byte)).await;
            }
        };
        task::spawn(query).abort_handle()
    }

    fn on_outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Answered(token, response) => self.exchange.handle_response(token, response),
            // Unless the host's driver has said itself what it wants, meanwhile.
            Outcome::Interrupt(on) if self.interrupt_query.take().is_some() => {
                self.transport.set_interrupt(on);
            }
            // Unless `ipmid` has said so itself, meanwhile.
            Outcome::Attention(on) if self.attention_query.take().is_some() => {
                if self.attention != on {
                    self.set_attention(on);
                }
            }
            Outcome::Interrupt(_) | Outcome::Attention(_) => {}
        }
    }

    fn on_call(&mut self, call: Call) {
        debug!(wish = ?call.wish, "asked over the bus");
        stop(&mut self.attention_query);
        let done = match call.wish {
            Wish::SetAttention => self.set_attention(true),
            Wish::ClearAttention => self.set_attention(false),
            Wish::ForceAbort => {
                self.exchange.handle_reset();
                self.transport.force_abort().is_ok()
            }
        };
        // The caller may have given up waiting.
        let _ = call.done.send(done);
    }

    fn set_attention(&mut self, on: bool) -> bool {
        self.attention = on;
        match self.transport.set_attention(on) {
            Ok(()) => true,
            Err(error) => {
                debug!(%error, on, "no attention flag");
                false
            }
        }
    }

    fn tell_losses(&mut self) {
        let counters = self.exchange.counters();
        let lost = |c: &Counters| c.timed_out + c.busy + c.late + c.too_long;
        if lost(&counters) != lost(&self.told)
            && let Some(pass) = LOST_ANSWERS.admit()
        {
            self.told = counters;
            let Counters { requests, timed_out, busy, late, too_long, abandoned, .. } = counters;
            warn!(
                requests,
                timed_out,
                busy,
                late,
                too_long,
                abandoned,
                swallowed = pass.swallowed,
                "not every request got its answer"
            );
        }
    }
}

/// The byte that a Get command answers, asked until there is an answer; `None` when `ipmid` has no
/// such command.
async fn query_byte<E: Execution>(execution: E, command: u8) -> Option<u8> {
    const PAUSE: Duration = Duration::from_secs(1);
    let request = Request { netfn: NetFn::APP, lun: Lun::BMC, command, data: Vec::new() };
    loop {
        let response = execution.execute(request.clone(), PAUSE).await;
        match (response.completion, response.data.first()) {
            (CompletionCode::OK, Some(byte)) => return Some(*byte),
            (CompletionCode::INVALID_COMMAND, _) => return None,
            _ => time::sleep(PAUSE).await,
        }
    }
}

fn stop(query: &mut Option<AbortHandle>) {
    if let Some(query) = query.take() {
        query.abort();
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => time::sleep_until(deadline.into()).await,
        None => future::pending().await,
    }
}
