//! `causeway-fleet`: the simulated BMCs of a file, in the foreground, as the first process of a container does it: each is a
//! private bus, `platformd`, `ipmid` and `netipmid`, which are started, started again when they end, and ended together.

mod bmc;
mod config;
mod supervisor;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use self::bmc::Prepared;
use self::config::Fleet;

/// The name of the program.
pub const NAME: &str = "causeway-fleet";

/// The exit code for a wrong command line and an invalid configuration.
const USAGE: u8 = 2;

/// Run the BMCs of a file until SIGTERM
///
/// The file has a [[bmc]] for each BMC or row of BMCs: name, count, first, address, port, user, password-file, platform and
/// config. In a row, {n} in name and address is the number of each, and the ports count up unless each has an address of its own.
#[derive(Debug, Parser)]
#[command(name = NAME, version)]
struct Arguments {
    /// The file with the BMCs
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The folder with the state of all BMCs, and with their sockets; it is all that is written to
    #[arg(long, value_name = "DIR", default_value = "/var/lib/causeway")]
    state_dir: PathBuf,
}

/// The command line, for pages of the manual.
#[must_use]
pub fn command_line() -> clap::Command {
    Arguments::command()
}

/// Runs the program with `arguments`, which do not have its name.
///
/// Exit codes: 0 after SIGTERM, 1 failed, 2 for a wrong command line or an invalid configuration.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = std::iter::once(OsString::from(NAME)).chain(arguments);
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nobody reads a stream that is closed.
            let _closed = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { text, code }) => {
            log(text);
            ExitCode::from(code)
        }
    }
}

/// Why the program ends, other than by a signal.
#[derive(Debug)]
struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    fn failed(text: impl Display) -> Self {
        Self { text: text.to_string(), code: 1 }
    }

    fn usage(text: impl Display) -> Self {
        Self { text: text.to_string(), code: USAGE }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { file, state_dir } = arguments;
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format_args!("{}: {error}", file.display())))?;
    let fleet: Fleet = daemon::parse_toml(&file.display().to_string(), &text)
        .map_err(|failure| Failure::usage(&failure))?;
    bmc::enter_user(state_dir)?;
    let prepare = |definition| Prepared::new(definition, state_dir);
    let prepared: Vec<Prepared> = fleet.expand()?.iter().map(prepare).collect::<Result<_, _>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::failed(format_args!("cannot start: {error}")))?;
    runtime.block_on(supervisor::run(&prepared))
}

/// A line for whoever reads the container's log.
fn log(text: impl Display) {
    let _closed = writeln!(io::stderr(), "{NAME}: {text}");
}
