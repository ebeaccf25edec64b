//! BMCs for virtual machines.

use std::process::ExitCode;

fn main() -> ExitCode {
    causeway_vm::main(std::env::args_os().skip(1))
}
