//! A reload of the configuration: at SIGHUP, or when an operator asks for it on the bus.
//!
//! The files are read and checked as at the start, on a thread of their own, so that nothing waits for the medium. A
//! configuration that is wrong is refused as a whole, with file and line, and the one in force stays. From one that
//! is accepted, the daemon applies the keys that are [live](Keys::live), and the others are named in the log and in
//! the answer: they need a restart.
//!
//! The service manager is notified in the words of `Type=notify-reload` (`RELOADING=1` with `MONOTONIC_USEC`, then
//! `READY=1`), which `Type=notify` of any version of systemd knows as well.

mod settings;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::{task, time};
use tracing::level_filters::LevelFilter;

pub use self::settings::{Change, Keys, Origin, Setting};
use self::settings::{Reader, Settings};
use crate::run::{notify, received};
use crate::{Arguments, ConfigFile, Failure, LogConfig, RateLimit, Setup, lock, log};

/// The time between two reloads by signals, of which a process that may send any may send many.
const PAUSE: Duration = Duration::from_millis(50);
/// Requests that wait.
const QUEUE: usize = 16;
/// Lines about reloads.
static LINES: RateLimit = RateLimit::new(20, Duration::from_secs(60));

/// What a reload has done.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reloaded {
    /// The keys whose new values are in force.
    pub applied: Vec<&'static str>,
    /// The keys whose values in the file are in force after a restart only.
    pub restart_needed: Vec<&'static str>,
}

/// The configuration of a running daemon: what is in force, and how to reload it.
#[derive(Clone, Debug)]
pub struct Reload {
    name: &'static str,
    settings: Arc<Mutex<Settings>>,
    errors: watch::Receiver<String>,
    requests: mpsc::Sender<Request>,
}

/// What is asked of the task that reloads.
#[derive(Debug)]
enum Request {
    Reload(oneshot::Sender<Result<Reloaded, String>>),
    Changes(oneshot::Sender<Result<Vec<Change>, String>>),
}

impl Reload {
    /// The daemon's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The values in force.
    #[must_use]
    pub fn settings(&self) -> Vec<Setting> {
        lock(&self.settings).list().to_vec()
    }

    /// Why the last reload was refused; empty if it was not.
    #[must_use]
    pub fn errors(&self) -> watch::Receiver<String> {
        self.errors.clone()
    }

    /// Reloads the configuration.
    ///
    /// # Errors
    ///
    /// Why it is refused, with file and line; the one in force stays.
    pub async fn reload(&self) -> Result<Reloaded, String> {
        self.request(Request::Reload).await
    }

    /// What a reload would change, or a restart.
    ///
    /// # Errors
    ///
    /// As [`reload`](Self::reload).
    pub async fn changes(&self) -> Result<Vec<Change>, String> {
        self.request(Request::Changes).await
    }

    async fn request<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, String>>) -> Request,
    ) -> Result<T, String> {
        let (sender, answer) = oneshot::channel();
        let ended = |_| "the daemon is ending".to_owned();
        self.requests.send(request(sender)).await.map_err(|_| ended(()))?;
        answer.await.map_err(|_| ended(()))?
    }
}

/// What a daemon was started with, from which its configuration is read again.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) may_be_absent: bool,
    pub(crate) verbose: u8,
}

impl Source {
    pub(crate) fn read(&self) -> Result<ConfigFile, Failure> {
        ConfigFile::read(&self.path, self.may_be_absent)
    }

    pub(crate) fn level(&self, file: &ConfigFile) -> Result<LevelFilter, Failure> {
        Ok(file.config::<LogConfig>()?.level(self.verbose))
    }
}

impl<A: Arguments + Clone + Send + Sync + 'static> Setup<A> {
    /// Reloads the configuration from now on: at each SIGHUP, and by requests to the result.
    ///
    /// `prepare` is the function that made what the daemon was started with; `apply` puts the values of the live keys
    /// of `keys` into force, and ignores all others. It cannot fail: what can be wrong is refused by `prepare`.
    #[must_use]
    pub fn reloads<P: Send + 'static>(
        &self,
        keys: Keys,
        prepare: impl Fn(&Self) -> Result<P, Failure> + Send + Sync + 'static,
        apply: impl FnMut(P) + Send + 'static,
    ) -> Reload {
        let mut arguments = self.args.settings();
        if self.source.verbose > 0 {
            let level = if self.source.verbose > 1 { "\"trace\"" } else { "\"debug\"" };
            arguments.push(("log.level", level.to_owned()));
        }
        let reader = Reader::new(keys, arguments);
        let own = self.args.own_file().and_then(|path| ConfigFile::own(&path).ok());
        let settings = Arc::new(Mutex::new(reader.read(&self.file, own.as_ref())));
        let (errors_sender, errors) = watch::channel(String::new());
        let (requests, queue) = mpsc::channel(QUEUE);
        let reloader = Reloader {
            // Without the present file, which may have a password.
            load: Arc::new(Load {
                setup: Self { file: ConfigFile::default(), ..self.clone() },
                prepare,
                reader,
            }),
            apply,
            settings: Arc::clone(&settings),
            errors: errors_sender,
        };
        let hangups = lock(&self.hangups).take();
        task::spawn(reloader.run(hangups, queue));
        Reload { name: self.name, settings, errors, requests }
    }
}

/// Reads and checks the configuration; on any thread.
struct Load<A, F> {
    setup: Setup<A>,
    prepare: F,
    reader: Reader,
}

/// A configuration that was accepted.
struct Loaded<P> {
    plan: P,
    settings: Settings,
    level: LevelFilter,
}

impl<A, P, F> Load<A, F>
where
    A: Arguments + Clone,
    F: Fn(&Setup<A>) -> Result<P, Failure>,
{
    fn load(&self) -> Result<Loaded<P>, Failure> {
        let file = self.setup.source.read()?;
        let level = self.setup.source.level(&file)?;
        let setup = Setup { file, ..self.setup.clone() };
        let plan = (self.prepare)(&setup)?;
        let own = setup.args.own_file().map(|path| ConfigFile::own(&path)).transpose()?;
        let settings = self.reader.read(&setup.file, own.as_ref());
        Ok(Loaded { plan, settings, level })
    }
}

/// The task that reloads: one reload at a time.
struct Reloader<A, F, G> {
    load: Arc<Load<A, F>>,
    apply: G,
    settings: Arc<Mutex<Settings>>,
    errors: watch::Sender<String>,
}

impl<A, P, F, G> Reloader<A, F, G>
where
    A: Arguments + Clone + Send + Sync + 'static,
    P: Send + 'static,
    F: Fn(&Setup<A>) -> Result<P, Failure> + Send + Sync + 'static,
    G: FnMut(P) + Send + 'static,
{
    async fn run(mut self, mut hangups: Option<Signal>, mut requests: mpsc::Receiver<Request>) {
        loop {
            tokio::select! {
                () = next(&mut hangups) => {
                    let _logged = self.reload().await;
                    time::sleep(PAUSE).await;
                }
                Some(request) = requests.recv() => self.answer(request).await,
                else => return,
            }
        }
    }

    /// Answers a request; whoever sent it may have gone meanwhile.
    async fn answer(&mut self, request: Request) {
        match request {
            Request::Reload(sender) => {
                let _gone = sender.send(self.reload().await);
            }
            Request::Changes(sender) => {
                let changes = Self::load(Arc::clone(&self.load)).await;
                let changes = changes.map(|loaded| lock(&self.settings).changes(&loaded.settings));
                let _gone = sender.send(changes);
            }
        }
    }

    async fn load(load: Arc<Load<A, F>>) -> Result<Loaded<P>, String> {
        let loaded = task::spawn_blocking(move || load.load()).await;
        let loaded = loaded.map_err(|error| format!("cannot read the configuration: {error}"))?;
        loaded.map_err(|failure| failure.to_string())
    }

    async fn reload(&mut self) -> Result<Reloaded, String> {
        let is_ready = self.load.setup.is_ready();
        // A notification that a daemon is ready must not be early: its start has to end first.
        if is_ready {
            let now = sd_notify::NotifyState::monotonic_usec_now();
            let states = now.map(|now| [sd_notify::NotifyState::Reloading, now]);
            states.iter().for_each(|states| notify(states));
        }
        let result = Self::load(Arc::clone(&self.load)).await.map(|loaded| self.apply(loaded));
        let error = result.as_ref().err().cloned().unwrap_or_default();
        log_result(&result);
        if is_ready {
            let status = match error.as_str() {
                "" => String::new(),
                error => format!("reload refused: {error}"),
            };
            notify(&[sd_notify::NotifyState::Ready, sd_notify::NotifyState::Status(&status)]);
        }
        self.errors.send_if_modified(|last| std::mem::replace(last, error.clone()) != error);
        result
    }

    fn apply(&mut self, loaded: Loaded<P>) -> Reloaded {
        let Loaded { plan, settings, level } = loaded;
        log::set_level(level);
        (self.apply)(plan);
        let mut running = lock(&self.settings);
        let changes = running.changes(&settings);
        let of = |live: bool| {
            let changes = changes.iter().filter(|change| change.file.live == live);
            changes.map(|change| change.file.key).collect()
        };
        let reloaded = Reloaded { applied: of(true), restart_needed: of(false) };
        *running = running.after(settings);
        reloaded
    }
}

/// The next SIGHUP.
async fn next(hangups: &mut Option<Signal>) {
    match hangups {
        Some(hangups) => received(hangups).await,
        None => std::future::pending().await,
    }
}

fn log_result(result: &Result<Reloaded, String>) {
    let Some(pass) = LINES.admit() else {
        return;
    };
    let swallowed = pass.swallowed;
    match result {
        Ok(Reloaded { applied, restart_needed }) => {
            let applied = applied.join(" ");
            tracing::info!(applied, swallowed, "configuration reloaded");
            if !restart_needed.is_empty() {
                let keys = restart_needed.join(" ");
                tracing::warn!(keys, "these settings take effect when the daemon is restarted");
            }
        }
        Err(error) => {
            tracing::error!(swallowed, "configuration refused; the one in force stays: {error}");
        }
    }
}

#[cfg(test)]
mod tests;
