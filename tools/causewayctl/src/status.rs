//! `status`: which daemons run, and what is wrong with them.

mod processes;
mod systemd;

use std::collections::BTreeMap;

use clap::Args;
use ipmi_proto::{CompletionCode, Lun, NetFn, Request};
use openbmc_dbus::execute;
use serde::Serialize;

use self::processes::Process;
use self::systemd::Unit;
use crate::bus::{Bus, Options};
use crate::cli::Global;
use crate::error::Error;
use crate::output::{Cell, Page, Report, Style};

/// The daemons of the suite, as their processes are called.
pub(crate) const DAEMONS: [&str; 8] = [
    "ipmid",
    "netipmid",
    "kcsbridged",
    "btbridged",
    "ssifbridged",
    "ipmbbridged",
    "mctp-demuxd",
    "platformd",
];

/// Names that are served instead of ours where another process has them.
const OURS: [&str; 2] = ["xyz.openbmc_project.Ipmi.", "xyz.openbmc_project.MCTP.Demux"];

/// Show the daemons: which run, since when, on which channel, and what is wrong
///
/// A daemon is here if it has a bus name or systemd knows it as active or failed. Versions, start times and the last
/// error in the journal need the rights to read them, usually root's. Exit code 1 if there is a problem.
#[derive(Args, Debug)]
pub(crate) struct Arguments {}

/// One daemon.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Daemon {
    daemon: String,
    state: State,
    pid: Option<u32>,
    version: Option<String>,
    since: Option<String>,
    unit: Option<String>,
    names: Vec<String>,
    channels: Vec<String>,
    last_error: Option<String>,
    problem: Option<String>,
    remedy: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// It runs and answers.
    Up,
    /// It runs and does not answer.
    Hung,
    /// It does not run.
    Down,
    /// systemd has given it up.
    Failed,
}

impl State {
    const fn cell(self) -> (&'static str, Style) {
        match self {
            Self::Up => ("up", Style::Good),
            Self::Hung => ("hung", Style::Bad),
            Self::Down => ("down", Style::Bad),
            Self::Failed => ("failed", Style::Bad),
        }
    }
}

impl Daemon {
    fn new(daemon: &str, state: State) -> Self {
        Self {
            daemon: daemon.to_owned(),
            state,
            pid: None,
            version: None,
            since: None,
            unit: None,
            names: Vec::new(),
            channels: Vec::new(),
            last_error: None,
            problem: None,
            remedy: None,
        }
    }

    /// The same with a problem, unless it has one already.
    fn with_problem(mut self, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        if self.problem.is_none() {
            self.problem = Some(problem.into());
            self.remedy = Some(remedy.into());
        }
        self
    }

    /// What systemd calls it.
    fn unit_name(&self) -> String {
        self.unit.clone().unwrap_or_else(|| format!("'{}*'", self.daemon))
    }

    fn row(&self) -> Vec<Cell> {
        let (state, style) = self.state.cell();
        let or_dash = |text: Option<String>| Cell::from(text.unwrap_or_else(|| "-".to_owned()));
        vec![
            self.daemon.clone().into(),
            Cell::new(state, style),
            or_dash(self.pid.map(|pid| pid.to_string())),
            or_dash(self.version.clone()),
            or_dash(self.since.clone()),
            or_dash((!self.channels.is_empty()).then(|| self.channels.join(","))),
            or_dash(self.names.first().cloned()),
        ]
    }

    fn findings(&self, page: &mut Page) {
        if let Some(problem) = &self.problem {
            page.line(Cell::new(format!("{}: {problem}", self.daemon), Style::Bad));
        }
        if let Some(remedy) = &self.remedy {
            page.line(format!("  try: {remedy}"));
        }
        if let Some(error) = &self.last_error {
            page.line(format!("{}: last error: {error}", self.daemon));
        }
    }
}

pub(crate) async fn run(_: &Arguments, global: &Global) -> Result<Report, Error> {
    let daemons = daemons(&Bus::connect(global).await?).await?;
    let is_bad = daemons.iter().any(|daemon| daemon.problem.is_some());
    let report = Report::new(&daemons, |page| {
        let head = ["DAEMON", "STATE", "PID", "VERSION", "SINCE", "CHANNEL", "BUS NAME"];
        page.table(&head, daemons.iter().map(Daemon::row).collect());
        daemons.iter().for_each(|daemon| daemon.findings(page));
    });
    Ok(report.failed_if(is_bad))
}

/// The problems of the daemons, for `doctor`.
#[cfg(feature = "doctor")]
pub(crate) async fn problems(bus: &Bus) -> Result<Vec<crate::doctor::Finding>, Error> {
    let daemons = daemons(bus).await?;
    let problem = |daemon: Daemon| {
        let problem = format!("{}: {}", daemon.daemon, daemon.problem?);
        Some(crate::doctor::Finding::new("daemons", problem, daemon.remedy.unwrap_or_default()))
    };
    Ok(daemons.into_iter().filter_map(problem).collect())
}

/// All daemons, in the order of [`DAEMONS`].
async fn daemons(bus: &Bus) -> Result<Vec<Daemon>, Error> {
    let mut daemons = Vec::new();
    for (process, names) in owners(bus).await? {
        daemons.push(on_bus(bus, process, names).await);
    }
    let mut units = systemd::units(bus).await;
    for daemon in &mut daemons {
        if let Some(at) = units.iter().position(|unit| Some(unit.pid) == daemon.pid) {
            daemon.unit = Some(units.swap_remove(at).name);
        }
    }
    daemons.extend(units.iter().filter_map(off_bus));
    let has_ipmid = |daemon: &Daemon| daemon.names.iter().any(|name| name == execute::SERVICE);
    let has_unit = |daemon: &Daemon| daemon.daemon == "ipmid" && daemon.problem.is_some();
    if !daemons.iter().any(|daemon| has_ipmid(daemon) || has_unit(daemon)) {
        let problem = "it does not run: no request is answered";
        let remedy = "systemctl enable --now ipmid";
        daemons.push(Daemon::new("ipmid", State::Down).with_problem(problem, remedy));
    }
    daemons.sort_by_key(|daemon| {
        let place = DAEMONS.iter().position(|name| *name == daemon.daemon);
        (place.unwrap_or(DAEMONS.len()), daemon.names.clone())
    });
    Ok(daemons)
}

/// The processes that are daemons of the suite or have a name of theirs, with all their bus names.
async fn owners(bus: &Bus) -> Result<Vec<(Process, Vec<String>)>, Error> {
    let mut owners: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for name in bus.names().await? {
        if let Some(pid) = bus.process_of(&name).await {
            owners.entry(pid).or_default().push(name);
        }
    }
    let owners = owners.into_iter().map(|(pid, mut names)| {
        // The name by which others know the daemon first.
        names.sort_by_key(|name| !OURS.iter().any(|prefix| name.starts_with(prefix)));
        (Process::new(pid), names)
    });
    let ours = |(process, names): &(Process, Vec<String>)| {
        let is_daemon = DAEMONS.contains(&process.name.as_str());
        is_daemon || names.iter().any(|name| OURS.iter().any(|prefix| name.starts_with(prefix)))
    };
    Ok(owners.filter(ours).collect())
}

/// A daemon with bus names.
async fn on_bus(bus: &Bus, process: Process, names: Vec<String>) -> Daemon {
    let channel = |name: &String| Some(name.strip_prefix(execute::CHANNEL_PREFIX)?.to_owned());
    let channels = names.iter().filter_map(channel).collect();
    let known = DAEMONS.contains(&process.name.as_str());
    let daemon = Daemon {
        pid: Some(process.pid),
        version: known.then(|| process.version()).flatten(),
        since: process.started(),
        last_error: systemd::last_error(process.pid),
        channels,
        ..Daemon::new(&process.name, State::Up)
    };
    let answer = match names.first() {
        Some(name) if name == execute::SERVICE => probe_ipmid(bus).await,
        Some(name) => bus.ping(name).await,
        None => Ok(()),
    };
    let unit = daemon.unit_name();
    let daemon = match answer {
        Err(problem) => Daemon { state: State::Hung, ..daemon }
            .with_problem(problem, format!("journalctl -u {unit}; systemctl restart {unit}")),
        Ok(()) if process.is_replaced() => daemon.with_problem(
            "its program was replaced since it started",
            format!("systemctl restart {unit}"),
        ),
        Ok(()) => daemon,
    };
    Daemon { names, ..daemon }
}

/// Whether `ipmid` answers Get Device ID, which never waits for a service.
async fn probe_ipmid(bus: &Bus) -> Result<(), String> {
    let request = Request { netfn: NetFn::APP, lun: Lun::BMC, command: 0x01, data: Vec::new() };
    match bus.execute(&request, &Options::new()).await {
        // A caller that ipmid does not accept, or no channel INTRABMC: that is an answer too.
        Ok(response) if response.completion == CompletionCode::DESTINATION_UNAVAILABLE => Ok(()),
        Ok(response) if response.completion == CompletionCode::OK => Ok(()),
        Ok(response) => {
            let completion = response.completion;
            Err(format!("it answers Get Device ID with {completion}: {}", completion.text()))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// A unit whose process has no bus name, if it should have one.
fn off_bus(unit: &Unit) -> Option<Daemon> {
    let (state, problem) = match unit.state.as_str() {
        "failed" => (State::Failed, "systemd has given it up"),
        "activating" => (State::Down, "it does not get ready, or ends and is started again"),
        "active" | "reloading" => (State::Up, "it has no name on the bus"),
        _ => return None,
    };
    let daemon = Daemon {
        unit: Some(unit.name.clone()),
        pid: (unit.pid != 0).then_some(unit.pid),
        last_error: systemd::last_error_of_unit(&unit.name),
        ..Daemon::new(unit.daemon()?, state)
    };
    Some(
        daemon.with_problem(problem, format!("systemctl status {0}; journalctl -u {0}", unit.name)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(name: &str, state: &str, pid: u32) -> Unit {
        Unit { name: name.to_owned(), state: state.to_owned(), pid }
    }

    #[test]
    fn unit_without_a_name_on_the_bus_is_a_problem_with_a_remedy() {
        let failed = off_bus(&unit("netipmid@eth0.service", "failed", 0)).unwrap();
        assert_eq!((failed.daemon.as_str(), failed.state), ("netipmid", State::Failed));
        assert!(failed.remedy.unwrap().contains("journalctl -u netipmid@eth0.service"));
        let active = off_bus(&unit("mctp-demuxd.service", "active", 7)).unwrap();
        assert_eq!((active.pid, active.state), (Some(7), State::Up));
        assert!(active.problem.is_some());
    }

    #[test]
    fn unit_that_is_off_or_another_is_no_daemon() {
        assert!(off_bus(&unit("ipmid.service", "inactive", 0)).is_none());
        assert!(off_bus(&unit("ipmid-helper.service", "failed", 0)).is_none());
    }
}
