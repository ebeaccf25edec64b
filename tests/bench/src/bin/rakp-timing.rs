//! Tests whether the time to RAKP 2 reveals which users exist.

use std::process::ExitCode;

fn main() -> ExitCode {
    let (text, code) = match bench::timing::run(std::env::args_os()) {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(error) => (format!("rakp-timing: {error:#}\n"), ExitCode::FAILURE),
    };
    // To standard output: the figures are the program's result.
    match std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}
