//! What every daemon shares: arguments, configuration, logging, signals, readiness, exit codes.
//!
//! A daemon's `main` is one call:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use daemon::{Failure, NoArguments, Setup, Validate};
//!
//! #[derive(Default, serde::Deserialize)]
//! #[serde(default)]
//! struct Config {}
//!
//! impl Validate for Config {}
//!
//! fn main() -> ExitCode {
//!     daemon::run("ipmid", Setup::config, |setup: Setup<NoArguments>, _config: Config| async move {
//!         setup.ready();
//!         std::future::pending::<Result<(), Failure>>().await
//!     })
//! }
//! ```
//!
//! The first function makes all that the second one needs from arguments and configuration; `--check`
//! runs the first one alone.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | ended by SIGTERM or SIGINT, or the work was done; with `--check`: nothing is wrong |
//! | 1 | the daemon failed; one line says why |
//! | 2 | bad arguments or configuration; one line says which |
//!
//! At SIGHUP a daemon reads its configuration again, if it has called [`Setup::reloads`]: see [`reload`].
//!
//! There is no orderly shutdown beyond dropping the daemon's future: state is safe on disk at every
//! moment, and a daemon that is ended by SIGTERM starts like one that lost power.

mod arguments;
mod config;
mod deadline;
pub mod element;
mod failure;
mod limit;
mod log;
pub mod metrics;
mod outage;
pub mod range;
pub mod reload;
mod run;
pub mod schema;
mod task;

pub use arguments::{Arguments, NoArguments};
pub use config::{ConfigFile, Invalid, SECTIONS, Validate, parse_toml};
pub use deadline::{Alarm, sleep_until};
pub use failure::Failure;
pub use lexopt;
pub use limit::{Pass, RateLimit};
pub use log::LogConfig;
pub use outage::Outage;
pub use run::{Setup, run, run_with};
pub use task::{AbortOnDrop, in_task, lock};
