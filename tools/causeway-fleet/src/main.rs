//! Many BMCs in the foreground.

use std::process::ExitCode;

fn main() -> ExitCode {
    causeway_fleet::main(std::env::args_os().skip(1))
}
