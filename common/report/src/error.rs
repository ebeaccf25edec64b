//! Why a subcommand has no result: what failed, and what an operator does about it.

use std::fmt;

use serde::Serialize;

/// The exit code of a command that failed or found something.
pub const FAILED: u8 = 1;
/// The exit code of a wrong command line.
pub const USAGE: u8 = 2;

/// One failure.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Error {
    /// What failed, on which object.
    error: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    #[serde(skip)]
    exit_code: u8,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)
    }
}

impl Error {
    /// Something failed.
    #[must_use]
    pub fn failed(error: impl fmt::Display) -> Self {
        Self { error: error.to_string(), remedy: None, exit_code: FAILED }
    }

    /// The command line is wrong in a way that its grammar does not say.
    #[must_use]
    pub fn usage(error: impl fmt::Display) -> Self {
        Self { exit_code: USAGE, ..Self::failed(error) }
    }

    /// The same, of the object `object`.
    #[must_use]
    pub fn of(self, object: impl fmt::Display) -> Self {
        Self { error: format!("{object}: {}", self.error), ..self }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn remedy(self, remedy: impl fmt::Display) -> Self {
        Self { remedy: Some(remedy.to_string()), ..self }
    }

    /// The code that the program ends with.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// What the program `name` prints.
    #[must_use]
    pub fn text(&self, name: &str, json: bool) -> String {
        if json {
            return crate::output::json(self);
        }
        let remedy = self.remedy.as_ref().map(|remedy| format!("  try: {remedy}\n"));
        format!("{name}: {}\n{}", self.error, remedy.unwrap_or_default())
    }
}
