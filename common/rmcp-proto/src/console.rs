//! The client's end: opens a session and sends requests in it.
//!
//! For tests, the load generator and the operator's tool. As with the server, datagrams, time and random
//! numbers come in, datagrams and events come out. A datagram without an answer is sent again every second, a
//! few times.

mod open;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ipmi_proto::ipmb::{IpmbAddress, IpmbHeader, IpmbRequest, IpmbResponse, IpmbSequence};
use ipmi_proto::{CompletionCode, Lun, Request};

use self::open::{Opened, Opening};
use crate::crypto::UserKey;
use crate::link::Link;
use crate::server::Random;
use crate::suite::CipherSuite;
use crate::wire::StatusCode;
use crate::wire::rakp::{Role, UserName};
use crate::wire::rmcp::{Class, RmcpMessage};
use crate::wire::v20::{PayloadType, Protection, V20Packet};

/// How long an answer may take before the packet is sent again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often a packet is sent in all.
const TRIES: u32 = 5;

/// User, password, and what a login asks for.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The user's name.
    pub user: UserName,
    /// The user's password.
    pub key: UserKey,
    /// KG, if the BMC has one.
    pub kg: Option<UserKey>,
    /// The suite to propose.
    pub suite: CipherSuite,
    /// The privilege asked for, and the way the user is looked up.
    pub role: Role,
}

/// What happened to the session or to a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ConsoleEvent {
    /// The session is open.
    Opened,
    /// The session did not open, or is lost.
    Failed(ConsoleError),
    /// A request was answered.
    Response {
        /// The request's sequence number.
        sequence: IpmbSequence,
        /// How it ended.
        completion: CompletionCode,
        /// The bytes after the completion code.
        data: Vec<u8>,
    },
    /// A packet of another payload.
    Payload {
        /// Which payload.
        kind: PayloadType,
        /// Its contents.
        data: Vec<u8>,
    },
}

/// Why a session failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ConsoleError {
    /// The BMC refused with a status code.
    #[error("refused with status {0}")]
    Refused(StatusCode),
    /// The BMC's code does not match the password.
    #[error("the BMC's proof of the password is wrong")]
    WrongProof,
    /// The BMC did not answer.
    #[error("no answer")]
    NoAnswer,
}

/// The client's end of one session.
pub struct Console<R> {
    credentials: Credentials,
    random: R,
    console_id: u32,
    state: State,
    sequence: IpmbSequence,
    outstanding: Vec<Outstanding>,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<ConsoleEvent>,
    plain: Vec<u8>,
}

enum State {
    Opening(Box<Opening>, Retry),
    Active(Box<Link>),
    Closed,
}

/// What is sent again until it is answered.
struct Retry {
    datagram: Vec<u8>,
    at: Instant,
    left: u32,
}

impl Retry {
    fn new(now: Instant, datagram: Vec<u8>) -> Self {
        Self { datagram, at: now + RETRY_AFTER, left: TRIES - 1 }
    }

    /// The next try, if it is due; `None` for no answer at all.
    fn due(&mut self, now: Instant) -> Result<bool, ConsoleError> {
        if now < self.at {
            return Ok(false);
        }
        self.left = self.left.checked_sub(1).ok_or(ConsoleError::NoAnswer)?;
        self.at = now + RETRY_AFTER;
        Ok(true)
    }
}

struct Outstanding {
    header: IpmbHeader,
    message: Vec<u8>,
    retry: Retry,
}

impl<R: Random> Console<R> {
    /// A console that asks for a session at once. `console_id` is its own id of the session, not 0.
    pub fn new(now: Instant, credentials: Credentials, console_id: u32, random: R) -> Self {
        let (opening, datagram) = Opening::start(&credentials, console_id);
        let mut console = Self {
            credentials,
            random,
            console_id,
            state: State::Closed,
            sequence: IpmbSequence::default(),
            outstanding: Vec::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            plain: Vec::new(),
        };
        console.open_further(now, Box::new(opening), datagram);
        console
    }

    /// Whether the session is open.
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Active(_))
    }

    /// The BMC's id of the open session.
    pub fn managed_id(&self) -> Option<u32> {
        match &self.state {
            State::Active(link) => Some(link.peer_id()),
            _ => None,
        }
    }

    /// Sends `request` in the session; `None` if it is not open.
    pub fn send(&mut self, now: Instant, request: &Request) -> Option<IpmbSequence> {
        let sequence = self.sequence.next();
        let header = IpmbHeader {
            responder: IpmbAddress::BMC,
            responder_lun: request.lun,
            requester: IpmbAddress::REMOTE_CONSOLE,
            requester_lun: Lun::BMC,
            sequence,
            netfn: request.netfn,
            command: request.command,
        };
        let mut message = Vec::with_capacity(7 + request.data.len());
        IpmbRequest { header, data: &request.data }.emit(&mut message);
        if !self.send_payload(PayloadType::IPMI, Protection::FULL, &message) {
            return None;
        }
        self.sequence = sequence;
        let retry = Retry::new(now, Vec::new());
        self.outstanding.push(Outstanding { header, message, retry });
        Some(sequence)
    }

    /// Sends a packet of another payload; `false` if the session is not open.
    pub fn send_payload(&mut self, kind: PayloadType, wanted: Protection, payload: &[u8]) -> bool {
        let mut iv = [0; 16];
        self.random.fill(&mut iv);
        let State::Active(link) = &mut self.state else {
            return false;
        };
        self.transmits.push_back(link.seal(kind, wanted, payload, iv));
        true
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<ConsoleEvent> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] must be called at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let opening = match &self.state {
            State::Opening(_, retry) => Some(retry.at),
            _ => None,
        };
        self.outstanding.iter().map(|outstanding| outstanding.retry.at).chain(opening).min()
    }

    /// Sends again what was not answered in time, or gives the session up.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let State::Opening(_, retry) = &mut self.state {
            match retry.due(now) {
                Ok(true) => self.transmits.push_back(retry.datagram.clone()),
                Ok(false) => {}
                Err(error) => self.fail(error),
            }
        }
        let mut again = Vec::new();
        for outstanding in &mut self.outstanding {
            match outstanding.retry.due(now) {
                Ok(true) => again.push(outstanding.message.clone()),
                Ok(false) => {}
                Err(error) => return self.fail(error),
            }
        }
        for message in again {
            self.send_payload(PayloadType::IPMI, Protection::FULL, &message);
        }
    }

    /// Handles one datagram; one that is not of the session is ignored.
    pub fn handle_datagram(&mut self, now: Instant, bytes: &[u8]) {
        let Ok(RmcpMessage::Data { class: Class::Ipmi, body, .. }) = RmcpMessage::parse(bytes)
        else {
            return;
        };
        let Ok(packet) = V20Packet::parse(body) else {
            return;
        };
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Opening(opening, retry) if packet.header.session_id == 0 => {
                match opening.advance(&packet, &self.credentials, &mut self.random) {
                    Ok(Opened::Next(next, datagram)) => self.open_further(now, next, datagram),
                    Ok(Opened::Ignored(same)) => self.state = State::Opening(same, retry),
                    Ok(Opened::Done(link)) => {
                        self.state = State::Active(link);
                        self.events.push_back(ConsoleEvent::Opened);
                    }
                    Err(error) => self.fail(error),
                }
            }
            State::Active(mut link) => {
                let ours = packet.header.session_id == self.console_id;
                let opened = ours && link.open(&packet, &mut self.plain).is_ok();
                self.state = State::Active(link);
                if opened {
                    self.on_payload(packet.header.payload_type);
                }
            }
            state => self.state = state,
        }
    }

    fn on_payload(&mut self, kind: PayloadType) {
        if kind != PayloadType::IPMI {
            let data = self.plain.clone();
            self.events.push_back(ConsoleEvent::Payload { kind, data });
            return;
        }
        let Ok(IpmbResponse { header, completion, data }) = IpmbResponse::parse(&self.plain) else {
            return;
        };
        let wanted = |o: &Outstanding| IpmbHeader { netfn: header.netfn, ..o.header } == header;
        let Some(index) = self.outstanding.iter().position(wanted) else {
            return;
        };
        self.outstanding.swap_remove(index);
        let (sequence, data) = (header.sequence, data.to_vec());
        self.events.push_back(ConsoleEvent::Response { sequence, completion, data });
    }

    fn open_further(&mut self, now: Instant, opening: Box<Opening>, datagram: Vec<u8>) {
        self.transmits.push_back(datagram.clone());
        self.state = State::Opening(opening, Retry::new(now, datagram));
    }

    fn fail(&mut self, error: ConsoleError) {
        self.state = State::Closed;
        self.outstanding.clear();
        self.events.push_back(ConsoleEvent::Failed(error));
    }
}
