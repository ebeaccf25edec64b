//! One active session: who, what they may do, and how its packets are opened and sealed.

use std::time::{Duration, Instant};

use ipmi_proto::{Privilege, Request};

use super::accounts::Account;
use super::commands::SessionCommand;
use super::event::{Route, SessionId, SessionInfo};
use super::exchanges::Exchanges;
use super::handshake::LoginKeys;
use super::reject::Reason;
use super::v15::V15Link;
use crate::crypto::OpenError;
use crate::crypto::mac::Digest;
use crate::link::{Link, LinkError};
use crate::suite::CipherSuite;
use crate::wire::v20::{PayloadType, Protection};

/// What a retried RAKP 3 is known by, and answered with.
struct Confirmation {
    code: Digest,
    check: Digest,
}

/// One active session.
pub(super) struct Session {
    info: SessionInfo,
    pub(super) route: Route,
    pub(super) link: SessionLink,
    pub(super) exchanges: Exchanges,
    /// A payload other than IPMI is active: the session is not evicted.
    pub(super) has_payload: bool,
    /// When the last valid packet came.
    last_heard: Instant,
    /// Set when the session is over for its user: until then the console may still fetch the replies to
    /// what it had asked, and say that it closes.
    parts_at: Option<Instant>,
    /// Enough to answer a retried RAKP 3, until the console shows that it got RAKP 4.
    confirmation: Option<Confirmation>,
    /// Tells whether the account is still what it was at login.
    fingerprint: Digest,
}

/// A session's packets, in either format.
pub(super) enum SessionLink {
    V20(Box<Link>),
    V15(Box<V15Link>),
}

impl SessionLink {
    fn protection(&self) -> Protection {
        match self {
            Self::V20(link) => link.protection(),
            Self::V15(link) => Protection { authenticated: link.authenticates(), encrypted: false },
        }
    }

    /// The longest message that a packet of the format can carry, room for pads left.
    pub(super) const fn max_message(&self) -> usize {
        match self {
            Self::V20(_) => 0xff00,
            Self::V15(_) => 0xff,
        }
    }

    /// The datagram that carries `payload` to the console; `None` for what the format cannot carry.
    pub(super) fn seal(
        &mut self,
        kind: PayloadType,
        wanted: Protection,
        payload: &[u8],
        iv: [u8; 16],
    ) -> Option<Vec<u8>> {
        match self {
            Self::V20(link) => Some(link.seal(kind, wanted, payload, iv)),
            Self::V15(link) if kind == PayloadType::IPMI => link.seal(payload),
            Self::V15(_) => None,
        }
    }
}

/// Who a session is for, and what it may: what both kinds of login lead to.
pub(super) struct Admission {
    pub(super) id: SessionId,
    pub(super) handle: u8,
    pub(super) account: Account,
    /// The privilege asked for, which the session never exceeds.
    pub(super) limit: Privilege,
    pub(super) fingerprint: Digest,
    pub(super) route: Route,
}

impl Session {
    /// The session that a RAKP login opens.
    pub(super) fn v20(admission: Admission, keys: LoginKeys, now: Instant) -> Self {
        let LoginKeys { console_id, suite, protector, code, check } = keys;
        let link = SessionLink::V20(Box::new(Link::new(console_id, protector)));
        let confirmation = Some(Confirmation { code, check });
        Self { confirmation, ..Self::new(admission, Some(suite), link, now) }
    }

    /// The session that Activate Session opens.
    pub(super) fn v15(admission: Admission, link: V15Link, now: Instant) -> Self {
        Self::new(admission, None, SessionLink::V15(Box::new(link)), now)
    }

    /// It starts as User, or below where that is all it may be (IPMI v2.0 §6.8): Set Session
    /// Privilege Level raises it.
    fn new(
        admission: Admission,
        suite: Option<CipherSuite>,
        link: SessionLink,
        now: Instant,
    ) -> Self {
        let Admission { id, handle, account, limit, fingerprint, route } = admission;
        let info = SessionInfo {
            id,
            handle,
            user_id: account.id,
            user_name: account.name,
            privilege: limit.min(Privilege::User),
            limit,
            peer: route.peer,
            suite,
            protection: link.protection(),
        };
        Self {
            info,
            route,
            link,
            exchanges: Exchanges::default(),
            has_payload: false,
            last_heard: now,
            parts_at: None,
            confirmation: None,
            fingerprint,
        }
    }

    pub(super) const fn info(&self) -> &SessionInfo {
        &self.info
    }

    pub(super) const fn id(&self) -> SessionId {
        self.info.id
    }

    /// A valid packet came.
    pub(super) fn heard(&mut self, now: Instant) {
        self.last_heard = now;
        self.confirmation = None;
    }

    /// RAKP 4's check value for a retry of the RAKP 3 that opened the session.
    pub(super) fn confirmation(&self, code: &[u8]) -> Option<&Digest> {
        let confirmation = self.confirmation.as_ref()?;
        confirmation.code.matches(code).then_some(&confirmation.check)
    }

    /// Ends the session but for a farewell, which lasts until `until`.
    pub(super) fn part(&mut self, until: Instant) {
        self.parts_at = Some(until);
        self.has_payload = false;
    }

    pub(super) const fn is_parting(&self) -> bool {
        self.parts_at.is_some()
    }

    /// Whether a session that is parting still takes `message`: one it had before, or a Close Session.
    pub(super) fn takes_leave_by(&self, message: &[u8], request: &Request) -> bool {
        self.exchanges.knows(message)
            || SessionCommand::of(request, self) == SessionCommand::CloseOwn
    }

    /// How long no valid packet came.
    pub(super) fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_heard)
    }

    /// When the session is over if no packet comes.
    pub(super) fn deadline(&self, idle_timeout: Duration) -> Instant {
        self.parts_at.unwrap_or(self.last_heard + idle_timeout)
    }

    /// Changes the privilege, within the limit.
    pub(super) fn set_privilege(&mut self, privilege: Privilege) -> bool {
        let allowed = privilege <= self.info.limit;
        if allowed {
            self.info.privilege = privilege;
        }
        allowed
    }

    /// Takes `limit` if it is lower than what the session has; whether that changed anything.
    pub(super) fn lower_limit(&mut self, limit: Privilege) -> bool {
        if limit >= self.info.limit {
            return false;
        }
        self.info.limit = limit;
        self.info.privilege = self.info.privilege.min(limit);
        true
    }

    pub(super) fn is_of(&self, fingerprint: &Digest) -> bool {
        self.fingerprint.matches(fingerprint.as_bytes())
    }
}

impl From<LinkError> for Reason {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Unprotected => Self::Unprotected,
            LinkError::Replayed => Self::Replayed,
            LinkError::Open(OpenError::Trailer) => Self::MalformedTrailer,
            LinkError::Open(OpenError::AuthCode) => Self::WrongAuthCode,
            LinkError::Open(OpenError::NotNegotiated) => Self::NotNegotiated,
            LinkError::Open(OpenError::Ciphertext) => Self::MalformedCiphertext,
        }
    }
}
