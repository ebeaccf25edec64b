//! `start` and `stop`: supervisors in the background, under systemd's user manager where there is one.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use std::{env, fs, io};

use clap::{Args, ValueEnum};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use report::error::Error;
use report::output::Report;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::definition::Definition;
use crate::name::Name;
use crate::places::{Place, Places};
use crate::programs::{self, SELF};
use crate::supervisor::end_guest;
use crate::supervisor::record::Lock;
use crate::supervisor::together::AT_A_TIME;

/// How long a supervisor may take to say that it serves, or why not; longer than it takes at most.
const START_LIMIT: Duration = Duration::from_secs(150);
/// How long a supervisor may take to end; longer than it takes at most.
const STOP_LIMIT: Duration = Duration::from_secs(40);
const INTERVAL: Duration = Duration::from_millis(20);
/// The most bytes of what a supervisor says.
const MOST_SAID: u64 = 4096;

/// What supervisors are started by.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum By {
    /// Systemd's user manager if it runs, else this program
    #[default]
    Auto,
    /// Systemd's user manager, as units causeway-vm-NAME
    Systemd,
    /// This program, as processes in the background
    Process,
}

/// Which BMCs.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// The names of the BMCs
    #[arg(value_name = "NAME")]
    names: Vec<Name>,
    /// All BMCs
    #[arg(long)]
    all: bool,
}

impl Which {
    pub(crate) fn names(&self, places: &Places) -> Result<Vec<Name>, Error> {
        if self.all { places.names() } else { Ok(self.names.clone()) }
    }
}

/// Start BMCs in the background
///
/// Returns when they serve. Each has a supervisor, which starts again what ends: a unit causeway-vm-NAME of systemd's user
/// manager where there is one, else a process. Those that run already are left as they are.
#[derive(Args, Debug)]
pub(crate) struct Start {
    #[command(flatten)]
    which: Which,
    /// What starts the supervisors
    #[arg(long, value_enum, default_value_t)]
    by: By,
}

/// Stop BMCs and their machines
///
/// A machine loses its power: `ipmitool chassis power soft` before that asks its operating system to shut down. State,
/// users and the event log stay.
#[derive(Args, Debug)]
pub(crate) struct Stop {
    #[command(flatten)]
    which: Which,
}

pub(crate) async fn run_start(arguments: &Start, places: &Places) -> Result<Report, Error> {
    let names = arguments.which.names(places)?;
    start(places, names, arguments.by).await?;
    Ok(Report::nothing())
}

pub(crate) async fn run_stop(arguments: &Stop, places: &Places) -> Result<Report, Error> {
    let names = arguments.which.names(places)?;
    stop(places, names).await?;
    Ok(Report::nothing())
}

/// Starts those of the BMCs that do not run.
///
/// # Errors
///
/// When one does not start; the others are started.
pub(crate) async fn start(places: &Places, names: Vec<Name>, by: By) -> Result<(), Error> {
    let manager = match by {
        By::Process => None,
        By::Auto => user_manager(),
        By::Systemd => Some(user_manager().ok_or_else(|| {
            Error::failed("systemd's user manager does not run for this user")
                .remedy("loginctl enable-linger, or --by process")
        })?),
    };
    let mut loaded = Vec::new();
    for name in names {
        let (definition, place) = Definition::load(places, &name)?;
        if Lock::holder(&place.lock()).is_none() {
            loaded.push((definition, place));
        }
    }
    let given = places.given.clone();
    for_each(loaded, move |(definition, place)| {
        let (manager, given) = (manager.clone(), given.clone());
        async move { start_one(&definition, &place, manager.as_deref(), given.as_deref()).await }
    })
    .await
}

/// Stops those of the BMCs that run, and ends what a killed supervisor has left.
///
/// # Errors
///
/// When one does not stop.
pub(crate) async fn stop(places: &Places, names: Vec<Name>) -> Result<(), Error> {
    let mut known = Vec::new();
    for name in names {
        let place = places.bmc(&name)?;
        if !place.definition().exists() {
            // The error says so.
            Definition::load(places, &name)?;
        }
        known.push((name, place));
    }
    check_together(places, &known)?;
    for_each(known, |(name, place)| async move { stop_one(&name, &place).await }).await
}

/// Checks that no supervisor has other BMCs too, which would end with it.
fn check_together(places: &Places, ending: &[(Name, Place)]) -> Result<(), Error> {
    let holder = |place: &Place| Lock::holder(&place.lock()).filter(|pid| *pid != 0);
    let ended: BTreeSet<u32> = ending.iter().filter_map(|(_, place)| holder(place)).collect();
    for other in places.names()? {
        let pid = holder(&places.bmc(&other)?).filter(|pid| ended.contains(pid));
        if let Some(pid) = pid
            && !ending.iter().any(|(name, _)| *name == other)
        {
            let text = format!("process {pid} runs the BMC {other} too, of the same file");
            return Err(Error::failed(text).remedy("causeway-vm stop --all ends all BMCs"));
        }
    }
    Ok(())
}

/// Calls `act` for each item, some at a time; the first error is the result.
async fn for_each<T, F>(items: Vec<T>, act: impl Fn(T) -> F) -> Result<(), Error>
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let mut waiting: VecDeque<T> = items.into();
    let mut running = JoinSet::new();
    let mut result = Ok(());
    loop {
        while running.len() < AT_A_TIME
            && let Some(item) = waiting.pop_front()
        {
            running.spawn(act(item));
        }
        match running.join_next().await {
            None => return result,
            Some(Ok(done)) => result = result.and(done),
            Some(Err(error)) => result = result.and(Err(Error::failed(error))),
        }
    }
}

async fn start_one(
    definition: &Definition,
    place: &Place,
    manager: Option<&Path>,
    state_dir: Option<&Path>,
) -> Result<(), Error> {
    let name = &definition.name;
    let mut run = vec![OsString::from("run"), name.as_str().into()];
    if let Some(state_dir) = state_dir {
        run.extend(["--state-dir".into(), state_dir.into()]);
    }
    let mut command = match manager {
        Some(systemd_run) => systemd_command(systemd_run, definition, &run)?,
        None => {
            let mut command = Command::new(SELF);
            command.arg0(crate::NAME).args(run).arg("--background");
            command
        }
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.env_remove("NOTIFY_SOCKET").current_dir(&definition.directory);
    let failed =
        |error: io::Error| Error::failed(format_args!("{name} cannot be started: {error}"));
    let mut child = command.spawn().map_err(failed)?;
    // It ends, or it closes standard error when the BMC serves.
    let mut said = Vec::new();
    if let Some(output) = child.stderr.take() {
        let mut output = output.take(MOST_SAID);
        let read = timeout(START_LIMIT, output.read_to_end(&mut said)).await;
        read.map_err(|_| Error::failed(format_args!("{name} does not become ready")))?
            .map_err(failed)?;
    }
    if Lock::holder(&place.lock()).is_some() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    let said = said.strip_prefix("causeway-vm: ").map(str::to_owned).unwrap_or(said);
    let error = Error::failed(format_args!("{name} does not start: {said}"));
    if said.contains("try: ") {
        return Err(error);
    }
    Err(error.remedy(format_args!("what it has logged: {}", place.log().display())))
}

/// `systemd-run`, if systemd's user manager runs.
fn user_manager() -> Option<PathBuf> {
    let runtime = PathBuf::from(env::var_os("XDG_RUNTIME_DIR")?);
    // What systemctl --user connects to.
    let is_socket = |path: &Path| fs::metadata(path).is_ok();
    is_socket(&runtime.join("systemd/private"))
        .then(|| programs::on_path("systemd-run", env::var_os("PATH").as_deref()))
        .flatten()
}

/// A transient unit of this program with the arguments `run`: nothing of it is left when it has stopped.
fn systemd_command(
    systemd_run: &Path,
    definition: &Definition,
    run: &[OsString],
) -> Result<Command, Error> {
    let program = env::current_exe().map_err(Error::failed)?;
    let mut command = Command::new(systemd_run);
    command.args(["--user", "--quiet", "--collect"]);
    command.arg(format!("--unit=causeway-vm-{}", definition.name));
    command.arg(format!("--description=BMC {}", definition.name));
    // The supervisor ends the others in order, and a machine outlives a supervisor that is killed.
    for property in [
        "Type=notify",
        "Restart=on-failure",
        "RestartSec=1",
        "KillMode=process",
        "TimeoutStopSec=40",
    ] {
        command.arg(format!("--property={property}"));
    }
    for name in ["PATH", "HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"] {
        if let Some(value) = env::var_os(name) {
            let mut word = OsString::from(format!("--setenv={name}="));
            word.push(value);
            command.arg(word);
        }
    }
    let mut folder = OsString::from("--working-directory=");
    folder.push(&definition.directory);
    command.arg(folder);
    command.arg(&program);
    if program.file_name() != Some(crate::NAME.as_ref()) {
        // All programs in one binary.
        command.arg(crate::NAME);
    }
    command.args(run);
    Ok(command)
}

async fn stop_one(name: &Name, place: &Place) -> Result<(), Error> {
    let lock = place.lock();
    let end = Instant::now() + STOP_LIMIT;
    let mut signalled = None;
    while let Some(holder) = Lock::holder(&lock) {
        // It writes its number at once.
        if holder != 0 && signalled != Some(holder) {
            signalled = Some(holder);
            let pid = i32::try_from(holder).map_err(Error::failed)?;
            kill(Pid::from_raw(pid), Signal::SIGTERM).map_err(|error| {
                Error::failed(format_args!("{name}: process {holder}: {error}"))
            })?;
        }
        if Instant::now() >= end {
            let seconds = STOP_LIMIT.as_secs();
            return Err(Error::failed(format_args!(
                "{name}: process {holder} does not end within {seconds} s"
            )));
        }
        sleep(INTERVAL).await;
    }
    // What a supervisor leaves that is killed. A temporary BMC is gone with its supervisor.
    if signalled.is_none() && place.runtime.exists() {
        end_guest(place).await.map_err(Error::failed)?;
        place.remove_runtime();
    }
    Ok(())
}
