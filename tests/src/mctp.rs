//! Handlers of MCTP messages at the demultiplexer's socket.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket,
};

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
