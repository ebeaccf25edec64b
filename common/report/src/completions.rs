//! `completions`: the script with which a shell completes a tool's command line.

use clap::{Args, Command};
use clap_complete::Shell;
use serde::Serialize;

use crate::output::Report;

/// Print a shell's completion script
///
/// The package installs those of bash, fish and zsh. Elsewhere: write it to the file that the shell reads.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Arguments {
    /// The script for `command`.
    #[must_use]
    pub fn run(&self, command: Command) -> Report {
        let script = String::from_utf8_lossy(&script(self.shell, command)).into_owned();
        Report::new(&Completions { script: script.clone() }, |page| page.verbatim(&script))
    }
}

/// The script of the shell `shell` for `command`; `None` where there is none for it.
#[must_use]
pub fn find(shell: &str, command: Command) -> Option<Vec<u8>> {
    shell.parse().ok().map(|shell| script(shell, command))
}

fn script(shell: Shell, mut command: Command) -> Vec<u8> {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut script);
    script
}

/// The JSON of the subcommand.
#[derive(Serialize)]
struct Completions {
    script: String,
}
