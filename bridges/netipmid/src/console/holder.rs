//! The number and the holder of a payload instance, its packets, and its input for the host.

use rmcp_proto::server::SessionId;
use rmcp_proto::sol::Role;
use rmcp_proto::wire::v20::Protection;

/// The number of a payload instance, 1 to 15 (IPMI v2.0 §24.1). Number 1 is the writer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InstanceNumber(u8);

impl InstanceNumber {
    /// The writer's.
    pub const WRITER: Self = Self(1);

    /// The number in the low nibble of `byte`; `None` for zero.
    #[must_use]
    pub const fn new(byte: u8) -> Option<Self> {
        match byte & 0x0f {
            0 => None,
            number => Some(Self(number)),
        }
    }

    pub(super) const fn index(self) -> usize {
        self.0 as usize - 1
    }

    pub(super) const fn role(self) -> Role {
        if self.0 == Self::WRITER.0 { Role::Writer } else { Role::Viewer }
    }
}

/// The session that has an instance, or asks for one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Holder {
    /// The BMC's session id.
    pub session: SessionId,
    /// The session's user.
    pub user_id: u8,
}

/// Why an instance could not be activated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ActivateError {
    /// Another user has it.
    HeldByOtherUser,
    /// The number is beyond the configured instances.
    NoSuchInstance,
}

/// A packet for a session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outgoing {
    /// The BMC's session id.
    pub session: SessionId,
    /// How the packet is to be protected.
    pub protection: Protection,
    /// The SOL payload.
    pub payload: Vec<u8>,
}

/// The writer's input for the host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HostInput<'a> {
    /// A break, which [`host_input`](super::PayloadInstances::host_input) has removed already.
    Break,
    /// Characters; [`consume`](super::PayloadInstances::consume) removes those that were written.
    Chars(&'a [u8]),
}
