//! Starts `platformd`.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::run("platformd", platformd::prepare, platformd::run)
}
