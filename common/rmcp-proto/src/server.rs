//! The BMC's end: sessions of many consoles behind one port.
//!
//! [`Server`] takes datagrams and gives datagrams and [`Event`]s; after every call that may change
//! something, drain [`Server::poll_transmit`] and [`Server::poll_event`], and call
//! [`Server::handle_timeout`] at [`Server::poll_timeout`]. The server does not know what a request means: it
//! gives requests out as events, and takes the responses by [`Token`].
//!
//! A datagram is parsed in `inbound`, which looks up the session. It is then part of a login (`setup` and
//! `v15`; a type per state in `handshake` and `v15_login`, in the table `handshake_table`), a command without
//! a session (`sessionless`), or a message of a `session` in the `session_table` (`requests`, `exchanges`). What is
//! needed beside the tables is in `core`. Nothing grows with what peers send: handshakes, sessions, and
//! requests per session have a limit each.

mod accounts;
mod bridged;
mod commands;
mod config;
mod core;
mod event;
mod exchanges;
mod handshake;
mod handshake_table;
mod inbound;
mod limits;
mod reject;
mod requests;
mod session;
mod session_table;
mod sessionless;
mod setup;
mod timer;
mod v15;
mod v15_link;
mod v15_login;

use std::time::{Duration, Instant};

use ipmi_proto::Response;

use self::accounts::random_bytes;
pub use self::accounts::{Account, Accounts, BadPassword, Denial, LoginStatus, Random, V15Policy};
pub use self::config::{Config, Instance};
use self::core::{Core, FailedLogin};
pub use self::event::{
    CloseReason, Event, Local, LoginEnd, Outside, Route, SessionId, SessionInfo, Token, Transmit,
};
use self::handshake::{Handshake, State};
use self::handshake_table::HandshakeTable;
pub use self::limits::Rate;
pub use self::reject::{Counters, Reason};
use self::requests::After;
use self::session::Session;
use self::session_table::SessionTable;
use crate::wire::v20::{PayloadType, Protection};

/// How long a session whose account changed still takes copies of its requests and its Close Session: a user
/// who changes the own password gets the response, and closes the session as always.
const CLOSING_TIME: Duration = Duration::from_secs(10);

/// The BMC's end of RMCP.
pub struct Server<A, R> {
    core: Core<A, R>,
    handshakes: HandshakeTable,
    sessions: SessionTable,
    /// Where payloads are decrypted; reused for its capacity.
    plain: Vec<u8>,
}

impl<A: Accounts, R: Random> Server<A, R> {
    /// A server without sessions.
    pub fn new(config: Config, accounts: A, random: R) -> Self {
        Self {
            handshakes: HandshakeTable::new(config.pending),
            sessions: SessionTable::new(&config),
            plain: Vec::new(),
            core: Core::new(config, accounts, random),
        }
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.core.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.core.events.pop_front()
    }

    /// When [`Self::handle_timeout`] must be called at the latest.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.core.timer.get()
    }

    /// Ends the handshakes and sessions whose time is over.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(expired) = self.handshakes.take_expired(now) {
            let route = expired.route;
            match expired.state {
                State::Rakp3(state) => {
                    let failed = FailedLogin::of(&state, state.reason_to_stop(), LoginEnd::NoRakp3);
                    self.core.refuse_login(now, route, failed);
                }
                State::Rakp1(_) | State::Activate(_) => {
                    self.core.reject(route.peer, Reason::HandshakeTimeout);
                }
            }
        }
        let idle_timeout = self.core.config.idle_timeout;
        while let Some(session) = self.sessions.take_expired(now, idle_timeout) {
            self.core.closed(&session, CloseReason::Idle);
        }
        self.reset_timer();
    }

    fn reset_timer(&mut self) {
        let idle_timeout = self.core.config.idle_timeout;
        let sessions = self.sessions.iter().map(|session| session.deadline(idle_timeout));
        self.core.timer.reset(sessions.chain(self.handshakes.deadlines()));
    }

    /// Sets limits, time-outs and algorithms from now on; instance, channel and GUID stay.
    ///
    /// It ends no session: each has at least the new idle time-out left, sessions beyond a lower limit only bar new
    /// ones, and algorithms are those of new sessions.
    pub fn reconfigure(&mut self, now: Instant, config: Config) {
        let Config { instance, channel, guid, idle_timeout, .. } = self.core.config;
        if config.idle_timeout < idle_timeout {
            self.sessions.iter_mut().for_each(|session| session.restart_idle_time(now));
        }
        self.handshakes.set_capacity(config.pending);
        self.sessions.set_capacity(config.sessions);
        self.core.config = Config { instance, channel, guid, ..config };
        self.reset_timer();
    }

    /// Answers the request that `token` names; nothing happens if it or its session is gone.
    pub fn respond(&mut self, now: Instant, token: Token, response: &Response) {
        if let Some(session) = self.sessions.get_mut(token.session) {
            self.core.respond(session, now, token.serial, response);
        }
    }

    /// Answers a request outside a session.
    pub fn respond_outside(&mut self, asked: &Outside, response: &Response) {
        let sent = self.answer_outside(asked, response);
        if let Err(reason) = sent {
            self.core.reject(asked.route.peer, reason);
        }
    }

    /// Closes a session; `false` if none has that id.
    pub fn close(&mut self, id: SessionId) -> bool {
        self.close_for(id, CloseReason::Closed)
    }

    fn close_for(&mut self, id: SessionId, reason: CloseReason) -> bool {
        let session = self.sessions.remove(id);
        if let Some(session) = &session {
            self.core.closed(session, reason);
        }
        session.is_some()
    }

    /// Closes the session `id` if its console asked for that.
    fn close_if_requested(&mut self, id: SessionId, after: After) {
        if after == After::Close {
            self.close_for(id, CloseReason::Requested);
        }
    }

    /// Sets whether a payload other than IPMI is active in a session.
    pub fn set_payload_active(&mut self, id: SessionId, active: bool) {
        if let Some(session) = self.sessions.active_mut(id) {
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
        let iv = random_bytes(&mut self.core.random);
        let Some(session) = self.sessions.active_mut(id) else {
            return false;
        };
        let Some(bytes) = session.link.seal(kind, protection, payload, iv) else {
            return false;
        };
        self.core.transmits.push_back(Transmit { route: session.route, bytes });
        true
    }

    /// Counts and reports a payload that was refused by what it is for.
    pub fn reject_payload(&mut self, id: SessionId, reason: Reason) {
        if let Some(session) = self.sessions.active_mut(id) {
            self.core.reject(session.route.peer, reason);
        }
    }

    /// Applies changed accounts to the sessions: that of a user who may no longer log in, or has another
    /// password or name, is closed; the limit of one is lowered to what the user's has become.
    ///
    /// A session closed so executes nothing more, but for 10 s still answers the requests that it had, and its
    /// own Close Session.
    pub fn accounts_changed(&mut self, now: Instant) {
        let Core { accounts, decoy, events, timer, .. } = &mut self.core;
        let channel = accounts.channel_limit();
        for session in self.sessions.iter_mut().filter(|session| !session.is_closing()) {
            let account = accounts.by_id(session.info().user_id);
            let account = account.filter(|account| session.is_of(&decoy.fingerprint(account)));
            match (account, channel) {
                (Some(account), Some(channel)) => {
                    if session.lower_limit(account.limit.min(channel)) {
                        events.push_back(Event::Changed(*session.info()));
                    }
                }
                _ => {
                    events.push_back(Event::Closed(*session.info(), CloseReason::AccountChanged));
                    session.begin_closing(now + CLOSING_TIME);
                    timer.no_later_than(now + CLOSING_TIME);
                }
            }
        }
    }

    /// The active sessions.
    pub fn sessions(&self) -> impl Iterator<Item = &SessionInfo> {
        let active = self.sessions.iter().filter(|session| !session.is_closing());
        active.map(Session::info)
    }

    /// How many handshakes are under way.
    pub fn pending(&self) -> usize {
        self.handshakes.len()
    }

    /// How often each reason for a rejection came up.
    pub const fn counters(&self) -> &Counters {
        &self.core.counters
    }

    /// The accounts, to change them; then call [`Self::accounts_changed`].
    pub const fn accounts_mut(&mut self) -> &mut A {
        &mut self.core.accounts
    }

    /// Sets the GUID for logins from now on.
    pub const fn set_guid(&mut self, guid: [u8; 16]) {
        self.core.config.guid = guid;
    }

    /// Adds a handshake, at the cost of another if the table is full.
    fn add_handshake(&mut self, handshake: Handshake) {
        self.core.timer.no_later_than(handshake.deadline);
        if let Some(evicted) = self.handshakes.insert(handshake, &mut self.core.random) {
            self.core.reject(evicted.route.peer, Reason::HandshakeEvicted);
        }
    }

    /// Adds the session that `make` gives for its handle; `None` if there is no room.
    fn add_session(&mut self, now: Instant, make: impl FnOnce(u8) -> Session) -> Option<()> {
        let (session, evicted) = self.sessions.insert_with(now, make)?;
        if let Some(evicted) = evicted {
            self.core.closed(&evicted, CloseReason::MadeRoom);
        }
        self.core.opened(session);
        Some(())
    }
}

#[cfg(test)]
mod tests;
