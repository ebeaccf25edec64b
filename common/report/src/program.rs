//! The start of a command-line tool: the option that all have, and what the program ends with.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Parser};

use crate::error::{self, Error};
use crate::output::Report;

/// How a result is printed.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Output {
    /// Print JSON (documented in the crate's schema.json) in place of text
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
}

/// Runs the program `name` with `arguments`, which do not have its name. `output` is the option of its command line `C`, and
/// `run` makes the result.
///
/// Exit codes: 0 done, 1 failed or something is found, 2 for a wrong command line.
pub fn main<C: Parser, F: Future<Output = Result<Report, Error>>>(
    name: &str,
    arguments: impl IntoIterator<Item = OsString>,
    output: impl FnOnce(&C) -> Output,
    run: impl FnOnce(C) -> F,
) -> ExitCode {
    let arguments = std::iter::once(OsString::from(name)).chain(arguments);
    let cli = match C::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody reads a stream that is closed.
            let _closed = error.print();
            return ExitCode::from(if error.use_stderr() { error::USAGE } else { 0 });
        }
    };
    let Output { json } = output(&cli);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime
        .map_err(|error| Error::failed(format_args!("cannot start: {error}")))
        .and_then(|runtime| runtime.block_on(run(cli)));
    match result {
        Ok(report) => report.print(json),
        Err(error) => {
            let _closed = io::stderr().write_all(error.text(name, json).as_bytes());
            ExitCode::from(error.exit_code())
        }
    }
}
