//! Starts `mctp-demuxd`.

use std::process::ExitCode;

fn main() -> ExitCode {
    daemon::run("mctp-demuxd", mctp_demuxd::prepare, mctp_demuxd::run)
}
