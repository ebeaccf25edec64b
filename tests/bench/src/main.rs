//! Measures a BMC over LAN with Get Device ID.

use std::process::ExitCode;

fn main() -> ExitCode {
    match bench::run(std::env::args_os()) {
        Ok(text) => {
            // To standard output: the figures are the program's result.
            match std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            }
        }
        Err(error) => {
            let text = format!("bench: {error:#}\n");
            let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
            ExitCode::FAILURE
        }
    }
}
