//! Starts `btbridged`.

use std::process::ExitCode;

use btbridged::BtDevice;

fn main() -> ExitCode {
    daemon::run("btbridged", host_link::serve::<BtDevice>)
}
