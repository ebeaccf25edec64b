//! The command line.

use clap::{Args, Parser, Subcommand};

use crate::{
    channel, cipher, commands, completions, config, counters, decode, mctp, raw, session, setup,
    status, user,
};

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
#[derive(Args, Debug)]
pub(crate) struct Global {
    /// Print JSON (documented in the crate's schema.json) in place of text
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
    /// The D-Bus bus of the daemons [default: the system bus, or DBUS_SYSTEM_BUS_ADDRESS]
    #[arg(long, global = true, help_heading = "Global options", value_name = "ADDRESS")]
    pub(crate) bus: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Status(status::Arguments),
    Setup(setup::Arguments),
    User(user::Arguments),
    Channel(channel::Arguments),
    Cipher(cipher::Arguments),
    Session(session::Arguments),
    Counters(counters::Arguments),
    Metrics(counters::MetricsArguments),
    Mctp(mctp::Arguments),
    Config(config::Arguments),
    Raw(raw::Arguments),
    Commands(commands::Arguments),
    Decode(decode::Arguments),
    Completions(completions::Arguments),
}
