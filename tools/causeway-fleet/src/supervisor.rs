//! The processes of all BMCs: started, started again when they end, and ended together.
//!
//! As the first process of a container this is the parent of every process whose own parent has ended, and waits for these too.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};

use crate::bmc::{Prepared, Program};
use crate::{Failure, USAGE, log};

/// The pause before a process is started again that did not run for long, at first and at most.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A process that has run for so long is started again at once.
const LONG: Duration = Duration::from_secs(10);
/// How long the daemons, and then the buses, may take to end.
const END_LIMIT: Duration = Duration::from_secs(5);
const INTERVAL: Duration = Duration::from_millis(10);
/// The longest line of a daemon's log that is passed on in one piece.
const LONGEST_LINE: u64 = 4096;

/// A process of a BMC.
struct Process<'a> {
    bmc: &'a str,
    program: &'a Program,
    pid: Option<Pid>,
    started: Instant,
    pause: Duration,
    /// When it is to be started again.
    due: Option<Instant>,
    /// Whether it ends because the BMC is reset.
    is_resetting: bool,
}

/// Runs the BMCs until a signal ends them.
///
/// # Errors
///
/// When a program cannot be started, or refuses its configuration.
pub(crate) async fn run(bmcs: &[Prepared]) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::failed(format_args!("signals: {error}"));
    let mut children = signal(SignalKind::child()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut fleet = Supervisor::new(bmcs);
    let mut result = fleet.start_due();
    if result.is_ok() {
        log(format_args!("{} BMCs are started", bmcs.len()));
    }
    while result.is_ok() {
        let due = fleet.next_start();
        let is_due = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        result = tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = children.recv() => fleet.wait_for_ended(),
            () = is_due => fleet.start_due(),
        };
    }
    fleet.end().await;
    result
}

struct Supervisor<'a> {
    processes: Vec<Process<'a>>,
    /// The index of each process that runs.
    running: BTreeMap<i32, usize>,
}

impl<'a> Supervisor<'a> {
    fn new(bmcs: &'a [Prepared]) -> Self {
        let now = Instant::now();
        let of = |bmc: &'a Prepared| {
            bmc.programs.iter().map(move |program| Process {
                bmc: &bmc.name,
                program,
                pid: None,
                started: now,
                pause: PAUSE,
                due: Some(now),
                is_resetting: false,
            })
        };
        Self { processes: bmcs.iter().flat_map(of).collect(), running: BTreeMap::new() }
    }

    fn next_start(&self) -> Option<Instant> {
        self.processes.iter().filter_map(|process| process.due).min()
    }

    /// Starts those whose time has come.
    fn start_due(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        for (index, process) in self.processes.iter_mut().enumerate() {
            if process.due.is_some_and(|due| due <= now) {
                process.due = None;
                let pid = process.start().map_err(|error| {
                    let program = process.program.path.display();
                    Failure::failed(format_args!("cannot start {program}: {error}"))
                })?;
                self.running.insert(pid.as_raw(), index);
            }
        }
        Ok(())
    }

    /// Waits for all processes that have ended.
    fn wait_for_ended(&mut self) -> Result<(), Failure> {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(status @ (WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..))) => {
                    // One of another parent that has ended is not in the table.
                    if let Some(index) = self.running.remove(&pid.as_raw()) {
                        self.ended(index, status)?;
                    }
                }
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(Failure::failed(format_args!("cannot wait: {error}"))),
            }
        }
    }

    fn ended(&mut self, index: usize, status: WaitStatus) -> Result<(), Failure> {
        let Some(process) = self.processes.get_mut(index) else { return Ok(()) };
        process.pid = None;
        let (bmc, name) = (process.bmc, process.program.name);
        let how = match status {
            WaitStatus::Exited(_, code) => format!("exit code {code}"),
            WaitStatus::Signaled(_, signal, _) => signal.as_str().to_owned(),
            _ => "unknown".to_owned(),
        };
        if matches!(status, WaitStatus::Exited(_, code) if code == i32::from(USAGE)) {
            // Another start would be no better; its last line says why.
            return Err(Failure::usage(format_args!("{bmc}: {name} refuses its configuration")));
        }
        if std::mem::take(&mut process.is_resetting) {
            process.due = Some(Instant::now());
            return Ok(());
        }
        if name == "platformd" && matches!(status, WaitStatus::Exited(_, 0)) {
            // It ends so when the BMC is reset: its daemons start anew, as after a boot.
            log(format_args!("{bmc}: the BMC resets"));
            process.due = Some(Instant::now());
            let others = self.processes.iter_mut().filter(|other| {
                other.bmc == bmc && other.program.bus.is_some() && other.pid.is_some()
            });
            for other in others {
                other.is_resetting = true;
                other.signal(Signal::SIGTERM);
            }
            return Ok(());
        }
        let pause = process.next_pause();
        process.due = Some(Instant::now() + pause);
        log(format_args!("{bmc}: {name} ended ({how}); starting it again in {pause:?}"));
        Ok(())
    }

    /// Ends the daemons, and then the buses, which they would miss.
    async fn end(&mut self) {
        for is_bus in [false, true] {
            let begin = Instant::now();
            for (signal, limit) in [(Signal::SIGTERM, END_LIMIT), (Signal::SIGKILL, END_LIMIT * 2)]
            {
                for process in self.processes.iter().filter(|it| it.program.bus.is_none() == is_bus)
                {
                    process.signal(signal);
                }
                while self.run_any(is_bus) && begin.elapsed() < limit {
                    sleep(INTERVAL).await;
                    self.forget_ended();
                }
            }
        }
    }

    fn run_any(&self, is_bus: bool) -> bool {
        let mut of_kind = self.processes.iter().filter(|it| it.program.bus.is_none() == is_bus);
        of_kind.any(|process| process.pid.is_some())
    }

    fn forget_ended(&mut self) {
        while let Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) =
            waitpid(None, Some(WaitPidFlag::WNOHANG))
        {
            let index = self.running.remove(&pid.as_raw());
            if let Some(process) = index.and_then(|index| self.processes.get_mut(index)) {
                process.pid = None;
            }
        }
    }
}

impl Process<'_> {
    fn start(&mut self) -> io::Result<Pid> {
        let mut command = Command::new(&self.program.path);
        command.args(&self.program.arguments).env_remove("NOTIFY_SOCKET");
        if let Some(bus) = &self.program.bus {
            command.env("DBUS_SYSTEM_BUS_ADDRESS", bus);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // Its end is waited for with those of all others.
        let mut child = command.spawn()?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        if let Some(output) = child.stderr.take() {
            // The daemons begin their lines with their own names.
            let prefix = format!("{} ", self.bmc);
            let output = pipe::Receiver::from_owned_fd(OwnedFd::from(output))?;
            tokio::spawn(pass_on(output, prefix));
        }
        self.started = Instant::now();
        self.pid = Some(Pid::from_raw(pid));
        Ok(Pid::from_raw(pid))
    }

    fn next_pause(&mut self) -> Duration {
        if self.started.elapsed() >= LONG {
            self.pause = PAUSE;
            return Duration::ZERO;
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        pause
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid {
            // Until it is waited for, its number is nobody else's.
            let _ended = kill(pid, signal);
        }
    }
}

/// Writes each line of a process's log to this one's, with `prefix`.
async fn pass_on(output: pipe::Receiver, prefix: String) {
    let mut reader = BufReader::new(output);
    let mut line = prefix.clone().into_bytes();
    while let Ok(1..) = (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
        if !line.ends_with(b"\n") {
            line.push(b'\n');
        }
        let _closed = io::stderr().write_all(&line);
        line.truncate(prefix.len());
    }
}
