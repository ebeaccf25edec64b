//! `rm`: the end of BMCs.

use clap::Args;
use report::error::Error;
use report::output::Report;

use crate::definition::Definition;
use crate::places::Places;
use crate::start::{self, Which};
use crate::supervisor::record::Lock;

/// Remove BMCs with their state: users, event log, settings and logs
///
/// Disk images stay.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,
    /// Stop those that run
    #[arg(long)]
    stop: bool,
}

pub(crate) async fn run(arguments: &Arguments, places: &Places) -> Result<Report, Error> {
    let names = arguments.which.names(places)?;
    let mut found = Vec::new();
    for name in &names {
        let place = places.bmc(name)?;
        if !place.definition().exists() {
            // The error says so.
            Definition::load(places, name)?;
        }
        if Lock::holder(&place.lock()).is_some() && !arguments.stop {
            return Err(Error::failed(format_args!("the BMC {name} runs"))
                .remedy(format_args!("causeway-vm rm --stop {name}")));
        }
        found.push(place);
    }
    // Also what a killed supervisor has left.
    start::stop(places, names).await?;
    for place in found {
        // A temporary one has removed itself.
        if place.state.exists() {
            place.remove_state()?;
        }
    }
    Ok(Report::nothing())
}
