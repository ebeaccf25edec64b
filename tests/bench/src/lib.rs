//! A load generator for any BMC with RMCP+: a number of sessions, with one outstanding Get Device ID in each.
//!
//! - [`arguments`]: the command line.
//! - [`load`]: the sessions, and the time to each response.
//! - [`many`]: the fourth program, `many-logins`: logins and requests at many BMCs in turn.
//! - [`mctp_bus`]: the third program, `mctp-bus`: how soon a bus owner has found the endpoints of a bus.
//! - [`processes`]: the CPU time of the BMC's processes.
//! - [`timing`]: the second program, `rakp-timing`: whether the time to a response reveals which users exist.
//!
//! One thread drives all sessions, so that the generator itself needs little of a small machine.

pub mod arguments;
pub mod load;
pub mod many;
pub mod mctp_bus;
pub mod processes;
pub mod timing;

use std::ffi::OsString;

use arguments::{Arguments, Invocation, USAGE};
use load::{Figures, Load};
use processes::Usage;

/// Runs the program, and returns the text to print.
///
/// # Errors
///
/// A bad command line, a BMC that does not let the user in, or one that stops responding.
pub fn run(args: impl IntoIterator<Item = OsString>) -> anyhow::Result<String> {
    let args = match arguments::parse(args)? {
        Invocation::Help => return Ok(USAGE.to_owned()),
        Invocation::Run(args) => args,
    };
    let Arguments { processes, .. } = &args;
    let (figures, used) = if args.logins {
        Load::log_in(&args, args.warm_up)?;
        let before = Usage::of(processes)?;
        let figures = Load::log_in(&args, args.time)?;
        (figures, Usage::of(processes)?.since(&before))
    } else {
        let mut load = Load::open(&args)?;
        load.drive(args.warm_up)?;
        let before = Usage::of(processes)?;
        let figures = load.drive(args.time)?;
        let used = Usage::of(processes)?.since(&before);
        load.close()?;
        (figures, used)
    };
    Ok(report(&args, &figures, &used))
}

fn report(args: &Arguments, figures: &Figures, usage: &Usage) -> String {
    use std::fmt::Write as _;
    let load = match args.logins {
        true => "     logins".to_owned(),
        false => format!("{:>2} sessions", args.sessions),
    };
    let mut text = format!(
        "{:<12} suite {:>2}  {}  {:>8.0}/s  p50 {:>5.0} us  p99 {:>5.0} us",
        args.label,
        args.login.suite.id(),
        load,
        figures.rate(),
        figures.percentile(50).as_secs_f64() * 1e6,
        figures.percentile(99).as_secs_f64() * 1e6,
    );
    let requests = figures.requests().max(1);
    let mut total = 0.0;
    for (name, cpu) in usage.iter() {
        let each = cpu.as_secs_f64() * 1e6 / requests as f64;
        total += each;
        let _ = write!(text, "  {name} {each:.1}");
    }
    if usage.iter().next().is_some() {
        let _ = write!(text, "  = {total:.1} us CPU each");
    }
    text.push('\n');
    text
}
