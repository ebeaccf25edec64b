//! The packets of a session in IPMI 1.5 format: sequence numbers and auth codes (IPMI v2.0 §6.11-12, §13.6).

use super::accounts::V15Policy;
use super::event::SessionId;
use super::reject::Reason;
use crate::crypto::UserKey;
use crate::crypto::v15::auth_code;
use crate::window::{SequenceCounter, SequenceWindow};
use crate::wire::v15::{AuthType, V15Packet};

/// The privilege that a packet may use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Trust {
    /// The session's: the packet is the user's.
    Full,
    /// User at most: the packet carries no auth code.
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
    /// Activate Session and the answer to it, for a retry, until a later packet shows that the console has
    /// the answer.
    activation: Option<(Vec<u8>, Vec<u8>)>,
}

impl V15Link {
    /// The link of a login with `key`, whose first packet to the console has number `outbound`.
    pub(super) fn new(
        id: SessionId,
        auth: AuthType,
        key: UserKey,
        policy: V15Policy,
        outbound: u32,
    ) -> Self {
        Self {
            id,
            auth,
            key,
            policy,
            inbound: SequenceWindow::START,
            outbound: SequenceCounter::after(outbound.wrapping_sub(1)),
            activation: None,
        }
    }

    /// Whether the packets carry an auth code.
    pub(super) fn authenticates(&self) -> bool {
        self.auth != AuthType::None
    }

    /// The type that the packets after Activate Session have.
    pub(super) fn later_auth(&self) -> AuthType {
        if self.policy.per_message_auth_disabled { AuthType::None } else { self.auth }
    }

    /// Verifies a packet and takes its sequence number.
    pub(super) fn open(&mut self, packet: &V15Packet<'_>) -> Result<Trust, Reason> {
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
        self.inbound.accept(packet.sequence);
        self.activation = None;
        Ok(trust)
    }

    /// The answer to a retry of the Activate Session that opened the session.
    pub(super) fn activation(&self, packet: &V15Packet<'_>) -> Option<&[u8]> {
        let (message, answer) = self.activation.as_ref()?;
        let same = packet.sequence == 0 && packet.auth == self.auth && packet.message == message;
        (same && code_matches(self.auth, &self.key, packet)).then_some(answer)
    }

    /// Takes packets from number `first` on, and seals `reply`, which answers the Activate Session `request`
    /// and all retries of it.
    pub(super) fn activate(&mut self, first: u32, request: &[u8], reply: &[u8]) -> Option<Vec<u8>> {
        self.inbound = SequenceWindow::after(first.wrapping_sub(1));
        let answer = self.seal_as(self.auth, reply)?;
        self.activation = Some((request.to_vec(), answer.clone()));
        Some(answer)
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

/// Whether `packet` carries the auth code that `key` gives.
pub(super) fn code_matches(auth: AuthType, key: &UserKey, packet: &V15Packet<'_>) -> bool {
    let V15Packet { session_id, sequence, message, .. } = *packet;
    let wanted = auth_code(auth, key, session_id, sequence, message);
    auth == AuthType::None || packet.code.is_some_and(|code| wanted.matches(&code))
}
