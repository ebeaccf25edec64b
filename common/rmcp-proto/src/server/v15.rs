//! IPMI 1.5 sessions: Get Session Challenge, Activate Session, and the packets after them (IPMI v2.0
//! §6.11, §13.14, §22.16-17). Off unless authentication types are configured.
//!
//! The temporary session id of the challenge stays the session's id. As with RAKP, a console cannot see that
//! a name is unknown: it gets a challenge like any other, and its Activate Session never verifies.
//! What does not verify is dropped without an answer (§13.14).

use std::time::Instant;

use ipmi_proto::ipmb::{IpmbRequest, IpmbResponse};
use ipmi_proto::{CompletionCode, NetFn, Privilege, Request, Response};

use super::accounts::{Account, Accounts, Denial, Random, V15Policy, random_bytes, random_u32};
use super::event::{LoginEnd, Route, SessionId, Transmit};
use super::handshake::{Handshake, State};
use super::reject::Reason;
use super::session::{Admission, Session, SessionLink};
use super::v15_link::V15Link;
use super::v15_login::AwaitActivate;
use super::{FailedLogin, Server};
use crate::wire::rakp::UserName;
use crate::wire::v15::{AuthType, V15Packet};

/// Get Session Challenge (IPMI v2.0 §22.16).
const GET_SESSION_CHALLENGE: u8 = 0x39;
/// Activate Session (IPMI v2.0 §22.17).
const ACTIVATE_SESSION: u8 = 0x3a;

/// Activate Session: no session slot available.
const NO_SLOT: CompletionCode = CompletionCode(0x81);
/// Activate Session: invalid session id in request.
const INVALID_SESSION_ID: CompletionCode = CompletionCode(0x85);
/// Activate Session: session sequence number out of range.
const SEQUENCE_OUT_OF_RANGE: CompletionCode = CompletionCode(0x84);
/// Activate Session: requested privilege exceeds the user's or channel's limit.
const PRIVILEGE_ABOVE_LIMIT: CompletionCode = CompletionCode(0x86);

/// Whether a request is this application command.
fn is(request: &Request, command: u8) -> bool {
    (request.netfn, request.command) == (NetFn::APP, command)
}

impl<A: Accounts, R: Random> Server<A, R> {
    /// Answers Get Session Challenge, and Activate Session outside of any login; `None` for another command.
    /// While 1.5 is off both are refused at once, so that a client goes on to RMCP+.
    pub(super) fn challenge(
        &mut self,
        now: Instant,
        route: Route,
        request: &Request,
    ) -> Option<Response> {
        if is(request, ACTIVATE_SESSION) {
            return Some(Response::failure(request, INVALID_SESSION_ID));
        }
        if !is(request, GET_SESSION_CHALLENGE) {
            return None;
        }
        Some(match self.begin_v15(now, route, &request.data) {
            Ok(data) => Response::to(request, CompletionCode::OK, data),
            Err(code) => Response::failure(request, code),
        })
    }

    /// Get Session Challenge: temporary session id and challenge string.
    ///
    /// # Errors
    ///
    /// `C7h` for another length than 17 bytes, `CCh` for a type that is not configured.
    fn begin_v15(
        &mut self,
        now: Instant,
        route: Route,
        data: &[u8],
    ) -> Result<Vec<u8>, CompletionCode> {
        let bytes: &[u8; 17] =
            data.try_into().map_err(|_| CompletionCode::REQUEST_LENGTH_INVALID)?;
        let [auth, name @ ..] = bytes;
        let auth = AuthType::new(auth & 0x0f)
            .filter(|auth| self.core.config.v15.contains(auth))
            .ok_or(CompletionCode::INVALID_DATA_FIELD)?;
        let end = name.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let name = UserName::new(name.get(..end).unwrap_or_default())
            .ok_or(CompletionCode::INVALID_DATA_FIELD)?;
        // The format proves 16 bytes of the key: the first 16 of a longer one must not suffice.
        let account = self.core.accounts.find(&name, None);
        let account = account
            .and_then(|a| if a.key.fits_16() { Ok(a) } else { Err(Denial::PasswordTooLong) });
        let decoy = self.core.decoy.key(&name);
        let key = account.as_ref().map_or(&decoy, |account| &account.key).clone();
        let challenge = random_bytes(&mut self.core.random);
        let state = AwaitActivate { auth, name, challenge, account, key };
        let managed_id = self.unused_id();
        let deadline = now + self.core.config.setup_timeout;
        let state = State::Activate(Box::new(state));
        self.add_handshake(Handshake { managed_id, route, deadline, state });
        let mut answer = managed_id.to_le_bytes().to_vec();
        answer.extend(challenge);
        Ok(answer)
    }

    /// A packet with a session id in IPMI 1.5 format.
    pub(super) fn on_v15_packet(
        &mut self,
        now: Instant,
        route: Route,
        packet: &V15Packet<'_>,
    ) -> Result<(), Reason> {
        let id = SessionId(packet.session_id);
        // A session lives on if the types of new ones are no longer configured.
        if self.core.config.v15.is_empty() && !self.sessions.contains(id) {
            if self.core.admit_packet(now, route).is_ok() {
                self.refuse_activation(route, packet);
            }
            return Err(Reason::VersionDisabled);
        }
        if self.handshakes.contains(packet.session_id) {
            return self.on_activate(now, route, packet);
        }
        let session = self.sessions.get_mut(id).ok_or(Reason::UnknownSession)?;
        if self.core.config.bound_to_peer && session.route.peer != route.peer {
            return Err(Reason::OtherAddress);
        }
        let SessionLink::V15(link) = &mut session.link else {
            return Err(Reason::UnknownSession);
        };
        if let Some(bytes) = link.activation(packet) {
            self.core.transmits.push_back(Transmit { route, bytes: bytes.to_vec() });
            return Ok(());
        }
        let trust = link.open(packet)?;
        session.packet_received(now, route);
        let after = self.core.on_message(session, now, trust, packet.message)?;
        self.close_if_requested(id, after);
        Ok(())
    }

    /// Answers an Activate Session while there are no sessions of 1.5, without an auth code: there is no key.
    fn refuse_activation(&mut self, route: Route, packet: &V15Packet<'_>) {
        let Ok(frame) = IpmbRequest::parse(packet.message) else { return };
        let request = frame.to_request();
        if !is(&request, ACTIVATE_SESSION) {
            return;
        }
        let (mut reply, mut bytes) = (Vec::new(), Vec::new());
        let response = Response::failure(&request, INVALID_SESSION_ID);
        IpmbResponse::answering(&frame.header, &response).emit(&mut reply);
        let session_id = packet.session_id;
        let answer = V15Packet {
            auth: AuthType::None,
            code: None,
            sequence: 0,
            session_id,
            message: &reply,
        };
        if answer.emit_datagram(&mut bytes).is_ok() {
            self.core.transmits.push_back(Transmit { route, bytes });
        }
    }

    /// Activate Session: dropped if it does not verify, answered if it does.
    fn on_activate(
        &mut self,
        now: Instant,
        route: Route,
        packet: &V15Packet<'_>,
    ) -> Result<(), Reason> {
        let id = packet.session_id;
        let handshake = self.handshakes.get_mut(id, &route).ok_or(Reason::OtherAddress)?;
        let State::Activate(state) = &handshake.state else {
            return Err(Reason::OutOfTurn);
        };
        if packet.sequence != 0 {
            return Err(Reason::OutOfTurn);
        }
        let verified = state.verifies(packet);
        let Some(Handshake { state: State::Activate(state), .. }) = self.handshakes.remove(id)
        else {
            return Err(Reason::OutOfTurn);
        };
        self.core.admit_guess(now, route, state.name)?;
        let locked = state.account.as_ref().is_ok_and(|a| self.core.is_locked(now, route, a));
        let reason = match (&state.account, verified) {
            (Err(denial), _) => (*denial).into(),
            (Ok(_), false) => Reason::WrongPassword,
            (Ok(_), true) if locked => Reason::UserLocked,
            (Ok(account), true) => {
                let account = account.clone();
                return self.on_verified_activate(now, route, packet, &state, account);
            }
        };
        let user_id = state.account.as_ref().ok().map(|account| account.id);
        let failed = FailedLogin { user_name: state.name, user_id, reason, end: LoginEnd::Refused };
        self.core.refuse_login(now, route, failed);
        Ok(())
    }

    fn on_verified_activate(
        &mut self,
        now: Instant,
        route: Route,
        packet: &V15Packet<'_>,
        state: &AwaitActivate,
        account: Account,
    ) -> Result<(), Reason> {
        let frame = IpmbRequest::parse(packet.message).map_err(|_| Reason::MalformedMessage)?;
        let request = frame.to_request();
        if !is(&request, ACTIVATE_SESSION) {
            return Err(Reason::OutOfTurn);
        }
        let activated =
            self.session_limit(state, &request.data, &account).and_then(|(limit, outbound)| {
                let id = SessionId(packet.session_id);
                let link = state.link(id, self.core.accounts.v15_policy(), outbound);
                let fingerprint = self.core.decoy.fingerprint(&account);
                let admission = Admission { id, account, limit, fingerprint, route };
                self.activate_v15(now, &frame, packet.message, admission, link)
            });
        let (code, reason) = match activated {
            Ok(()) => return Ok(()),
            Err(refusal) => refusal,
        };
        let mut reply = Vec::new();
        let response = Response::failure(&request, code);
        IpmbResponse::answering(&frame.header, &response).emit(&mut reply);
        let mut link = state.link(SessionId(packet.session_id), V15Policy::default(), 0);
        if let Some(bytes) = link.seal(&reply) {
            self.core.transmits.push_back(Transmit { route, bytes });
        }
        Err(reason)
    }

    /// The privilege limit of the session, and the number of its first packet to the console, as an Activate
    /// Session request asks for them (IPMI v2.0 Table 22-22).
    fn session_limit(
        &self,
        state: &AwaitActivate,
        data: &[u8],
        account: &Account,
    ) -> Result<(Privilege, u32), (CompletionCode, Reason)> {
        let illegal = |code| (code, Reason::IllegalSetup);
        let bytes: &[u8; 22] =
            data.try_into().map_err(|_| illegal(CompletionCode::REQUEST_LENGTH_INVALID))?;
        let [auth, privilege, challenge @ .., a, b, c, d] = bytes;
        let wanted = Privilege::new(privilege & 0x0f);
        let (true, Some(wanted)) = (auth & 0x0f == state.auth.value(), wanted) else {
            return Err(illegal(CompletionCode::INVALID_DATA_FIELD));
        };
        if *challenge != state.challenge {
            return Err(illegal(CompletionCode::INVALID_DATA_FIELD));
        }
        let outbound = u32::from_le_bytes([*a, *b, *c, *d]);
        if outbound == 0 {
            return Err(illegal(SEQUENCE_OUT_OF_RANGE));
        }
        let channel = self.core.accounts.channel_limit();
        let limit = channel.map(|channel| channel.min(account.limit));
        if limit.is_none_or(|limit| wanted > limit) {
            return Err((PRIVILEGE_ABOVE_LIMIT, Reason::PrivilegeAboveLimit));
        }
        Ok((wanted, outbound))
    }

    /// Opens the session and answers Activate Session.
    fn activate_v15(
        &mut self,
        now: Instant,
        request: &IpmbRequest<'_>,
        message: &[u8],
        admission: Admission,
        mut link: V15Link,
    ) -> Result<(), (CompletionCode, Reason)> {
        let Admission { id, limit, route, .. } = admission;
        let first = random_u32(&mut self.core.random).max(1);
        let mut data = vec![link.later_auth().value()];
        data.extend(id.0.to_le_bytes());
        data.extend(first.to_le_bytes());
        data.push(limit.value());
        let response = Response::to(&request.to_request(), CompletionCode::OK, data);
        let mut reply = Vec::new();
        IpmbResponse::answering(&request.header, &response).emit(&mut reply);
        let answer = link.activate(first, message, &reply);
        self.add_session(now, |handle| Session::v15(admission, handle, link, now))
            .ok_or((NO_SLOT, Reason::NoFreeSession))?;
        if let Some(bytes) = answer {
            self.core.transmits.push_back(Transmit { route, bytes });
        }
        Ok(())
    }
}
