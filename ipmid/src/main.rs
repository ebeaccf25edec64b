//! Starts `ipmid`.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::run("ipmid", ipmid::prepare, ipmid::run)
}
