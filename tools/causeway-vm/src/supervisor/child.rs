//! One process of a BMC.
//!
//! It is started by way of this program, which asks the kernel to end it with the supervisor, however that ends, and
//! then becomes the daemon.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use daemon::lock;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{getppid, set_parent_process_death_signal};
use tokio::process::Command;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::Event;
use super::log::{Log, Tail};
use crate::programs::{Program, SELF};

/// The word with which this program becomes another.
pub(crate) const BECOME: &str = "become-daemon";
/// Signals that may wait for a process's task.
const SIGNALS: usize = 4;
/// How long the rest of an output is waited for.
const DRAIN: Duration = Duration::from_millis(100);

/// How a process is started.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(&'static str, OsString)>,
    pub(crate) directory: PathBuf,
    pub(crate) readiness: Readiness,
}

/// How a process shows that it serves.
#[derive(Clone, Debug)]
pub(crate) enum Readiness {
    /// It says so to this socket (sd_notify(3)).
    Notifies(PathBuf),
    /// It accepts connections at this socket.
    Accepts(PathBuf),
}

/// A process that runs.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: u32,
    signals: Sender<Signal>,
}

impl Child {
    /// Starts the process `index`; its end is an event.
    ///
    /// # Errors
    ///
    /// When that is not possible.
    pub(crate) fn start(
        index: usize,
        spec: &Spec,
        (log, tail): (&Log, &Tail),
        events: &Sender<Event>,
    ) -> io::Result<Self> {
        let mut command = Command::new(SELF);
        command.arg0(crate::NAME).arg(BECOME).arg(std::process::id().to_string());
        command.arg(&spec.program.path).arg(&spec.program.name).args(&spec.arguments);
        // A terminal's Ctrl-C is for the supervisor, which ends the others in their order.
        command.process_group(0).current_dir(&spec.directory);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.env_remove("JOURNAL_STREAM").env_remove("WATCHDOG_USEC").env_remove("LISTEN_FDS");
        command.env_remove("NOTIFY_SOCKET").envs(spec.environment.iter().cloned());
        lock(tail).clear();
        let mut child = command.spawn()?;
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        let output = child.stderr.take();
        let reader =
            output.map(|output| tokio::spawn(log.clone().follow(output, Arc::clone(tail))));
        let (signals, received) = mpsc::channel(SIGNALS);
        let events = events.clone();
        tokio::spawn(async move {
            let status = wait(child, received).await;
            if let Some(reader) = reader {
                // What it has said last is read before its end is reported; one that it has started may keep the pipe.
                let _late = tokio::time::timeout(DRAIN, reader).await;
            }
            let _supervisor_ended = events.send(Event::Ended { index, status }).await;
        });
        Ok(Self { pid, signals })
    }

    /// Sends a signal; a process that has ended gets none.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ended_or_many = self.signals.try_send(signal);
    }
}

/// Waits until the process ends, and passes signals on to it: its number is its own until it has been waited for.
async fn wait(
    mut child: tokio::process::Child,
    mut signals: Receiver<Signal>,
) -> io::Result<ExitStatus> {
    loop {
        tokio::select! {
            status = child.wait() => return status,
            signal = signals.recv() => match signal {
                Some(signal) => {
                    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
                        let _ended = kill(Pid::from_raw(pid), signal);
                    }
                }
                // Nobody is left who could send one.
                None => return child.wait().await,
            },
        }
    }
}

/// How a process ended, as text.
pub(crate) fn describe(status: &io::Result<ExitStatus>) -> String {
    match status {
        Err(error) => error.to_string(),
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => match Signal::try_from(signal) {
                Ok(signal) => format!("{signal}"),
                Err(_) => format!("signal {signal}"),
            },
            (None, None) => status.to_string(),
        },
    }
}

/// Becomes the program that `words` name: the supervisor's process, the program's path, its name and its arguments. The
/// kernel ends it with SIGTERM when the supervisor has ended.
pub(crate) fn become_program(mut words: impl Iterator<Item = OsString>) -> ExitCode {
    let (Some(supervisor), Some(path), Some(name)) = (words.next(), words.next(), words.next())
    else {
        return ExitCode::from(report::error::USAGE);
    };
    let set = set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
    // It may have ended before.
    let parent = getppid().map(|parent| parent.as_raw_pid().to_string());
    let is_alone = parent.is_none_or(|parent| supervisor != *parent);
    if set.is_err() || is_alone {
        return ExitCode::FAILURE;
    }
    let error = std::process::Command::new(&path).arg0(name).args(words).exec();
    let _closed = writeln!(io::stderr(), "{}: {error}", path.display());
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_described_by_code_or_signal() {
        let status = |raw| describe(&Ok(ExitStatus::from_raw(raw)));
        assert_eq!(status(0), "exit code 0");
        assert_eq!(status(2 << 8), "exit code 2");
        assert_eq!(status(9), "SIGKILL");
    }
}
