//! The loop between a host interface, the state of its requests, and `ipmid`.

use std::future::Future;
use std::time::{Duration, Instant};

use daemon::RateLimit;
use ipmi_proto::{CompletionCode, Lun, NetFn, Request, Response};
use openbmc_dbus::execute::{Caller, IpmiHost, is_bridge_refused};
use tokio::sync::{mpsc, watch};
use tokio::task::{self, AbortHandle};
use tokio::time;
use tracing::{debug, info, warn};

use crate::attention::{SmsCall, SmsOperation};
use crate::config::MOST_RUNNING;
use crate::exchange::{Counters, Exchange, Execute, Limits, Token};
use crate::transport::{Incoming, Transport};

static BAD_REQUESTS: RateLimit = RateLimit::new(5, Duration::from_secs(10));
static REFUSED: RateLimit = RateLimit::new(1, Duration::from_secs(60));
static LOST_ANSWERS: RateLimit = RateLimit::new(5, Duration::from_secs(10));

/// Bit 0 is the message interrupt (IPMI v2.0 §22.2).
const GET_BMC_GLOBAL_ENABLES: u8 = 0x2f;
/// Any bit is a reason for attention (IPMI v2.0 §22.4).
const GET_MESSAGE_FLAGS: u8 = 0x31;

/// Executes requests: `ipmid`, or a test double.
pub trait RequestExecutor: Clone + Send + 'static {
    /// Responds to `request` within `deadline`, with a completion code in case of failure.
    fn execute(
        &self,
        request: Request,
        deadline: Duration,
    ) -> impl Future<Output = Response> + Send;
}

impl RequestExecutor for IpmiHost {
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

/// The result of a task that runs beside the loop.
#[derive(Debug)]
enum TaskResult {
    Answered(Token, Response),
    /// Bit 0 of `ipmid`'s global enables.
    Interrupt(bool),
    /// Whether any of `ipmid`'s message flags is set.
    Attention(bool),
}

/// One host interface, bridged to `ipmid`.
#[derive(Debug)]
pub struct Bridge<T, E> {
    transport: T,
    executor: E,
    calls: mpsc::Receiver<SmsCall>,
    limits: watch::Receiver<Limits>,
    exchange: Exchange,
    /// Whether the host's attention flag is to be up; set again whenever the transport comes up.
    attention: bool,
    sender: mpsc::Sender<TaskResult>,
    results: mpsc::Receiver<TaskResult>,
    interrupt_query: Option<AbortHandle>,
    attention_query: Option<AbortHandle>,
    logged: Counters,
}

impl<T: Transport, E: RequestExecutor> Bridge<T, E> {
    /// A bridge that has not yet seen its transport. New `limits` apply to requests that come after them.
    pub fn new(
        transport: T,
        executor: E,
        calls: mpsc::Receiver<SmsCall>,
        mut limits: watch::Receiver<Limits>,
    ) -> Self {
        let (sender, results) = mpsc::channel(MOST_RUNNING + 2);
        let exchange = Exchange::new(Self::limits_of(&mut limits));
        Self {
            transport,
            executor,
            calls,
            limits,
            exchange,
            attention: false,
            sender,
            results,
            interrupt_query: None,
            attention_query: None,
            logged: Counters::default(),
        }
    }

    /// The present limits, as far as the transport can carry them.
    fn limits_of(limits: &mut watch::Receiver<Limits>) -> Limits {
        let limits = *limits.borrow_and_update();
        Limits { answer_data: limits.answer_data.min(T::ANSWER_DATA), ..limits }
    }

    /// Bridges for ever.
    pub async fn run(mut self) {
        loop {
            self.drain();
            let deadline = self.exchange.poll_timeout();
            tokio::select! {
                incoming = self.transport.next() => self.on_incoming(incoming),
                Some(result) = self.results.recv() => self.on_result(result),
                Some(call) = self.calls.recv() => self.on_call(call),
                Ok(()) = self.limits.changed() => {
                    self.exchange.set_limits(Self::limits_of(&mut self.limits));
                }
                () = daemon::sleep_until(deadline) => self.exchange.handle_timeout(Instant::now()),
            }
            self.log_losses();
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
        let (executor, sender) = (self.executor.clone(), self.sender.clone());
        let deadline = self.exchange.limits().answer_within;
        task::spawn(async move {
            let response = executor.execute(request, deadline).await;
            // Fails only when the bridge has ended.
            let _ = sender.send(TaskResult::Answered(token, response)).await;
        });
    }

    fn on_incoming(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Request { seq, request } => {
                self.exchange.handle_request(Instant::now(), seq, request);
            }
            Incoming::Unreadable(error) => {
                if let Some(pass) = BAD_REQUESTS.admit() {
                    warn!(%error, swallowed = pass.swallowed, "invalid request; aborting the interface");
                }
                // The host waits for a response that cannot be built: have it start again.
                self.exchange.handle_reset();
                let _ = self.transport.force_abort();
            }
            Incoming::Reset => {
                info!("the host was reset; dropping its request");
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
            Some(self.query(GET_MESSAGE_FLAGS, |flags| TaskResult::Attention(flags != 0)));
        if T::HAS_INTERRUPT {
            stop(&mut self.interrupt_query);
            self.interrupt_query = Some(self.query(GET_BMC_GLOBAL_ENABLES, |enables| {
                TaskResult::Interrupt(enables & 0x01 != 0)
            }));
        }
    }

    /// Reads one byte of `ipmid`'s state, retrying until there is an answer: the bridge or `ipmid` may
    /// just have been restarted.
    fn query(&self, command: u8, result: fn(u8) -> TaskResult) -> AbortHandle {
        let (executor, sender) = (self.executor.clone(), self.sender.clone());
        let query = async move {
            if let Some(byte) = query_byte(executor, command).await {
                // Fails only when the bridge has ended.
                let _ = sender.send(result(byte)).await;
            }
        };
        task::spawn(query).abort_handle()
    }

    fn on_result(&mut self, result: TaskResult) {
        match result {
            TaskResult::Answered(token, response) => self.exchange.handle_response(token, response),
            // Unless the host's driver has set its global enables meanwhile.
            TaskResult::Interrupt(on) if self.interrupt_query.take().is_some() => {
                self.transport.set_interrupt(on);
            }
            // Unless `ipmid` has called setAttention or clearAttention meanwhile.
            TaskResult::Attention(on) if self.attention_query.take().is_some() => {
                if self.attention != on {
                    self.set_attention(on);
                }
            }
            TaskResult::Interrupt(_) | TaskResult::Attention(_) => {}
        }
    }

    fn on_call(&mut self, call: SmsCall) {
        debug!(operation = ?call.operation, "called over the bus");
        stop(&mut self.attention_query);
        let done = match call.operation {
            SmsOperation::SetAttention => self.set_attention(true),
            SmsOperation::ClearAttention => self.set_attention(false),
            SmsOperation::ForceAbort => {
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
                debug!(%error, on, "cannot change the attention flag");
                false
            }
        }
    }

    fn log_losses(&mut self) {
        let counters = self.exchange.counters();
        let lost = |c: &Counters| c.timed_out + c.busy + c.late + c.too_long;
        if lost(&counters) != lost(&self.logged)
            && let Some(pass) = LOST_ANSWERS.admit()
        {
            self.logged = counters;
            let Counters { requests, timed_out, busy, late, too_long, abandoned, .. } = counters;
            warn!(
                requests,
                timed_out,
                busy,
                late,
                too_long,
                abandoned,
                swallowed = pass.swallowed,
                "requests were answered C3h, C0h or CAh, or late"
            );
        }
    }
}

/// The first byte of a Get command's response, retried until there is one; `None` when `ipmid` has no
/// such command.
async fn query_byte<E: RequestExecutor>(executor: E, command: u8) -> Option<u8> {
    const PAUSE: Duration = Duration::from_secs(1);
    let request = Request { netfn: NetFn::APP, lun: Lun::BMC, command, data: Vec::new() };
    loop {
        let response = executor.execute(request.clone(), PAUSE).await;
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
