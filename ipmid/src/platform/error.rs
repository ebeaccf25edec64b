//! Failures of the platform.

use std::fmt;
use std::sync::Arc;

use ipmi_proto::CompletionCode;
use openbmc_dbus::client::{CallError, FailedCall};

/// Why a platform call failed, with the object and member that were called. Cheap to clone.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PlatformError {
    /// No service on this machine has the object or the method.
    #[error("{0}")]
    Absent(Arc<FailedCall>),
    /// The service did not reply in time.
    #[error("{0}")]
    Timeout(Arc<FailedCall>),
    /// The service refused, or its reply was invalid.
    #[error("{0}")]
    Refused(Arc<FailedCall>),
}

impl PlatformError {
    /// Something that the machine does not have, without a call that failed.
    #[must_use]
    pub fn absent(cause: &impl fmt::Display) -> Self {
        Self::Absent(Arc::new(FailedCall::because(cause)))
    }

    /// A wait that was too long, without a call that failed.
    #[must_use]
    pub fn timeout(cause: &impl fmt::Display) -> Self {
        Self::Timeout(Arc::new(FailedCall::because(cause)))
    }

    /// A value that is invalid, without a call that failed.
    #[must_use]
    pub fn refused(cause: &impl fmt::Display) -> Self {
        Self::Refused(Arc::new(FailedCall::because(cause)))
    }

    /// Whether this machine does not have what was called, which may be normal for it.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent(_))
    }

    /// The call that failed.
    #[must_use]
    pub fn call(&self) -> &FailedCall {
        match self {
            Self::Absent(call) | Self::Timeout(call) | Self::Refused(call) => call,
        }
    }

    /// The completion code of a command that fails for this reason.
    #[must_use]
    pub const fn completion(&self) -> CompletionCode {
        match self {
            Self::Absent(_) => CompletionCode::NOT_IN_PRESENT_STATE,
            Self::Timeout(_) => CompletionCode::TIMEOUT,
            Self::Refused(_) => CompletionCode::UNSPECIFIED,
        }
    }
}

impl From<CallError> for PlatformError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Deadline(call) | CallError::Bus(call) => Self::Timeout(call.into()),
            CallError::Gone(call) | CallError::NotFound(call) => Self::Absent(call.into()),
            CallError::Refused(call) | CallError::InvalidReply(call) => Self::Refused(call.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use openbmc_dbus::client::{Member, ObjectAt};

    use super::*;

    #[test]
    fn kind_decides_the_completion_code_and_the_call_stays() {
        let object = ObjectAt::new("xyz.example.Fans", "/xyz/example/fan0");
        let call = || {
            let member = Member::Set("xyz.example.Fan", "Speed");
            Box::new(FailedCall::new(&object, member, &"stuck"))
        };
        for (error, completion) in [
            (CallError::Gone(call()), 0xd5),
            (CallError::NotFound(call()), 0xd5),
            (CallError::Deadline(call()), 0xc3),
            (CallError::Bus(call()), 0xc3),
            (CallError::Refused(call()), 0xff),
            (CallError::InvalidReply(call()), 0xff),
        ] {
            let error = PlatformError::from(error);
            assert_eq!(error.completion().0, completion, "{error:?}");
            assert_eq!(error.call(), &*call());
            assert_eq!(
                error.to_string(),
                "Set xyz.example.Fan.Speed of /xyz/example/fan0 at xyz.example.Fans: stuck"
            );
        }
    }
}
