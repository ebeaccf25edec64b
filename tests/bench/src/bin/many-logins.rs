//! Logs in at many BMCs in turn.

use std::process::ExitCode;

fn main() -> ExitCode {
    let (text, code) = match bench::many::run(std::env::args_os()) {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(error) => (format!("many-logins: {error:#}\n"), ExitCode::FAILURE),
    };
    // To standard output: the figures are the program's result.
    match std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}
