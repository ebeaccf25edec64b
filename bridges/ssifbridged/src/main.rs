//! Starts `ssifbridged`.

use std::process::ExitCode;

use ssifbridged::SsifDevice;

fn main() -> ExitCode {
    daemon::run("ssifbridged", host_link::serve::<SsifDevice>)
}
