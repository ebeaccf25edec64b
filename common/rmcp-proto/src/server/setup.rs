//! Open Session and RAKP 1 to 4, the BMC's side (IPMI v2.0 §13.17-24).
//!
//! Errors echo the message tag and the console's session id. For an unknown handshake the console's id is
//! unknown too, so the response carries 0.

use std::time::Instant;

use ipmi_proto::Privilege;

use super::accounts::{Accounts, Random, random_u32};
use super::event::{LoginEnd, Route, SessionId, Transmit};
use super::handshake::{AwaitRakp1, AwaitRakp3, Handshake, Login, Rakp1Context, State};
use super::reject::Reason;
use super::session::{Admission, Session, SessionLink};
use super::{FailedLogin, Server};
use crate::crypto::mac::Digest;
use crate::suite::{Algorithms, CipherSuite};
use crate::wire::StatusCode;
use crate::wire::open_session::{OpenSessionRequest, OpenSessionResponse, Proposals};
use crate::wire::rakp::{Rakp1, Rakp2, Rakp2Body, Rakp3, Rakp4, RakpHeader};
use crate::wire::v20::{self, PayloadType, V20Header};

impl<A: Accounts, R: Random> Server<A, R> {
    pub(super) fn on_open_session(
        &mut self,
        now: Instant,
        route: Route,
        payload: &[u8],
    ) -> Result<(), Reason> {
        let request = OpenSessionRequest::parse(payload).map_err(|_| Reason::MalformedSetup)?;
        let OpenSessionRequest { tag, console_id, .. } = request;
        match self.open_session(now, &request) {
            Ok((suite, granted)) => {
                let managed_id = self.unused_id();
                let deadline = now + self.core.config.setup_timeout;
                let state = State::Rakp1(AwaitRakp1 { console_id, suite, granted });
                let handshake = Handshake { managed_id, route, deadline, state };
                self.add_handshake(handshake);
                let (role, algorithms) = (granted.value(), suite.algorithms());
                self.send_open_session(
                    route,
                    OpenSessionResponse::Accepted { tag, role, console_id, managed_id, algorithms },
                );
                Ok(())
            }
            Err((status, reason)) => {
                let refused = OpenSessionResponse::Refused { tag, status, console_id };
                self.send_open_session(route, refused);
                Err(reason)
            }
        }
    }

    /// The suite and the privilege that `request` gets.
    fn open_session(
        &self,
        now: Instant,
        request: &OpenSessionRequest,
    ) -> Result<(CipherSuite, Privilege), (StatusCode, Reason)> {
        if request.console_id == 0 {
            return Err((StatusCode::INVALID_SESSION, Reason::IllegalSetup));
        }
        let suite = choose(&self.core.config.suites, &request.proposals)
            .map_err(|status| (status, Reason::NoCipherSuite))?;
        let limits = (self.core.accounts.channel_limit(), self.core.accounts.suite_limit(suite));
        let (channel, limit) = match limits {
            (Some(channel), Some(limit)) => (channel, limit),
            (None, _) => return Err((StatusCode::UNAUTHORIZED_ROLE, Reason::ChannelDisabled)),
            (_, None) => return Err((StatusCode::UNAUTHORIZED_ROLE, Reason::SuiteDisabled)),
        };
        let highest = channel.min(limit);
        let granted = match (request.role, Privilege::new(request.role)) {
            (0, _) => highest,
            (_, Some(wanted)) => wanted.min(highest),
            _ => return Err((StatusCode::INVALID_ROLE, Reason::IllegalSetup)),
        };
        // RAKP 4 says so as well: another login may take the last session meanwhile.
        if !self.sessions.has_room(now) {
            return Err((StatusCode::NO_RESOURCES, Reason::NoFreeSession));
        }
        Ok((suite, granted))
    }

    /// An id that neither a session nor a handshake has, and that is not 0.
    pub(super) fn unused_id(&mut self) -> u32 {
        loop {
            let id = self.core.config.instance.session_id(random_u32(&mut self.core.random));
            let taken = self.sessions.contains(SessionId(id)) || self.handshakes.contains(id);
            if id != 0 && !taken {
                return id;
            }
        }
    }

    pub(super) fn on_rakp_1(&mut self, route: Route, payload: &[u8]) -> Result<(), Reason> {
        let message = Rakp1::parse(payload).map_err(|_| Reason::MalformedSetup)?;
        let (tag, managed_id) = (message.tag, message.managed_id);
        let Some(handshake) = self.handshakes.get_mut(managed_id, &route) else {
            self.send_rakp_2_error(route, tag, 0, StatusCode::INVALID_SESSION);
            return Err(Reason::OutOfTurn);
        };
        let state = match &handshake.state {
            State::Rakp1(state) => *state,
            State::Rakp3(state) if state.is_retry(&message) => {
                let bytes = rakp_2(state, tag);
                self.send_setup(route, PayloadType::RAKP_2, &bytes);
                return Ok(());
            }
            State::Rakp3(_) | State::Activate(_) => return Err(Reason::OutOfTurn),
        };
        let context = Rakp1Context {
            accounts: &self.core.accounts,
            random: &mut self.core.random,
            guid: self.core.config.guid,
            decoy: &self.core.decoy,
        };
        match state.on_rakp_1(&message, context) {
            Ok(next) => {
                let bytes = rakp_2(&next, tag);
                handshake.state = State::Rakp3(Box::new(next));
                self.send_setup(route, PayloadType::RAKP_2, &bytes);
                Ok(())
            }
            Err(status) => {
                self.handshakes.remove(managed_id);
                self.send_rakp_2_error(route, tag, state.console_id, status);
                Err(Reason::IllegalSetup)
            }
        }
    }

    pub(super) fn on_rakp_3(
        &mut self,
        now: Instant,
        route: Route,
        payload: &[u8],
    ) -> Result<(), Reason> {
        let message = Rakp3::parse(payload).map_err(|_| Reason::MalformedSetup)?;
        let RakpHeader { tag, status, session_id: managed_id } = message.header;
        match self.handshakes.get_mut(managed_id, &route).map(|handshake| &handshake.state) {
            Some(State::Rakp3(_)) => {}
            Some(State::Rakp1(_) | State::Activate(_)) => return Err(Reason::OutOfTurn),
            None => return self.on_late_rakp_3(route, &message),
        }
        let Some(Handshake { state: State::Rakp3(state), .. }) = self.handshakes.remove(managed_id)
        else {
            return Err(Reason::OutOfTurn);
        };
        let console_id = state.console_id();
        let failed = |reason, end| FailedLogin::of(&state, reason, end);
        if !status.is_ok() {
            // The console found RAKP 2's code wrong: its password does not match.
            let code_is_wrong = status == StatusCode::INVALID_INTEGRITY_CHECK;
            let reason = if code_is_wrong { state.reason_to_stop() } else { Reason::ConsoleGaveUp };
            self.core.refuse_login(now, route, failed(reason, LoginEnd::Rakp2Refused));
            return Ok(());
        }
        let refused = failed(Reason::WrongPassword, LoginEnd::Refused);
        let login = self.log_in(now, route, *state, message.code);
        match login.and_then(|login| self.activate(now, route, managed_id, login)) {
            Ok(check) => self.send_rakp_4(route, tag, console_id, &check),
            Err((status, reason)) => {
                self.send_rakp_4_error(route, tag, console_id, status);
                self.core.refuse_login(now, route, FailedLogin { reason, ..refused });
            }
        }
        Ok(())
    }

    /// Whether RAKP 3's code opens the session. For a source that failed too often the code is not checked; a
    /// locked user gets the status of a wrong password.
    fn log_in(
        &self,
        now: Instant,
        route: Route,
        state: AwaitRakp3,
        code: &[u8],
    ) -> Result<Login, (StatusCode, Reason)> {
        self.core
            .admit_guess(now, route, state.user_name())
            .map_err(|reason| (StatusCode::NO_RESOURCES, reason))?;
        let login = state.on_rakp_3(code, self.core.accounts.kg().as_ref())?;
        if self.core.is_locked(now, route, &login.account) {
            return Err((StatusCode::INVALID_INTEGRITY_CHECK, Reason::UserLocked));
        }
        Ok(login)
    }

    /// A RAKP 3 without a handshake: the RAKP 4 that opened the session may have been lost. Only a copy of the
    /// RAKP 3 that opened it is answered.
    fn on_late_rakp_3(&mut self, route: Route, message: &Rakp3<'_>) -> Result<(), Reason> {
        let RakpHeader { tag, session_id, .. } = message.header;
        let Some(session) = self.sessions.active_mut(SessionId(session_id)) else {
            self.send_rakp_4_error(route, tag, 0, StatusCode::INVALID_SESSION);
            return Err(Reason::OutOfTurn);
        };
        if session.route.peer != route.peer {
            return Err(Reason::OtherAddress);
        }
        let check = session.confirmation(message.code).cloned().ok_or(Reason::OutOfTurn)?;
        let SessionLink::V20(link) = &session.link else {
            return Err(Reason::OutOfTurn);
        };
        let console_id = link.peer_id();
        self.send_rakp_4(route, tag, console_id, &check);
        Ok(())
    }

    /// Opens the session of `login`; returns RAKP 4's check value.
    fn activate(
        &mut self,
        now: Instant,
        route: Route,
        managed_id: u32,
        login: Login,
    ) -> Result<Digest, (StatusCode, Reason)> {
        let Login { account, limit, keys } = login;
        let check = keys.check.clone();
        let id = SessionId(managed_id);
        let fingerprint = self.core.decoy.fingerprint(&account);
        let admission = Admission { id, account, limit, fingerprint, route };
        self.add_session(now, |handle| Session::v20(admission, handle, keys, now))
            .ok_or((StatusCode::NO_RESOURCES, Reason::NoFreeSession))?;
        Ok(check)
    }

    fn send_open_session(&mut self, route: Route, response: OpenSessionResponse) {
        let mut payload = Vec::with_capacity(36);
        response.emit(&mut payload);
        self.send_setup(route, PayloadType::OPEN_SESSION_RESPONSE, &payload);
    }

    fn send_rakp_2_error(&mut self, route: Route, tag: u8, session_id: u32, status: StatusCode) {
        let mut payload = Vec::with_capacity(8);
        Rakp2 { header: RakpHeader { tag, status, session_id }, body: None }.emit(&mut payload);
        self.send_setup(route, PayloadType::RAKP_2, &payload);
    }

    fn send_rakp_4(&mut self, route: Route, tag: u8, session_id: u32, check: &Digest) {
        let header = RakpHeader { tag, status: StatusCode::OK, session_id };
        let mut payload = Vec::with_capacity(24);
        Rakp4 { header, check: check.as_bytes() }.emit(&mut payload);
        self.send_setup(route, PayloadType::RAKP_4, &payload);
    }

    fn send_rakp_4_error(&mut self, route: Route, tag: u8, session_id: u32, status: StatusCode) {
        let mut payload = Vec::with_capacity(8);
        Rakp4 { header: RakpHeader { tag, status, session_id }, check: &[] }.emit(&mut payload);
        self.send_setup(route, PayloadType::RAKP_4, &payload);
    }

    fn send_setup(&mut self, route: Route, kind: PayloadType, payload: &[u8]) {
        let mut bytes = Vec::new();
        // Set-up messages are far shorter than what the length field can say.
        if v20::emit_plain(&V20Header::sessionless(kind), payload, &mut bytes).is_ok() {
            self.core.transmits.push_back(Transmit { route, bytes });
        }
    }
}

/// RAKP 2 for a handshake that waits for RAKP 3.
fn rakp_2(state: &AwaitRakp3, tag: u8) -> Vec<u8> {
    let header = RakpHeader { tag, status: StatusCode::OK, session_id: state.console_id() };
    let code = state.code();
    let (managed_random, guid) = state.randoms();
    let body = Rakp2Body { managed_random, guid, code: code.as_bytes() };
    let mut payload = Vec::with_capacity(72);
    Rakp2 { header, body: Some(body) }.emit(&mut payload);
    payload
}

/// The first of the configured suites that the proposals admit.
///
/// # Errors
///
/// The status that names the first algorithm no configured suite has, or "no cipher suite match"
/// for algorithms that are known singly but not together.
fn choose(suites: &[CipherSuite], proposals: &Proposals) -> Result<CipherSuite, StatusCode> {
    let authentication = |a: &Algorithms| proposals.authentication.admits(a.authentication.value());
    let integrity = |a: &Algorithms| proposals.integrity.admits(a.integrity.value());
    let confidentiality =
        |a: &Algorithms| proposals.confidentiality.admits(a.confidentiality.value());
    let all = || suites.iter().map(|suite| suite.algorithms());
    if !all().any(|a| authentication(&a)) {
        return Err(StatusCode::INVALID_AUTHENTICATION);
    }
    if !all().any(|a| integrity(&a)) {
        return Err(StatusCode::INVALID_INTEGRITY);
    }
    if !all().any(|a| confidentiality(&a)) {
        return Err(StatusCode::INVALID_CONFIDENTIALITY);
    }
    let matching = suites.iter().find(|suite| {
        let algorithms = suite.algorithms();
        authentication(&algorithms) && integrity(&algorithms) && confidentiality(&algorithms)
    });
    matching.copied().ok_or(StatusCode::NO_CIPHER_SUITE)
}
