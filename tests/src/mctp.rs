//! Handlers of MCTP messages at the demultiplexer's socket, and two demultiplexers at a line.

use std::os::fd::{AsRawFd, OwnedFd};
use std::{fs, io, process, thread};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket,
};
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use crate::bus::Bus;
use crate::process::Process;
use crate::programs::program;
use crate::serial_line::SerialLine;
use crate::suite::Suite;
use crate::{ctl, wait};

/// The bus name of `mctp-demuxd`.
pub const NAME: &str = "xyz.openbmc_project.MCTP.Demux";

/// The message type of PLDM, and its request bit.
const PLDM: u8 = 1;
const REQUEST: u8 = 0x80;

/// A connection for one message type.
#[derive(Debug)]
pub struct Handler {
    socket: OwnedFd,
    kind: u8,
}

impl Handler {
    /// Connects to the abstract socket `name`, and registers for messages of a type.
    ///
    /// # Panics
    ///
    /// If there is no such socket.
    #[must_use]
    #[track_caller]
    pub fn register(name: &str, kind: u8) -> Self {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket =
            socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).expect("a socket");
        let address = UnixAddr::new_abstract(name.as_bytes()).expect("a name");
        connect(socket.as_raw_fd(), &address).expect("the demultiplexer");
        let handler = Self { socket, kind };
        send(handler.socket.as_raw_fd(), &[kind], MsgFlags::empty()).expect("the demultiplexer");
        handler
    }

    /// The same, and waits until the demultiplexer on `bus` serves it: from then on no message to it is dropped for want of
    /// a handler.
    ///
    /// # Panics
    ///
    /// If there is no such socket, or the demultiplexer does not take it.
    #[must_use]
    #[track_caller]
    pub fn register_on(bus: &Bus, name: &str, kind: u8) -> Self {
        let handler = Self::register(name, kind);
        wait::until_true("the handler is served", || {
            let clients = ctl::json_on(bus, "mctp clients");
            clients.as_array().is_some_and(|all| all.iter().any(|one| one["message-type"] == kind))
        });
        handler
    }

    /// The next message: its sender, and what follows the message type.
    ///
    /// # Errors
    ///
    /// When the demultiplexer has gone.
    pub fn receive(&self) -> io::Result<(u8, Vec<u8>)> {
        let mut buffer = vec![0; 65536];
        let len = recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        match buffer.get(..len) {
            Some([eid, _, body @ ..]) => Ok((*eid, body.to_vec())),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Sends a message, whose type byte is added here.
    ///
    /// # Errors
    ///
    /// When the demultiplexer has gone.
    pub fn send(&self, eid: u8, body: &[u8]) -> io::Result<()> {
        let message = [&[eid, self.kind], body].concat();
        send(self.socket.as_raw_fd(), &message, MsgFlags::MSG_NOSIGNAL)?;
        Ok(())
    }
}

/// Two `mctp-demuxd` at the ends of a serial line, with the suite's configuration: that of the BMC, endpoint 8 on the
/// suite's bus, and endpoint 9 on a bus of its own, where a handler answers PLDM.
#[derive(Debug)]
pub struct Endpoints {
    /// The BMC's.
    pub own: Process,
    /// The other one.
    pub far: Process,
    /// The bus of the other one.
    pub far_bus: Bus,
    socket: String,
    _line: SerialLine,
}

impl Endpoints {
    /// Starts both, and waits until one reaches the other.
    ///
    /// # Panics
    ///
    /// If it does not.
    #[must_use]
    pub fn start(suite: &Suite) -> Self {
        let line = SerialLine::new();
        let folder = suite.dir().join("far");
        fs::create_dir(&folder).expect("a folder");
        let far_bus = Bus::start(&folder);
        let (own, socket) = start(suite, &suite.bus, 8, &line.devices[0]);
        let (far, far_socket) = start(suite, &far_bus, 9, &line.devices[1]);
        for bus in [&suite.bus, &far_bus] {
            wait::until_true("mctp-demuxd is on its bus", || bus.has_name(NAME));
        }
        let answers = || ctl::on(&suite.bus, "mctp ping 9").code == Some(0);
        wait::until_true("the far end answers", answers);
        let handler = Handler::register_on(&far_bus, &far_socket, PLDM);
        thread::spawn(move || {
            // Until the demultiplexer is gone.
            while let Ok((eid, request)) = handler.receive() {
                if handler.send(eid, &answer_to(&request)).is_err() {
                    return;
                }
            }
        });
        Self { own, far, far_bus, socket, _line: line }
    }

    /// The name of the BMC's socket.
    #[must_use]
    pub fn socket(&self) -> &str {
        &self.socket
    }

    /// A client of the BMC's, which asks the other endpoint; `number` is its own, of at most 256.
    ///
    /// # Panics
    ///
    /// If the demultiplexer does not take it.
    #[must_use]
    pub fn client(&self, number: u8) -> Client {
        let handler = Handler::register(&self.socket, PLDM);
        let limit = set_socket_timeout(&handler.socket, Timeout::Recv, Some(wait::LIMIT));
        limit.expect("a limit");
        Client { handler, number }
    }
}

/// A client that asks endpoint 9.
#[derive(Debug)]
pub struct Client {
    handler: Handler,
    number: u8,
}

impl Client {
    /// Sends a request that no other is like, and asserts that its answer comes, and nothing else.
    ///
    /// # Panics
    ///
    /// If that is not so.
    #[track_caller]
    pub fn ask(&self, number: usize) {
        const OEM: u8 = 0x3f;
        let instance = u8::try_from(number % 32).expect("five bits");
        let mut request = vec![REQUEST | instance, OEM, self.number];
        request.extend(number.to_le_bytes());
        // Of one packet to five.
        request.extend((0..number % 300).map(|byte| byte.to_le_bytes()[0]));
        self.handler.send(9, &request).expect("the demultiplexer");
        let got = self.handler.receive().expect("an answer");
        assert_eq!(got, (9, answer_to(&request)), "client {}, request {number}", self.number);
    }
}

/// The answer to a PLDM request: its bytes, without the request bit.
fn answer_to(request: &[u8]) -> Vec<u8> {
    let mut answer = request.to_vec();
    if let Some(first) = answer.first_mut() {
        *first &= !REQUEST;
    }
    answer
}

/// Starts an `mctp-demuxd`; returns the name of its socket too.
fn start(suite: &Suite, bus: &Bus, eid: u8, device: &str) -> (Process, String) {
    let name = format!("mctp-demuxd-{eid}");
    let socket = format!("causeway-{}-{}-{name}", process::id(), suite.address.port());
    let state = suite.dir().join(&name);
    fs::create_dir(&state).expect("a folder");
    let config = suite.dir().join("causeway.toml").display().to_string();
    let (eid, state) = (eid.to_string(), state.display().to_string());
    let words = ["--config", &config, "--eid", &eid, "--socket", &socket, "--state-dir", &state];
    let mut words: Vec<_> = words.map(str::to_owned).into();
    words.push(format!("serial:{device}"));
    let environment = [("DBUS_SYSTEM_BUS_ADDRESS", bus.address())];
    let path = program("mctp-demuxd");
    (Process::start(&name, suite.dir(), &path, &words, &environment), socket)
}
