//! Why a daemon ends.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// Why a daemon ends other than by a signal: one line in the log, and an exit code.
///
/// Every error type turns into [`Fatal`](Self::Fatal) with `?`, its sources included. Therefore
/// this type is not itself an [`Error`].
#[derive(Debug)]
pub enum Failure {
    /// Arguments or configuration are wrong, and the operator must change them: exit code 2.
    Config(String),
    /// Anything else that cannot be retried: exit code 1, and the service manager restarts the daemon.
    Fatal(String),
}

impl Failure {
    /// The code that the process ends with.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) => ExitCode::from(2),
            Self::Fatal(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(text) | Self::Fatal(text) => f.write_str(text),
        }
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Fatal(chain(&error))
    }
}

/// An error and all of its sources on one line, without the text of a source that is in the text before.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open the device")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn failure_has_the_whole_chain() {
        let failure = Failure::from(Outer(std::io::Error::other("gone")));
        assert_eq!(failure.to_string(), "cannot open the device: gone");
    }
}
