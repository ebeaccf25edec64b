//! IPMI 1.5 sessions: Get Session Challenge, Activate Session, and the packets after them (IPMI v2.0
//! §6.11, §13.14, §22.16-17). Off unless authentication types are configured.
//!
//! The temporary session id of the challenge stays the session's id. As with RAKP, an unknown name
//! is told nothing: it gets a challenge like any other, and its Activate Session never verifies.
//! What does not verify is dropped without an answer (§13.14).

use std::time::Instant;

use ipmi_proto::ipmb::{IpmbHeader, IpmbRequest, IpmbResponse};
use ipmi_proto::{CompletionCode, NetFn, Privilege, Request, Response};

use super::Server;
use super::accounts::{Account, Accounts, Random, random_bytes, random_u32};
use super::event::{Route, SessionId, Transmit};
use super::handshake::{Handshake, State};
use super::reject::Reason;
use super::session::{Admission, Session, SessionLink};
use crate::crypto::UserKey;
use crate::crypto::v15::auth_code;
use crate::window::{SequenceCounter, SequenceWindow};
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

/// Which packets of IPMI 1.5 sessions may go without an auth code (IPMI v2.0 §6.11.4).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct V15Policy {
    /// All of them, once the session is active.
    pub per_message_auth_disabled: bool,
    /// Those of commands that a User may give.
    pub user_level_auth_disabled: bool,
}

/// The challenge is sent: the console must show that it knows the user's key.
pub(super) struct AwaitActivate {
    auth: AuthType,
    name: UserName,
    challenge: [u8; 16],
    /// `None` for a name that may not log in.
    account: Option<Account>,
    /// The account's key, or one that nobody knows.
    key: UserKey,
}

impl AwaitActivate {
    /// Whether `packet` carries this login's auth code.
    fn verifies(&self, packet: &V15Packet<'_>) -> bool {
        packet.auth == self.auth && code_matches(self.auth, &self.key, packet)
    }
}

fn code_matches(auth: AuthType, key: &UserKey, packet: &V15Packet<'_>) -> bool {
    let V15Packet { session_id, sequence, message, .. } = *packet;
    let wanted = auth_code(auth, key, session_id, sequence, message);
    auth == AuthType::None || packet.code.is_some_and(|code| wanted.matches(&code))
}

/// How far a packet of a session is to be trusted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Trust {
    /// It is the user's.
    Full,
    /// It carries no auth code: no more than a User may do.
    UserLevel,
}

/// A session's packets in IPMI 1.5 format.
pub(super) struct V15Link {
    id: SessionId,
    auth: AuthType,
    key: UserKey,
    policy: V15Policy,
    inbound: SequenceWindow,
    outbound: SequenceCounter,
    /// Activate Session and its answer, for a retry, until the console shows that it got it.
    activation: Option<(Vec<u8>, Vec<u8>)>,
}

impl V15Link {
    pub(super) fn authenticates(&self) -> bool {
        self.auth != AuthType::None
    }

    /// The type that the packets after Activate Session have.
    fn later_auth(&self) -> AuthType {
        if self.policy.per_message_auth_disabled { AuthType::None } else { self.auth }
    }

    /// Verifies a packet and takes its sequence number.
    fn open(&mut self, packet: &V15Packet<'_>) -> Result<Trust, Reason> {
        if !self.inbound.check(packet.sequence) {
            return Err(Reason::Replayed);
        }
        let trust = if packet.auth == self.auth {
            if !code_matches(self.auth, &self.key, packet) {
                return Err(Reason::WrongAuthCode);
            }
            Trust::Full
        } else if packet.auth == AuthType::None && self.policy.per_message_auth_disabled {
            Trust::Full
        } else if packet.auth == AuthType::None && self.policy.user_level_auth_disabled {
            Trust::UserLevel
        } else {
            return Err(Reason::Unprotected);
        };
        self.inbound.take(packet.sequence);
        self.activation = None;
        Ok(trust)
    }

    /// The answer to a retry of the Activate Session that opened the session.
    fn activation(&self, packet: &V15Packet<'_>) -> Option<&[u8]> {
        let (message, answer) = self.activation.as_ref()?;
        let same = packet.sequence == 0 && packet.auth == self.auth && packet.message == message;
        (same && code_matches(self.auth, &self.key, packet)).then_some(answer)
    }

    /// The datagram that carries `message`; `None` for one beyond 255 bytes.
    pub(super) fn seal(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        self.seal_as(self.later_auth(), message)
    }

    fn seal_as(&mut self, auth: AuthType, message: &[u8]) -> Option<Vec<u8>> {
        let (session_id, sequence) = (self.id.0, self.outbound.next());
        let code = auth_code(auth, &self.key, session_id, sequence, message);
        let code = code.as_bytes().try_into().ok();
        let mut datagram = Vec::new();
        let packet = V15Packet { auth, code, sequence, session_id, message };
        packet.emit_datagram(&mut datagram).ok()?;
        Some(datagram)
    }
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
            .filter(|auth| self.config.v15.contains(auth))
            .ok_or(CompletionCode::INVALID_DATA_FIELD)?;
        let end = name.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let name = UserName::new(name.get(..end).unwrap_or_default())
            .ok_or(CompletionCode::INVALID_DATA_FIELD)?;
        // A key beyond 16 bytes cannot be shown in this format, and its start must not do.
        let account = self.accounts.find(&name, None).filter(|a| a.key.fits_16());
        let decoy = self.decoy.key(&name);
        let key = account.as_ref().map_or(&decoy, |account| &account.key).clone();
        let challenge = random_bytes(&mut self.random);
        let state = AwaitActivate { auth, name, challenge, account, key };
        let managed_id = self.unused_id();
        let deadline = now + self.config.setup_timeout;
        let state = State::Activate(Box::new(state));
        self.pend(Handshake { managed_id, route, deadline, state });
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
        if self.config.v15.is_empty() {
            if self.admit_packet(now, route).is_ok() {
                self.refuse_activation(route, packet);
            }
            return Err(Reason::VersionDisabled);
        }
        if self.handshakes.contains(packet.session_id) {
            return self.on_activate(now, route, packet);
        }
        let slot = self.slot_of(SessionId(packet.session_id)).ok_or(Reason::UnknownSession)?;
        let bound = self.config.bound_to_peer;
        let session =
            self.sessions.get_mut(slot).and_then(Option::as_mut).ok_or(Reason::UnknownSession)?;
        if bound && session.route.peer != route.peer {
            return Err(Reason::OtherAddress);
        }
        let SessionLink::V15(link) = &mut session.link else {
            return Err(Reason::UnknownSession);
        };
        if let Some(bytes) = link.activation(packet) {
            self.transmits.push_back(Transmit { route, bytes: bytes.to_vec() });
            return Ok(());
        }
        let trust = link.open(packet)?;
        session.heard(now);
        session.route = route;
        self.on_message(now, slot, trust, packet.message)
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
            self.transmits.push_back(Transmit { route, bytes });
        }
    }

    /// Activate Session. Whatever does not verify is dropped; what verifies is answered.
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
        self.admit_guess(now, route, state.name)?;
        let locked = state.account.as_ref().is_some_and(|a| self.is_locked(now, route, a));
        let reason = match (&state.account, verified) {
            (None, _) => Reason::UnknownUser,
            (Some(_), false) => Reason::WrongPassword,
            (Some(_), true) if locked => Reason::UserLocked,
            (Some(account), true) => {
                let account = account.clone();
                return self.on_verified_activate(now, route, packet, &state, account);
            }
        };
        let known = state.account.as_ref().map(|account| account.id);
        self.refuse_login(now, route, state.name, known, reason);
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
        let activated = self.activation(state, &request.data, account).and_then(|activation| {
            self.activate_v15(now, route, packet, &frame.header, activation)
        });
        let (code, reason) = match activated {
            Ok(()) => return Ok(()),
            Err(refusal) => refusal,
        };
        let mut reply = Vec::new();
        let response = Response::failure(&request, code);
        IpmbResponse::answering(&frame.header, &response).emit(&mut reply);
        let mut link = V15Link::new(SessionId(packet.session_id), state, V15Policy::default(), 0);
        if let Some(bytes) = link.seal(&reply) {
            self.transmits.push_back(Transmit { route, bytes });
        }
        Err(reason)
    }

    /// Reads an Activate Session request (IPMI v2.0 Table 22-22).
    fn activation(
        &self,
        state: &AwaitActivate,
        data: &[u8],
        account: Account,
    ) -> Result<Activation, (CompletionCode, Reason)> {
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
        let limit = self.accounts.channel_limit().map(|channel| channel.min(account.limit));
        if limit.is_none_or(|limit| wanted > limit) {
            return Err((PRIVILEGE_ABOVE_LIMIT, Reason::PrivilegeAboveLimit));
        }
        let policy = self.accounts.v15_policy();
        let link = |id| V15Link::new(id, state, policy, outbound);
        Ok(Activation { link: Box::new(link(SessionId(0))), limit: wanted, account })
    }

    fn activate_v15(
        &mut self,
        now: Instant,
        route: Route,
        packet: &V15Packet<'_>,
        header: &IpmbHeader,
        activation: Activation,
    ) -> Result<(), (CompletionCode, Reason)> {
        let Activation { mut link, limit, account } = activation;
        let slot = self.free_slot(now).ok_or((NO_SLOT, Reason::NoFreeSession))?;
        let id = SessionId(packet.session_id);
        let first = random_u32(&mut self.random).max(1);
        link.id = id;
        link.inbound = SequenceWindow::after(first - 1);
        let mut data = vec![link.later_auth().value()];
        data.extend(id.0.to_le_bytes());
        data.extend(first.to_le_bytes());
        data.push(limit.value());
        let response = Response {
            netfn: header.netfn.response(),
            lun: header.responder_lun,
            command: header.command,
            completion: CompletionCode::OK,
            data,
        };
        let mut reply = Vec::new();
        IpmbResponse::answering(header, &response).emit(&mut reply);
        if let Some(bytes) = link.seal_as(link.auth, &reply) {
            link.activation = Some((packet.message.to_vec(), bytes.clone()));
            self.transmits.push_back(Transmit { route, bytes });
        }
        let handle = self.config.instance.handle(slot);
        let fingerprint = self.decoy.fingerprint(&account);
        let admission = Admission { id, handle, account, limit, fingerprint, route };
        self.install(slot, Session::v15(admission, *link, now));
        Ok(())
    }
}

/// An Activate Session that may be granted.
struct Activation {
    link: Box<V15Link>,
    limit: Privilege,
    account: Account,
}

impl V15Link {
    /// A link whose first packet to the console has number `outbound`.
    fn new(id: SessionId, state: &AwaitActivate, policy: V15Policy, outbound: u32) -> Self {
        Self {
            id,
            auth: state.auth,
            key: state.key.clone(),
            policy,
            inbound: SequenceWindow::START,
            outbound: SequenceCounter::after(outbound.wrapping_sub(1)),
            activation: None,
        }
    }
}
