//! `run`: one BMC, or those of a file, until they are ended.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use report::error::Error;
use report::output::Report;

use crate::cli::{New, OF_ONE};
use crate::definition::{Definition, Power, name_is_taken};
use crate::fleet;
use crate::name::Name;
use crate::new::{self, Group, Known};
use crate::password::{self, Password};
use crate::places::{Place, Places};
use crate::supervisor::log::{Log, Shown};
use crate::supervisor::record::Lock;
use crate::supervisor::together::{self, Bmc};
use crate::supervisor::{end_guest, wait_for_port};

/// Run a BMC, or those of a file, until Ctrl-C or SIGTERM ends it
///
/// With a command of QEMU the BMC is a new one, and is removed when it ends; its machine is switched on unless --power off
/// is given. Without a command it is the BMC NAME that `create` has made. QEMU gets the serial console and KCS of the BMC
/// in addition to its own arguments.
///
/// With a file this one process runs all of its BMCs, also as the first process of a container, and writes their logs on
/// standard error, each line after the BMC's name. They are made if they do not exist, and stay with what the file leaves open:
/// UUID, port and password.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  causeway-vm run vm1 -- qemu-system-x86_64 -m 2048 -drive file=disk.qcow2,if=virtio
  causeway-vm run --file fleet.toml --state-dir fleet")]
pub(crate) struct Arguments {
    /// The name of the BMC
    #[arg(required_unless_present = "file")]
    name: Option<Name>,
    /// Run the BMCs that this TOML file describes, instead of one
    #[arg(long, value_name = "FILE", conflicts_with_all = OF_ONE, conflicts_with_all = ["verbose", "background"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    new: New,
    /// Show all that the daemons log
    #[arg(short, long)]
    verbose: bool,
    /// Leave the session and, once the BMC is ready, standard error
    #[arg(long, hide = true)]
    background: bool,
}

pub(crate) async fn run(arguments: &Arguments, places: &Places) -> Result<Report, Error> {
    if arguments.background {
        // One that leads its process group already cannot, and need not.
        let _leader = rustix::process::setsid();
    }
    match (&arguments.name, &arguments.file) {
        (_, Some(file)) => fleet::run(file, places).await?,
        (Some(name), None) if arguments.new.command.is_empty() => {
            let (definition, place) = Definition::load(places, name)?;
            let _lock = Lock::of(name, &place)?;
            serve(arguments, definition, place, None).await?;
        }
        (Some(name), None) => temporary(arguments, name, places).await?,
        (None, None) => return Err(Error::usage("neither a name nor a file")),
    }
    Ok(Report::nothing())
}

/// Makes a BMC, runs it, and removes it.
async fn temporary(arguments: &Arguments, name: &Name, places: &Places) -> Result<(), Error> {
    let place = places.bmc(name)?;
    place.make_state()?;
    let _lock = Lock::of(name, &place)?;
    if place.definition().exists() {
        // One that was killed is in the way of nobody.
        match Definition::load(places, name) {
            Ok((earlier, _)) if earlier.temporary => {
                end_guest(&place).await.map_err(Error::failed)?;
                place.empty_state()?;
            }
            _ => return Err(name_is_taken(name)),
        }
    }
    let served = match make(arguments, name, places, &place).await {
        Ok((definition, password)) => {
            serve(arguments, definition, place.clone(), Some(&password)).await
        }
        Err(error) => Err(error),
    };
    let removed = place.remove_state();
    served.and(removed)
}

async fn make(
    arguments: &Arguments,
    name: &Name,
    places: &Places,
    place: &Place,
) -> Result<(Definition, Password), Error> {
    let password = arguments.new.password.read()?;
    let group = Group::new(name.as_str(), &arguments.new, Power::On);
    let planned = group.expand(&mut Known::find(new::current_folder()?, places)?)?;
    let planned = planned.into_iter().next().map(|planned| planned.definition);
    let none = || Error::failed("no BMC is described");
    let definition = Definition { temporary: true, ..planned.ok_or_else(none)? };
    wait_for_port(&definition, place).await?;
    password::keep(place, &password.text)?;
    definition.save(place)?;
    Ok((definition, password))
}

/// Runs the supervisor in this process. `password` is one that is to be shown.
async fn serve(
    arguments: &Arguments,
    definition: Definition,
    place: Place,
    password: Option<&Password>,
) -> Result<(), Error> {
    let shown = match (arguments.verbose, arguments.background) {
        (true, _) => Shown::All,
        (false, true) => Shown::None,
        (false, false) => Shown::Warnings,
    };
    let log = Log::new(&place.log(), shown);
    let banner = banner(&definition, &place, password);
    together::run(vec![Bmc { definition, place, log }], || {
        if arguments.background {
            leave_standard_error();
        } else {
            let _closed = io::stdout().write_all(banner.as_bytes());
        }
        let _no_manager = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    })
    .await
}

/// Who has started this process reads standard error to its end.
fn leave_standard_error() {
    if let Ok(nowhere) = File::options().read(true).write(true).open("/dev/null") {
        let _kept = rustix::stdio::dup2_stderr(&nowhere);
    }
}

/// What a person needs to know of a BMC that serves.
fn banner(definition: &Definition, place: &Place, password: Option<&Password>) -> String {
    let file = place.password();
    let line = |words| new::ipmitool(definition, &file, words);
    let open = if definition.address.is_loopback() { " (loopback only)" } else { "" };
    let mut text = format!(
        "{}: the BMC serves on {}{open}\n\n  {}\n  {}\n\n",
        definition.name,
        definition.socket(),
        line("sol activate"),
        line("chassis power status"),
    );
    if let Some(password) = password.filter(|password| password.is_random) {
        let (user, text_of) = (&definition.user, password.text.as_str());
        text.push_str(&format!("The password of {user} is {text_of}\n"));
    }
    text.push_str(&format!("Log: {}. Ctrl-C ends BMC and machine.\n", place.log().display()));
    text
}
