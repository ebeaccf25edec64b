//! Who sends requests, as the model compares them.

use ipmi_proto::ChannelNumber;

/// An authenticated session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Session {
    /// IPMI user id, 1 to 63.
    pub user_id: u8,
    /// The managed system's session id.
    pub id: u32,
}

impl Session {
    /// No session, on a channel that has sessions: a console asks before it logs in.
    pub const NONE: Self = Self { user_id: 0, id: 0 };
}

/// A requester on an IPMB.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Satellite {
    /// Its slave address in the 7-bit form.
    pub address: u8,
    /// Host or device index of the bus.
    pub host_id: u8,
}

/// A session, a satellite, or the host (neither) on a channel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Requester {
    /// The channel of its requests.
    pub channel: ChannelNumber,
    /// Its session; `None` on a session-less channel.
    pub session: Option<Session>,
    /// Its controller; `None` unless the channel is an IPMB.
    pub satellite: Option<Satellite>,
}
