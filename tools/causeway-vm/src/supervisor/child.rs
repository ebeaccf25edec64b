//! One process of a BMC.
//!
//! It is started by way of this program, which asks the kernel to end it with the supervisor, however that ends, and
//! then becomes the daemon.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;

use daemon::lock;
use nix::sys::signal::Signal;
use rustix::process::{getppid, set_parent_process_death_signal};
use tokio::net::unix::pipe;
use tokio::sync::mpsc::Sender;

use super::Event;
use super::children::{Children, Waiting};
use super::log::{Log, Tail};
use crate::programs::{Program, SELF};

/// The word with which this program becomes another.
pub(crate) const BECOME: &str = "become-daemon";

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

impl Spec {
    /// Starts the process `index` of a BMC, whose end is an event. Returns its number.
    ///
    /// # Errors
    ///
    /// When that is not possible.
    pub(super) fn start(
        &self,
        index: usize,
        (log, tail): (&Log, &Tail),
        events: &Sender<Event>,
        children: &Children,
    ) -> io::Result<i32> {
        let mut command = Command::new(SELF);
        command.arg0(crate::NAME).arg(BECOME).arg(std::process::id().to_string());
        command.arg(&self.program.path).arg(&self.program.name).args(&self.arguments);
        // A terminal's Ctrl-C is for the supervisor, which ends the others in their order.
        command.process_group(0).current_dir(&self.directory);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.env_remove("JOURNAL_STREAM").env_remove("WATCHDOG_USEC").env_remove("LISTEN_FDS");
        command.env_remove("NOTIFY_SOCKET").envs(self.environment.iter().cloned());
        lock(tail).clear();
        // It is waited for with all others.
        let mut child = command.spawn()?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        let output = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let output = pipe::Receiver::from_owned_fd(OwnedFd::from(output))?;
        let output = tokio::spawn(log.clone().follow(output, Arc::clone(tail)));
        children.add(pid, Waiting { index, events: events.clone(), output });
        Ok(pid)
    }
}

/// How a process ended, as text.
pub(crate) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => match Signal::try_from(signal) {
            Ok(signal) => format!("{signal}"),
            Err(_) => format!("signal {signal}"),
        },
        (None, None) => status.to_string(),
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
    let error = Command::new(&path).arg0(name).args(words).exec();
    let _closed = writeln!(io::stderr(), "{}: {error}", path.display());
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_described_by_code_or_signal() {
        let status = |raw| describe(ExitStatus::from_raw(raw));
        assert_eq!(status(0), "exit code 0");
        assert_eq!(status(2 << 8), "exit code 2");
        assert_eq!(status(9), "SIGKILL");
    }
}
