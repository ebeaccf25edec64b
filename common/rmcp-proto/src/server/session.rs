//! One session: its user and privilege, its requests, and how its packets are opened and sealed.

use std::time::{Duration, Instant};

use ipmi_proto::{CompletionCode, Privilege, Request};

use super::accounts::Account;
use super::commands::{self, SessionCommand};
use super::event::{Route, SessionId, SessionInfo};
use super::exchanges::Exchanges;
use super::handshake::LoginKeys;
use super::reject::Reason;
use super::v15_link::V15Link;
use crate::crypto::OpenError;
use crate::crypto::mac::Digest;
use crate::link::{Link, LinkError};
use crate::suite::CipherSuite;
use crate::wire::v20::{PayloadType, Protection};

/// How a retried RAKP 3 is recognised, and answered.
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
    /// Set while the session is closing: when it ends. Until then the console may still get the responses to
    /// its requests, and close the session.
    closes_at: Option<Instant>,
    /// For a retried RAKP 3, until a packet shows that the console has RAKP 4.
    confirmation: Option<Confirmation>,
    /// Of the account at login, to see whether it has changed since.
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

    /// The longest message that a packet of the format can carry.
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

/// What both kinds of login lead to: the user and the rights of a session.
pub(super) struct Admission {
    pub(super) id: SessionId,
    pub(super) account: Account,
    /// The privilege asked for, which the session never exceeds.
    pub(super) limit: Privilege,
    pub(super) fingerprint: Digest,
    pub(super) route: Route,
}

impl Session {
    /// The session that a RAKP login opens.
    pub(super) fn v20(admission: Admission, handle: u8, keys: LoginKeys, now: Instant) -> Self {
        let LoginKeys { console_id, suite, protector, code, check } = keys;
        let link = SessionLink::V20(Box::new(Link::new(console_id, protector)));
        let confirmation = Some(Confirmation { code, check });
        Self { confirmation, ..Self::new(admission, handle, Some(suite), link, now) }
    }

    /// The session that Activate Session opens.
    pub(super) fn v15(admission: Admission, handle: u8, link: V15Link, now: Instant) -> Self {
        Self::new(admission, handle, None, SessionLink::V15(Box::new(link)), now)
    }

    /// A session starts with privilege User, or its limit if that is lower (IPMI v2.0 §6.8); Set Session
    /// Privilege Level raises it.
    fn new(
        admission: Admission,
        handle: u8,
        suite: Option<CipherSuite>,
        link: SessionLink,
        now: Instant,
    ) -> Self {
        let Admission { id, account, limit, fingerprint, route } = admission;
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
            closes_at: None,
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

    /// Notes that a valid packet came, and by which route replies leave.
    pub(super) fn packet_received(&mut self, now: Instant, route: Route) {
        self.route = route;
        self.last_heard = now;
        self.confirmation = None;
    }

    /// RAKP 4's check value for a retry of the RAKP 3 that opened the session.
    pub(super) fn confirmation(&self, code: &[u8]) -> Option<&Digest> {
        let confirmation = self.confirmation.as_ref()?;
        confirmation.code.matches(code).then_some(&confirmation.check)
    }

    /// Closes the session for new requests: until `end` it answers only requests that it had before, and its own
    /// Close Session.
    pub(super) fn begin_closing(&mut self, end: Instant) {
        self.closes_at = Some(end);
        self.has_payload = false;
    }

    pub(super) const fn is_closing(&self) -> bool {
        self.closes_at.is_some()
    }

    /// Whether the session handles `message`: one that is closing handles a copy of one that it had before,
    /// and a Close Session.
    pub(super) fn accepts(&self, message: &[u8], request: &Request) -> bool {
        !self.is_closing()
            || self.exchanges.knows(message)
            || SessionCommand::of(request, &self.info) == SessionCommand::CloseOwn
    }

    /// Counts the idle time from `now`: the time-out has become shorter.
    pub(super) const fn restart_idle_time(&mut self, now: Instant) {
        self.last_heard = now;
    }

    /// How long no valid packet came.
    pub(super) fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_heard)
    }

    /// When the session is over if no packet comes.
    pub(super) fn deadline(&self, idle_timeout: Duration) -> Instant {
        self.closes_at.unwrap_or(self.last_heard + idle_timeout)
    }

    /// Carries out Set Session Privilege Level.
    ///
    /// # Errors
    ///
    /// Those of [`commands::new_privilege`].
    pub(super) fn set_privilege(&mut self, request: &Request) -> Result<Privilege, CompletionCode> {
        self.info.privilege = commands::new_privilege(request, &self.info)?;
        Ok(self.info.privilege)
    }

    /// Lowers the limit to `limit`; whether that changed anything.
    pub(super) fn lower_limit(&mut self, limit: Privilege) -> bool {
        if limit >= self.info.limit {
            return false;
        }
        self.info.limit = limit;
        self.info.privilege = self.info.privilege.min(limit);
        true
    }

    /// Whether the account at login had this fingerprint.
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
