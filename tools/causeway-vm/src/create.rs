//! `create`: new BMCs, of the command line or of a file.

use std::path::PathBuf;

use clap::Args;
use report::error::Error;
use report::output::Report;
use serde::Serialize;

use crate::cli::{New, OF_ONE};
use crate::definition::Power;
use crate::fleet::Fleet;
use crate::new::{self, Group, Known, LARGEST, MOST, Planned};
use crate::password::{self, Password, Source};
use crate::places::{Place, Places};
use crate::start;
use crate::supervisor::record::Lock;

/// Make BMCs, which `start` starts
///
/// With a command of QEMU a BMC has that machine as its host, and without one a simulated host. In a row of BMCs, {n} stands
/// for the number of each, {n:3} for the same in three digits, and {name} for its name: in NAME, --address, paths and
/// the command. A random password is shown once and kept in a file for its user alone.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  causeway-vm create vm1 -- qemu-system-x86_64 -m 2048 -drive file=disk.qcow2,if=virtio
  causeway-vm create 'node{n}' --count 5 --address '127.0.1.{n}' --port 6230
  causeway-vm create --file fleet.toml")]
pub(crate) struct Arguments {
    /// The name of the BMC, or with --count of each
    #[arg(required_unless_present = "file")]
    name: Option<String>,
    /// Make the BMCs that this TOML file describes, instead of one
    #[arg(long, value_name = "FILE", conflicts_with_all = OF_ONE, conflicts_with_all = ["count", "first"])]
    file: Option<PathBuf>,
    /// Make a row of so many BMCs
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=MOST))]
    count: u32,
    /// The number of the first BMC of a row
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=LARGEST))]
    first: u32,
    /// Start them too
    #[arg(long)]
    start: bool,
    #[command(flatten)]
    new: New,
}

/// A new BMC, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Created {
    name: String,
    address: String,
    port: u16,
    user: String,
    /// Only one that was made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    password_file: PathBuf,
}

/// A BMC that is to be made, with its password and its files.
struct Ready {
    planned: Planned,
    password: Password,
    place: Place,
}

pub(crate) async fn run(arguments: &Arguments, places: &Places) -> Result<Report, Error> {
    let planned = plan(arguments, places)?;
    let mut ready = Vec::new();
    for planned in planned {
        let source = match &planned.password_file {
            Some(path) => Source::file(path),
            None => arguments.new.password.clone(),
        };
        // A descriptor and standard input can be read once, for all BMCs of the row.
        let password = match ready.last() {
            Some(Ready { password, .. }) if source.is_stream() => Password::clone(password),
            _ => source.read()?,
        };
        let place = places.bmc(&planned.definition.name)?;
        ready.push(Ready { planned, password, place });
    }
    for (made, one) in ready.iter().enumerate() {
        if let Err(error) = make(one) {
            // All or none.
            for earlier in ready.iter().take(made) {
                let _left = earlier.place.remove_state();
            }
            return Err(error);
        }
    }
    if arguments.start {
        let names = ready.iter().map(|one| one.planned.definition.name.clone()).collect();
        start::start(places, names, start::By::Auto).await?;
    }
    Ok(report(&ready, arguments.start))
}

fn plan(arguments: &Arguments, places: &Places) -> Result<Vec<Planned>, Error> {
    if let Some(path) = &arguments.file {
        return Fleet::read(path)?.expand(&mut Known::find(new::folder_of(path)?, places)?);
    }
    let name = arguments.name.as_deref().unwrap_or_default();
    let group = Group::new(name, &arguments.new, Power::Off);
    let group = Group { count: arguments.count, first: arguments.first, ..group };
    group.expand(&mut Known::find(new::current_folder()?, places)?)
}

fn make(one: &Ready) -> Result<(), Error> {
    let Ready { planned: Planned { definition, .. }, password, place } = one;
    place.make_state()?;
    // A temporary one that runs has no definition for a moment.
    let failed =
        |error: std::io::Error| Error::failed(format_args!("{}: {error}", place.state.display()));
    let taken = || crate::definition::name_is_taken(&definition.name);
    let _lock = Lock::take(&place.lock()).map_err(failed)?.ok_or_else(taken)?;
    if place.definition().exists() {
        return Err(taken());
    }
    let made = password::keep(place, &password.text).and_then(|()| definition.save(place));
    if made.is_err() {
        let _left = place.remove_state();
    }
    made
}

fn report(ready: &[Ready], is_started: bool) -> Report {
    let created = |one: &Ready| {
        let definition = &one.planned.definition;
        Created {
            name: definition.name.to_string(),
            address: definition.address.to_string(),
            port: definition.port,
            user: definition.user.clone(),
            password: one.password.is_random.then(|| one.password.text.to_string()),
            password_file: one.place.password(),
        }
    };
    let created: Vec<Created> = ready.iter().map(created).collect();
    Report::new(&created, |page| {
        let row = |one: &Created| {
            let password = one.password.clone().unwrap_or_else(|| "(as given)".to_owned());
            let address = format!("{}:{}", one.address, one.port);
            vec![one.name.clone().into(), address.into(), one.user.clone().into(), password.into()]
        };
        page.table(&["NAME", "ADDRESS", "USER", "PASSWORD"], created.iter().map(row).collect());
        if let Some(Ready { planned, place, .. }) = ready.first() {
            let definition = &planned.definition;
            page.line("");
            page.line("Passwords are kept in files that only you can read, and not shown again.");
            if !is_started {
                page.line(format!("  causeway-vm start {}", definition.name));
            }
            page.line(format!(
                "  {}",
                new::ipmitool(definition, &place.password(), "chassis power on")
            ));
        }
    })
}
