//! The log: a line for each login and end of a session; refused logins and rejected datagrams at a bounded
//! rate.

use std::net::SocketAddr;
use std::time::Duration;

use daemon::RateLimit;
use rmcp_proto::server::{CloseReason, LoginEnd, Reason, SessionInfo};
use rmcp_proto::wire::rakp::UserName;

/// Lines about rejected datagrams per minute and reason.
const REJECTED_PER_MINUTE: u32 = 5;
/// Lines about refused logins per minute and reason.
const REFUSED_PER_MINUTE: u32 = 20;

/// Lines per minute about requests that `ipmid` refuses from this bridge.
const UNSERVED_PER_MINUTE: u32 = 1;

/// Writes the bridge's log lines.
pub struct Report {
    /// By reason.
    refused: Vec<RateLimit>,
    rejected: Vec<RateLimit>,
    unserved: RateLimit,
}

impl Default for Report {
    fn default() -> Self {
        let each = |limit| {
            let minute = Duration::from_secs(60);
            let limits = Reason::ALL.iter().map(|_| RateLimit::new(limit, minute));
            limits.collect()
        };
        let unserved = RateLimit::new(UNSERVED_PER_MINUTE, Duration::from_secs(60));
        Self { refused: each(REFUSED_PER_MINUTE), rejected: each(REJECTED_PER_MINUTE), unserved }
    }
}

impl Report {
    /// Logs a login.
    pub fn opened(&self, info: &SessionInfo) {
        let (user, peer) = (info.user_name, canonical(info.peer));
        let suite = info.suite.map(|suite| suite.id());
        let limit = info.limit.value();
        tracing::info!(
            %user, id = info.user_id, %peer, session = format_args!("{:08x}", info.id.0),
            suite, limit, "login"
        );
    }

    /// Logs the end of a session.
    pub fn closed(&self, info: &SessionInfo, reason: CloseReason) {
        let (user, peer) = (info.user_name, canonical(info.peer));
        tracing::info!(
            %user, id = info.user_id, %peer, session = format_args!("{:08x}", info.id.0),
            reason = reason.as_str(), "session ended"
        );
    }

    /// Logs a refused login.
    pub fn refused(&self, peer: SocketAddr, user: UserName, reason: Reason, end: LoginEnd) {
        let limit = self.refused.get(reason as usize);
        if let Some(pass) = limit.and_then(RateLimit::admit) {
            let (peer, reason) = (canonical(peer), reason.as_str());
            let console = match end {
                LoginEnd::Refused => None,
                LoginEnd::Rakp2Refused => Some("refused RAKP 2"),
                LoginEnd::NoRakp3 => Some("sent no RAKP 3"),
            };
            let swallowed = pass.swallowed;
            tracing::warn!(%user, %peer, reason, console, swallowed, "login refused");
        }
    }

    /// Logs that `ipmid` refuses the bridge's requests.
    pub fn unserved(&self) {
        if let Some(pass) = self.unserved.admit() {
            let swallowed = pass.swallowed;
            tracing::warn!(swallowed, "ipmid refuses this bridge's requests (D3h); see its log");
        }
    }

    /// Logs a rejected datagram.
    pub fn rejected(&self, peer: SocketAddr, reason: Reason) {
        if reason == Reason::DuplicateRequest {
            // A console that waits for a slow command retries: not a fault.
            tracing::debug!(%peer, "copy of a running request ignored");
            return;
        }
        let limit = self.rejected.get(reason as usize);
        if let Some(pass) = limit.and_then(RateLimit::admit) {
            let (peer, reason) = (canonical(peer), reason.as_str());
            tracing::warn!(%peer, reason, swallowed = pass.swallowed, "datagram rejected");
        }
    }
}

/// The address with an IPv4-mapped one as IPv4.
fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}
