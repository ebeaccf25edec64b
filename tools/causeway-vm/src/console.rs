//! `console`: the serial console of a BMC's host on this terminal.

use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Args;
use report::error::Error;
use report::output::Report;

use crate::definition::Definition;
use crate::name::Name;
use crate::places::Places;
use crate::programs;
use crate::supervisor::record::Lock;

/// Show the host's serial console on this terminal, and type at it
///
/// It is the console that SOL has, by way of the BMC's bus: who has it over LAN sees it too. ~. at the start of a line leaves it.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The name of the BMC
    name: Name,
    /// Only show it
    #[arg(long)]
    read_only: bool,
}

pub(crate) fn run(arguments: &Arguments, places: &Places) -> Result<Report, Error> {
    let (definition, place) = Definition::load(places, &arguments.name)?;
    let name = &definition.name;
    if Lock::holder(&place.lock()).is_none() {
        return Err(Error::failed(format_args!("the BMC {name} does not run"))
            .remedy(format_args!("causeway-vm start {name}")));
    }
    let program = programs::daemon("causewayctl")?;
    let mut command = Command::new(&program.path);
    command.arg0(&program.name).args(["--bus", &place.bus_address(), "sol", "attach"]);
    if !arguments.read_only {
        command.arg("--write");
    }
    let error = command.exec();
    Err(Error::failed(format_args!("{}: {error}", program.path.display())))
}
