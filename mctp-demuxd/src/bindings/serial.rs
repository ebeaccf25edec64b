//! Serial lines: a UART or a pty.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use mctp_proto::framing::serial::{Decoder, emit};
use mctp_proto::packet::Header;
use mctp_proto::{Address, Medium};
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::termios::{ControlModes, OptionalActions, ioctl_tiocexcl, tcgetattr, tcsetattr};
use sys::Device;

use super::{Binding, Options, Serving, drain, end_of_stream, open};
use crate::engine::{Framing, Output, Port};

/// As much as a line discipline holds, and more.
const READ: usize = 16 * 1024;

/// A line, and its speed if it is to be set.
#[derive(Debug)]
pub(super) struct Serial {
    path: PathBuf,
    baud: Option<u32>,
}

#[derive(Debug)]
struct SerialFraming;

impl Framing for SerialFraming {
    const STREAM: bool = true;

    fn emit(&self, _: Address, header: [u8; Header::LEN], payload: &[u8], out: &mut Vec<u8>) {
        // The MTU is checked at the start, so that all packets fit.
        let _ = emit(header, payload, out);
    }
}

impl Serial {
    pub(super) fn new(options: &mut Options) -> Result<Self, String> {
        let baud = options.take("baud").map(|baud| baud.parse()).transpose();
        Ok(Self { path: options.path(), baud: baud.map_err(|_| "baud is no number")? })
    }

    async fn run(&self, port: &Port) -> io::Error {
        let device = match open(&self.path).and_then(|device| self.set_up(device)) {
            Ok(device) => Arc::new(device),
            Err(error) => return error,
        };
        port.up(Output::frames(Arc::clone(&device), SerialFraming));
        tokio::select! {
            error = receive(port, &device) => error,
            error = drain(port, &device) => error,
        }
    }

    /// Locks the line and sets it to eight bits, no parity, one stop bit, nothing interpreted, modem
    /// lines ignored.
    fn set_up(&self, device: Device) -> io::Result<Device> {
        // TIOCEXCL does not bind root, so there is a lock as well.
        flock(&device, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            io::Error::new(
                io::Error::from(error).kind(),
                format!("{}: another process has locked it", self.path.display()),
            )
        })?;
        ioctl_tiocexcl(&device)?;
        let mut mode = tcgetattr(&device)?;
        mode.make_raw();
        mode.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
        mode.control_modes -= ControlModes::CSTOPB | ControlModes::CRTSCTS;
        if let Some(baud) = self.baud {
            mode.set_speed(baud)?;
        }
        tcsetattr(&device, OptionalActions::Now, &mode)?;
        Ok(device)
    }
}

impl Binding for Serial {
    fn medium(&self) -> Option<Medium> {
        Some(Medium::Serial)
    }

    fn devices(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    fn check(&self) -> Result<(), String> {
        let no_terminal = || Err(format!("{} is no terminal", self.path.display()));
        match rustix::fs::stat(&self.path).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Ok(FileType::CharacterDevice) => {}
            Ok(_) => return no_terminal(),
            // What is absent now may be a terminal later.
            Err(_) => return Ok(()),
        }
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let mode = rustix::fs::open(&self.path, flags, Mode::empty()).and_then(tcgetattr);
        // Any other error, such as that of a line that was just unplugged, may pass.
        if mode.is_err_and(|error| error == Errno::NOTTY) { no_terminal() } else { Ok(()) }
    }

    fn serve<'a>(&'a mut self, port: &'a Port) -> Serving<'a> {
        Box::pin(self.run(port))
    }
}

async fn receive(port: &Port, device: &Device) -> io::Error {
    let mut decoder = Decoder::new();
    let mut buffer = vec![0; READ];
    loop {
        let len = match device.read_stream(&mut buffer).await {
            Ok(0) => return end_of_stream(),
            Ok(len) => len,
            Err(error) => return error,
        };
        let bytes = buffer.get(..len).unwrap_or_default();
        port.with(|engine, link| {
            decoder.feed(bytes, |packet| match packet {
                Ok(packet) => engine.packet_in(link, Address::None, packet),
                Err(reason) => engine.frame_dropped(link, reason),
            });
        });
        if len == buffer.len() {
            // There may be more, but clients have their turn, however fast the line is.
            tokio::task::yield_now().await;
        }
    }
}
