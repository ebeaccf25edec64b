//! The errors of frames, for all transports.

/// Why the bytes of a frame were refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than the fixed part takes.
    #[error("{what}: {have} bytes where {need} are needed")]
    Truncated {
        /// What was cut short.
        what: &'static str,
        /// Bytes needed at least.
        need: usize,
        /// Bytes present.
        have: usize,
    },
    /// The length field and the bytes disagree.
    #[error("a length field of {stated} for {have} bytes")]
    Length {
        /// What the length field says.
        stated: usize,
        /// Bytes present.
        have: usize,
    },
    /// More bytes than the transport transfers.
    #[error("{have} bytes where {limit} are the most")]
    TooLong {
        /// The most that the transport transfers.
        limit: usize,
        /// Bytes present, or one more than the limit if the rest was dropped.
        have: usize,
    },
    /// The checksum does not hold.
    #[error("wrong checksum")]
    Checksum,
    /// An escape byte with nothing, or nothing escapable, after it.
    #[error("an escape byte that escapes nothing")]
    Escape,
}

/// The byte that makes `bytes` and itself add up to 0 (two's complement checksum).
#[must_use]
pub(crate) fn zero_sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte))
}
