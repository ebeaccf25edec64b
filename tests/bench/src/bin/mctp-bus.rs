//! How long `mctp-demuxd` takes to find the endpoints of a bus: `mctp-bus PROGRAM`.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use bench::mctp_bus::{Plan, run};

fn main() -> ExitCode {
    let (text, code) = match report() {
        Ok((text, true)) => (text, ExitCode::SUCCESS),
        Ok((text, false)) => (text, ExitCode::FAILURE),
        Err(error) => (format!("mctp-bus: {error:#}\n"), ExitCode::FAILURE),
    };
    // To standard output: the figures are the program's result.
    match std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The figures, and whether they are within twice the line's time.
fn report() -> anyhow::Result<(String, bool)> {
    let program = std::env::args_os().nth(1);
    let program = program.ok_or_else(|| anyhow::anyhow!("name the program to be measured"))?;
    let mut text = String::from("absent  present  behind    published    line's time  ratio\n");
    let mut within = true;
    for (absent, present, behind) in [(8, 48, 8), (0, 48, 8), (0, 20, 0), (8, 1, 0)] {
        let figures = run(Path::new(&program), Plan { absent, present, behind })?;
        let ratio = figures.time.as_secs_f64() / figures.floor.as_secs_f64();
        within &= present < 40 || ratio < 2.0;
        let (time, floor) = (figures.time.as_millis(), figures.floor.as_millis());
        writeln!(
            text,
            "{absent:>6}  {present:>7}  {behind:>6}  {time:>8} ms  {floor:>10} ms  {ratio:>5.2}"
        )?;
    }
    Ok((text, within))
}
