//! Why a command has no result.

use ipmi_proto::CompletionCode;

use crate::platform::PlatformError;

/// Why a command has no result: its completion code, and the platform call that failed where that is the reason. The
/// dispatcher logs the latter, so handlers do not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommandError {
    /// The response's completion code.
    pub completion: CompletionCode,
    /// The platform call that failed.
    pub cause: Option<PlatformError>,
}

/// The result of a handler whose platform calls may fail.
pub type HandlerResult<T> = Result<T, CommandError>;

impl CommandError {
    /// A platform failure with another completion code than its own.
    #[must_use]
    pub const fn new(completion: CompletionCode, cause: PlatformError) -> Self {
        Self { completion, cause: Some(cause) }
    }
}

impl<E: Into<CompletionCode>> From<E> for CommandError {
    fn from(error: E) -> Self {
        Self { completion: error.into(), cause: None }
    }
}

impl From<PlatformError> for CommandError {
    fn from(cause: PlatformError) -> Self {
        Self::new(cause.completion(), cause)
    }
}
