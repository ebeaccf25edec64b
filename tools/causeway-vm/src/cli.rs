//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
#[cfg(feature = "completions")]
use report::completions;
use report::program;

use crate::definition::{LOOPBACK, Power, USER, check_user};
use crate::{console, create, list, password, remove, run, start};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed, or a BMC is not as it should be: standard error or the output says what
  2  the command line is wrong, or a file that it names";

/// A BMC for each virtual machine: IPMI over LAN, Serial over LAN and KCS, without root
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
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    #[command(flatten)]
    pub(crate) output: program::Output,
    /// Keep state in DIR/state and sockets in DIR/run, in place of the user's folders
    #[arg(long, global = true, help_heading = "Global options", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

/// The arguments of one BMC, for which a file is an alternative.
pub(crate) const OF_ONE: [&str; 10] = [
    "name",
    "address",
    "port",
    "user",
    "password_file",
    "password_fd",
    "platform",
    "config",
    "power",
    "command",
];

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(run::Arguments),
    Create(create::Arguments),
    List(list::List),
    Status(list::Status),
    Start(start::Start),
    Stop(start::Stop),
    Console(console::Arguments),
    Rm(remove::Arguments),
    #[cfg(feature = "completions")]
    Completions(completions::Arguments),
}

/// What a new BMC is.
#[derive(Args, Clone, Debug)]
pub(crate) struct New {
    /// The address to serve on; one other than loopback is open to everybody who reaches it
    #[arg(long, value_name = "ADDRESS", default_value_t = LOOPBACK.to_string())]
    pub(crate) address: String,
    /// The UDP port to serve on [default: the first free one from 6230]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// The name of the first user
    #[arg(long, value_name = "NAME", default_value = USER, value_parser = user)]
    pub(crate) user: String,
    #[command(flatten)]
    pub(crate) password: password::Source,
    /// A file for platformd in addition: sensors, FRU images and so on
    #[arg(long, value_name = "FILE")]
    pub(crate) platform: Option<PathBuf>,
    /// A causeway.toml in addition
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Whether the host is switched on when the BMC starts
    #[arg(long, value_enum)]
    pub(crate) power: Option<Power>,
    /// QEMU and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

fn user(text: &str) -> Result<String, String> {
    check_user(text).map(|()| text.to_owned())
}
