//! The BMC's end: sessions of many consoles behind one port.
//!
//! [`Server`] takes datagrams and gives datagrams and [`Event`]s; after every call that may change
//! something, drain [`Server::poll_transmit`] and [`Server::poll_event`], and wake it at
//! [`Server::poll_timeout`]. What a request means is not its affair: it hands them out as events
//! and takes the answers back by [`Token`].
//!
//! A datagram goes through `inbound` (formats, session look-up), then either `setup` (Open Session
//! and RAKP, a type per state in `handshake`, kept in `pending`), `sessionless`, or a `session` with its
//! `exchanges`. Nothing grows with what peers send: handshakes, sessions, and requests per
//! session have each their own limit.

mod accounts;
mod bridged;
mod commands;
mod config;
mod event;
mod exchanges;
mod handshake;
mod inbound;
mod limits;
mod pending;
mod reject;
mod session;
mod sessionless;
mod setup;
mod timer;
mod v15;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ipmi_proto::ipmb::{IpmbHeader, IpmbResponse};
use ipmi_proto::{CompletionCode, Response};

pub use self::accounts::{Account, Accounts, BadPassword, LoginStatus, Random};
use self::accounts::{random_bytes, random_u64};
pub use self::config::{Config, Instance};
pub use self::event::{
    CloseReason, Event, Local, Outside, Route, SessionId, SessionInfo, Token, Transmit,
};
use self::handshake::{Decoy, Handshake, State};
pub use self::limits::Rate;
use self::limits::{Buckets, Guesses, Source};
use self::pending::Handshakes;
pub use self::reject::{Counters, Reason};
use self::session::Session;
use self::timer::Timer;
pub use self::v15::V15Policy;
use crate::wire::rakp::UserName;
use crate::wire::v20::{PayloadType, Protection};

/// A session idle for less than this is never given up for another login.
const EVICTABLE_AFTER: Duration = Duration::from_secs(10);

/// How long the console of a session whose account changed has for its farewell: whoever changes the own
/// password gets the answer, and ends as always.
const FAREWELL: Duration = Duration::from_secs(10);

/// The BMC's end of RMCP.
pub struct Server<A, R> {
    config: Config,
    accounts: A,
    random: R,
    decoy: Decoy,
    handshakes: Handshakes,
    /// By slot, which gives the handle.
    sessions: Vec<Option<Session>>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    counters: Counters,
    packets: Buckets<Source>,
    guesses: Guesses,
    timer: Timer,
    /// Where payloads are decrypted; kept for its capacity.
    plain: Vec<u8>,
}

impl<A: Accounts, R: Random> Server<A, R> {
    /// A server without sessions.
    pub fn new(config: Config, accounts: A, mut random: R) -> Self {
        let slots = config.sessions.min(Config::MAX_SESSIONS);
        Self {
            decoy: Decoy::new(&mut random),
            handshakes: Handshakes::new(config.pending),
            sessions: std::iter::repeat_with(|| None).take(slots).collect(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
            packets: Buckets::new(random_u64(&mut random)),
            guesses: Guesses::new(random_u64(&mut random)),
            timer: Timer::default(),
            plain: Vec::new(),
            config,
            accounts,
            random,
        }
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing to act on.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] wants to be called, if nothing else happens.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.timer.get()
    }

    /// Gives up handshakes and sessions whose time is over.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(expired) = self.handshakes.expired(now) {
            let (route, reason) = (expired.route, Reason::HandshakeTimeout);
            match expired.state {
                // Some clients go silent when they see from RAKP 2 that their password is wrong.
                State::Rakp3(state) => {
                    let (user, known) = (state.user_name(), state.account_id());
                    self.refuse_login(now, route, user, known, reason);
                }
                State::Rakp1(_) | State::Activate(_) => self.reject(route.peer, reason),
            }
        }
        let idle_timeout = self.config.idle_timeout;
        for slot in 0..self.sessions.len() {
            let session = self.sessions.get(slot).and_then(Option::as_ref);
            if session.is_some_and(|session| session.deadline(idle_timeout) <= now) {
                self.close_slot(slot, CloseReason::Idle);
            }
        }
        let sessions = self.sessions.iter().flatten().map(|s| s.deadline(idle_timeout));
        self.timer.reset(sessions.chain(self.handshakes.deadlines()));
    }

    /// Answers the request that `token` names; nothing happens if it or its session is gone.
    pub fn respond(&mut self, now: Instant, token: Token, response: &Response) {
        let Some(slot) = self.slot_of(token.session) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        let Some(header) = session.exchanges.header(token.serial) else {
            return;
        };
        let most = session.link.max_message();
        let mut reply = bridged::messages(header, response);
        if reply.iter().any(|message| message.len() > most) {
            let too_long = Response {
                completion: CompletionCode::CANNOT_RETURN_BYTES,
                data: Vec::new(),
                ..*response
            };
            reply = bridged::messages(header, &too_long);
        }
        for message in &reply {
            send(&mut self.transmits, &mut self.random, session, message);
        }
        session.exchanges.answered(now, token.serial, reply);
    }

    /// Answers a request outside a session.
    pub fn respond_outside(&mut self, asked: &Outside, response: &Response) {
        let sent = self.answer_outside(asked, response);
        if let Err(reason) = sent {
            self.reject(asked.route.peer, reason);
        }
    }

    /// Closes a session; `false` if there is none of that id.
    pub fn close(&mut self, id: SessionId) -> bool {
        let slot = self.slot_of(id);
        if let Some(slot) = slot {
            self.close_slot(slot, CloseReason::Closed);
        }
        slot.is_some()
    }

    /// Tells that a payload other than IPMI became active in a session, or no longer is.
    pub fn set_payload_active(&mut self, id: SessionId, active: bool) {
        if let Some(session) = self.session_mut(id) {
            session.has_payload = active;
        }
    }

    /// Sends a packet of a payload, protected as `protection` says as far as the session can.
    /// `false`, and nothing sent, if there is no such session, or its format has no payloads.
    pub fn send_payload(
        &mut self,
        id: SessionId,
        kind: PayloadType,
        protection: Protection,
        payload: &[u8],
    ) -> bool {
        let iv = random_bytes(&mut self.random);
        let Some(session) = self.session_mut(id) else {
            return false;
        };
        let Some(bytes) = session.link.seal(kind, protection, payload, iv) else {
            return false;
        };
        let route = session.route;
        self.transmits.push_back(Transmit { route, bytes });
        true
    }

    /// Counts a payload that its owner refused, and tells of it.
    pub fn reject_payload(&mut self, id: SessionId, reason: Reason) {
        if let Some(peer) = self.session_mut(id).map(|session| session.route.peer) {
            self.reject(peer, reason);
        }
    }

    /// Applies changed accounts to the live sessions: whoever may no longer log in, or has another
    /// password or name, is closed; whoever's limit fell is lowered.
    ///
    /// A session closed so executes nothing more, but still answers what it had been asked, and its own
    /// Close Session, for 10 s.
    pub fn accounts_changed(&mut self, now: Instant) {
        let channel = self.accounts.channel_limit();
        for session in self.sessions.iter_mut().flatten() {
            if session.is_parting() {
                continue;
            }
            let account = self.accounts.by_id(session.info().user_id);
            let account = account.filter(|a| session.is_of(&self.decoy.fingerprint(a)));
            match (account, channel) {
                (Some(account), Some(channel)) => {
                    if session.lower_limit(account.limit.min(channel)) {
                        self.events.push_back(Event::Changed(*session.info()));
                    }
                }
                _ => {
                    let closed = Event::Closed(*session.info(), CloseReason::AccountChanged);
                    self.events.push_back(closed);
                    session.part(now + FAREWELL);
                    self.timer.no_later_than(now + FAREWELL);
                }
            }
        }
    }

    /// The active sessions.
    pub fn sessions(&self) -> impl Iterator<Item = &SessionInfo> {
        let live = self.sessions.iter().flatten().filter(|s| !s.is_parting());
        live.map(Session::info)
    }

    /// How many handshakes are under way.
    pub fn pending(&self) -> usize {
        self.handshakes.len()
    }

    /// How often what was refused, and why.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The accounts, to change them; then call [`Self::accounts_changed`].
    pub const fn accounts_mut(&mut self) -> &mut A {
        &mut self.accounts
    }

    /// Takes another GUID, for logins from now on.
    pub const fn set_guid(&mut self, guid: [u8; 16]) {
        self.config.guid = guid;
    }

    fn slot_of(&self, id: SessionId) -> Option<usize> {
        self.sessions.iter().position(|slot| slot.as_ref().is_some_and(|s| s.id() == id))
    }

    fn session_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions
            .iter_mut()
            .flatten()
            .find(|session| session.id() == id && !session.is_parting())
    }

    /// Frees a slot; that a session which is parting has ended was told already.
    fn close_slot(&mut self, slot: usize, reason: CloseReason) {
        let session = self.sessions.get_mut(slot).and_then(Option::take);
        if let Some(session) = session.filter(|session| !session.is_parting()) {
            self.events.push_back(Event::Closed(*session.info(), reason));
        }
    }

    /// Puts a new session into its slot.
    fn install(&mut self, slot: usize, session: Session) {
        let info = session.info();
        self.guesses.succeeded(info.user_id, (info.peer.into(), info.user_name));
        self.timer.no_later_than(session.deadline(self.config.idle_timeout));
        self.events.push_back(Event::Opened(*session.info()));
        if let Some(free) = self.sessions.get_mut(slot) {
            *free = Some(session);
        }
    }

    /// Adds a handshake, at the cost of another if there is no room.
    fn pend(&mut self, handshake: Handshake) {
        self.timer.no_later_than(handshake.deadline);
        if let Some(evicted) = self.handshakes.insert(handshake, &mut self.random) {
            self.reject(evicted.route.peer, Reason::HandshakeEvicted);
        }
    }

    /// A slot for a new session: a free one, that of one which is parting, or that of the session idle
    /// longest, if it is idle for some time and holds no payload.
    fn free_slot(&mut self, now: Instant) -> Option<usize> {
        let is_parting = |slot: &Option<Session>| slot.as_ref().is_some_and(Session::is_parting);
        let unused = self.sessions.iter().position(Option::is_none);
        if let Some(slot) = unused.or_else(|| self.sessions.iter().position(is_parting)) {
            return Some(slot);
        }
        let occupied = self.sessions.iter().enumerate();
        let evictable = occupied.filter_map(|(slot, session)| {
            let session = session.as_ref().filter(|session| !session.has_payload)?;
            let idle = session.idle(now);
            (idle > EVICTABLE_AFTER).then_some((idle, slot))
        });
        let (_, slot) = evictable.max()?;
        self.close_slot(slot, CloseReason::MadeRoom);
        Some(slot)
    }

    /// Whether a source may have another packet outside of sessions looked at.
    fn admit_packet(&mut self, now: Instant, route: Route) -> Result<(), Reason> {
        let admitted = self.packets.take(now, route.peer.into(), self.config.packets);
        admitted.then_some(()).ok_or(Reason::TooManyPackets)
    }

    /// Whether a source may try a password of a user.
    fn admit_guess(&self, now: Instant, route: Route, user: UserName) -> Result<(), Reason> {
        let Config { failures_by_source, failures_by_user, .. } = self.config;
        let pair = (route.peer.into(), user);
        let admitted = self.guesses.admits(now, pair, failures_by_source, failures_by_user);
        admitted.then_some(()).ok_or(Reason::TooManyFailures)
    }

    /// Whether a user is locked for a source.
    fn is_locked(&self, now: Instant, route: Route, account: &Account) -> bool {
        let pair = (route.peer.into(), account.name);
        let user = (account.id, self.accounts.enabled_mark(account.id));
        self.guesses.is_locked(now, user, pair, self.accounts.bad_password())
    }

    /// Counts a login that failed, and tells of it.
    fn refuse_login(
        &mut self,
        now: Instant,
        route: Route,
        user_name: UserName,
        known: Option<u8>,
        reason: Reason,
    ) {
        if matches!(reason, Reason::UnknownUser | Reason::WrongPassword) {
            let Config { failures_by_source, failures_by_user, .. } = self.config;
            let pair = (route.peer.into(), user_name);
            self.guesses.failed(now, pair, failures_by_source, failures_by_user);
            if let Some(id) = known {
                let user = (id, self.accounts.enabled_mark(id));
                self.guesses.count(now, user, self.accounts.bad_password());
            }
        }
        self.counters.count(reason);
        self.events.push_back(Event::LoginRefused { peer: route.peer, user_name, reason });
    }

    /// Counts a datagram that was not acted on, and tells of it.
    fn reject(&mut self, peer: SocketAddr, reason: Reason) {
        self.counters.count(reason);
        self.events.push_back(Event::Rejected { peer, reason });
    }

    /// Answers within a session, outside of the at-most-once bookkeeping.
    fn reply(&mut self, slot: usize, header: &IpmbHeader, response: &Response) {
        let Some(session) = self.sessions.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        let mut reply = Vec::with_capacity(8 + response.data.len());
        IpmbResponse::answering(header, response).emit(&mut reply);
        send(&mut self.transmits, &mut self.random, session, &reply);
    }
}

/// Sends an IPMI message to the session's console.
fn send(
    transmits: &mut VecDeque<Transmit>,
    random: &mut impl Random,
    session: &mut Session,
    message: &[u8],
) {
    let iv = random_bytes(random);
    let sealed = session.link.seal(PayloadType::IPMI, Protection::FULL, message, iv);
    if let Some(bytes) = sealed {
        transmits.push_back(Transmit { route: session.route, bytes });
    }
}

#[cfg(test)]
mod tests;
