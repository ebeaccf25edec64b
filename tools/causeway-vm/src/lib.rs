//! `causeway-vm`: a BMC for each virtual machine, without root.
//!
//! Each BMC is a private bus, `platformd`, `ipmid`, `netipmid` and, for a machine with a KCS interface, `kcsbridged`,
//! started and watched by a supervisor: a process of this program for one BMC, or for all of a file. `platformd` starts QEMU.

mod cli;
mod console;
mod create;
mod definition;
mod files;
mod fleet;
mod guest;
mod host;
mod list;
mod name;
mod new;
mod password;
mod places;
mod programs;
mod remove;
mod run;
mod start;
mod supervisor;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory;
use report::error::Error;
use report::output::Report;
use report::program;

use self::cli::{Cli, Command};
use self::places::Places;

/// The name of the program.
pub const NAME: &str = "causeway-vm";

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
/// Exit codes: 0 done, 1 failed, 2 for a wrong command line.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.into_iter().peekable();
    if arguments.peek().is_some_and(|word| word == supervisor::BECOME) {
        return supervisor::become_program(arguments.skip(1));
    }
    program::main(NAME, arguments, |cli: &Cli| cli.global.output, run)
}

async fn run(Cli { global, command }: Cli) -> Result<Report, Error> {
    let places = || Places::find(global.state_dir.as_deref());
    match command {
        Command::Run(arguments) => run::run(&arguments, &places()?).await,
        Command::Create(arguments) => create::run(&arguments, &places()?).await,
        Command::List(arguments) => list::list(&arguments, &places()?).await,
        Command::Status(arguments) => list::status(&arguments, &places()?).await,
        Command::Start(arguments) => start::run_start(&arguments, &places()?).await,
        Command::Stop(arguments) => start::run_stop(&arguments, &places()?).await,
        Command::Console(arguments) => console::run(&arguments, &places()?),
        Command::Rm(arguments) => remove::run(&arguments, &places()?).await,
        #[cfg(feature = "completions")]
        Command::Completions(arguments) => Ok(arguments.run(command_line())),
    }
}
