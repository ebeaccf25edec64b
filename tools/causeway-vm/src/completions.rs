//! `completions`: the script with which a shell completes the command line.

use clap::Args;
use clap_complete::Shell;
use report::output::Report;

/// Print a shell's completion script
///
/// The package installs those of bash, fish and zsh. Elsewhere: causeway-vm completions bash > FILE.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::command_line(), crate::NAME, &mut script);
    script
}

pub(crate) fn run(arguments: &Arguments) -> Report {
    let script = String::from_utf8_lossy(&script(arguments.shell)).into_owned();
    Report::new(&Completions { script: script.clone() }, |page| page.verbatim(&script))
}

/// The JSON of the subcommand.
#[derive(serde::Serialize)]
struct Completions {
    script: String,
}
