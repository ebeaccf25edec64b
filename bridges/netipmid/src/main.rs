//! Starts `netipmid`.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::run("netipmid", netipmid::prepare, netipmid::serve)
}
