//! `config show`, `diff` and `reload`: what is in force in the daemons that run, over `org.causeway.Daemon`.

use clap::Args;
use openbmc_dbus::configuration::{
    CHANGES, ChangeRow, INTERFACE, PATH, PREFIX, RELOAD, SETTINGS, SettingRow,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zbus::fdo;
use zbus::wire::Type;

use super::located;
use crate::bus::{Bus, call_failed};
use crate::cli::Global;
use crate::error::Error;
use crate::output::{Cell, Report, Style};
use crate::status::DAEMONS;

/// The longest value on a page.
const WIDTH: usize = 60;

/// Show what is in force in the daemons, and where each value is from
///
/// From the file and its line, from the command line, or built in. A key that a reload applies is live; for the others
/// the daemon has to be restarted. Passwords are not shown.
#[derive(Args, Debug)]
pub(super) struct Show {
    #[command(flatten)]
    which: Which,
}

/// Show what a reload would change, and what a restart
///
/// Each daemon reads and checks the file, and changes nothing. Exit code 1 if one refuses it.
#[derive(Args, Debug)]
pub(super) struct Diff {
    #[command(flatten)]
    which: Which,
}

/// Reload the configuration of the daemons; no session, client or bridge ends
///
/// Exit code 1 if a daemon refuses the file, with file and line; what it had stays in force.
#[derive(Args, Debug)]
pub(super) struct Reload {
    #[command(flatten)]
    which: Which,
}

/// The daemons that are meant.
#[derive(Args, Debug)]
struct Which {
    /// The daemon, as netipmid, or one of several, as netipmid@eth0 [default: all that run]
    daemons: Vec<String>,
}

/// A running daemon.
struct Running {
    /// As an operator writes it.
    name: String,
    service: String,
}

impl Running {
    /// The daemon that owns `service`.
    fn of(service: String) -> Option<Self> {
        let rest = service.strip_prefix(PREFIX)?;
        let (element, channel) = rest.split_once('.').unzip();
        let element = element.unwrap_or(rest);
        let daemon = DAEMONS.into_iter().find(|daemon| daemon.replace('-', "_") == element)?;
        let name = match channel {
            Some(channel) => format!("{daemon}@{channel}"),
            None => daemon.to_owned(),
        };
        Some(Self { name, service })
    }

    fn is(&self, word: &str) -> bool {
        let daemon = self.name.split('@').next();
        self.name == word || daemon == Some(word)
    }

    async fn call<R: DeserializeOwned + Type>(
        &self,
        bus: &Bus,
        member: &str,
    ) -> Result<Result<R, String>, Error> {
        match bus.call(&self.service, PATH, INTERFACE, member, &()).await {
            Ok(answer) => Ok(Ok(answer)),
            Err(zbus::Error::FDO(error)) => match *error {
                fdo::Error::InvalidFileContent(text) => Ok(Err(text)),
                error => Err(call_failed(&self.name, &zbus::Error::FDO(Box::new(error)))),
            },
            Err(error) => Err(call_failed(&self.name, &error)),
        }
    }
}

/// Why a daemon refuses the file.
#[derive(Debug, Serialize)]
struct Refusal {
    file: Option<String>,
    line: Option<u32>,
    error: String,
}

impl Refusal {
    fn new(text: &str) -> Self {
        let (place, error) = located(text);
        let (file, line) = place.unzip();
        Self { file, line, error }
    }

    fn cell(&self) -> Cell {
        let place = match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{file}:{line}: "),
            _ => String::new(),
        };
        Cell::new(format!("refused: {place}{}", self.error), Style::Bad)
    }
}

/// The daemons that the command line names, all of them if it names none.
async fn running(bus: &Bus, which: &Which) -> Result<Vec<Running>, Error> {
    let mut all: Vec<_> = bus.names().await?.into_iter().filter_map(Running::of).collect();
    let order = |running: &Running| {
        let place = DAEMONS.iter().position(|daemon| running.is(daemon));
        (place, running.name.clone())
    };
    all.sort_by_key(order);
    for word in &which.daemons {
        if !all.iter().any(|running| running.is(word)) {
            return Err(Error::failed(format_args!("{word} is not on the bus"))
                .remedy("causewayctl status"));
        }
    }
    if all.is_empty() {
        return Err(
            Error::failed("no daemon of the suite is on the bus").remedy("causewayctl status")
        );
    }
    let words = &which.daemons;
    all.retain(|running| words.is_empty() || words.iter().any(|word| running.is(word)));
    Ok(all)
}

/// A key of a daemon, as JSON.
#[derive(Debug, Serialize)]
struct Shown {
    daemon: String,
    key: String,
    value: Option<String>,
    from: String,
    live: bool,
}

pub(super) async fn show(arguments: &Show, global: &Global) -> Result<Report, Error> {
    let bus = Bus::connect(global).await?;
    let mut shown = Vec::new();
    for running in running(&bus, &arguments.which).await? {
        let (settings,): (Vec<SettingRow>,) =
            running.call(&bus, SETTINGS).await?.map_err(Error::failed)?;
        shown.extend(settings.into_iter().map(|(key, value, from, live)| {
            let value = Some(value).filter(|value| !value.is_empty());
            Shown { daemon: running.name.clone(), key, value, from, live }
        }));
    }
    Ok(Report::new(&shown, |page| {
        let row = |shown: &Shown| {
            vec![
                shown.daemon.clone().into(),
                shown.key.clone().into(),
                short(shown.value.as_deref()),
                shown.from.clone().into(),
                effect(shown.live).into(),
            ]
        };
        let head = ["DAEMON", "KEY", "VALUE", "FROM", "A CHANGE NEEDS"];
        page.table(&head, shown.iter().map(row).collect());
    }))
}

/// A value that differs, as JSON.
#[derive(Debug, Serialize)]
struct Differs {
    key: String,
    running: Option<String>,
    file: Option<String>,
    live: bool,
}

/// What differs in one daemon, as JSON.
#[derive(Debug, Serialize)]
struct Difference {
    daemon: String,
    changes: Vec<Differs>,
    refused: Option<Refusal>,
}

pub(super) async fn diff(arguments: &Diff, global: &Global) -> Result<Report, Error> {
    let bus = Bus::connect(global).await?;
    let mut differences = Vec::new();
    for running in running(&bus, &arguments.which).await? {
        let answer: Result<(Vec<ChangeRow>,), String> = running.call(&bus, CHANGES).await?;
        let (changes, refused) = match answer {
            Ok((changes,)) => (changes, None),
            Err(text) => (Vec::new(), Some(Refusal::new(&text))),
        };
        let value = |text: String| Some(text).filter(|text| !text.is_empty());
        let changes = changes.into_iter().map(|(key, running, file, live)| Differs {
            key,
            running: value(running),
            file: value(file),
            live,
        });
        let changes = changes.collect();
        differences.push(Difference { daemon: running.name, changes, refused });
    }
    let failed = differences.iter().any(|difference| difference.refused.is_some());
    let report = Report::new(&differences, |page| {
        let rows: Vec<_> = differences.iter().flat_map(difference_rows).collect();
        if rows.is_empty() {
            page.line("nothing differs from what is in force");
        } else {
            page.table(&["DAEMON", "KEY", "IN FORCE", "FILE", "NEEDS"], rows);
        }
    });
    Ok(report.failed_if(failed))
}

fn difference_rows(difference: &Difference) -> Vec<Vec<Cell>> {
    let refused = difference
        .refused
        .iter()
        .map(|refusal| vec![difference.daemon.clone().into(), refusal.cell()]);
    let changes = difference.changes.iter().map(|change| {
        vec![
            difference.daemon.clone().into(),
            change.key.clone().into(),
            short(change.running.as_deref()),
            short(change.file.as_deref()),
            effect(change.live).into(),
        ]
    });
    refused.chain(changes).collect()
}

/// What a reload of one daemon has done, as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Reloaded {
    daemon: String,
    applied: Vec<String>,
    restart_needed: Vec<String>,
    refused: Option<Refusal>,
}

pub(super) async fn reload(arguments: &Reload, global: &Global) -> Result<Report, Error> {
    let bus = Bus::connect(global).await?;
    let mut all = Vec::new();
    for running in running(&bus, &arguments.which).await? {
        let answer: Result<(Vec<String>, Vec<String>), String> = running.call(&bus, RELOAD).await?;
        let daemon = running.name;
        all.push(match answer {
            Ok((applied, restart_needed)) => {
                Reloaded { daemon, applied, restart_needed, refused: None }
            }
            Err(text) => Reloaded {
                daemon,
                applied: Vec::new(),
                restart_needed: Vec::new(),
                refused: Some(Refusal::new(&text)),
            },
        });
    }
    let failed = all.iter().any(|reloaded| reloaded.refused.is_some());
    let report = Report::new(&all, |page| {
        let row = |reloaded: &Reloaded| {
            let daemon = Cell::from(reloaded.daemon.clone());
            match &reloaded.refused {
                Some(refusal) => vec![daemon, refusal.cell()],
                None => vec![
                    daemon,
                    Cell::new("reloaded", Style::Good),
                    listed(&reloaded.applied),
                    listed(&reloaded.restart_needed),
                ],
            }
        };
        let head = ["DAEMON", "RESULT", "APPLIED", "NEEDS A RESTART"];
        page.table(&head, all.iter().map(row).collect());
    });
    Ok(report.failed_if(failed))
}

fn listed(keys: &[String]) -> Cell {
    if keys.is_empty() { "-".into() } else { keys.join(" ").into() }
}

const fn effect(live: bool) -> &'static str {
    if live { "reload" } else { "restart" }
}

/// A value that fits into a column; the JSON has the whole.
fn short(value: Option<&str>) -> Cell {
    let value = value.unwrap_or("-");
    match value.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}...", value.get(..end).unwrap_or(value)).into(),
        None => value.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daemons_are_named_as_their_units() {
        let name = |service: &str| Running::of(format!("{PREFIX}{service}")).map(|it| it.name);
        assert_eq!(name("ipmid").as_deref(), Some("ipmid"));
        assert_eq!(name("mctp_demuxd").as_deref(), Some("mctp-demuxd"));
        assert_eq!(name("netipmid.eth0").as_deref(), Some("netipmid@eth0"));
        assert_eq!(name("other"), None);
        let running = Running::of(format!("{PREFIX}netipmid.eth0")).unwrap();
        assert!(running.is("netipmid") && running.is("netipmid@eth0") && !running.is("ipmid"));
    }

    #[test]
    fn long_values_are_cut_on_a_page() {
        assert_eq!(short(Some(&"ä".repeat(61))), short(Some(&("ä".repeat(60) + "..."))));
        assert_eq!(short(Some("17")), "17".into());
    }
}
