//! The daemon that is measured.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, socket_with,
};

use super::line::{Line, wait};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A running daemon and the far end of its line.
pub(crate) struct Subject {
    child: Child,
    socket: String,
    pub(crate) line: Line,
    /// A line that is not read, and one that is read and thrown away.
    _others: Option<Others>,
}

/// The further lines, and the configuration that names them.
type Others = (Line, Line, tempfile::TempDir);

impl Subject {
    /// Libmctp's daemon, where the environment names it.
    pub(crate) fn libmctp() -> Option<PathBuf> {
        std::env::var_os("LIBMCTP_DEMUX_DAEMON").map(PathBuf::from)
    }

    pub(crate) fn start(name: &str) -> Self {
        let line = Line::new();
        let (command, socket) = if name == "libmctp" {
            let mut command = Command::new(Self::libmctp().unwrap());
            command.args(["--eid", "8", "serial"]).arg(&line.path);
            (command, "mctp-mux".to_owned())
        } else {
            let (mut command, socket) = ours();
            command.arg(format!("serial:{}", line.path.display()));
            (command, socket)
        };
        Self::run(command, socket, line, None)
    }

    /// With EIDs from 100 on behind a line that is not read, and those from 201 on behind one that
    /// is read as fast as can be.
    pub(crate) fn with_three_lines() -> Self {
        let (line, stalled, sink) = (Line::new(), Line::new(), Line::new());
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("causeway.toml");
        let routes = "[[mctp.route]]\neid = 100\nlast = 200\nbinding = 1\n\
                      [[mctp.route]]\neid = 201\nlast = 254\nbinding = 2\n";
        std::fs::write(&config, routes).unwrap();
        let (mut command, socket) = ours();
        command.arg("--config").arg(config);
        for line in [&line, &stalled, &sink] {
            command.arg(format!("serial:{}", line.path.display()));
        }
        sink.throw_away();
        Self::run(command, socket, line, Some((stalled, sink, folder)))
    }

    fn run(mut command: Command, socket: String, line: Line, others: Option<Others>) -> Self {
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let subject = Self { child, socket, line, _others: others };
        std::thread::sleep(Duration::from_millis(100));
        subject
    }

    pub(crate) fn client(&self, kind: u8) -> Client {
        let flags = SocketFlags::CLOEXEC;
        let fd = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let address = SocketAddrUnix::new_abstract_name(self.socket.as_bytes()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        while connect(&fd, &address).is_err() {
            assert!(Instant::now() < deadline, "no socket {}", self.socket);
            std::thread::sleep(Duration::from_millis(5));
        }
        let client = Client(fd);
        client.send(&[kind]);
        client
    }

    /// A client that sends as fast as it may until it is dropped.
    pub(crate) fn flooder(&self, eid: u8, kind: u8) -> Client {
        let client = self.client(kind);
        let sender = client.0.try_clone().unwrap();
        let mut message = vec![0x20; 1025];
        message[..5].copy_from_slice(&[eid, kind, 0xc0, 2, 0x0a]);
        std::thread::spawn(move || while send(&sender, &message, SendFlags::NOSIGNAL).is_ok() {});
        client
    }

    /// The time that the daemon has been on a CPU.
    pub(crate) fn cpu(&self) -> Duration {
        let path = format!("/proc/{}/schedstat", self.child.id());
        let text = std::fs::read_to_string(path).unwrap();
        Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
    }

    /// Its share of memory, in kB.
    pub(crate) fn pss(&self) -> u64 {
        let path = format!("/proc/{}/smaps_rollup", self.child.id());
        let text = std::fs::read_to_string(path).unwrap();
        let line = text.lines().find(|line| line.starts_with("Pss:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ours() -> (Command, String) {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let socket = format!("mctp-bench-{}-{number}", std::process::id());
    let mut command = Command::new(env!("CARGO_BIN_EXE_mctp-demuxd"));
    command.args(["--socket", &socket]);
    (command, socket)
}

/// One connection to the daemon's socket.
pub(crate) struct Client(OwnedFd);

impl Client {
    pub(crate) fn send(&self, bytes: &[u8]) {
        send(&self.0, bytes, SendFlags::NOSIGNAL).unwrap();
    }

    pub(crate) fn receive(&self) {
        wait(&self.0, PollFlags::POLLIN);
        let mut buffer = [0; 8192];
        recv(&self.0, &mut buffer[..], RecvFlags::empty()).unwrap();
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Ends a flooder's thread, which has a copy.
        let _ = rustix::net::shutdown(&self.0, rustix::net::Shutdown::Both);
    }
}
