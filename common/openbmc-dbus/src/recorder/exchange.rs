//! One request and its response, as operators see it.

use serde::{Deserialize, Serialize};
use zbus::Type;

use crate::execute::Caller;

/// The sender of a request.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, Type)]
pub struct Origin {
    /// [`HOST`](Self::HOST), [`SESSION`](Self::SESSION), [`OUTSIDE`](Self::OUTSIDE),
    /// [`SATELLITE`](Self::SATELLITE) or [`BMC`](Self::BMC).
    pub kind: u8,
    /// The user's id of a session, else 0.
    pub user: u8,
    /// The managed system's id of a session, else 0.
    pub session: u32,
    /// The slave address of a satellite controller that sent or got it, with its lowest bit 0, else 0.
    pub address: u8,
}

impl Origin {
    /// The host, or a process on the BMC.
    pub const HOST: u8 = 0;
    /// A session.
    pub const SESSION: u8 = 1;
    /// A console outside of any session.
    pub const OUTSIDE: u8 = 2;
    /// A satellite controller on an IPMB.
    pub const SATELLITE: u8 = 3;
    /// The BMC itself, to a satellite controller.
    pub const BMC: u8 = 4;

    /// The host, or a process on the BMC.
    #[must_use]
    pub fn host() -> Self {
        Self::default()
    }

    /// A session; outside of any if its id is 0.
    #[must_use]
    pub fn session(user: u8, session: u32) -> Self {
        let kind = if session == 0 { Self::OUTSIDE } else { Self::SESSION };
        Self { kind, user, session, address: 0 }
    }

    /// The satellite controller at `address`, in its 7-bit form.
    #[must_use]
    pub fn satellite(address: u8) -> Self {
        Self { kind: Self::SATELLITE, address: address << 1, ..Self::default() }
    }

    /// The BMC itself, to the satellite controller at `address`, in its 8-bit form.
    #[must_use]
    pub fn to_satellite(address: u8) -> Self {
        Self { kind: Self::BMC, address, ..Self::default() }
    }
}

impl From<Caller> for Origin {
    fn from(caller: Caller) -> Self {
        match caller {
            Caller::System => Self::host(),
            Caller::Session { user_id, session_id, .. } => Self::session(user_id, session_id),
            Caller::Outside => Self::session(0, 0),
            Caller::Ipmb { rq_sa, .. } => Self::satellite(rq_sa),
        }
    }
}

/// One request and its response; secrets in their data are masked.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, Type)]
pub struct Exchange {
    /// The number of the request on its channel, from 1 on.
    pub serial: u64,
    /// When it came: microseconds since 1970, by the clock as it was then.
    pub wall: u64,
    /// The same, in microseconds of the monotonic clock.
    pub monotonic: u64,
    /// The channel's name.
    pub channel: String,
    /// The channel's number (IPMI v2.0 §6.3).
    pub number: u8,
    /// Who sent it.
    pub origin: Origin,
    /// Network function of the request.
    pub netfn: u8,
    /// Logical unit.
    pub lun: u8,
    /// Command number.
    pub command: u8,
    /// Data bytes of the request, of which the first are in `request`.
    pub request_length: u32,
    /// Its data.
    pub request: Vec<u8>,
    /// [`PENDING`](Self::PENDING), [`ANSWERED`](Self::ANSWERED), [`MISSED`](Self::MISSED) or
    /// [`BROADCAST`](Self::BROADCAST).
    pub state: u8,
    /// Completion code of the response.
    pub completion: u8,
    /// From the request to the response, in microseconds.
    pub duration: u64,
    /// Data bytes of the response, of which the first are in `response`.
    pub response_length: u32,
    /// Its data.
    pub response: Vec<u8>,
}

impl Exchange {
    /// There is no response yet.
    pub const PENDING: u8 = 0;
    /// It was answered.
    pub const ANSWERED: u8 = 1;
    /// It was answered C3h because its deadline had passed; a satellite did not answer (C3h) or is not there (D3h).
    pub const MISSED: u8 = 2;
    /// It was sent to all controllers of an IPMB, and there is no response to it.
    pub const BROADCAST: u8 = 3;

    /// Whether there is a response, or what stands for one.
    #[must_use]
    pub const fn has_response(&self) -> bool {
        matches!(self.state, Self::ANSWERED | Self::MISSED)
    }
}
