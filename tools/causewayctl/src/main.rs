//! The operator's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    causewayctl::main(std::env::args_os().skip(1))
}
