//! Starts `kcsbridged`.

use std::process::ExitCode;

use kcsbridged::KcsDevice;

fn main() -> ExitCode {
    daemon::run("kcsbridged", host_link::serve::<KcsDevice>)
}
