//! Starts `kcsbridged`.

use std::process::ExitCode;

use daemon::Setup;
use kcsbridged::KcsDevice;

fn main() -> ExitCode {
    daemon::run("kcsbridged", Setup::config, host_link::serve::<KcsDevice>)
}
