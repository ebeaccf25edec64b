//! The frame around a daemon's `main`.

use std::convert::Infallible;
use std::ffi::OsString;
use std::future::Future;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::arguments::{self, Invocation, Options};
use crate::{Arguments, ConfigFile, Failure, Invalid, LogConfig, RateLimit, Validate, log};

/// How long the runtime waits for blocking work when the daemon ends.
const SHUTDOWN: Duration = Duration::from_millis(300);

/// What a daemon starts from.
#[derive(Debug)]
pub struct Setup<A> {
    /// The daemon's name, as in its log lines.
    pub name: &'static str,
    /// Its own arguments.
    pub args: A,
    /// The state directory.
    pub state_dir: PathBuf,
    file: ConfigFile,
}

impl<A> Setup<A> {
    /// The daemon's configuration; see [`ConfigFile::config`].
    ///
    /// # Errors
    ///
    /// [`Failure::Config`], with file and line, for invalid sections.
    pub fn config<T: DeserializeOwned + Default + Validate>(&self) -> Result<T, Failure> {
        self.file.config()
    }

    /// The failure for a value of the configuration that is wrong beside these arguments; with file
    /// and line.
    #[must_use]
    pub fn invalid(&self, invalid: &Invalid) -> Failure {
        self.file.failure(invalid)
    }

    /// Drops the process's capabilities, after what needs one is open, such as a low port.
    pub fn drop_privileges(&self) {
        match sys::drop_capabilities() {
            Ok(()) => tracing::debug!("capabilities dropped"),
            Err(error) => tracing::error!(
                %error,
                "cannot drop capabilities: the daemon goes on with them (is capset(2) filtered?)"
            ),
        }
    }

    /// Notifies the service manager that the daemon serves (`Type=notify`).
    pub fn ready(&self) {
        notify(sd_notify::NotifyState::Ready);
    }
}

/// Runs a daemon: reads arguments and configuration, sets up the log and a single-threaded runtime,
/// and ends `main` by dropping its future at SIGTERM or SIGINT. SIGHUP is logged and ignored.
///
/// `prepare` makes what `main` needs from arguments and configuration, and refuses what is invalid.
/// It opens nothing and changes nothing: `--check` runs it and ends.
///
/// Returns the code that the process is to end with.
pub fn run<A, P, F, Fut>(
    name: &'static str,
    prepare: impl FnOnce(&Setup<A>) -> Result<P, Failure>,
    main: F,
) -> ExitCode
where
    A: Arguments,
    F: FnOnce(Setup<A>, P) -> Fut,
    Fut: Future<Output = Result<(), Failure>> + Send + 'static,
{
    run_with(name, std::env::args_os().skip(1), prepare, main)
}

/// Runs a daemon like [`run`], with these arguments, the program's name not included.
pub fn run_with<A, P, F, Fut>(
    name: &'static str,
    args: impl IntoIterator<Item = OsString>,
    prepare: impl FnOnce(&Setup<A>) -> Result<P, Failure>,
    main: F,
) -> ExitCode
where
    A: Arguments,
    F: FnOnce(Setup<A>, P) -> Fut,
    Fut: Future<Output = Result<(), Failure>> + Send + 'static,
{
    log::name(name);
    match start(name, args, prepare, main) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            log::report(&failure.to_string());
            failure.exit_code()
        }
    }
}

fn start<A, P, F, Fut>(
    name: &'static str,
    args: impl IntoIterator<Item = OsString>,
    prepare: impl FnOnce(&Setup<A>) -> Result<P, Failure>,
    main: F,
) -> Result<(), Failure>
where
    A: Arguments,
    F: FnOnce(Setup<A>, P) -> Fut,
    Fut: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let options = match arguments::parse::<A>(args).map_err(Failure::Config)? {
        Invocation::Help => return print(&arguments::help::<A>(name)),
        Invocation::Version => {
            return print(&format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
        }
        Invocation::Run(options) => options,
    };
    let only_check = options.check;
    let setup = set_up(name, options)?;
    let prepared = prepare(&setup)?;
    if only_check {
        return print("configuration is valid\n");
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(until_signal(|| main(setup, prepared)));
    end(runtime);
    result
}

fn set_up<A>(name: &'static str, options: Options<A>) -> Result<Setup<A>, Failure> {
    let (path, may_be_absent) = options.config_file();
    let file = ConfigFile::read(&path, may_be_absent)?;
    log::start(file.config::<LogConfig>()?.level(options.verbose));
    Ok(Setup { name, args: options.own, state_dir: options.state_dir, file })
}

/// Runs `main` until it ends or a signal says that it must.
async fn until_signal<F, Fut>(main: F) -> Result<(), Failure>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<(), Failure>> + Send + 'static,
{
    // Before `main` starts, so that a signal during its start is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        biased;
        () = received(&mut terminate) => {}
        () = received(&mut interrupt) => {}
        never = ignore_hangups(hangup) => match never {},
        result = async { in_task(main()).await } => return result,
    }
    notify(sd_notify::NotifyState::Stopping);
    tracing::debug!("ended by a signal");
    Ok(())
}

/// Runs `main` in a task of its own: each wake-up of the future that the runtime blocks on costs a
/// system call.
async fn in_task(
    main: impl Future<Output = Result<(), Failure>> + Send + 'static,
) -> Result<(), Failure> {
    match tokio::spawn(main).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Logs that nothing is reloaded: a SIGHUP, as by `systemctl reload`, does not end a daemon.
async fn ignore_hangups(mut hangup: Signal) -> Infallible {
    /// A process that may send signals may send many.
    static HANGUPS: RateLimit = RateLimit::new(1, Duration::from_secs(60));
    loop {
        received(&mut hangup).await;
        if let Some(pass) = HANGUPS.admit() {
            tracing::info!(
                swallowed = pass.swallowed,
                "SIGHUP ignored: nothing to reload; restart the daemon for a new configuration"
            );
        }
    }
}

async fn received(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

/// Drops all tasks, and does not wait for a blocking one that hangs.
fn end(runtime: Runtime) {
    runtime.shutdown_timeout(SHUTDOWN);
}

fn notify(state: sd_notify::NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot notify the service manager");
    }
}

fn print(text: &str) -> Result<(), Failure> {
    Ok(io::stdout().write_all(text.as_bytes())?)
}
