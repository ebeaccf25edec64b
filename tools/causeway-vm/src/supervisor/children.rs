//! Processes that have ended: all are waited for in one place, those of all BMCs and those that this process has inherited.
//!
//! The first process of a container is the parent of every process whose own parent has ended.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use daemon::lock;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{WaitOptions, wait};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Event;

/// How long the rest of an output is waited for.
const DRAIN: Duration = Duration::from_millis(100);

/// The processes of all BMCs that run, by their numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Children(Arc<Mutex<BTreeMap<i32, Waiting>>>);

/// Who gets the event that a process has ended.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) index: usize,
    pub(super) events: Sender<Event>,
    /// Reads what the process writes.
    pub(super) output: JoinHandle<()>,
}

impl Children {
    /// Waits for processes that have ended from now on.
    ///
    /// # Errors
    ///
    /// When the signal that tells of them cannot be received.
    pub(super) fn watch() -> io::Result<Self> {
        let mut ended = signal(SignalKind::child())?;
        let children = Self::default();
        let watched = children.clone();
        tokio::spawn(async move {
            while ended.recv().await.is_some() {
                watched.wait_for_ended();
            }
        });
        Ok(children)
    }

    /// Adds a process that was just started.
    pub(super) fn add(&self, pid: i32, waiting: Waiting) {
        lock(&self.0).insert(pid, waiting);
    }

    /// Sends a signal to a process of a BMC; one that has ended gets none.
    pub(super) fn signal(&self, pid: i32, signal: Signal) {
        // Until it has been waited for, its number is nobody else's.
        if lock(&self.0).contains_key(&pid) {
            let _ended = kill(Pid::from_raw(pid), signal);
        }
    }

    fn wait_for_ended(&self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            // One that was inherited is nobody's.
            let waiting = lock(&self.0).remove(&pid.as_raw_pid());
            if let Some(Waiting { index, events, output }) = waiting {
                let status = ExitStatus::from_raw(status.as_raw());
                tokio::spawn(async move {
                    // What it has said last is read before its end is reported; one that it has started may keep the pipe.
                    let _late = timeout(DRAIN, output).await;
                    let _supervisor_ended = events.send(Event::Ended { index, status }).await;
                });
            }
        }
    }
}
