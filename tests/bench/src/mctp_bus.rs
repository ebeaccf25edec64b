//! How long an MCTP bus owner takes to find, number and publish the endpoints of a bus.
//!
//! The bus is a pty that carries whole PCIe messages, behind which endpoints are simulated: some that
//! are absent, some with an id and most without, one a bridge with others behind it. Both directions
//! are as fast as a serial line of 115,200 baud would carry the packets. The daemon under test is any
//! program with `mctp-demuxd`'s command line and bus names.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Ten bits for each byte.
const BYTE: Duration = Duration::from_nanos(1_000_000_000 * 10 / 115_200);

/// What DSP0253 adds to a packet.
const FRAME: usize = 6;

/// How long a run may take.
const PATIENCE: Duration = Duration::from_secs(60);

const NAME: &str = "xyz.openbmc_project.MCTP.Demux";

/// The bus of one run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Positions without an endpoint.
    pub absent: u16,
    /// Positions with one, of which one is a bridge.
    pub present: u16,
    /// Endpoints behind the bridge.
    pub behind: u8,
}

/// What a run came to.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// From the start of the daemon until all endpoints are published.
    pub time: Duration,
    /// The time that the bytes of the busier direction take on the line.
    pub floor: Duration,
}

/// Ends a process when it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a daemon on a simulated bus, and measures until all endpoints are published.
///
/// # Errors
///
/// What cannot be started, and a daemon that never publishes them all.
pub fn run(daemon: &Path, plan: Plan) -> anyhow::Result<Figures> {
    let folder = std::env::temp_dir().join(format!("mctp-bus-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let result = run_in(&folder, daemon, plan);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn run_in(folder: &Path, daemon: &Path, plan: Plan) -> anyhow::Result<Figures> {
    let (_bus, address) = start_bus()?;
    let (master, slave, path) = open_pty()?;
    let config = folder.join("causeway.toml");
    std::fs::write(&config, configuration(plan))?;
    let stop = Arc::new(AtomicBool::new(false));
    let far = Far::new(master, plan);
    let stopped = Arc::clone(&stop);
    let simulation = std::thread::spawn(move || far.serve(&stopped));
    let start = Instant::now();
    let mut command = Command::new(daemon);
    command.arg("--config").arg(&config).args(["--socket", "mctp-bus-bench"]);
    command.arg("--state-dir").arg(folder).arg(format!("pcie:{}", path.display()));
    command.env("DBUS_SYSTEM_BUS_ADDRESS", &address).stderr(Stdio::null());
    let daemon = Process(command.spawn().context("cannot start the daemon")?);
    let wanted = usize::from(plan.present) + usize::from(plan.behind) + 1;
    while published(&address)? < wanted {
        if start.elapsed() > PATIENCE {
            bail!("{} of {wanted} endpoints after {PATIENCE:?}", published(&address)?);
        }
    }
    let time = start.elapsed();
    stop.store(true, Ordering::Relaxed);
    drop(daemon);
    drop(slave);
    let bytes = simulation.join().map_err(|_| anyhow::anyhow!("the simulation failed"))?;
    Ok(Figures { time, floor: BYTE * u32::try_from(bytes)? })
}

/// Endpoints on the bus, the daemon's own included.
fn published(address: &str) -> anyhow::Result<usize> {
    let mut command = Command::new("busctl");
    command.arg(format!("--address={address}")).args(["--list", "tree", NAME]);
    let output = command.output().context("cannot run busctl")?;
    let tree = String::from_utf8_lossy(&output.stdout);
    Ok(tree.lines().filter(|line| line.contains("/endpoints/")).count())
}

fn start_bus() -> anyhow::Result<(Process, String)> {
    let mut command = Command::new("dbus-daemon");
    command.args(["--session", "--nofork", "--nopidfile", "--print-address"]);
    let mut child = Process(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?);
    let stdout = child.0.stdout.take().context("no output of dbus-daemon")?;
    let mut address = String::new();
    BufReader::new(stdout).read_line(&mut address)?;
    Ok((child, address.trim().to_owned()))
}

fn open_pty() -> anyhow::Result<(File, OwnedFd, PathBuf)> {
    let pty = nix::pty::openpty(None, None)?;
    let mut mode = nix::sys::termios::tcgetattr(&pty.slave)?;
    nix::sys::termios::cfmakeraw(&mut mode);
    nix::sys::termios::tcsetattr(&pty.slave, nix::sys::termios::SetArg::TCSANOW, &mode)?;
    let path = nix::unistd::ttyname(&pty.slave)?;
    Ok((pty.master.into(), pty.slave, path))
}

/// Absent positions come first.
fn configuration(plan: Plan) -> String {
    let place = |number| {
        format!("[[mctp.owned.place]]\nbinding = 0\naddress = {}\n", FIRST_ADDRESS + number)
    };
    let places: String = (0..plan.absent + plan.present).map(place).collect();
    format!("[mctp]\nrole = \"bus-owner\"\n{places}")
}

const FIRST_ADDRESS: u16 = 0x100;

/// One endpoint that is there.
#[derive(Debug)]
struct Simulated {
    eid: u8,
    /// For the bridge: how many ids it wants, and the first that it got.
    wants: u8,
    pool: Option<u8>,
}

/// The far end of the bus.
struct Far {
    master: File,
    endpoints: BTreeMap<u16, Simulated>,
    unread: Vec<u8>,
    /// When each direction of the line is free again, and the bytes that it carried.
    to_bus: (Instant, usize),
    from_bus: (Instant, usize),
    /// Answers, and when their last byte has arrived.
    answers: VecDeque<(Instant, Vec<u8>)>,
}

impl Far {
    fn new(master: File, plan: Plan) -> Self {
        let simulated = |number: u16| {
            // Every fourth has an id from before.
            let eid = if number % 4 == 3 { u8::try_from(100 + number).unwrap_or(0) } else { 0 };
            let wants = if number == 0 { plan.behind } else { 0 };
            (FIRST_ADDRESS + plan.absent + number, Simulated { eid, wants, pool: None })
        };
        let now = Instant::now();
        Self {
            master,
            endpoints: (0..plan.present).map(simulated).collect(),
            unread: Vec::new(),
            to_bus: (now, 0),
            from_bus: (now, 0),
            answers: VecDeque::new(),
        }
    }

    /// Answers until it is stopped; gives the bytes of the busier direction.
    fn serve(mut self, stop: &AtomicBool) -> usize {
        while !stop.load(Ordering::Relaxed) {
            while let Some((_, answer)) =
                self.answers.front().filter(|(due, _)| *due <= Instant::now()).cloned()
            {
                self.answers.pop_front();
                if self.master.write_all(&answer).is_err() {
                    break;
                }
            }
            let wait = self.answers.front().map(|(due, _)| due.duration_since(Instant::now()));
            let wait = wait.unwrap_or(Duration::from_millis(20)).min(Duration::from_millis(20));
            if self.is_readable(wait) {
                let mut buffer = [0; 4096];
                let len = self.master.read(&mut buffer).unwrap_or(0);
                self.unread.extend_from_slice(buffer.get(..len).unwrap_or_default());
                while let Some(message) = self.take_message() {
                    self.handle(&message);
                }
            }
        }
        self.to_bus.1.max(self.from_bus.1)
    }

    fn is_readable(&self, wait: Duration) -> bool {
        let mut fds = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        let millis = u16::try_from(wait.as_millis()).unwrap_or(20);
        poll(&mut fds, PollTimeout::from(millis)).unwrap_or(0) > 0
    }

    fn take_message(&mut self) -> Option<Vec<u8>> {
        let len = 16 + 4 * usize::from(*self.unread.get(3)?);
        (self.unread.len() >= len).then(|| self.unread.drain(..len).collect())
    }

    /// Answers one vendor defined message (DSP0238) with a control request (DSP0236).
    fn handle(&mut self, message: &[u8]) {
        let Some((&[_, _, _, _, _, _, pad, _, high, low, _, _, _, to, _, flags], payload)) =
            message.split_first_chunk::<16>()
        else {
            return;
        };
        let payload = payload.get(..payload.len() - usize::from(pad >> 4)).unwrap_or_default();
        let arrived = carry(&mut self.to_bus, Instant::now(), payload.len());
        let address = u16::from_be_bytes([high, low]);
        let (Some(endpoint), &[_, instance, command, ref data @ ..]) =
            (self.endpoints.get_mut(&address), payload)
        else {
            return;
        };
        let Some((from, answer)) = endpoint.answer(to, command, data) else {
            return;
        };
        let answer = [&[0, instance & 0x1f, command], &answer[..]].concat();
        let due = carry(&mut self.from_bus, arrived, answer.len());
        self.answers.push_back((due, vendor_message(address, from, flags & 7, &answer)));
    }
}

/// Puts a packet on one direction of the line; gives when it has arrived.
fn carry(line: &mut (Instant, usize), from: Instant, payload: usize) -> Instant {
    let bytes = 4 + payload + FRAME;
    line.1 += bytes;
    line.0 = line.0.max(from) + BYTE * u32::try_from(bytes).unwrap_or(u32::MAX);
    line.0
}

impl Simulated {
    /// The sender's id, and the answer from its completion code on.
    fn answer(&mut self, to: u8, command: u8, data: &[u8]) -> Option<(u8, Vec<u8>)> {
        let behind = self.pool.is_some_and(|first| to >= first && to - first < self.wants);
        if to != 0 && to != self.eid && !behind {
            return None;
        }
        let kind = if self.wants > 0 && !behind { 0x10 } else { 0 };
        let answer = match (command, data) {
            (1, &[_, eid]) => {
                self.eid = eid;
                vec![0, u8::from(self.wants > 0), eid, self.wants]
            }
            (2, _) => vec![0, if behind { to } else { self.eid }, kind, 0],
            (3, _) => [&[0][..], &[to; 16]].concat(),
            (5, _) => vec![0, 2, 0, 1],
            (8, &[0, size, first]) => {
                self.pool = Some(first);
                vec![0, 0, size, first]
            }
            _ => vec![5],
        };
        Some((if behind { to } else { self.eid }, answer))
    }
}

fn vendor_message(address: u16, from: u8, tag: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = address.to_be_bytes();
    let words = payload.len().div_ceil(4);
    let pad = u8::try_from(words * 4 - payload.len()).unwrap_or(0) << 4;
    let words = u8::try_from(words).unwrap_or(u8::MAX);
    let head = [0x72, 0, 0x10, words, high, low, pad, 0x7f, 0, 0, 0x1a, 0xb4, 1, 8, from];
    let mut out = [&head[..], &[0xc0 | tag], payload].concat();
    out.resize(16 + 4 * usize::from(words), 0);
    out
}
