//! One BMC: its bus and its daemons, started in order, watched, started again when they end, and ended together.
//!
//! The host is switched on and off by `platformd`. It outlives `platformd` and the supervisor; an orderly end of the
//! supervisor is one of the host too.

mod backoff;
mod child;
mod children;
mod ending;
pub(crate) mod log;
mod processes;
pub(crate) mod record;
pub(crate) mod together;

use std::io;
use std::net::UdpSocket;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use report::error::Error;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

pub(crate) use self::child::{BECOME, become_program};
use self::children::Children;
pub(crate) use self::ending::{end_guest, process as guest_process};
use self::log::Log;
use self::processes::{Process, specs};
use self::record::{Phase, Record, now};
use self::together::Bmc;
use crate::definition::{Definition, Power};
use crate::files::Files;
use crate::guest::Guest;
use crate::places::{DEFINITION, Place};
use crate::{host, password};

/// Events that may wait.
const EVENTS: usize = 64;
/// How long all of a BMC may take to be ready: far longer than needed, for a machine that starts many.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long processes that a killed supervisor has left may take to end.
const LEFT_LIMIT: Duration = Duration::from_secs(5);
const LEFT_INTERVAL: Duration = Duration::from_millis(50);
/// How long the daemons may take to end.
const END_LIMIT: Duration = Duration::from_secs(5);
/// A process that ends this often before the BMC is ready does not start at all.
const MOST_FAILED_STARTS: u32 = 3;
/// The exit code of a daemon whose configuration is invalid: another start would be no better. It is this program's too.
const CONFIGURATION: i32 = 2;

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A process ended.
    Ended { index: usize, status: ExitStatus },
    /// A process serves.
    Ready { index: usize },
    /// The host was switched on, or not.
    SwitchedOn(Result<(), String>),
}

/// One BMC that runs.
pub(crate) struct Supervisor {
    definition: Definition,
    place: Place,
    log: Log,
    processes: Vec<Process>,
    events: Receiver<Event>,
    sender: Sender<Event>,
    phase: Phase,
    /// Whether the host is being switched on because the BMC has started.
    is_switching: bool,
    since: u64,
}

impl Supervisor {
    /// Prepares what the processes need: folders, files, and an address that nobody else has.
    ///
    /// # Errors
    ///
    /// When something is missing, or in use.
    async fn prepare(bmc: Bmc, children: &Children) -> Result<Self, Error> {
        let Bmc { definition, place, log } = bmc;
        let guest = (!definition.command.is_empty())
            .then(|| Guest::new(&definition, &place))
            .transpose()?;
        let files = Files::of(&place);
        let has_kcs = guest.as_ref().is_some_and(|guest| guest.has_kcs);
        let specs = specs(&definition, &place, &files, has_kcs)?;
        wait_for_port(&definition, &place).await?;
        place.make_runtime()?;
        let written = password::kept(&place.password())
            .and_then(|password| files.write(&definition, &place, guest.as_ref(), &password));
        if let Err(error) = written {
            // A machine that a killed supervisor has left is found by its socket.
            if guest_process(&place).is_none() {
                place.remove_runtime();
            }
            return Err(error);
        }
        let processes =
            specs.into_iter().map(|spec| Process::new(spec, children.clone())).collect();
        let (sender, events) = mpsc::channel(EVENTS);
        Ok(Self {
            definition,
            place,
            log,
            processes,
            events,
            sender,
            phase: Phase::Starting,
            is_switching: false,
            since: now(),
        })
    }

    /// Runs the BMC until all of this process end. `ready` is called once, when its processes serve.
    ///
    /// # Errors
    ///
    /// When it does not start.
    async fn run(
        mut self,
        mut ending: watch::Receiver<bool>,
        ready: impl FnOnce(),
    ) -> Result<(), Error> {
        let mut ready = Some(ready);
        let started = self.start_all();
        let limit = Instant::now() + START_LIMIT;
        let mut result = started;
        while result.is_ok() {
            let due = self.next_start();
            let is_starting = self.phase == Phase::Starting;
            result = tokio::select! {
                _ = ending.wait_for(|is_ending| *is_ending) => break,
                event = self.events.recv() => match event {
                    Some(event) => self.handle(event),
                    None => break,
                },
                () = daemon::sleep_until(due) => self.start_due(),
                () = tokio::time::sleep_until(limit), if is_starting => Err(self.late()),
            };
            if result.is_ok()
                && self.phase == Phase::Ready
                && !self.is_switching
                && let Some(ready) = ready.take()
            {
                ready();
            }
        }
        self.end().await;
        result
    }

    fn start_all(&mut self) -> Result<(), Error> {
        for (index, process) in self.processes.iter_mut().enumerate() {
            process.listen(index, &self.sender).map_err(|error| {
                Error::failed(format_args!(
                    "{}: cannot listen for its readiness: {error}",
                    process.spec.name
                ))
            })?;
        }
        // The others start when the bus serves.
        self.start(0)
    }

    fn handle(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Ended { index, status } => self.ended(index, status),
            Event::Ready { index } => self.ready(index),
            Event::SwitchedOn(switched) => {
                self.is_switching = false;
                let Err(reason) = switched else { return Ok(()) };
                let text = format!("the host cannot be switched on: {reason}");
                // Without a machine, a temporary BMC is of no use.
                if self.definition.temporary {
                    return Err(Error::failed(text));
                }
                self.report(&text);
                Ok(())
            }
        }
    }

    fn ready(&mut self, index: usize) -> Result<(), Error> {
        let is_first = self.processes.get_mut(index).is_some_and(Process::note_ready);
        if index == 0 && is_first {
            for other in 1..self.processes.len() {
                self.start(other)?;
            }
        }
        if self.phase == Phase::Starting && self.processes.iter().all(|process| process.is_ready) {
            self.phase = Phase::Ready;
            self.write_record();
            if self.definition.power == Power::On {
                self.is_switching = true;
                let (place, events) = (self.place.clone(), self.sender.clone());
                tokio::spawn(async move {
                    let switched = host::switch_on(&place).await;
                    let _supervisor_ended = events.send(Event::SwitchedOn(switched)).await;
                });
            }
        }
        Ok(())
    }

    fn ended(&mut self, index: usize, status: ExitStatus) -> Result<(), Error> {
        let Some(process) = self.processes.get_mut(index) else { return Ok(()) };
        let how = process.note_end(status);
        let name = process.spec.name;
        if self.phase == Phase::Starting {
            let said = process.said();
            let text = format!("{name} does not start ({how}): {said}");
            if status.code() == Some(CONFIGURATION) {
                return Err(Error::usage(text));
            }
            if process.restarts >= MOST_FAILED_STARTS {
                return Err(Error::failed(text));
            }
        }
        if process.is_resetting {
            process.start_after(Duration::ZERO);
        } else if name == "platformd" && status.code() == Some(0) {
            // It ends so when the BMC is reset (README.md of platformd): all daemons start anew, as after a boot.
            process.start_after(Duration::ZERO);
            self.report("the BMC resets");
            // Not the bus.
            for other in self.processes.iter_mut().skip(1) {
                other.reset();
            }
        } else {
            let pause = process.pause();
            process.start_after(pause);
            let when = if pause.as_secs() > 0 {
                format!("in {} s", pause.as_secs())
            } else {
                "now".to_owned()
            };
            self.report(&format!("{name} ended ({how}); starting it again {when}"));
        }
        self.write_record();
        Ok(())
    }

    /// When the next process is to be started again.
    fn next_start(&self) -> Option<std::time::Instant> {
        self.processes.iter().filter_map(|process| process.due).min().map(Instant::into_std)
    }

    /// Starts those whose time has come.
    fn start_due(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        for index in 0..self.processes.len() {
            if self
                .processes
                .get(index)
                .is_some_and(|process| process.due.is_some_and(|due| due <= now))
            {
                self.start(index)?;
            }
        }
        Ok(())
    }

    /// Starts a process. One that cannot be started is tried again later, once the BMC has been ready.
    fn start(&mut self, index: usize) -> Result<(), Error> {
        let Some(process) = self.processes.get_mut(index) else { return Ok(()) };
        let started = process.start(index, &self.log, &self.sender);
        if let Err(error) = started {
            let text = format!("{} cannot be started: {error}", process.spec.name);
            if self.phase == Phase::Starting {
                return Err(Error::failed(text));
            }
            let pause = process.pause();
            process.start_after(pause);
            self.report(&text);
        }
        self.write_record();
        Ok(())
    }

    fn late(&self) -> Error {
        let missing = self.processes.iter().filter(|process| !process.is_ready);
        let missing: Vec<_> = missing.map(|process| process.spec.name).collect();
        let seconds = START_LIMIT.as_secs();
        Error::failed(format_args!("not ready within {seconds} s: {}", missing.join(", ")))
            .remedy(format_args!("what they have logged: {}", self.place.log().display()))
    }

    /// Ends all processes and the host, and removes what is in the runtime folder.
    async fn end(&mut self) {
        self.phase = Phase::Stopping;
        self.write_record();
        // Before the bus, which they would miss; the last one has the machine's control socket.
        self.end_processes(1..self.processes.len()).await;
        if let Err(error) = end_guest(&self.place).await {
            self.report(&error);
        }
        self.end_processes(0..1).await;
        self.place.remove_runtime();
    }

    async fn end_processes(&mut self, range: std::ops::Range<usize>) {
        let begin = Instant::now();
        for (signal, limit) in [(Signal::SIGTERM, END_LIMIT), (Signal::SIGKILL, END_LIMIT * 2)] {
            for process in self.processes.get(range.clone()).unwrap_or_default() {
                process.signal(signal);
            }
            while self.processes.get(range.clone()).unwrap_or_default().iter().any(Process::runs) {
                match timeout_at(begin + limit, self.events.recv()).await {
                    Ok(Some(Event::Ended { index, status })) => {
                        if let Some(process) = self.processes.get_mut(index) {
                            process.note_end(status);
                        }
                    }
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => break,
                }
            }
        }
    }

    fn report(&self, text: &str) {
        self.log.report(&format!("{}: {text}", self.definition.name));
    }

    fn write_record(&self) {
        let record = Record {
            phase: self.phase,
            supervisor: std::process::id(),
            since: self.since,
            processes: self.processes.iter().map(Process::record).collect(),
        };
        // Without a place for it, the BMC runs on, and `status` knows less.
        let _full = record.write(&self.place);
    }
}

/// Waits for the BMC's port, if a supervisor was killed: its processes end on their own, and very soon.
///
/// # Errors
///
/// When the port is not free.
pub(crate) async fn wait_for_port(definition: &Definition, place: &Place) -> Result<(), Error> {
    let limit = if place.record().exists() { LEFT_LIMIT } else { Duration::ZERO };
    let end = Instant::now() + limit;
    loop {
        match check_port(definition) {
            Err(_) if Instant::now() < end => sleep(LEFT_INTERVAL).await,
            checked => return checked,
        }
    }
}

/// Whether the BMC's port is free.
///
/// # Errors
///
/// When it is not.
fn check_port(definition: &Definition) -> Result<(), Error> {
    let address = definition.socket();
    match UdpSocket::bind(address) {
        Ok(_) => Ok(()),
        Err(error) => Err(port_error(definition, &error)),
    }
}

fn port_error(definition: &Definition, error: &io::Error) -> Error {
    let address = definition.socket();
    let how = |what: &str, option: &str| match definition.temporary {
        true => format!("{what}, with {option}"),
        false => format!("{what}, in the {DEFINITION} of {}", definition.name),
    };
    let text = Error::failed(format_args!("cannot serve on {address}: {error}"));
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            Error::failed(format_args!("the port is taken: something else serves on {address}"))
                .remedy(how("another port", "--port"))
        }
        io::ErrorKind::PermissionDenied => text.remedy(how("a port from 1024 on", "--port")),
        io::ErrorKind::AddrNotAvailable => {
            text.remedy(how("an address of this machine", "--address"))
        }
        _ => text,
    }
}
