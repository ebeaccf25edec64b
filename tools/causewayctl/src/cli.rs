//! The command line.

use clap::{Args, Parser, Subcommand};
#[cfg(feature = "completions")]
use report::completions;
use report::program;

#[cfg(feature = "backup")]
use crate::backup;
#[cfg(feature = "decode")]
use crate::decode;
#[cfg(feature = "doctor")]
use crate::doctor;
#[cfg(feature = "ping")]
use crate::ping;
#[cfg(feature = "sol")]
use crate::sol;
use crate::{channel, cipher, commands, config, raw, setup, status, user};
#[cfg(feature = "observe")]
use crate::{counters, mctp, session};
#[cfg(feature = "trace")]
use crate::{record, trace};

const EXIT_CODES: &str = "\
Exit codes:
  0  done, and nothing is wrong
  1  failed, or something is wrong: standard error or the output says what
  2  the command line is wrong";

/// The operator's command line for the daemons of the suite
#[derive(Debug, Parser)]
#[command(name = crate::NAME, version, propagate_version = false, after_help = EXIT_CODES)]
#[command(disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every subcommand.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Global {
    #[command(flatten)]
    pub(crate) output: program::Output,
    /// The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]
    #[arg(long, global = true, help_heading = "Global options", value_name = "ADDRESS")]
    pub(crate) bus: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Status(status::Arguments),
    #[cfg(feature = "doctor")]
    Doctor(doctor::Arguments),
    Setup(setup::Arguments),
    User(user::Arguments),
    Channel(channel::Arguments),
    Cipher(cipher::Arguments),
    #[cfg(feature = "observe")]
    Session(session::Arguments),
    #[cfg(feature = "sol")]
    Sol(sol::Arguments),
    #[cfg(feature = "observe")]
    Counters(counters::Arguments),
    #[cfg(feature = "observe")]
    Metrics(counters::MetricsArguments),
    #[cfg(feature = "trace")]
    Record(record::Arguments),
    #[cfg(feature = "trace")]
    Trace(trace::Arguments),
    #[cfg(feature = "observe")]
    Mctp(mctp::Arguments),
    #[cfg(feature = "ping")]
    Ping(ping::Arguments),
    Config(config::Arguments),
    #[cfg(feature = "backup")]
    Backup(backup::BackupArguments),
    #[cfg(feature = "backup")]
    Restore(backup::RestoreArguments),
    Raw(raw::Arguments),
    Commands(commands::Arguments),
    #[cfg(feature = "decode")]
    Decode(decode::Arguments),
    #[cfg(feature = "completions")]
    Completions(completions::Arguments),
}
