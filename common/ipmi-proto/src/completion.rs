//! Completion codes (IPMI v2.0 §5.2, Table 5-2).

use std::fmt;

/// The first byte of every response's data: how the request ended.
///
/// A value for the peer, not an error type: command-specific (80h-BEh) and OEM (01h-7Eh) codes are
/// as legal as the generic ones named here.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct CompletionCode(pub u8);

impl CompletionCode {
    /// Completed normally.
    pub const OK: Self = Self(0x00);
    /// Busy: processing resources are temporarily taken.
    pub const BUSY: Self = Self(0xc0);
    /// Unrecognized or unsupported command.
    pub const INVALID_COMMAND: Self = Self(0xc1);
    /// Command invalid for the given LUN.
    pub const INVALID_FOR_LUN: Self = Self(0xc2);
    /// Time-out while processing.
    pub const TIMEOUT: Self = Self(0xc3);
    /// Out of space.
    pub const OUT_OF_SPACE: Self = Self(0xc4);
    /// Reservation cancelled or invalid.
    pub const RESERVATION_CANCELLED: Self = Self(0xc5);
    /// Request data truncated.
    pub const REQUEST_TRUNCATED: Self = Self(0xc6);
    /// Request data length invalid.
    pub const REQUEST_LENGTH_INVALID: Self = Self(0xc7);
    /// Request data field length limit exceeded.
    pub const REQUEST_LENGTH_EXCEEDED: Self = Self(0xc8);
    /// Parameter out of range.
    pub const PARAMETER_OUT_OF_RANGE: Self = Self(0xc9);
    /// Cannot return the number of requested bytes.
    pub const CANNOT_RETURN_BYTES: Self = Self(0xca);
    /// Requested sensor, data or record not present.
    pub const NOT_PRESENT: Self = Self(0xcb);
    /// Invalid data field in request.
    pub const INVALID_DATA_FIELD: Self = Self(0xcc);
    /// Command illegal for the sensor or record type.
    pub const ILLEGAL_FOR_SENSOR: Self = Self(0xcd);
    /// Command response could not be provided.
    pub const RESPONSE_NOT_PROVIDED: Self = Self(0xce);
    /// Duplicated request.
    pub const DUPLICATE_REQUEST: Self = Self(0xcf);
    /// SDR repository in update mode.
    pub const SDR_UPDATE_MODE: Self = Self(0xd0);
    /// Device in firmware update mode.
    pub const FIRMWARE_UPDATE_MODE: Self = Self(0xd1);
    /// BMC initialization in progress.
    pub const INITIALIZING: Self = Self(0xd2);
    /// Destination unavailable.
    pub const DESTINATION_UNAVAILABLE: Self = Self(0xd3);
    /// Insufficient privilege, or other security-based restriction.
    pub const INSUFFICIENT_PRIVILEGE: Self = Self(0xd4);
    /// Command or parameter not supported in the present state.
    pub const NOT_IN_PRESENT_STATE: Self = Self(0xd5);
    /// Parameter is illegal because the sub-function is disabled or unavailable.
    pub const SUBFUNCTION_DISABLED: Self = Self(0xd6);
    /// Unspecified error.
    pub const UNSPECIFIED: Self = Self(0xff);

    /// What a person reads in place of the number: the generic codes of Table 5-2, and the range that any
    /// other code is of.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::OK => "completed normally",
            Self::BUSY => "busy",
            Self::INVALID_COMMAND => "invalid or unsupported command",
            Self::INVALID_FOR_LUN => "command invalid for this LUN",
            Self::TIMEOUT => "timeout while processing the command",
            Self::OUT_OF_SPACE => "out of space",
            Self::RESERVATION_CANCELLED => "reservation cancelled or invalid reservation id",
            Self::REQUEST_TRUNCATED => "request data truncated",
            Self::REQUEST_LENGTH_INVALID => "request data length invalid",
            Self::REQUEST_LENGTH_EXCEEDED => "request data field length limit exceeded",
            Self::PARAMETER_OUT_OF_RANGE => "parameter out of range",
            Self::CANNOT_RETURN_BYTES => "cannot return the number of requested data bytes",
            Self::NOT_PRESENT => "requested sensor, data or record not present",
            Self::INVALID_DATA_FIELD => "invalid data field in request",
            Self::ILLEGAL_FOR_SENSOR => "command illegal for this sensor or record type",
            Self::RESPONSE_NOT_PROVIDED => "command response could not be provided",
            Self::DUPLICATE_REQUEST => "cannot execute duplicated request",
            Self::SDR_UPDATE_MODE => "SDR repository in update mode",
            Self::FIRMWARE_UPDATE_MODE => "device in firmware update mode",
            Self::INITIALIZING => "BMC initialization in progress",
            Self::DESTINATION_UNAVAILABLE => "destination unavailable",
            Self::INSUFFICIENT_PRIVILEGE => "insufficient privilege, or refused by a security rule",
            Self::NOT_IN_PRESENT_STATE => "command or parameter not supported in the present state",
            Self::SUBFUNCTION_DISABLED => "parameter illegal: sub-function disabled or unavailable",
            Self::UNSPECIFIED => "unspecified error",
            Self(0x01..=0x7e) => "OEM code",
            Self(0x80..=0xbe) => "command-specific code",
            Self(_) => "reserved code",
        }
    }
}

impl fmt::Debug for CompletionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompletionCode({:02X}h)", self.0)
    }
}

impl fmt::Display for CompletionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}h", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_the_text_of_its_range() {
        for code in 0..=u8::MAX {
            let text = CompletionCode(code).text();
            let generic = matches!(code, 0x00 | 0xc0..=0xd6 | 0xff);
            let range = match code {
                0x01..=0x7e => "OEM code",
                0x80..=0xbe => "command-specific code",
                _ => "reserved code",
            };
            assert_eq!(text == range, !generic, "{code:02X}h: {text}");
        }
    }
}
