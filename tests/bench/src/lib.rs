//! A load generator for any BMC with RMCP+: a number of sessions, with one outstanding request in each.
//!
//! - [`arguments`]: the command line.
//! - [`counter`]: a counter that another program keeps, such as a guest's instructions.
//! - [`load`]: the sessions, and the time to each response.
//! - [`many`]: the fourth program, `many-logins`: logins and requests at many BMCs in turn.
//! - [`mctp_bus`]: the third program, `mctp-bus`: how soon a bus owner has found the endpoints of a bus.
//! - [`processes`]: the CPU time of the BMC's processes.
//! - [`timing`]: the second program, `rakp-timing`: whether the time to a response reveals which users exist.
//!
//! One thread drives all sessions, so that the generator itself needs little of a small machine.

pub mod arguments;
pub mod counter;
pub mod load;
pub mod many;
pub mod mctp_bus;
pub mod processes;
pub mod timing;

use std::ffi::OsString;

use arguments::{Arguments, Invocation, USAGE};
use counter::Counter;
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
    if args.logins {
        Load::log_in(&args, args.warm_up)?;
        return measure(&args, || Load::log_in(&args, args.time));
    }
    let mut load = Load::open(&args)?;
    load.drive(args.warm_up)?;
    let text = measure(&args, || load.drive(args.time))?;
    load.close()?;
    Ok(text)
}

/// What `work` came to and took.
fn measure(
    args: &Arguments,
    work: impl FnOnce() -> anyhow::Result<Figures>,
) -> anyhow::Result<String> {
    let counter = args.counter.as_deref().map(Counter::open).transpose()?;
    let before = Usage::of(&args.processes)?;
    let reading = counter.as_ref().map(Counter::read).transpose()?;
    let figures = work()?;
    let counted = counter.zip(reading).map(|(counter, earlier)| counter.since(earlier));
    let used = Usage::of(&args.processes)?.since(&before);
    Ok(report(args, &figures, &used, counted.transpose()?))
}

fn report(args: &Arguments, figures: &Figures, usage: &Usage, counted: Option<f64>) -> String {
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
    if let Some(counted) = counted {
        let _ = write!(text, "  {:.0} counted each, of {requests}", counted / requests as f64);
    }
    text.push('\n');
    text
}
