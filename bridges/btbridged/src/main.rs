//! Starts `btbridged`.

use std::process::ExitCode;

use btbridged::BtDevice;
use daemon::Setup;

fn main() -> ExitCode {
    daemon::run("btbridged", Setup::config, host_link::serve::<BtDevice>)
}
