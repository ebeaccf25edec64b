//! What the server has beside its tables of sessions and handshakes: a session stays borrowed from its table
//! while its messages are handled with this.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use ipmi_proto::ipmb::{IpmbHeader, IpmbResponse};
use ipmi_proto::{CompletionCode, Response};

use super::accounts::{Account, Accounts, Random, random_bytes, random_u64};
use super::bridged;
use super::config::Config;
use super::event::{CloseReason, Event, LoginEnd, Route, Transmit};
use super::handshake::{AwaitRakp3, Decoy};
use super::limits::{Buckets, Guesses, Source};
use super::reject::{Counters, Reason};
use super::session::Session;
use super::timer::Timer;
use crate::wire::rakp::UserName;
use crate::wire::v20::{PayloadType, Protection};

/// Packets outside of sessions that a login takes at most: Get Channel Authentication Capabilities, the cipher suites in
/// several parts, Open Session Request, RAKP 1 and RAKP 3.
const LOGIN_PACKETS: u32 = 8;

/// Configuration, accounts, limits, and the queues of what comes out.
pub(super) struct Core<A, R> {
    pub(super) config: Config,
    pub(super) accounts: A,
    pub(super) random: R,
    pub(super) decoy: Decoy,
    pub(super) transmits: VecDeque<Transmit>,
    pub(super) events: VecDeque<Event>,
    pub(super) counters: Counters,
    pub(super) timer: Timer,
    packets: Buckets<Source>,
    guesses: Guesses,
}

/// A login that failed.
pub(super) struct FailedLogin {
    pub(super) user_name: UserName,
    /// The user, if one may log in under the name.
    pub(super) user_id: Option<u8>,
    pub(super) reason: Reason,
    pub(super) end: LoginEnd,
}

impl FailedLogin {
    pub(super) fn of(state: &AwaitRakp3, reason: Reason, end: LoginEnd) -> Self {
        Self { user_name: state.user_name(), user_id: state.account_id(), reason, end }
    }
}

impl<A: Accounts, R: Random> Core<A, R> {
    pub(super) fn new(config: Config, accounts: A, mut random: R) -> Self {
        Self {
            decoy: Decoy::new(&mut random),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
            timer: Timer::default(),
            packets: Buckets::new(random_u64(&mut random)),
            guesses: Guesses::new(random_u64(&mut random)),
            config,
            accounts,
            random,
        }
    }

    /// Whether a source may have another packet outside of sessions handled.
    pub(super) fn admit_packet(&mut self, now: Instant, route: Route) -> Result<(), Reason> {
        let admitted = self.packets.take(now, route.peer.into(), self.config.packets);
        admitted.then_some(()).ok_or(Reason::TooManyPackets)
    }

    /// Whether a source may try a password of a user.
    pub(super) fn admit_guess(
        &self,
        now: Instant,
        route: Route,
        user: UserName,
    ) -> Result<(), Reason> {
        let Config { failures_by_source, failures_by_user, .. } = self.config;
        let pair = (route.peer.into(), user);
        let admitted = self.guesses.admits(now, pair, failures_by_source, failures_by_user);
        admitted.then_some(()).ok_or(Reason::TooManyFailures)
    }

    /// Whether a user is locked for a source.
    pub(super) fn is_locked(&self, now: Instant, route: Route, account: &Account) -> bool {
        let pair = (route.peer.into(), account.name);
        let user = (account.id, self.accounts.enabled_mark(account.id));
        self.guesses.is_locked(now, user, pair, self.accounts.bad_password())
    }

    /// Counts and reports a login that failed. It is a guessed password only if the server refused it: a
    /// console that ends the login after RAKP 2 has tried none.
    pub(super) fn refuse_login(&mut self, now: Instant, route: Route, failed: FailedLogin) {
        let FailedLogin { user_name, user_id, reason, end } = failed;
        if end == LoginEnd::Refused && reason.is_guess() {
            let Config { failures_by_source, failures_by_user, .. } = self.config;
            let pair = (route.peer.into(), user_name);
            self.guesses.failed(now, pair, failures_by_source, failures_by_user);
            if let Some(id) = user_id {
                let user = (id, self.accounts.enabled_mark(id));
                self.guesses.count(now, user, self.accounts.bad_password());
            }
        }
        self.counters.count(reason);
        self.events.push_back(Event::LoginRefused { peer: route.peer, user_name, reason, end });
    }

    /// Counts and reports a datagram that was not acted on.
    pub(super) fn reject(&mut self, peer: SocketAddr, reason: Reason) {
        self.counters.count(reason);
        self.events.push_back(Event::Rejected { peer, reason });
    }

    /// Reports a session that was opened. The packets of its login do not count as a flood's.
    pub(super) fn opened(&mut self, session: &Session) {
        let info = session.info();
        self.packets.put_back(&info.peer.into(), LOGIN_PACKETS, self.config.packets);
        self.guesses.succeeded(info.user_id, (info.peer.into(), info.user_name));
        self.timer.no_later_than(session.deadline(self.config.idle_timeout));
        self.events.push_back(Event::Opened(*info));
    }

    /// Reports a session that was closed, unless it was reported already, when it began to close.
    pub(super) fn closed(&mut self, session: &Session, reason: CloseReason) {
        if !session.is_closing() {
            self.events.push_back(Event::Closed(*session.info(), reason));
        }
    }

    /// Answers request `serial` of `session`; nothing happens if it is not running.
    pub(super) fn respond(
        &mut self,
        session: &mut Session,
        now: Instant,
        serial: u64,
        response: &Response,
    ) {
        let Some(header) = session.exchanges.header(serial) else {
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
            self.send(session, message);
        }
        session.exchanges.answered(now, serial, reply);
    }

    /// Answers a message of `session` without noting that it is answered.
    pub(super) fn reply(
        &mut self,
        session: &mut Session,
        header: &IpmbHeader,
        response: &Response,
    ) {
        let mut reply = Vec::with_capacity(8 + response.data.len());
        IpmbResponse::answering(header, response).emit(&mut reply);
        self.send(session, &reply);
    }

    /// Sends an IPMI message to the console of `session`.
    pub(super) fn send(&mut self, session: &mut Session, message: &[u8]) {
        let iv = random_bytes(&mut self.random);
        let sealed = session.link.seal(PayloadType::IPMI, Protection::FULL, message, iv);
        if let Some(bytes) = sealed {
            self.transmits.push_back(Transmit { route: session.route, bytes });
        }
    }
}
