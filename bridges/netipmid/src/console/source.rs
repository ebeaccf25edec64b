//! The host's console: connected to, read, written, and connected to again.

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

use super::telnet::Telnet;
use super::{Address, HostInput, Hub};

/// The time between attempts to reach a console that is not there: at first, at most while somebody
/// wants it, and at most when nobody does, to let an idle BMC sleep.
const PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE_ATTENDED: Duration = Duration::from_secs(2);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// No console takes longer to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection that held for so long was a good one.
const GOOD: Duration = Duration::from_secs(2);

/// What obmc-console's clients send out of band for a break.
const OUT_OF_BAND_BREAK: u8 = 72;

/// Bytes read or written at a time.
const BUFFER: usize = 4096;

type Connecting = Pin<Box<dyn Future<Output = io::Result<Device>> + Send>>;

/// The host's console.
pub struct Source {
    address: Address,
    state: State,
    pause: Duration,
    /// It has been there before.
    known: bool,
    /// That it is not there has been logged.
    missed: bool,
    buffer: Box<[u8]>,
}

enum State {
    /// There is none.
    Absent,
    Waiting {
        until: Instant,
    },
    Connecting(Connecting),
    Up {
        device: Device,
        since: Instant,
        /// A break that takes its time.
        breaking: Option<JoinHandle<()>>,
        /// What lies between the connection and the characters, if anything does.
        telnet: Option<Telnet>,
    },
}

/// What one wait came to.
enum Done {
    Read(io::Result<usize>),
    Written(io::Result<usize>),
    BreakOver,
}

impl Source {
    /// A source that will connect to `address`.
    #[must_use]
    pub fn new(address: Address) -> Self {
        let state = match address {
            Address::None => State::Absent,
            _ => State::Waiting { until: Instant::now() },
        };
        Self {
            address,
            state,
            pause: PAUSE,
            known: false,
            missed: false,
            buffer: vec![0; BUFFER].into_boxed_slice(),
        }
    }

    /// Tries to connect now, if it is not connected: somebody wants the console.
    pub fn hurry(&mut self) {
        if let State::Waiting { until } = &mut self.state {
            *until = Instant::now();
            self.pause = PAUSE;
        }
    }

    /// Waits for something to do between the source and `hub`, and does it. Cancel safe.
    ///
    /// Afterwards, drain [`Hub::poll_transmit`].
    pub async fn step(&mut self, hub: &mut Hub) {
        match &mut self.state {
            State::Absent => future::pending().await,
            State::Waiting { until } => {
                time::sleep_until(*until).await;
                self.state = State::Connecting(Box::pin(connect(self.address.clone())));
            }
            State::Connecting(connecting) => match connecting.await {
                Ok(device) => self.found(device, hub),
                Err(error) => self.lost(&error, hub),
            },
            State::Up { .. } => self.transfer(hub).await,
        }
    }

    /// Reads or writes once.
    async fn transfer(&mut self, hub: &mut Hub) {
        let room = hub.room().min(self.buffer.len());
        let State::Up { device, breaking, telnet, .. } = &mut self.state else {
            return;
        };
        if let Some(telnet) = telnet {
            encode(telnet, hub);
        }
        let input = match telnet {
            Some(telnet) => Some(HostInput::Chars(telnet.outgoing())),
            None if breaking.is_some() => None,
            None => hub.host_input(),
        };
        if let Some(HostInput::Break) = input {
            *breaking = send_break(&self.address, device);
            return;
        }
        let done = tokio::select! {
            read = read(device, self.buffer.get_mut(..room)) => Done::Read(read),
            written = write(device, input) => Done::Written(written),
            () = over(breaking) => Done::BreakOver,
        };
        match done {
            Done::Read(Ok(0)) => self.lost(&ErrorKind::UnexpectedEof.into(), hub),
            Done::Read(Ok(count)) => {
                let bytes = self.buffer.get_mut(..count).unwrap_or_default();
                take(telnet.as_mut(), bytes, hub);
            }
            Done::Written(Ok(count)) => match telnet {
                Some(telnet) => telnet.written(count),
                None => hub.consume(count),
            },
            Done::Read(Err(error)) | Done::Written(Err(error)) => self.lost(&error, hub),
            Done::BreakOver => *breaking = None,
        }
    }

    fn found(&mut self, device: Device, hub: &mut Hub) {
        info!(console = %self.address, again = self.known, "the host's console is there");
        self.state = State::Up {
            device,
            since: Instant::now(),
            breaking: None,
            telnet: matches!(self.address, Address::Telnet(_)).then(Telnet::default),
        };
        // What the host wrote while nobody was connected may be lost.
        hub.set_available(true, self.known);
        self.known = true;
        self.missed = false;
    }

    fn lost(&mut self, error: &io::Error, hub: &mut Hub) {
        if matches!(self.state, State::Up { since, .. } if since.elapsed() > GOOD) {
            self.pause = PAUSE;
        }
        if !self.missed {
            warn!(console = %self.address, %error, "no host console; trying until there is one");
            self.missed = true;
        }
        self.state = State::Waiting { until: Instant::now() + self.pause };
        let attended = hub.sessions().next().is_some();
        let longest = if attended { MAX_PAUSE_ATTENDED } else { MAX_PAUSE };
        self.pause = (self.pause * 2).min(longest);
        hub.set_available(false, false);
    }
}

/// Moves what the writer has to where it is escaped, once that is empty.
fn encode(telnet: &mut Telnet, hub: &mut Hub) {
    if !telnet.outgoing().is_empty() {
        return;
    }
    match hub.host_input() {
        Some(HostInput::Break) => telnet.push_break(),
        Some(HostInput::Chars(chars)) => {
            telnet.push(chars);
            let count = chars.len();
            hub.consume(count);
        }
        None => {}
    }
}

/// Hands on what was read.
fn take(telnet: Option<&mut Telnet>, bytes: &mut [u8], hub: &mut Hub) {
    let Some(telnet) = telnet else {
        return hub.handle_output(bytes);
    };
    let (count, breaks) = telnet.decode(bytes);
    if breaks {
        hub.handle_break();
    }
    hub.handle_output(bytes.get(..count).unwrap_or_default());
}

/// Reads, if there is room to read into; waits for ever otherwise.
async fn read(device: &Device, buffer: Option<&mut [u8]>) -> io::Result<usize> {
    match buffer {
        Some(buffer) if !buffer.is_empty() => device.read(buffer).await,
        _ => future::pending().await,
    }
}

/// Writes, if there is anything to write; waits for ever otherwise.
async fn write(device: &Device, input: Option<HostInput<'_>>) -> io::Result<usize> {
    match input {
        Some(HostInput::Chars(chars)) if !chars.is_empty() => device.write(chars).await,
        _ => future::pending().await,
    }
}

/// Waits for the end of a break, if there is one; for ever otherwise.
async fn over(breaking: &mut Option<JoinHandle<()>>) {
    match breaking {
        // A task that failed has ended as well.
        Some(task) => drop(task.await),
        None => future::pending().await,
    }
}

async fn connect(address: Address) -> io::Result<Device> {
    let connected = async {
        match &address {
            Address::Abstract(name) => unix(format!("\0{name}").as_ref()).await,
            Address::Unix(path) => unix(path).await,
            Address::Tty(path) => tty(path),
            Address::Tcp(address) | Address::Telnet(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Device::new(stream.into_std()?.into())
            }
            Address::None => Err(ErrorKind::NotFound.into()),
        }
    };
    time::timeout(CONNECT_TIMEOUT, connected).await?
}

async fn unix(path: &Path) -> io::Result<Device> {
    Device::new(UnixStream::connect(path).await?.into_std()?.into())
}

/// Opens a terminal and has it pass all bytes on as they are. Its speed stays what it is.
fn tty(path: &Path) -> io::Result<Device> {
    let device = Device::open(path)?;
    let mut attributes = termios::tcgetattr(&device)?;
    termios::cfmakeraw(&mut attributes);
    termios::tcsetattr(&device, SetArg::TCSANOW, &attributes)?;
    Ok(device)
}

/// Sends a break the way the console knows, if it knows any.
fn send_break(address: &Address, device: &Device) -> Option<JoinHandle<()>> {
    match address {
        Address::Abstract(_) => {
            let flags = MsgFlags::MSG_OOB | MsgFlags::MSG_DONTWAIT;
            if let Err(error) =
                socket::send(device.as_fd().as_raw_fd(), &[OUT_OF_BAND_BREAK], flags)
            {
                debug!(%error, "break");
            }
            None
        }
        Address::Tty(_) => match device.as_fd().try_clone_to_owned() {
            Ok(terminal) => Some(tokio::task::spawn_blocking(move || hold_break(&terminal))),
            Err(error) => {
                debug!(%error, "break");
                None
            }
        },
        Address::Unix(_) | Address::Tcp(_) | Address::Telnet(_) | Address::None => {
            debug!(console = %address, "this console has no way to say a break");
            None
        }
    }
}

/// Holds the line for a quarter to half a second.
fn hold_break(terminal: &OwnedFd) {
    if let Err(error) = termios::tcsendbreak(terminal, 0) {
        debug!(%error, "break");
    }
}

#[cfg(test)]
mod tests;
