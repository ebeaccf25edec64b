//! RMCP+ and RAKP status codes (IPMI v2.0 §13.24, Table 13-15).

use std::fmt;

/// The status in a set-up message: a value for the peer, not an error type.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct StatusCode(pub u8);

impl StatusCode {
    /// No errors.
    pub const OK: Self = Self(0x00);
    /// Insufficient resources to create a session.
    pub const NO_RESOURCES: Self = Self(0x01);
    /// Invalid session id.
    pub const INVALID_SESSION: Self = Self(0x02);
    /// Invalid authentication algorithm.
    pub const INVALID_AUTHENTICATION: Self = Self(0x04);
    /// Invalid integrity algorithm.
    pub const INVALID_INTEGRITY: Self = Self(0x05);
    /// Inactive session id.
    pub const INACTIVE_SESSION: Self = Self(0x08);
    /// Invalid role.
    pub const INVALID_ROLE: Self = Self(0x09);
    /// Unauthorized role or privilege level requested.
    pub const UNAUTHORIZED_ROLE: Self = Self(0x0a);
    /// Insufficient resources to create a session at the requested role.
    pub const NO_RESOURCES_FOR_ROLE: Self = Self(0x0b);
    /// Invalid name length.
    pub const INVALID_NAME_LENGTH: Self = Self(0x0c);
    /// Unauthorized name.
    pub const UNAUTHORIZED_NAME: Self = Self(0x0d);
    /// Invalid integrity check value.
    pub const INVALID_INTEGRITY_CHECK: Self = Self(0x0f);
    /// Invalid confidentiality algorithm.
    pub const INVALID_CONFIDENTIALITY: Self = Self(0x10);
    /// No cipher suite match with proposed security algorithms.
    pub const NO_CIPHER_SUITE: Self = Self(0x11);
    /// Illegal or unrecognized parameter.
    pub const ILLEGAL_PARAMETER: Self = Self(0x12);

    /// Whether the status is OK.
    #[must_use]
    pub const fn is_ok(self) -> bool {
        self.0 == Self::OK.0
    }
}

impl fmt::Debug for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StatusCode({:02X}h)", self.0)
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}h", self.0)
    }
}
