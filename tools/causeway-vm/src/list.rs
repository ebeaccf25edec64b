//! `list` and `status`: which BMCs there are, and how they are.

use std::path::PathBuf;

use clap::Args;
use report::error::Error;
use report::output::{Cell, Page, Report, Style};
use serde::Serialize;

use crate::definition::Definition;
use crate::name::Name;
use crate::places::{Place, Places};
use crate::supervisor::guest_process;
use crate::supervisor::record::{Lock, Phase, ProcessRecord, Record, now};
use crate::{host, new};

/// List the BMCs
#[derive(Args, Debug)]
pub(crate) struct List {}

/// Show how a BMC is: its processes, its machine, and how to reach it
///
/// The exit code is 1 if it does not run, or one of its processes does not.
#[derive(Args, Debug)]
pub(crate) struct Status {
    /// The name of the BMC
    name: Name,
}

/// How a BMC is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Stopped,
    Starting,
    Running,
    Stopping,
    /// Its supervisor was killed.
    Lost,
    /// Its definition cannot be read.
    Damaged,
}

impl State {
    fn of(place: &Place) -> Self {
        let record = Record::read(place);
        match (Lock::holder(&place.lock()), record.map(|record| record.phase)) {
            (Some(_), Some(Phase::Ready)) => Self::Running,
            (Some(_), Some(Phase::Stopping)) => Self::Stopping,
            (Some(_), Some(Phase::Starting) | None) => Self::Starting,
            (None, Some(_)) => Self::Lost,
            (None, None) => Self::Stopped,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Lost => "lost",
            Self::Damaged => "damaged",
        }
    }

    fn cell(self) -> Cell {
        let style = match self {
            Self::Running => Style::Good,
            Self::Lost | Self::Damaged => Style::Bad,
            Self::Stopped | Self::Starting | Self::Stopping => Style::Plain,
        };
        Cell::new(self.text(), style)
    }
}

/// A BMC, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Bmc {
    name: String,
    state: State,
    address: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    /// `simulated` or `qemu`.
    host: Option<&'static str>,
    /// The host's power, while the BMC runs.
    power: Option<&'static str>,
    /// Why its definition cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A BMC with its processes, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Details {
    #[serde(flatten)]
    bmc: Bmc,
    uuid: String,
    supervisor: Option<u32>,
    /// When it was started, in seconds since 1970.
    since: Option<u64>,
    processes: Vec<ProcessRecord>,
    /// QEMU's process.
    machine: Option<u32>,
    bus: Option<String>,
    log: PathBuf,
    password_file: PathBuf,
    ipmitool: String,
}

pub(crate) async fn list(_: &List, places: &Places) -> Result<Report, Error> {
    let mut bmcs = Vec::new();
    for name in places.names()? {
        bmcs.push(match Definition::load(places, &name) {
            Ok((definition, place)) => bmc(&definition, &place).await,
            Err(error) => damaged(&name, &error),
        });
    }
    Ok(Report::new(&bmcs, |page| {
        if bmcs.is_empty() {
            page.line("there are no BMCs; causeway-vm create makes some");
            return;
        }
        let row = |bmc: &Bmc| {
            let address = bmc.address.as_ref().zip(bmc.port);
            let address = address.map(|(address, port)| format!("{address}:{port}"));
            let host = bmc.error.clone().or(bmc.host.map(str::to_owned));
            vec![
                bmc.name.clone().into(),
                bmc.state.cell(),
                address.unwrap_or_default().into(),
                bmc.power.unwrap_or("-").into(),
                host.unwrap_or_default().into(),
            ]
        };
        page.table(&["NAME", "STATE", "ADDRESS", "POWER", "HOST"], bmcs.iter().map(row).collect());
    }))
}

pub(crate) async fn status(arguments: &Status, places: &Places) -> Result<Report, Error> {
    let (definition, place) = Definition::load(places, &arguments.name)?;
    let bmc = bmc(&definition, &place).await;
    let record = Record::read(&place);
    let is_running = bmc.state == State::Running;
    let processes = record.as_ref().map(|record| record.processes.clone()).unwrap_or_default();
    let is_well = is_running && processes.iter().all(|process| process.pid.is_some());
    let details = Details {
        supervisor: Lock::holder(&place.lock()).filter(|pid| *pid != 0),
        since: record.as_ref().map(|record| record.since),
        processes,
        machine: guest_process(&place),
        bus: record.is_some().then(|| place.bus_address()),
        log: place.log(),
        ipmitool: new::ipmitool(&definition, &place.password(), "sol activate"),
        password_file: place.password(),
        uuid: definition.uuid.clone(),
        bmc,
    };
    Ok(Report::new(&details, |page| write(&details, page)).failed_if(!is_well))
}

async fn bmc(definition: &Definition, place: &Place) -> Bmc {
    let state = State::of(place);
    let power = if state == State::Running { Some(host::power(place).await) } else { None };
    Bmc {
        name: definition.name.to_string(),
        state,
        address: Some(definition.address.to_string()),
        port: Some(definition.port),
        user: Some(definition.user.clone()),
        host: Some(definition.host()),
        power,
        error: None,
    }
}

fn damaged(name: &Name, error: &Error) -> Bmc {
    Bmc {
        name: name.to_string(),
        state: State::Damaged,
        address: None,
        port: None,
        user: None,
        host: None,
        power: None,
        error: Some(error.to_string()),
    }
}

fn write(details: &Details, page: &mut Page) {
    let line = |name: &str, value: Cell| vec![Cell::from(name), value];
    let bmc = &details.bmc;
    let mut rows = vec![line("State", bmc.state.cell())];
    if let (Some(address), Some(port)) = (&bmc.address, bmc.port) {
        rows.push(line("Address", format!("{address}:{port}").into()));
    }
    let machine = details.machine.map(|pid| format!(", process {pid}")).unwrap_or_default();
    rows.push(line("Host", format!("{}{machine}", bmc.host.unwrap_or_default()).into()));
    rows.push(line("Power", bmc.power.unwrap_or("-").into()));
    rows.push(line("UUID", details.uuid.clone().into()));
    if let Some(bus) = &details.bus {
        rows.push(line("Bus", bus.clone().into()));
    }
    rows.push(line("Log", details.log.display().to_string().into()));
    rows.push(line("Password", details.password_file.display().to_string().into()));
    rows.push(line("SOL", details.ipmitool.clone().into()));
    page.table(&[], rows);
    if details.processes.is_empty() {
        return;
    }
    page.line("");
    let row = |process: &ProcessRecord| {
        let pid = process.pid.map_or(Cell::new("down", Style::Bad), |pid| pid.to_string().into());
        vec![
            process.name.clone().into(),
            pid,
            age(now().saturating_sub(process.since)).into(),
            process.restarts.to_string().into(),
            process.ended.clone().unwrap_or_default().into(),
        ]
    };
    let head = ["PROCESS", "PID", "SINCE", "RESTARTS", "LAST END"];
    page.table(&head, details.processes.iter().map(row).collect());
}

/// A time in its largest unit.
fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        for (seconds, text) in
            [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (200_000, "2 d")]
        {
            assert_eq!(age(seconds), text);
        }
    }
}
