//! Starts `ssifbridged`.

use std::process::ExitCode;

use daemon::Setup;
use ssifbridged::SsifDevice;

fn main() -> ExitCode {
    daemon::run("ssifbridged", Setup::config, host_link::serve::<SsifDevice>)
}
