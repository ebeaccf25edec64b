//! The frame around a daemon's `main`.

use std::ffi::OsString;
use std::future::Future;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::arguments::{self, Invocation, Options};
use crate::reload::Source;
use crate::{Arguments, ConfigFile, Failure, Invalid, RateLimit, Validate, in_task, log};

/// How long the runtime waits for blocking work when the daemon ends.
const SHUTDOWN: Duration = Duration::from_millis(300);

/// So long after a daemon is ready, what it needed for the start alone is free.
const STARTED: Duration = Duration::from_secs(5);

/// What a daemon starts from.
#[derive(Clone, Debug)]
pub struct Setup<A> {
    /// The daemon's name, as in its log lines.
    pub name: &'static str,
    /// Its own arguments.
    pub args: A,
    /// The state directory.
    pub state_dir: PathBuf,
    /// Whether arguments and configuration are checked only (`--check`).
    pub only_check: bool,
    pub(crate) file: ConfigFile,
    pub(crate) source: Source,
    /// The SIGHUPs, until something handles them.
    pub(crate) hangups: Arc<Mutex<Option<Signal>>>,
    pub(crate) is_ready: Arc<AtomicBool>,
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
        if !self.is_ready.swap(true, Ordering::Relaxed) {
            tokio::spawn(async {
                tokio::time::sleep(STARTED).await;
                sys::trim_heap();
                sys::trim_stack();
            });
        }
        notify(&[sd_notify::NotifyState::Ready]);
    }

    /// Whether the service manager knows that the daemon serves.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed)
    }
}

/// Runs a daemon: reads arguments and configuration, sets up the log and a single-threaded runtime,
/// and ends `main` by dropping its future at SIGTERM or SIGINT. A SIGHUP ends nothing; see [`Setup::reloads`].
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
    sys::use_one_heap();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = {
        let _inside = runtime.enter();
        // Before the configuration is read: a signal for a change made after that must not be lost.
        Signals::new()?
    };
    let setup = set_up(name, options, signals.hangups)?;
    let prepared = prepare(&setup)?;
    if only_check {
        return print("configuration is valid\n");
    }
    let end_signals = (signals.terminate, signals.interrupt);
    let result = runtime.block_on(until_signal(end_signals, || main(setup, prepared)));
    end(runtime);
    result
}

/// The signals that a daemon handles.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangups: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangups: signal(SignalKind::hangup())?,
        })
    }
}

fn set_up<A>(
    name: &'static str,
    options: Options<A>,
    hangups: Signal,
) -> Result<Setup<A>, Failure> {
    let (path, may_be_absent) = options.config_file();
    let source = Source { path, may_be_absent, verbose: options.verbose };
    let file = source.read()?;
    log::start(source.level(&file)?);
    let hangups = Arc::new(Mutex::new(Some(hangups)));
    let is_ready = Arc::default();
    Ok(Setup {
        name,
        args: options.own,
        state_dir: options.state_dir,
        only_check: options.check,
        file,
        source,
        hangups,
        is_ready,
    })
}

/// Runs `main` until it ends or a signal says that it must.
async fn until_signal<F, Fut>(
    (mut terminate, mut interrupt): (Signal, Signal),
    main: F,
) -> Result<(), Failure>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<(), Failure>> + Send + 'static,
{
    tokio::select! {
        biased;
        () = received(&mut terminate) => {}
        () = received(&mut interrupt) => {}
        // In a task: each wake-up of the future that the runtime blocks on costs a system call. In a box from the start: it
        // is large, and each move would leave a copy on the stack.
        result = async { in_task(Box::pin(main())).await } => return result,
    }
    notify(&[sd_notify::NotifyState::Stopping]);
    tracing::debug!("ended by a signal");
    Ok(())
}

pub(crate) async fn received(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

/// Drops all tasks, and does not wait for a blocking one that hangs.
fn end(runtime: Runtime) {
    runtime.shutdown_timeout(SHUTDOWN);
}

pub(crate) fn notify(states: &[sd_notify::NotifyState<'_>]) {
    /// Each reload notifies twice.
    static FAILED: RateLimit = RateLimit::new(5, Duration::from_secs(60));
    if let Err(error) = sd_notify::notify(states)
        && let Some(pass) = FAILED.admit()
    {
        tracing::warn!(%error, swallowed = pass.swallowed, "cannot notify the service manager");
    }
}

fn print(text: &str) -> Result<(), Failure> {
    Ok(io::stdout().write_all(text.as_bytes())?)
}
