//! Linux's own MCTP stack as the peer, in a guest.
//!
//! No Debian kernel has MCTP, so `CAUSEWAY_MCTP_KERNEL` has to name one (`tests/guest/kernel` has its
//! configuration), and QEMU has to be there; without either the tests are skipped, and say so.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use crate::daemon::{Client, Daemon};
use crate::wire::{carry, wait_until};

/// The types of the guest's requests to our client, and of our client's to the guest. Both say nothing
/// of requests and answers.
const OURS: u8 = 0x7d;
const THEIRS: u8 = 0x7c;

/// NVMe-MI requests with two answers each: more than there are tags.
const NVME_REQUESTS: usize = 20;

/// PLDM round trips in each direction: more than there are instance ids.
const PLDM_TRIPS: u8 = 40;

/// Message lengths without the type byte; the last makes 64 KiB with it.
const LENGTHS: [usize; 9] = [0, 1, 62, 63, 64, 1000, 4096, 32_768, 65_535];

/// How long an emulated machine may take for a message.
const EMULATED: Duration = Duration::from_secs(300);

/// One guest at a time: they are slow enough alone.
static ONE: Mutex<()> = Mutex::new(());

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guest")
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The guest's folder and the program that goes into it; `None` where there can be no guest.
fn guest() -> Option<(PathBuf, PathBuf)> {
    let Some(kernel) = std::env::var_os("CAUSEWAY_MCTP_KERNEL") else {
        eprintln!("skipped: CAUSEWAY_MCTP_KERNEL does not name a kernel with MCTP");
        return None;
    };
    if Command::new("qemu-system-x86_64").arg("--version").output().is_err() {
        eprintln!("skipped: there is no qemu-system-x86_64");
        return None;
    }
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mctp-guest");
    run(Command::new(folder().join("make-guest")).arg(&cache).arg("--bzimage").arg(kernel));
    let peer = cache.join("mctp-peer");
    let source = folder().join("mctp-peer.c");
    run(Command::new("cc").args(["-static", "-O2", "-o"]).args([&peer, &source]));
    Some((cache, peer))
}

/// A guest whose serial port is the far end of our daemon's line.
struct Guest {
    daemon: Daemon,
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    _folder: tempfile::TempDir,
}

impl Guest {
    fn boot(script: &str, files: &[&str]) -> Option<Self> {
        let (cache, peer) = guest()?;
        let temporary = tempfile::tempdir().unwrap();
        let (socket, path) = (temporary.path().join("line"), temporary.path().join("script"));
        std::fs::write(&path, script).unwrap();
        let mut command = Command::new(folder().join("run-guest"));
        command.arg(cache).arg(path).args(["--iface", "none", "--timeout", "900"]);
        command.arg("--file").arg(peer);
        command.args(files.iter().flat_map(|file| ["--file", file]));
        command.arg("--serial").arg(format!("listen-unix:{}", socket.display()));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let daemon = Daemon::start();
        let mut stream = None;
        wait_until(|| {
            stream = UnixStream::connect(&socket).ok();
            stream.is_some()
        });
        carry(&daemon.wire, &stream.unwrap());
        Some(Self { daemon, child, output, _folder: temporary })
    }

    fn client(&self, kind: u8) -> Client {
        let client = self.daemon.connect();
        client.send_raw(&[kind]);
        client
    }

    fn wait_for(&mut self, wanted: &str) {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if line.trim() == wanted {
                return;
            }
            line.clear();
        }
        panic!("the guest never said {wanted:?}: {:?}", self.child.wait());
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn inverted(message: &[u8]) -> Vec<u8> {
    let (kind, body) = message.split_first().unwrap();
    std::iter::once(*kind).chain(body.iter().map(|byte| !byte)).collect()
}

/// Answers what the guest asks, and asks as much of it.
fn exchange(mut guest: Guest) {
    let (ours, theirs) = (guest.client(OURS), guest.client(THEIRS));
    guest.wait_for("serving");
    for len in LENGTHS {
        let question = crate::wire::filler(THEIRS, len + 1, len);
        theirs.send(9, &question);
        assert_eq!(theirs.message_within(EMULATED), (9, inverted(&question)));
    }
    theirs.send(9, &[THEIRS]);
    guest.wait_for("served");
    for len in LENGTHS {
        let (eid, question) = ours.message_within(EMULATED);
        assert_eq!((eid, question.len()), (9, len + 1));
        ours.send(9, &inverted(&question));
    }
    guest.wait_for("done");
}

fn script(start: &str, prefix: &str) -> String {
    let lengths: Vec<String> = LENGTHS.iter().map(ToString::to_string).collect();
    format!(
        "#!/bin/sh\nset -e\ncd /guest\n./mctp-peer attach /dev/ttyS2 9 8\n{start}\n\
         ./mctp-peer {prefix}serve {THEIRS} {} 9\necho served\n\
         for n in {}; do ./mctp-peer {prefix}ask 8 {OURS} $n; done\necho done\n",
        LENGTHS.len(),
        lengths.join(" ")
    )
}

#[test]
fn the_kernel_asks_and_answers_over_a_serial_line() {
    let _one = ONE.lock();
    if let Some(guest) = Guest::boot(&script("", ""), &[]) {
        exchange(guest);
    }
}

#[test]
fn clients_of_the_socket_work_where_the_kernel_does_mctp() {
    let _one = ONE.lock();
    if let Some(guest) = boot_with_daemon(&script(START, "client-")) {
        exchange(guest);
    }
}

const START: &str = "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/none ./mctp-demuxd --eid 9 kernel:1 &";

/// A guest with our daemon in it, too.
fn boot_with_daemon(script: &str) -> Option<Guest> {
    let libraries = Command::new("ldd").arg(env!("CARGO_BIN_EXE_mctp-demuxd")).output().unwrap();
    let libraries = String::from_utf8(libraries.stdout).unwrap();
    let paths = libraries.split_whitespace().filter(|word| word.contains("/libgcc_s"));
    let mut files: Vec<String> = paths.map(|path| format!("{path}:{path}")).collect();
    files.push(env!("CARGO_BIN_EXE_mctp-demuxd").to_owned());
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    Guest::boot(script, &files)
}

#[test]
fn more_processing_required_reaches_clients_where_the_kernel_does_mctp() {
    let _one = ONE.lock();
    let script = format!(
        "#!/bin/sh\nset -e\ncd /guest\n./mctp-peer attach /dev/ttyS2 9 8\n{START}\nsleep 2\n\
         echo ready\n./mctp-peer client-nvme 8 {NVME_REQUESTS} 0\necho done\n"
    );
    let Some(mut guest) = boot_with_daemon(&script) else { return };
    let client = guest.client(4);
    guest.wait_for("ready");
    for _ in 0..NVME_REQUESTS {
        let (eid, request) = client.message_within(EMULATED);
        assert_eq!((eid, &request[..4]), (9, &[0x84, 0x08, 0, 0][..]));
        client.send(9, &[0x84, 0x88, 0, 0, 1, 0, 0, 0]);
        client.send(9, &[0x84, 0x88, 0, 0, 0, 0, 0, 0]);
    }
    guest.wait_for("done");
}

#[test]
fn pldm_round_trips_with_the_kernel_both_ways() {
    let _one = ONE.lock();
    let script = format!(
        "#!/bin/sh\nset -e\ncd /guest\n./mctp-peer attach /dev/ttyS2 9 8\n\
         ./mctp-peer pldm-serve 1 {PLDM_TRIPS} 9\n./mctp-peer pldm-ask 8 {PLDM_TRIPS} 0\necho done\n"
    );
    let Some(mut guest) = Guest::boot(&script, &[]) else { return };
    let client = guest.client(1);
    guest.wait_for("serving");
    for number in 0..PLDM_TRIPS {
        client.send(9, &[1, 0x80 | (number % 32), 0, 2]);
        assert_eq!(client.message_within(EMULATED), (9, vec![1, number % 32, 0, 2, 0, 7]));
    }
    for number in 0..PLDM_TRIPS {
        let (eid, request) = client.message_within(EMULATED);
        assert_eq!((eid, &request[..]), (9, &[1, 0x80 | (number % 32), 0, 2][..]));
        client.send(9, &[1, number % 32, 0, 2, 0, 8]);
    }
    guest.wait_for("done");
}
