//! The host's end of a serial console, of every kind that netipmid can be configured for.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{self, UnixListener, UnixStream};
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
use nix::sys::socket::{MsgFlags, recv};
use tempfile::TempDir;

use crate::process::Process;
use crate::{programs, wait};

/// The kind of the host's console.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// obmc-console's abstract Unix stream socket.
    Abstract,
    /// A Unix stream socket with a path.
    Unix,
    /// A Unix stream socket that netipmid listens at, and the host dials.
    Dialling,
    /// A TCP port.
    Tcp,
    /// A Telnet port.
    Telnet,
    /// A terminal.
    Terminal,
}

/// A host, whose console can be connected and disconnected.
#[derive(Debug)]
pub struct Host {
    kind: Kind,
    dir: TempDir,
    /// Of a console on the network.
    port: SocketAddr,
}

/// One connection to the host's console, seen from the host.
#[derive(Debug)]
pub struct Line {
    end: File,
    /// Of a terminal: its other end, held open so that it does not hang up between two openings.
    _other: Option<OwnedFd>,
    read: String,
}

impl Host {
    /// A host whose console cannot be reached yet.
    ///
    /// # Panics
    ///
    /// If no folder can be created.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        let dir = tempfile::Builder::new().prefix("causeway-host-").tempdir();
        Self { kind, dir: dir.expect("a folder"), port: free_port() }
    }

    /// The console as netipmid's configuration names it.
    #[must_use]
    pub fn address(&self) -> String {
        match self.kind {
            Kind::Abstract => format!("abstract:{}", self.name()),
            Kind::Unix => format!("unix:{}", self.path().display()),
            Kind::Dialling => format!("listen-unix:{}", self.path().display()),
            Kind::Tcp => format!("tcp:{}", self.port),
            Kind::Telnet => format!("telnet:{}", self.port),
            Kind::Terminal => format!("tty:{}", self.path().display()),
        }
    }

    /// Offers the console until netipmid has connected.
    ///
    /// # Panics
    ///
    /// If it cannot be offered, or netipmid does not connect within [`wait::LIMIT`].
    #[must_use]
    pub fn offer(&self) -> Line {
        if self.kind != Kind::Dialling {
            let _ = fs::remove_file(self.path());
        }
        match self.kind {
            Kind::Dialling => {
                let dialled = || UnixStream::connect(self.path()).ok();
                Line::new(wait::until("netipmid listens", dialled).into(), None)
            }
            Kind::Abstract => {
                let address = net::SocketAddr::from_abstract_name(self.name()).expect("a name");
                let listener = UnixListener::bind_addr(&address).expect("a free name");
                accept(&listener, || listener.accept().map(|(stream, _)| stream.into()))
            }
            Kind::Unix => {
                let listener = UnixListener::bind(self.path()).expect("a free path");
                accept(&listener, || listener.accept().map(|(stream, _)| stream.into()))
            }
            Kind::Tcp | Kind::Telnet => {
                let listener = TcpListener::bind(self.port).expect("a free port");
                accept(&listener, || listener.accept().map(|(stream, _)| stream.into()))
            }
            Kind::Terminal => {
                let pair = openpty(None, None).expect("a pseudo-terminal");
                let name = nix::unistd::ttyname(&pair.slave).expect("its name");
                symlink(name, self.path()).expect("a free path");
                Line::new(pair.master, Some(pair.slave))
            }
        }
    }

    /// Runs a virtual machine with this console. It prints a line when it starts and when the return
    /// key is typed, `!` for a break, and echoes the rest. `None` without QEMU.
    ///
    /// # Panics
    ///
    /// If the disk cannot be written.
    #[must_use]
    pub fn virtual_machine(&self) -> Option<Process> {
        let program = programs::installed("qemu-system-x86_64")?;
        let disk = self.dir.path().join("disk");
        let mut sector = BOOT_SECTOR.to_vec();
        sector.resize(510, 0);
        sector.extend(b"\x55\xaa");
        fs::write(&disk, sector).expect("a disk");
        let serial = if self.kind == Kind::Dialling {
            "chardev:console".to_owned()
        } else {
            let _ = fs::remove_file(self.path());
            self.address() + ",server=on,wait=off"
        };
        let dials = format!("socket,id=console,path={},reconnect=1", self.path().display());
        let drive = format!("file={},format=raw,if=ide,readonly=off", disk.display());
        let arguments = [
            "-machine",
            "pc",
            "-m",
            "16",
            "-display",
            "none",
            "-nodefaults",
            "-drive",
            &drive,
            "-serial",
            &serial,
            "-chardev",
            &dials,
        ];
        let used = arguments.len() - if self.kind == Kind::Dialling { 0 } else { 2 };
        let arguments = arguments[..used].iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        Some(Process::start("qemu", self.dir.path(), &program, &arguments, &[]))
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("console")
    }

    /// The folder's name, which is unique.
    fn name(&self) -> String {
        let name = self.dir.path().file_name().expect("a name");
        name.to_string_lossy().into_owned()
    }
}

/// A port that no other host has: its loopback address is this process's alone, its number counts.
fn free_port() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(4000);
    let [_, high, middle, low] = process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, high | 0x20, middle, low);
    SocketAddr::new(IpAddr::V4(address), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// What the virtual machine runs, from 7C00h on in 16-bit code: halts for two timer interrupts, in which the firmware
/// writes the rest of its own text, prints the text at its end, then polls the UART at 3F8h, and halts until the next
/// timer interrupt while there is no input.
pub(crate) const BOOT_SECTOR: &[u8] = b"\
    \x31\xc0\x8e\xd8\xfb\xf4\xf4\xfc\
    \xbe\x49\x7c\xac\x84\xc0\x74\x06\xe8\x27\x00\xeb\xf6\
    \xf4\
    \xba\xfd\x03\xec\xa8\x10\x75\x11\xa8\x01\x74\xf3\
    \xba\xf8\x03\xec\x3c\x0d\x74\xde\xe8\x0d\x00\xeb\xe7\
    \xba\xf8\x03\xec\xb0!\xe8\x02\x00\xeb\xdc\
    \x50\xba\xfd\x03\xec\xa8\x20\x74\xfb\x58\xba\xf8\x03\xee\xc3\
    boot sector here\r\n\0";

/// Waits until `try_accept` has a connection.
fn accept(listener: &impl AsFd, try_accept: impl Fn() -> std::io::Result<OwnedFd>) -> Line {
    wait::until_true("netipmid connects", || is_ready(listener));
    Line::new(try_accept().expect("a connection"), None)
}

/// Whether `fd` has data to read or a connection to accept.
fn is_ready(fd: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|count| count > 0)
}

impl Line {
    fn new(end: OwnedFd, other: Option<OwnedFd>) -> Self {
        Self { end: end.into(), _other: other, read: String::new() }
    }

    /// Prints `text`.
    ///
    /// # Panics
    ///
    /// If the connection is closed.
    pub fn print(&mut self, text: &str) {
        self.end.write_all(text.as_bytes()).expect("a connection");
    }

    /// Waits until `text` has been typed, and drops the input up to its end.
    ///
    /// # Panics
    ///
    /// If it is not typed within [`wait::LIMIT`].
    #[track_caller]
    pub fn until_typed(&mut self, text: &str) {
        let end = wait::until(&format!("{text:?} is typed"), || {
            if is_ready(&self.end) {
                let mut buffer = [0; 1024];
                let count = self.end.read(&mut buffer).expect("a connection");
                self.read += &String::from_utf8_lossy(&buffer[..count]);
            }
            self.read.find(text).map(|at| at + text.len())
        });
        self.read.drain(..end);
    }

    /// Waits until netipmid has closed the connection.
    ///
    /// # Panics
    ///
    /// If it does not within [`wait::LIMIT`].
    #[track_caller]
    pub fn until_closed(&mut self) {
        wait::until_true("netipmid closes the connection", || {
            is_ready(&self.end) && matches!(self.end.read(&mut [0; 1]), Ok(0) | Err(_))
        });
    }

    /// Waits for a break in obmc-console's form: an out-of-band byte.
    ///
    /// # Panics
    ///
    /// If none comes within [`wait::LIMIT`].
    #[track_caller]
    pub fn until_break(&mut self) {
        let byte = wait::until("a break", || {
            let mut byte = [0];
            let flags = MsgFlags::MSG_OOB | MsgFlags::MSG_DONTWAIT;
            recv(self.end.as_raw_fd(), &mut byte, flags).ok().map(|_| byte[0])
        });
        assert_eq!(byte, 72, "what obmc-console takes for a break");
    }
}
