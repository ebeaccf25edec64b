//! `config`: the configuration file, as the daemons themselves judge it, and what is in force in those that run.

#[cfg(feature = "observe")]
mod running;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::Global;
use crate::error::Error;
use crate::output::{Cell, Report, Style};
use crate::status::DAEMONS;

/// The file that daemons read without --config.
pub(crate) const FILE: &str = "/etc/causeway/causeway.toml";

/// Check and reload the configuration file, and show what is in force
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    Check(Check),
    #[cfg(feature = "observe")]
    Show(running::Show),
    #[cfg(feature = "observe")]
    Diff(running::Diff),
    #[cfg(feature = "observe")]
    Reload(running::Reload),
}

/// Have every installed daemon check the file, and show errors with file and line
///
/// Each daemon is run with --check, which reads its sections and opens nothing. Exit code 1 if one refuses the file.
#[derive(Args, Debug)]
struct Check {
    /// The file
    #[arg(default_value = FILE)]
    file: PathBuf,
}

/// What one daemon says, as JSON.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) daemon: &'static str,
    pub(crate) result: Outcome,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
    pub(crate) error: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    Accepted,
    Refused,
    NotInstalled,
}

impl Verdict {
    fn new(daemon: &'static str, result: Outcome) -> Self {
        Self { daemon, result, file: None, line: None, error: None }
    }

    fn row(&self) -> Vec<Cell> {
        let result = match self.result {
            Outcome::Accepted => Cell::new("accepted", Style::Good),
            Outcome::Refused => Cell::new("refused", Style::Bad),
            Outcome::NotInstalled => "not installed".into(),
        };
        let place = match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{file}:{line}: "),
            _ => String::new(),
        };
        let error = self.error.as_ref().map(|error| format!("{place}{error}"));
        vec![self.daemon.into(), result, error.unwrap_or_default().into()]
    }
}

pub(crate) async fn run(arguments: &Arguments, global: &Global) -> Result<Report, Error> {
    #[cfg(not(feature = "observe"))]
    let _no_bus = global;
    match &arguments.command {
        Subcommands::Check(check) => run_check(check),
        #[cfg(feature = "observe")]
        Subcommands::Show(show) => running::show(show, global).await,
        #[cfg(feature = "observe")]
        Subcommands::Diff(diff) => running::diff(diff, global).await,
        #[cfg(feature = "observe")]
        Subcommands::Reload(reload) => running::reload(reload, global).await,
    }
}

fn run_check(check: &Check) -> Result<Report, Error> {
    if let Ok(false) = check.file.try_exists() {
        return Err(Error::failed(format_args!("{} does not exist", check.file.display()))
            .remedy("causewayctl config check FILE"));
    }
    let verdicts = self::check(&check.file);
    if verdicts.iter().all(|verdict| verdict.result == Outcome::NotInstalled) {
        return Err(Error::failed("no daemon is installed beside this program or in PATH"));
    }
    let refused = verdicts.iter().any(|verdict| verdict.result == Outcome::Refused);
    let report = Report::new(&verdicts, |page| {
        page.table(&["DAEMON", "RESULT", "ERROR"], verdicts.iter().map(Verdict::row).collect());
    });
    Ok(report.failed_if(refused))
}

/// What every daemon says of a file.
pub(crate) fn check(file: &Path) -> Vec<Verdict> {
    DAEMONS.into_iter().map(|daemon| check_by(daemon, file)).collect()
}

fn check_by(daemon: &'static str, file: &Path) -> Verdict {
    let Some(program) = program(daemon) else {
        return Verdict::new(daemon, Outcome::NotInstalled);
    };
    let mut command = Command::new(program);
    command.arg("--check").arg("--config").arg(file).args(arguments(daemon));
    let output = command.stdin(Stdio::null()).output();
    let error = match output {
        Ok(output) if output.status.success() => return Verdict::new(daemon, Outcome::Accepted),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    let (place, error) =
        located(error.strip_prefix(&format!("{daemon}: error: ")).unwrap_or(&error));
    let (file, line) = place.unzip();
    Verdict { file, line, error: Some(error), ..Verdict::new(daemon, Outcome::Refused) }
}

/// An error's `FILE:LINE: `, and the rest.
fn located(error: &str) -> (Option<(String, u32)>, String) {
    let place = error.split_once(": ").and_then(|(place, rest)| {
        let (file, line) = place.rsplit_once(':')?;
        Some(((file.to_owned(), line.parse().ok()?), rest.to_owned()))
    });
    match place {
        Some((place, rest)) => (Some(place), rest),
        None => (None, error.to_owned()),
    }
}

/// A daemon's program: beside this one, or in the path.
fn program(daemon: &str) -> Option<PathBuf> {
    let beside = env::current_exe().ok().and_then(|own| Some(own.parent()?.join(daemon)));
    let path = env::var_os("PATH").unwrap_or_default();
    let in_path = env::split_paths(&path).map(|folder| folder.join(daemon));
    beside.into_iter().chain(in_path).find(|program| program.is_file())
}

/// What a daemon has to be given beside the file; a check opens none of it.
fn arguments(daemon: &str) -> &'static [&'static str] {
    match daemon {
        "netipmid" => &["--listen", "127.0.0.1:0"],
        "kcsbridged" | "btbridged" | "ssifbridged" => &["--device", "/dev/null"],
        "ipmbbridged" => &["--channel", "Ipmb", "--device", "/dev/null"],
        "mctp-demuxd" => &["serial:/nonexistent/line"],
        "platformd" => &["--platform", "/dev/null"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_of_an_error_is_its_file_and_line() {
        let place = Some(("/etc/a:b.toml".to_owned(), 12));
        assert_eq!(
            located("/etc/a:b.toml:12: unknown key: x"),
            (place, "unknown key: x".to_owned())
        );
        assert_eq!(located("no binding: name one"), (None, "no binding: name one".to_owned()));
    }
}
