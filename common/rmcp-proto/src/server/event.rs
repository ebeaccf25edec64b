//! The server's output: datagrams to send, and events.

use std::net::{IpAddr, SocketAddr};

use ipmi_proto::ipmb::IpmbHeader;
use ipmi_proto::{Privilege, Request, Response};

use super::reject::Reason;
use crate::suite::CipherSuite;
use crate::wire::rakp::UserName;
use crate::wire::v20::{PayloadType, Protection};

/// The BMC's end of a route: replies leave from the address that the request was sent to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Local {
    /// The address that the request was sent to.
    pub address: IpAddr,
    /// The interface's index.
    pub interface: u32,
}

/// Both ends of a datagram's route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Route {
    /// The console.
    pub peer: SocketAddr,
    /// The BMC, if known.
    pub local: Option<Local>,
}

/// A datagram to send.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transmit {
    /// To whom, and from where.
    pub route: Route,
    /// The whole datagram.
    pub bytes: Vec<u8>,
}

/// A session's id on the BMC's side.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SessionId(pub u32);

/// Identifies one request. A response to another request is never sent for it, and a response to a session
/// that was closed is dropped.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Token {
    pub(super) session: SessionId,
    pub(super) serial: u64,
}

/// Where the answer to a request outside a session goes, and in which format. Nothing of it is remembered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outside {
    pub(super) route: Route,
    pub(super) format: Format,
    pub(super) header: IpmbHeader,
}

/// The two formats of a packet outside a session: the answer takes that of the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Format {
    V15,
    V20,
}

/// What is known of an active session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SessionInfo {
    /// The BMC's session id.
    pub id: SessionId,
    /// The handle: instance in bits 7:6, slot in bits 5:0.
    pub handle: u8,
    /// The user's id.
    pub user_id: u8,
    /// The user's name.
    pub user_name: UserName,
    /// The present privilege.
    pub privilege: Privilege,
    /// The highest that Set Session Privilege Level may choose.
    pub limit: Privilege,
    /// The console's address.
    pub peer: SocketAddr,
    /// The suite agreed on; `None` for a session in IPMI 1.5 format.
    pub suite: Option<CipherSuite>,
    /// What the session can protect its packets with.
    pub protection: Protection,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CloseReason {
    /// The console asked for it.
    Requested,
    /// No valid packet for too long.
    Idle,
    /// The BMC's side closed it.
    Closed,
    /// It was the one idle longest when another login needed room.
    MadeRoom,
    /// Its user was disabled, renamed or removed, or got another password.
    AccountChanged,
}

impl CloseReason {
    /// For the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "closed by the console",
            Self::Idle => "idle for too long",
            Self::Closed => "closed by the BMC",
            Self::MadeRoom => "made room for another login",
            Self::AccountChanged => "its account changed",
        }
    }
}

/// What ended a login that failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LoginEnd {
    /// The server refused RAKP 3 or Activate Session.
    Refused,
    /// The console refused RAKP 2, by a RAKP 3 with an error status.
    Rakp2Refused,
    /// The console sent no RAKP 3 in time. Consoles that see from RAKP 2 that their password is wrong
    /// often do so.
    NoRakp3,
}

/// What the daemon must act on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// A request for the BMC, to be answered with `Server::respond`.
    Request {
        /// For the answer.
        token: Token,
        /// The session as it is now.
        session: SessionInfo,
        /// The command.
        request: Request,
    },
    /// A request that needs no session and that the BMC has to answer: with `Server::respond_outside`, soon or
    /// not at all.
    Outside {
        /// For the answer.
        asked: Outside,
        /// The command.
        request: Request,
    },
    /// A payload command (48h to 4Bh, 55h) for the owner of the payloads, to be answered likewise.
    PayloadCommand {
        /// For the answer.
        token: Token,
        /// The session as it is now.
        session: SessionInfo,
        /// The command.
        request: Request,
    },
    /// A request that the server has answered itself, for those who record requests.
    Answered {
        /// The session as it was; `None` outside of any.
        session: Option<SessionInfo>,
        /// The command.
        request: Request,
        /// What was answered.
        response: Response,
    },
    /// A packet of a payload that is active in its session.
    Payload {
        /// Which session.
        session: SessionId,
        /// Which payload.
        kind: PayloadType,
        /// How it was protected.
        protection: Protection,
        /// Its contents.
        data: Vec<u8>,
    },
    /// A user logged in.
    Opened(SessionInfo),
    /// A session's privilege or limit changed.
    Changed(SessionInfo),
    /// A session ended: its requests need no response any more, its payloads end.
    Closed(SessionInfo, CloseReason),
    /// A login failed.
    LoginRefused {
        /// The console's address.
        peer: SocketAddr,
        /// The user name.
        user_name: UserName,
        /// Why.
        reason: Reason,
        /// What ended it.
        end: LoginEnd,
    },
    /// A datagram was not acted on.
    Rejected {
        /// The console's address.
        peer: SocketAddr,
        /// Why.
        reason: Reason,
    },
}
