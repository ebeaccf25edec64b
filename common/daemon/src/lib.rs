//! What every daemon shares: arguments, configuration, logging, signals, readiness, exit codes.
//!
//! A daemon's `main` is one call:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use daemon::{Failure, NoArguments, Setup};
//!
//! fn main() -> ExitCode {
//!     daemon::run("ipmid", |setup: Setup<NoArguments>| async move {
//!         setup.ready();
//!         std::future::pending::<Result<(), Failure>>().await
//!     })
//! }
//! ```
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | ended by SIGTERM or SIGINT, or the work was done |
//! | 1 | the daemon failed; one line says why |
//! | 2 | bad arguments or configuration; one line says which |
//!
//! SIGHUP is logged and ignored: a configuration is read at the start only.
//!
//! There is no orderly shutdown beyond dropping the daemon's future: state is safe on disk at every
//! moment, and a daemon that is ended by SIGTERM starts like one that lost power.

mod arguments;
mod config;
mod failure;
mod limit;
mod log;
mod run;

pub use arguments::{Arguments, NoArguments};
pub use config::{Config, SECTIONS};
pub use failure::Failure;
pub use lexopt;
pub use limit::{Pass, RateLimit};
pub use run::{Setup, run, run_with};
