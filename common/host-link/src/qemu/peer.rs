//! One connection from QEMU.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use daemon::RateLimit;
use ipmi_proto::vm_link::{self, Control, Decoder, Frame};
use ipmi_proto::{Response, kcs};
use tokio::io::{Interest, Ready};
use tokio::net::{TcpStream, UnixStream};
use tracing::{debug, info, warn};

use crate::transport::Incoming;

static REFUSED: RateLimit = RateLimit::new(5, Duration::from_secs(10));

/// The most bytes that may wait to be read by QEMU, many times the size of what is sent at once.
const OUTGOING: usize = 16 * 1024;

/// A connection, its partly received frame, and the bytes not sent yet.
#[derive(Debug)]
pub(super) struct Peer {
    stream: Stream,
    decoder: Decoder,
    incoming: VecDeque<Incoming>,
    outgoing: Vec<u8>,
}

#[derive(Debug)]
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Peer {
    /// A new connection, on which our version is sent first.
    pub(super) fn new(stream: Stream) -> Self {
        let mut outgoing = Vec::new();
        Control::Version(vm_link::VERSION).emit(&mut outgoing);
        Self { stream, decoder: Decoder::default(), incoming: VecDeque::new(), outgoing }
    }

    /// Waits for the next event from QEMU, and writes meanwhile. Cancel safe: bytes read are not lost.
    pub(super) async fn next(&mut self) -> io::Result<Incoming> {
        loop {
            if let Some(incoming) = self.incoming.pop_front() {
                return Ok(incoming);
            }
            let mut interest = Interest::READABLE;
            if !self.outgoing.is_empty() {
                interest |= Interest::WRITABLE;
            }
            let ready = self.stream.ready(interest).await?;
            if ready.is_writable() {
                self.write()?;
            }
            if ready.is_readable() {
                self.read()?;
            }
        }
    }

    /// Queues a response, and writes it at once if the socket has room.
    pub(super) fn respond(&mut self, seq: u8, response: &Response) {
        vm_link::emit_response(seq, response, &mut self.outgoing);
        self.flush();
    }

    /// Raises or lowers the attention flag, with an interrupt if it is enabled.
    pub(super) fn attention(&mut self, on: bool, interrupt: bool) {
        self.control(match (on, interrupt) {
            (true, true) => Control::SetAttentionInterrupt,
            (true, false) => Control::SetAttention,
            (false, _) => Control::ClearAttention,
        });
    }

    /// Enables or disables the interrupt for responses and attention.
    pub(super) fn interrupt(&mut self, on: bool) {
        self.control(match on {
            true => Control::EnableInterrupt,
            false => Control::DisableInterrupt,
        });
    }

    fn control(&mut self, control: Control) {
        debug!(?control, "control frame to QEMU");
        control.emit(&mut self.outgoing);
        self.flush();
    }

    /// Writes as much as the socket takes; an error is returned by [`next`](Self::next) later.
    fn flush(&mut self) {
        let _ = self.write();
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            match self.stream.try_write(&self.outgoing) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if self.outgoing.len() > OUTGOING {
            return Err(io::Error::other("QEMU does not read"));
        }
        Ok(())
    }

    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        let count = match self.stream.try_read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        for &byte in buffer.get(..count).unwrap_or_default() {
            match self.decoder.push(byte) {
                Some(Ok(frame)) => self.incoming.extend(event_of(frame)),
                Some(Err(error)) => self.incoming.push_back(Incoming::Unreadable(error)),
                None => {}
            }
        }
        Ok(())
    }
}

fn event_of(frame: Frame) -> Option<Incoming> {
    match frame {
        Frame::Message { seq, body } => Some(match kcs::parse_request(&body) {
            Ok(request) => Incoming::Request { seq, request },
            Err(error) => Incoming::Unreadable(error),
        }),
        Frame::Control(Control::Reset) => Some(Incoming::Reset),
        Frame::Control(Control::Version(version)) => {
            if version != vm_link::VERSION {
                warn!(version, "QEMU has another version of the protocol; continuing");
            }
            None
        }
        Frame::Control(Control::Capabilities(capabilities)) => {
            info!(capabilities = capabilities.0, "QEMU is connected");
            None
        }
        Frame::Control(control) => {
            if let Some(pass) = REFUSED.admit() {
                warn!(
                    ?control,
                    swallowed = pass.swallowed,
                    "QEMU sent a control frame that only a BMC sends; it is ignored"
                );
            }
            None
        }
    }
}

impl Stream {
    async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        match self {
            Self::Unix(stream) => stream.ready(interest).await,
            Self::Tcp(stream) => stream.ready(interest).await,
        }
    }

    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.try_read(buffer),
            Self::Tcp(stream) => stream.try_read(buffer),
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.try_write(bytes),
            Self::Tcp(stream) => stream.try_write(bytes),
        }
    }
}
