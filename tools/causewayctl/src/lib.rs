//! `causewayctl`: what the daemons of the suite do, and how to change it.
//!
//! Every subcommand prints a page for people or, with `--json`, the same facts as JSON (`schema.json`). What it
//! says of a message comes from the codecs that the daemons use, and what it says of a daemon from that daemon, over D-Bus.

// What only subcommands use that are left out.
#![cfg_attr(
    not(all(
        feature = "completions",
        feature = "decode",
        feature = "doctor",
        feature = "exchange",
        feature = "sol",
        feature = "trace"
    )),
    allow(dead_code)
)]

#[cfg(feature = "backup")]
mod backup;
mod bmc;
mod bus;
mod channel;
mod cipher;
mod cli;
mod commands;
mod config;
#[cfg(feature = "observe")]
mod counters;
#[cfg(feature = "decode")]
mod decode;
#[cfg(feature = "doctor")]
mod doctor;
#[cfg(feature = "exporter")]
mod exporter;
#[cfg(feature = "observe")]
mod file;
mod hex;
#[cfg(feature = "observe")]
mod mctp;
mod password;
#[cfg(feature = "ping")]
mod ping;
mod raw;
#[cfg(feature = "trace")]
mod record;
#[cfg(feature = "observe")]
mod session;
mod setup;
#[cfg(feature = "sol")]
mod sol;
mod status;
mod time;
#[cfg(feature = "trace")]
mod trace;
mod user;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory;
use report::{error, output, program};

use self::cli::{Cli, Command};
use self::error::Error;
use self::output::Report;

/// The name of the program.
pub const NAME: &str = "causewayctl";

/// The command line, for the pages of the manual and the completions.
#[must_use]
pub fn command_line() -> clap::Command {
    Cli::command()
}

#[cfg(feature = "completions")]
/// The completions of the shell `shell`; `None` where there are none for it.
#[must_use]
pub fn completions(shell: &str) -> Option<Vec<u8>> {
    report::completions::find(shell, command_line())
}

/// Runs the program with `arguments`, which do not have its name.
///
/// Exit codes: 0 done, 1 failed or something is found, 2 for a wrong command line.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    program::main(NAME, arguments, |cli: &Cli| cli.global.output, run)
}

async fn run(Cli { global, command }: Cli) -> Result<Report, Error> {
    match command {
        #[cfg(feature = "backup")]
        Command::Backup(arguments) => backup::backup(&arguments),
        #[cfg(feature = "backup")]
        Command::Restore(arguments) => backup::restore(&arguments),
        #[cfg(feature = "completions")]
        Command::Completions(arguments) => Ok(arguments.run(command_line())),
        #[cfg(feature = "decode")]
        Command::Decode(arguments) => decode::run(&arguments),
        Command::Setup(arguments) => setup::run(&arguments, &global).await,
        Command::User(arguments) => user::run(&arguments, &global).await,
        Command::Channel(arguments) => channel::run(&arguments, &global).await,
        Command::Cipher(arguments) => cipher::run(&arguments, &global).await,
        #[cfg(feature = "doctor")]
        Command::Doctor(arguments) => doctor::run(&arguments, &global).await,
        #[cfg(feature = "observe")]
        Command::Session(arguments) => session::run(&arguments, &global).await,
        #[cfg(feature = "sol")]
        Command::Sol(arguments) => sol::run(&arguments, &global).await,
        #[cfg(feature = "observe")]
        Command::Counters(arguments) => counters::run(&arguments, &global).await,
        #[cfg(feature = "observe")]
        Command::Metrics(arguments) => counters::metrics(&arguments, &global).await,
        #[cfg(feature = "trace")]
        Command::Record(arguments) => record::run(&arguments, &global).await,
        #[cfg(feature = "trace")]
        Command::Trace(arguments) => trace::run(&arguments, &global).await,
        #[cfg(feature = "observe")]
        Command::Mctp(arguments) => mctp::run(&arguments, &global).await,
        #[cfg(feature = "ping")]
        Command::Ping(arguments) => ping::run(&arguments, &global).await,
        Command::Config(arguments) => config::run(&arguments, &global).await,
        Command::Commands(arguments) => commands::run(&arguments, &global).await,
        Command::Status(arguments) => status::run(&arguments, &global).await,
        Command::Raw(arguments) => raw::run(&arguments, &global).await,
    }
}
