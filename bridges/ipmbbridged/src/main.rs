//! Starts `ipmbbridged`.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::run("ipmbbridged", ipmbbridged::prepare, ipmbbridged::serve)
}
