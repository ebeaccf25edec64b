//! A process that answers commands: what it is asked, how long, how much at a time, and what came of it.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use daemon::RateLimit;
use daemon::metrics::Histogram;
use ipmi_proto::{ChannelNumber, CompletionCode, NetFn, ResponseBody};
use tokio::sync::Semaphore;
use tokio::time::{self, Instant};
use tracing::{info, warn};

use super::circuit::Circuit;
use crate::request::command::{Command, Priority};
use crate::request::context::{Context, Session};

/// Requests that a provider has at a time; more are answered C0h.
pub const MAX_IN_FLIGHT: usize = 8;
/// How long a provider may take: less than a request's deadline, so that the requester gets C3h from here.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// Failures of a provider that are logged in a minute, and commands.
const FAILURES_LOGGED: u32 = 5;
const COMMANDS_LOGGED: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);

/// Who a provider is, as the bus vouches for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// Unique bus name.
    pub name: String,
    /// The process's user.
    pub user: u32,
    /// The process.
    pub process: Option<u32>,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (uid {}", self.name, self.user)?;
        match self.process {
            Some(process) => write!(f, ", pid {process})"),
            None => f.write_str(")"),
        }
    }
}

/// What a provider is asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who asks, and with which privilege.
    pub context: Context,
    /// The network function.
    pub netfn: NetFn,
    /// The request's data, after a group's body or an enterprise number.
    pub data: Vec<u8>,
}

/// Why a provider gave no answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Failure {
    /// It handed the request on.
    NotMine,
    /// It is not there, and did not get the request.
    Absent,
    /// It ended with the request: it may have carried it out.
    Left,
    /// It did not answer in time.
    Late,
    /// It answered with something else than a response.
    Invalid(String),
}

/// The way to a provider.
#[async_trait]
pub trait Link: Send + Sync {
    /// Has the provider answer `request`.
    ///
    /// # Errors
    ///
    /// [`Failure`].
    async fn execute(&self, request: Request) -> Result<(u8, Vec<u8>), Failure>;
}

/// What came of the requests for a provider.
#[derive(Debug, Default)]
pub struct Counters {
    /// Requests that it got.
    pub requests: AtomicU64,
    /// Those that it answered.
    pub answered: AtomicU64,
    /// Those that it handed on.
    pub not_mine: AtomicU64,
    /// Those that it did not answer in time.
    pub timed_out: AtomicU64,
    /// Those whose answer was no response, or too long for the requester's channel.
    pub invalid: AtomicU64,
    /// Requests that it did not get because it had too many already.
    pub busy: AtomicU64,
    /// Requests that it did not get because it had not answered before.
    pub suspended: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A process that answers commands.
pub struct Provider {
    /// Who it is.
    pub identity: Identity,
    /// What came of its requests.
    pub counters: Counters,
    link: Box<dyn Link>,
    places: Semaphore,
    circuit: Circuit,
    failures: RateLimit,
    commands: RateLimit,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// What comes of a request that was offered to a provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// This is the response.
    Response(ResponseBody),
    /// It is the next one's.
    NotMine,
    /// The next one may answer it; without one, the command is not available now.
    Suspended,
}

impl Provider {
    /// A provider that is asked over `link`.
    #[must_use]
    pub fn new(identity: Identity, link: Box<dyn Link>) -> Self {
        Self {
            identity,
            counters: Counters::default(),
            link,
            places: Semaphore::new(MAX_IN_FLIGHT),
            circuit: Circuit::default(),
            failures: RateLimit::new(FAILURES_LOGGED, MINUTE),
            commands: RateLimit::new(COMMANDS_LOGGED, MINUTE),
        }
    }

    /// Whether it gets no requests because it did not answer.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.circuit.is_open()
    }

    async fn ask(&self, name: &str, request: Request, deadline: Instant) -> Outcome {
        let Some(pass) = self.circuit.pass() else {
            count(&self.counters.suspended);
            return Outcome::Suspended;
        };
        let Ok(_place) = self.places.try_acquire() else {
            count(&self.counters.busy);
            return Outcome::Response(CompletionCode::BUSY.into());
        };
        count(&self.counters.requests);
        let until = deadline.min(Instant::now() + PATIENCE);
        let answer = time::timeout_at(until, self.link.execute(request)).await;
        let answer = answer.unwrap_or(Err(Failure::Late));
        if answer == Err(Failure::Late) {
            if pass.timed_out() {
                warn!(provider = %self.identity, "does not answer; gets no requests for some seconds");
            }
        } else if pass.answered() {
            info!(provider = %self.identity, "answers again");
        }
        self.outcome(name, answer)
    }

    fn outcome(&self, name: &str, answer: Result<(u8, Vec<u8>), Failure>) -> Outcome {
        let (counter, problem, completion) = match answer {
            Ok((completion, data)) => {
                let completion = CompletionCode(completion);
                count(&self.counters.answered);
                return Outcome::Response(ResponseBody { completion, data });
            }
            Err(Failure::NotMine) => {
                count(&self.counters.not_mine);
                return Outcome::NotMine;
            }
            Err(Failure::Absent) => return Outcome::NotMine,
            Err(Failure::Left) => {
                (&self.counters.timed_out, "it left the bus".to_owned(), CompletionCode::TIMEOUT)
            }
            Err(Failure::Late) => {
                (&self.counters.timed_out, "no answer in time".to_owned(), CompletionCode::TIMEOUT)
            }
            Err(Failure::Invalid(what)) => {
                (&self.counters.invalid, what, CompletionCode::UNSPECIFIED)
            }
        };
        count(counter);
        self.log_failure(name, &problem, completion);
        Outcome::Response(completion.into())
    }

    fn log_failure(&self, command: &str, problem: &str, completion: CompletionCode) {
        if let Some(pass) = self.failures.admit() {
            let (provider, swallowed) = (&self.identity, pass.swallowed);
            warn!(%provider, command, problem, %completion, swallowed, "a provider failed; the requester gets the completion code");
        }
    }
}

/// A command that a provider answers.
#[derive(Debug)]
pub struct Offer {
    /// The row. It does not hold the provider's name for the command, which lasts only as long as the registration.
    pub command: Command,
    /// The provider's name for it.
    pub name: String,
    /// Before which others it is asked.
    pub priority: Priority,
    /// Data bytes of a request.
    pub lengths: RangeInclusive<usize>,
    /// Bit n: on channel n.
    pub channels: u16,
    /// How long the provider took, from its first request on.
    pub times: OnceLock<Box<Histogram>>,
}

impl Offer {
    /// Whether requests of this channel are for it.
    #[must_use]
    pub fn is_on(&self, channel: ChannelNumber) -> bool {
        self.channels >> channel.value() & 1 == 1
    }
}

/// An offer, and whose it is.
#[derive(Clone, Debug)]
pub struct Offered {
    /// The command.
    pub offer: Arc<Offer>,
    /// The provider.
    pub provider: Arc<Provider>,
}

impl Offered {
    /// Has the provider answer, at the latest at `deadline`; `room` is the most data that the response may have.
    pub async fn ask(
        &self,
        context: Context,
        data: &[u8],
        room: usize,
        deadline: Instant,
    ) -> Outcome {
        if !self.offer.lengths.contains(&data.len()) {
            return Outcome::Response(CompletionCode::REQUEST_LENGTH_INVALID.into());
        }
        let netfn = self.offer.command.family.netfn();
        let request = Request { context, netfn, data: data.to_owned() };
        let start = Instant::now();
        let outcome = self.provider.ask(&self.offer.name, request, deadline).await;
        if outcome != Outcome::Suspended {
            self.offer.times.get_or_init(Box::default).record(start.elapsed());
        }
        let Outcome::Response(response) = outcome else {
            return outcome;
        };
        let response = self.fitting(response, room);
        self.log(&context, netfn, response.completion);
        Outcome::Response(response)
    }

    /// The response if it fits the requester's channel.
    fn fitting(&self, response: ResponseBody, room: usize) -> ResponseBody {
        if response.data.len() <= room {
            return response;
        }
        count(&self.provider.counters.invalid);
        let problem = format!("{} data bytes where {room} fit", response.data.len());
        let completion = CompletionCode::CANNOT_RETURN_BYTES;
        self.provider.log_failure(&self.offer.name, &problem, completion);
        completion.into()
    }

    /// Logs who answered. The data are not logged.
    fn log(&self, context: &Context, netfn: NetFn, result: CompletionCode) {
        if let Some(pass) = self.provider.commands.admit() {
            let session = context.session.unwrap_or(Session::NONE);
            info!(
                provider = %self.provider.identity, name = self.offer.name,
                command = format_args!("{:02x}/{:02x}", netfn.value(), context.command),
                channel = context.channel.value(), id = session.user_id,
                session = format_args!("{:08x}", session.id),
                result = format_args!("{:02x}", result.0),
                swallowed = pass.swallowed, "a provider's command"
            );
        }
    }
}
