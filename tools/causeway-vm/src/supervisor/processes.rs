//! The processes of a BMC: how each is started, and what is known of it.

use std::ffi::OsString;
use std::process::ExitStatus;
use std::time::Duration;
use std::{fs, io};

use daemon::{AbortOnDrop, lock};
use nix::sys::signal::Signal;
use report::error::Error;
use tokio::net::{UnixDatagram, UnixStream};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep};

use super::Event;
use super::backoff::Backoff;
use super::child::{Readiness, Spec, describe};
use super::children::Children;
use super::log::{Log, Tail};
use super::record::{ProcessRecord, now};
use crate::definition::Definition;
use crate::files::Files;
use crate::places::Place;
use crate::programs;

/// Time between two attempts to connect to a bus that starts.
const CONNECT_INTERVAL: Duration = Duration::from_millis(10);

/// The processes of a BMC; the first is the bus.
///
/// # Errors
///
/// When a program is missing.
pub(super) fn specs(
    definition: &Definition,
    place: &Place,
    files: &Files,
    has_kcs: bool,
) -> Result<Vec<Spec>, Error> {
    let directory = definition.directory.clone();
    let bus_file = format!("--config-file={}", files.bus.display());
    let bus = Spec {
        name: "dbus-daemon",
        program: programs::bus()?,
        arguments: vec![bus_file.into(), "--nofork".into(), "--nopidfile".into()],
        // Memory that it does not need is the system's again: 60 kB of each bus.
        environment: ["MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_"]
            .map(|name| (name, "4096".into()))
            .to_vec(),
        directory: directory.clone(),
        readiness: Readiness::Accepts(place.socket("bus")),
    };
    let daemon = |name: &'static str, own: Vec<OsString>| -> Result<Spec, Error> {
        let common: [OsString; 4] = [
            "--config".into(),
            files.causeway.clone().into(),
            "--state-dir".into(),
            place.daemons().into(),
        ];
        let notify = place.socket(&format!("{name}.notify"));
        Ok(Spec {
            name,
            program: programs::daemon(name)?,
            arguments: common.into_iter().chain(own).collect(),
            environment: vec![
                ("DBUS_SYSTEM_BUS_ADDRESS", place.bus_address().into()),
                ("NOTIFY_SOCKET", notify.clone().into()),
            ],
            directory: directory.clone(),
            readiness: Readiness::Notifies(notify),
        })
    };
    let mut specs = vec![bus];
    specs.push(daemon("platformd", vec!["--platform".into(), files.platform.clone().into()])?);
    specs.push(daemon("ipmid", Vec::new())?);
    let listen = definition.socket().to_string();
    specs.push(daemon("netipmid", vec!["--listen".into(), listen.into()])?);
    if has_kcs {
        let link = format!("unix:{}", place.socket("kcs0").display());
        let own = vec!["--channel".into(), "kcs0".into(), "--qemu".into(), link.into()];
        specs.push(daemon("kcsbridged", own)?);
    }
    Ok(specs)
}

/// One process, as it is known now.
pub(super) struct Process {
    pub(super) spec: Spec,
    pid: Option<i32>,
    children: Children,
    tail: Tail,
    /// Whether it has served once.
    pub(super) is_ready: bool,
    /// Whether it ends because the BMC is reset.
    pub(super) is_resetting: bool,
    pub(super) restarts: u32,
    /// When it is to be started again.
    pub(super) due: Option<Instant>,
    started: Instant,
    since: u64,
    ended: Option<String>,
    backoff: Backoff,
    readiness: Option<AbortOnDrop>,
}

impl Process {
    pub(super) fn new(spec: Spec, children: Children) -> Self {
        Self {
            spec,
            pid: None,
            children,
            tail: Tail::default(),
            is_ready: false,
            is_resetting: false,
            restarts: 0,
            due: None,
            started: Instant::now(),
            since: now(),
            ended: None,
            backoff: Backoff::new(),
            readiness: None,
        }
    }

    /// Has a task report when the process serves: it says so itself (sd_notify(3)), or its bus can be connected to.
    pub(super) fn listen(&mut self, index: usize, events: &Sender<Event>) -> io::Result<()> {
        let events = events.clone();
        self.readiness = Some(match self.spec.readiness.clone() {
            Readiness::Notifies(path) => {
                let _earlier = fs::remove_file(&path);
                let socket = UnixDatagram::bind(&path)?;
                AbortOnDrop::spawn(async move {
                    let mut message = [0; 512];
                    while let Ok(count) = socket.recv(&mut message).await {
                        let lines = message.get(..count).unwrap_or_default();
                        if lines.split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                            let _supervisor_ended = events.send(Event::Ready { index }).await;
                        }
                    }
                })
            }
            Readiness::Accepts(path) => AbortOnDrop::spawn(async move {
                while UnixStream::connect(&path).await.is_err() {
                    sleep(CONNECT_INTERVAL).await;
                }
                let _supervisor_ended = events.send(Event::Ready { index }).await;
            }),
        });
        Ok(())
    }

    pub(super) fn start(
        &mut self,
        index: usize,
        log: &Log,
        events: &Sender<Event>,
    ) -> io::Result<()> {
        self.due = None;
        self.is_resetting = false;
        self.started = Instant::now();
        self.since = now();
        let output = (log, &self.tail);
        self.pid = Some(self.spec.start(index, output, events, &self.children)?);
        Ok(())
    }

    /// It serves; whether that is so for the first time.
    pub(super) fn note_ready(&mut self) -> bool {
        !std::mem::replace(&mut self.is_ready, true)
    }

    /// It has ended; returns how, as text.
    pub(super) fn note_end(&mut self, status: ExitStatus) -> String {
        let how = describe(status);
        self.pid = None;
        self.since = now();
        self.restarts = self.restarts.saturating_add(1);
        self.ended = Some(how.clone());
        how
    }

    /// The pause before its next start.
    pub(super) fn pause(&mut self) -> Duration {
        self.backoff.pause(self.started.elapsed())
    }

    pub(super) fn start_after(&mut self, pause: Duration) {
        self.due = Some(Instant::now() + pause);
    }

    /// Ends it, to start it again at once.
    pub(super) fn reset(&mut self) {
        if self.pid.is_some() {
            self.is_resetting = true;
            self.signal(Signal::SIGTERM);
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid {
            self.children.signal(pid, signal);
        }
    }

    pub(super) const fn runs(&self) -> bool {
        self.pid.is_some()
    }

    /// What it has said last.
    pub(super) fn said(&self) -> String {
        let tail = lock(&self.tail);
        let last = tail.back().map_or("it has logged nothing", String::as_str);
        last.to_owned()
    }

    pub(super) fn record(&self) -> ProcessRecord {
        ProcessRecord {
            name: self.spec.name.to_owned(),
            pid: self.pid,
            since: self.since,
            restarts: self.restarts,
            ended: self.ended.clone(),
        }
    }
}
