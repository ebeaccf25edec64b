//! A daemon of its own for each test, and its clients.

use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, socket_with,
};

use crate::wire::{OWN, PATIENCE, Wire, readable};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A running daemon on one serial line.
pub(crate) struct Daemon {
    child: Running,
    pub(crate) socket: String,
    pub(crate) wire: Wire,
}

/// The process, which ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Daemon {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// With further arguments, and no bus.
    pub(crate) fn with(args: &[&str]) -> Self {
        Self::on_bus(args, "unix:path=/nonexistent")
    }

    pub(crate) fn on_bus(args: &[&str], bus: &str) -> Self {
        let wire = Wire::new();
        let binding = format!("serial:{}", wire.path.display());
        let (child, socket) = spawn(&[args, &[&binding]].concat(), bus);
        Self::take_over(child, socket, wire)
    }

    /// A daemon that was started otherwise.
    pub(crate) fn take_over(child: Child, socket: String, wire: Wire) -> Self {
        let daemon = Self { child: Running(child), socket, wire };
        daemon.wait_for_socket();
        daemon
    }

    /// The daemon has to be there before it can be asked; the line comes up with it.
    fn wait_for_socket(&self) {
        let deadline = Instant::now() + PATIENCE;
        while try_connect(&self.socket).is_none() {
            assert!(Instant::now() < deadline, "no socket");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// A connection that has not registered.
    pub(crate) fn connect(&self) -> Client {
        Client(try_connect(&self.socket).unwrap())
    }

    /// A client of a type, that the daemon is known to have.
    pub(crate) fn client(&mut self, kind: u8) -> Client {
        let client = self.connect();
        client.send_raw(&[kind]);
        self.settle();
        client
    }

    /// Clients of a type, registered together.
    pub(crate) fn clients(&mut self, kind: u8, count: usize) -> Vec<Client> {
        let clients: Vec<Client> = (0..count).map(|_| self.connect()).collect();
        clients.iter().for_each(|client| client.send_raw(&[kind]));
        self.settle();
        clients
    }

    /// A client of a type, on a daemon whose line cannot be asked: a neighbour hears from it.
    pub(crate) fn client_without_line(&self, kind: u8) -> Client {
        registered(|| self.connect(), kind)
    }

    /// Waits until the daemon has done what it was given before: it reads its sockets and the line in
    /// the order in which they became ready, so an answer from the line comes after all that.
    pub(crate) fn settle(&mut self) {
        for _ in 0..2 {
            self.wire.send(0x55, 0x0f, &[0, 0x9e, 2]);
            let answer = self.wire.message();
            assert_eq!((answer.to, &answer.bytes[..3]), (0x55, &[0, 0x1e, 2][..]));
        }
    }

    /// Kills it, and gives its line to another one.
    pub(crate) fn give_up_line(self) -> Wire {
        let Self { child, wire, .. } = self;
        drop(child);
        wire
    }

    /// Ends it as a service manager does; gives its exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.0.wait().unwrap().code()
    }
}

/// Starts the daemon with a socket name of its own.
pub(crate) fn spawn(args: &[&str], bus: &str) -> (Child, String) {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let socket = format!("mctp-test-{}-{number}", std::process::id());
    let mut command = Command::new(env!("CARGO_BIN_EXE_mctp-demuxd"));
    command.args(["--socket", &socket]).args(args);
    command.env("DBUS_SYSTEM_BUS_ADDRESS", bus).env_remove("NOTIFY_SOCKET");
    command.stdin(Stdio::null());
    if std::env::var_os("MCTP_TEST_LOG").is_none() {
        command.stderr(Stdio::null());
    }
    (command.spawn().unwrap(), socket)
}

pub(crate) fn try_connect(name: &str) -> Option<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap();
    connect(&socket, &address).ok().map(|()| socket)
}

/// A client that is known to be registered, since a neighbour heard from it.
pub(crate) fn registered(connect: impl Fn() -> Client, kind: u8) -> Client {
    let (client, neighbour) = (connect(), connect());
    client.send_raw(&[kind]);
    neighbour.send_raw(&[kind]);
    let deadline = Instant::now() + PATIENCE;
    loop {
        client.send(OWN, &[kind]);
        if readable(&neighbour.0, Duration::from_millis(50)) {
            return client;
        }
        assert!(Instant::now() < deadline, "no neighbour");
    }
}

/// One connection to the demultiplexer socket.
pub(crate) struct Client(pub(crate) OwnedFd);

impl Client {
    pub(crate) fn send_raw(&self, bytes: &[u8]) {
        assert_eq!(send(&self.0, bytes, SendFlags::NOSIGNAL).unwrap(), bytes.len());
    }

    pub(crate) fn send(&self, eid: u8, message: &[u8]) {
        self.send_raw(&[&[eid], message].concat());
    }

    /// Sends unless there is no room for it.
    pub(crate) fn try_send(&self, eid: u8, message: &[u8]) -> bool {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        send(&self.0, &[&[eid], message].concat(), flags).is_ok()
    }

    /// EID and message; `None` when the daemon has closed the connection.
    pub(crate) fn next(&self) -> Option<(u8, Vec<u8>)> {
        self.next_within(PATIENCE)
    }

    pub(crate) fn message_within(&self, patience: Duration) -> (u8, Vec<u8>) {
        self.next_within(patience).expect("an open connection")
    }

    fn next_within(&self, patience: Duration) -> Option<(u8, Vec<u8>)> {
        assert!(readable(&self.0, patience), "a message for the client");
        let mut buffer = vec![0; 70_000];
        let len = recv(&self.0, &mut buffer[..], RecvFlags::empty()).map_or(0, |(len, _)| len);
        (len > 0).then(|| (buffer[0], buffer[1..len].to_vec()))
    }

    pub(crate) fn message(&self) -> (u8, Vec<u8>) {
        self.next().expect("an open connection")
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.next().is_none()
    }

    pub(crate) fn is_silent(&self) -> bool {
        !readable(&self.0, Duration::ZERO)
    }
}

impl Client {
    /// Sends what may meet a closed connection.
    pub(crate) fn try_send_raw(&self, bytes: &[u8]) -> bool {
        send(&self.0, bytes, SendFlags::NOSIGNAL).is_ok()
    }

    /// Whether the daemon has closed the connection.
    pub(crate) fn is_ended(&self) -> bool {
        let mut buffer = [0; 1];
        // An error tells that the daemon closed it before it had read everything.
        let peek = |buffer| recv(&self.0, buffer, RecvFlags::PEEK).map_or(0, |(len, _)| len);
        readable(&self.0, Duration::ZERO) && peek(&mut buffer[..]) == 0
    }
}
