//! The connection to the host's console: opened, read, written, and opened again.
//!
//! netipmid dials, or with `listen-unix:` listens for a host that does. A Unix socket is dialled as soon as it appears;
//! another console, or one whose folder cannot be watched, after a pause.

use std::future::{self, Future};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use nix::sys::socket::{self, MsgFlags};
use nix::sys::termios::{self, SetArg};
use sys::Device;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::{self, Instant};
use tracing::{debug, info, warn};

use super::listener::ConsoleListener;
use super::socket_watch::SocketWatch;
use super::telnet::Telnet;
use super::{ConsoleAddress, HostInput, PayloadInstances};

/// The time between attempts to connect: at first, at most while SOL is active, and at most otherwise, to let
/// an idle BMC sleep. The file of a socket is there shortly before somebody listens.
const PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE_ACTIVE: Duration = Duration::from_secs(2);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// How long a console may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// After a connection that lasted this long, the pauses begin anew.
const STABLE: Duration = Duration::from_secs(2);

/// The out-of-band byte by which obmc-console's clients send a break.
const OUT_OF_BAND_BREAK: u8 = 72;

/// Bytes read or written at a time.
const BUFFER: usize = 4096;

type Connecting = Pin<Box<dyn Future<Output = io::Result<Device>> + Send>>;

/// The connection to the host's console.
pub struct HostConsole {
    address: ConsoleAddress,
    state: State,
    /// The socket that the host dials, once it is bound.
    listener: Option<ConsoleListener>,
    /// The watch for the socket that is dialled, while it is not connected.
    watch: Option<SocketWatch>,
    pause: Duration,
    /// It has been connected before.
    was_connected: bool,
    /// That it cannot be connected has been logged.
    logged_failure: bool,
    buffer: Box<[u8]>,
}

enum State {
    /// The host has no console.
    Absent,
    Waiting {
        until: Instant,
    },
    Connecting(Connecting),
    /// The host is to dial.
    Listening,
    Up {
        device: Device,
        since: Instant,
        /// A break that lasts.
        breaking: Option<JoinHandle<()>>,
        /// The protocol between the connection and the characters, if there is one.
        telnet: Option<Telnet>,
    },
}

/// What a wait for the connection ended with.
enum Done {
    Read(io::Result<usize>),
    Written(io::Result<usize>),
    BreakOver,
}

impl HostConsole {
    /// A connection to `address`, not opened yet.
    #[must_use]
    pub fn new(address: ConsoleAddress) -> Self {
        let state = match address {
            ConsoleAddress::None => State::Absent,
            _ => State::Waiting { until: Instant::now() },
        };
        Self {
            address,
            state,
            listener: None,
            watch: None,
            pause: PAUSE,
            was_connected: false,
            logged_failure: false,
            buffer: vec![0; BUFFER].into_boxed_slice(),
        }
    }

    /// Changes the address to `address`, and ends the connection to another one.
    pub fn set_address(&mut self, address: &ConsoleAddress, instances: &mut PayloadInstances) {
        if self.address == *address {
            return;
        }
        info!(console = %address, before = %self.address, "the host console has another address");
        let was_connected = self.was_connected;
        *self = Self { was_connected, ..Self::new(address.clone()) };
        instances.set_available(false, false);
    }

    /// Tries to connect now, if it is not connected.
    pub fn connect_now(&mut self) {
        if let State::Waiting { until } = &mut self.state {
            *until = Instant::now();
            self.pause = PAUSE;
        }
    }

    /// Connects, or moves bytes between the console and `instances` once. Cancel safe.
    ///
    /// Afterwards, drain [`PayloadInstances::poll_transmit`].
    pub async fn step(&mut self, instances: &mut PayloadInstances) {
        match &mut self.state {
            State::Absent => future::pending().await,
            State::Waiting { until } => {
                tokio::select! {
                    () = time::sleep_until(*until) => {}
                    () = appeared(&mut self.watch) => {
                        self.watch = None;
                        self.pause = PAUSE;
                    }
                }
                self.attempt(instances);
            }
            State::Connecting(connecting) => match connecting.await {
                Ok(device) => self.connected(device, instances),
                Err(error) => self.disconnected(&error, instances),
            },
            State::Listening => {
                let Some(listener) = &mut self.listener else { return };
                match listener.accept().await {
                    Ok(device) => self.connected(device, instances),
                    Err(error) => self.disconnected(&error, instances),
                }
            }
            State::Up { .. } => self.transfer(instances).await,
        }
    }

    /// Begins an attempt to connect.
    fn attempt(&mut self, instances: &mut PayloadInstances) {
        self.watch_socket();
        self.state = match &self.address {
            ConsoleAddress::ListenUnix(path) => match ConsoleListener::bind(path) {
                Ok(listener) => {
                    self.listener = Some(listener);
                    self.watch = None;
                    self.logged_failure = false;
                    State::Listening
                }
                Err(error) => return self.disconnected(&error, instances),
            },
            address => State::Connecting(Box::pin(connect(address.clone()))),
        };
    }

    /// Watches for the console's socket, if it is one that has a file. A watch that is there stays.
    fn watch_socket(&mut self) {
        if let (None, Some(path)) = (&self.watch, self.address.socket_file()) {
            match SocketWatch::new(path) {
                Ok(watch) => self.watch = Some(watch),
                Err(error) if self.logged_failure => {
                    debug!(%error, "the console's folder cannot be watched")
                }
                Err(error) => warn!(
                    console = %self.address, %error,
                    "cannot watch the console's folder: it is connected at the next of the attempts, which become rarer"
                ),
            }
        }
    }

    /// Reads or writes once.
    async fn transfer(&mut self, instances: &mut PayloadInstances) {
        let room = instances.room().min(self.buffer.len());
        let State::Up { device, breaking, telnet, .. } = &mut self.state else {
            return;
        };
        if let Some(telnet) = telnet {
            encode(telnet, instances);
        }
        let input = match telnet {
            Some(telnet) => Some(HostInput::Chars(telnet.outgoing())),
            None if breaking.is_some() => None,
            None => instances.host_input(),
        };
        if let Some(HostInput::Break) = input {
            *breaking = send_break(&self.address, device);
            return;
        }
        let done = tokio::select! {
            read = read(device, self.buffer.get_mut(..room)) => Done::Read(read),
            written = write(device, input) => Done::Written(written),
            () = over(breaking) => Done::BreakOver,
            () = refuse_others(&mut self.listener, device) => return,
        };
        match done {
            Done::Read(Ok(0)) => self.disconnected(&ErrorKind::UnexpectedEof.into(), instances),
            Done::Read(Ok(count)) => {
                let bytes = self.buffer.get_mut(..count).unwrap_or_default();
                handle_read(telnet.as_mut(), bytes, instances);
            }
            Done::Written(Ok(count)) => match telnet {
                Some(telnet) => telnet.written(count),
                None => instances.consume(count),
            },
            Done::Read(Err(error)) | Done::Written(Err(error)) => {
                self.disconnected(&error, instances)
            }
            Done::BreakOver => *breaking = None,
        }
    }

    fn connected(&mut self, device: Device, instances: &mut PayloadInstances) {
        info!(console = %self.address, again = self.was_connected, "connected to the host console");
        self.state = State::Up {
            device,
            since: Instant::now(),
            breaking: None,
            telnet: matches!(self.address, ConsoleAddress::Telnet(_)).then(Telnet::default),
        };
        // What the host wrote while nobody was connected may be lost; one that dials has written nothing before.
        instances.set_available(true, self.was_connected && self.listener.is_none());
        self.watch = None;
        self.was_connected = true;
        self.logged_failure = false;
    }

    fn disconnected(&mut self, error: &io::Error, instances: &mut PayloadInstances) {
        instances.set_available(false, false);
        if self.listener.is_some() {
            info!(console = %self.address, %error, "the host console has hung up; waiting until it dials again");
            self.state = State::Listening;
            return;
        }
        if matches!(self.state, State::Up { since, .. } if since.elapsed() > STABLE) {
            self.pause = PAUSE;
        }
        self.watch_socket();
        if !self.logged_failure {
            warn!(
                console = %self.address, %error,
                "cannot use the host console: no SOL output until it is connected; retrying"
            );
            self.logged_failure = true;
        }
        self.state = State::Waiting { until: Instant::now() + self.pause };
        let is_active = instances.sessions().next().is_some();
        let longest = if is_active { MAX_PAUSE_ACTIVE } else { MAX_PAUSE };
        self.pause = (self.pause * 2).min(longest);
    }
}

/// Waits until the socket may be there; never ends if it is not watched.
async fn appeared(watch: &mut Option<SocketWatch>) {
    match watch {
        Some(watch) => watch.appeared().await,
        None => future::pending().await,
    }
}

/// Refuses hosts that dial while another is connected. Never ends.
async fn refuse_others(listener: &mut Option<ConsoleListener>, connected: &Device) {
    match listener {
        Some(listener) => listener.refuse_others(connected).await,
        None => future::pending().await,
    }
}

/// Encodes the writer's next input, once what was encoded before is written.
fn encode(telnet: &mut Telnet, instances: &mut PayloadInstances) {
    if !telnet.outgoing().is_empty() {
        return;
    }
    match instances.host_input() {
        Some(HostInput::Break) => telnet.push_break(),
        Some(HostInput::Chars(chars)) => {
            telnet.push(chars);
            let count = chars.len();
            instances.consume(count);
        }
        None => {}
    }
}

/// Handles bytes that were read.
fn handle_read(telnet: Option<&mut Telnet>, bytes: &mut [u8], instances: &mut PayloadInstances) {
    let Some(telnet) = telnet else {
        return instances.handle_output(bytes);
    };
    let (count, breaks) = telnet.decode(bytes);
    if breaks {
        instances.handle_break();
    }
    instances.handle_output(bytes.get(..count).unwrap_or_default());
}

/// Reads if `buffer` has room; never ends otherwise.
async fn read(device: &Device, buffer: Option<&mut [u8]>) -> io::Result<usize> {
    match buffer {
        Some(buffer) if !buffer.is_empty() => device.read(buffer).await,
        _ => future::pending().await,
    }
}

/// Writes if there are characters to write; never ends otherwise.
async fn write(device: &Device, input: Option<HostInput<'_>>) -> io::Result<usize> {
    match input {
        Some(HostInput::Chars(chars)) if !chars.is_empty() => device.write(chars).await,
        _ => future::pending().await,
    }
}

/// Waits for the end of a break; never ends if there is none.
async fn over(breaking: &mut Option<JoinHandle<()>>) {
    match breaking {
        // A task that failed has ended as well.
        Some(task) => drop(task.await),
        None => future::pending().await,
    }
}

async fn connect(address: ConsoleAddress) -> io::Result<Device> {
    let connected = async {
        match &address {
            ConsoleAddress::Abstract(name) => unix(format!("\0{name}").as_ref()).await,
            ConsoleAddress::Unix(path) => unix(path).await,
            ConsoleAddress::Tty(path) => tty(path),
            ConsoleAddress::Tcp(address) | ConsoleAddress::Telnet(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Device::new(stream.into_std()?.into())
            }
            ConsoleAddress::ListenUnix(_) | ConsoleAddress::None => Err(ErrorKind::NotFound.into()),
        }
    };
    time::timeout(CONNECT_TIMEOUT, connected).await?
}

async fn unix(path: &Path) -> io::Result<Device> {
    Device::new(UnixStream::connect(path).await?.into_std()?.into())
}

/// Opens a terminal in raw mode. Its speed does not change.
fn tty(path: &Path) -> io::Result<Device> {
    let device = Device::open(path)?;
    let mut attributes = termios::tcgetattr(&device)?;
    termios::cfmakeraw(&mut attributes);
    termios::tcsetattr(&device, SetArg::TCSANOW, &attributes)?;
    Ok(device)
}

/// Sends a break by the means of the console, if it has any.
fn send_break(address: &ConsoleAddress, device: &Device) -> Option<JoinHandle<()>> {
    match address {
        ConsoleAddress::Abstract(_) => {
            let flags = MsgFlags::MSG_OOB | MsgFlags::MSG_DONTWAIT;
            if let Err(error) =
                socket::send(device.as_fd().as_raw_fd(), &[OUT_OF_BAND_BREAK], flags)
            {
                debug!(%error, "cannot send a break to the host console");
            }
            None
        }
        ConsoleAddress::Tty(_) => match device.as_fd().try_clone_to_owned() {
            Ok(terminal) => Some(tokio::task::spawn_blocking(move || hold_break(&terminal))),
            Err(error) => {
                debug!(%error, "cannot send a break to the host console");
                None
            }
        },
        ConsoleAddress::Unix(_)
        | ConsoleAddress::ListenUnix(_)
        | ConsoleAddress::Tcp(_)
        | ConsoleAddress::Telnet(_)
        | ConsoleAddress::None => {
            debug!(console = %address, "break dropped: this kind of host console has none");
            None
        }
    }
}

/// Sends a break of a quarter to half a second.
fn hold_break(terminal: &OwnedFd) {
    if let Err(error) = termios::tcsendbreak(terminal, 0) {
        debug!(%error, "cannot send a break to the host console");
    }
}

#[cfg(test)]
mod tests;
