//! One active session: who, what they may do, and how its packets are opened and sealed.

use std::time::{Duration, Instant};

use ipmi_proto::Privilege;

use super::accounts::Account;
use super::event::{Route, SessionId, SessionInfo};
use super::exchanges::Exchanges;
use super::handshake::Login;
use super::reject::Reason;
use crate::crypto::OpenError;
use crate::crypto::mac::Digest;
use crate::link::{Link, LinkError};

/// What a retried RAKP 3 is known by, and answered with.
struct Confirmation {
    code: Digest,
    check: Digest,
}

/// One active session.
pub(super) struct Session {
    info: SessionInfo,
    pub(super) route: Route,
    pub(super) link: Link,
    pub(super) exchanges: Exchanges,
    /// A payload other than IPMI is active: the session is not evicted.
    pub(super) has_payload: bool,
    /// When the last valid packet came.
    last_heard: Instant,
    /// Enough to answer a retried RAKP 3, until the console shows that it got RAKP 4.
    confirmation: Option<Confirmation>,
    /// Tells whether the account is still what it was at login.
    fingerprint: Digest,
}

impl Session {
    /// The session of `login`. It starts as User, or below where that is all it may be (IPMI v2.0
    /// §6.8): Set Session Privilege Level raises it.
    pub(super) fn new(
        id: SessionId,
        handle: u8,
        login: Login,
        fingerprint: Digest,
        route: Route,
        now: Instant,
    ) -> Self {
        let Login {
            console_id,
            suite,
            account,
            limit,
            protector,
            code,
            check,
        } = login;
        let Account {
            id: user_id,
            name: user_name,
            ..
        } = account;
        let link = Link::new(console_id, protector);
        let confirmation = Some(Confirmation { code, check });
        let info = SessionInfo {
            id,
            handle,
            user_id,
            user_name,
            privilege: limit.min(Privilege::User),
            limit,
            peer: route.peer,
            suite: Some(suite),
            protection: link.protection(),
        };
        let exchanges = Exchanges::default();
        Self {
            info,
            route,
            link,
            exchanges,
            has_payload: false,
            last_heard: now,
            confirmation,
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
        confirmation
            .code
            .matches(code)
            .then_some(&confirmation.check)
    }

    /// How long no valid packet came.
    pub(super) fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_heard)
    }

    pub(super) fn deadline(&self, idle_timeout: Duration) -> Instant {
        self.last_heard + idle_timeout
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
