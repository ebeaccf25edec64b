//! A client of the MCTP demultiplexer socket, for authors of message handlers.
//!
//! One connection has one message type. A message that is received begins with the sender's endpoint
//! id, one that is sent with the receiver's; the type byte follows. There are no tags: most message
//! types distinguish requests and responses themselves, and a response is matched with the request that
//! has the same key (instance id, slot, vendor id). For other types, a message to an endpoint whose
//! request is pending on this connection is the response to the oldest such request; any other message
//! is a request, whose response this connection alone receives.
//!
//! Calls block and need no runtime; the descriptor can be polled.
//!
//! ```no_run
//! # fn main() -> std::io::Result<()> {
//! let mut client = mctp_client::Client::connect(0x7e)?;
//! client.serve(|_eid, request| Some(request.to_vec()))
//! # }
//! ```

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, sockopt,
};

/// The abstract name that the demultiplexer's socket has by default.
pub const DEFAULT_SOCKET: &str = "mctp-demux";

/// The largest message, type byte included.
pub const MAX_MESSAGE: usize = 65_536;

/// A connection for one message type.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
    kind: u8,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects to [`DEFAULT_SOCKET`] and registers for messages of type `kind`, 1 to 7Fh.
    ///
    /// # Errors
    ///
    /// When there is no demultiplexer. One that refuses the type closes the connection, which the
    /// first [`receive`](Self::receive) reports.
    pub fn connect(kind: u8) -> io::Result<Self> {
        Self::connect_to(DEFAULT_SOCKET, kind)
    }

    /// As [`connect`](Self::connect), to a socket of another abstract name.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn connect_to(name: &str, kind: u8) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        connect(&socket, &SocketAddrUnix::new_abstract_name(name.as_bytes())?)?;
        send(&socket, &[kind], SendFlags::NOSIGNAL)?;
        Ok(Self { socket, kind, buffer: vec![0; 1 + MAX_MESSAGE] })
    }

    /// Bounds how long [`receive`](Self::receive) waits; `None` for ever.
    ///
    /// # Errors
    ///
    /// For a bound of zero.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        Ok(sockopt::set_socket_timeout(&self.socket, sockopt::Timeout::Recv, timeout)?)
    }

    /// The next message: its sender, and the message without its type byte.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the demultiplexer has closed the connection, `WouldBlock` when the time
    /// is up.
    pub fn receive(&mut self) -> io::Result<(u8, &[u8])> {
        let (len, _) = recv(&self.socket, &mut self.buffer[..], RecvFlags::empty())?;
        match self.buffer.get(..len) {
            Some([eid, _, body @ ..]) => Ok((*eid, body)),
            Some([]) | None => Err(io::ErrorKind::UnexpectedEof.into()),
            Some(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Sends a message to an endpoint: `body` is what follows the type byte.
    ///
    /// Waits while the demultiplexer has no tag or no room for it.
    ///
    /// # Errors
    ///
    /// What `send(2)` gives.
    pub fn send(&self, eid: u8, body: &[u8]) -> io::Result<()> {
        let message = [&[eid, self.kind], body].concat();
        send(&self.socket, &message, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Sends a request and waits for the response; messages of other endpoints are dropped meanwhile.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send) and [`receive`](Self::receive). Without a time-out this waits for ever
    /// for an endpoint that never responds.
    pub fn ask(&mut self, eid: u8, body: &[u8]) -> io::Result<Vec<u8>> {
        self.send(eid, body)?;
        loop {
            let (from, response) = self.receive()?;
            if from == eid {
                return Ok(response.to_vec());
            }
        }
    }

    /// Responds to requests until the demultiplexer ends: `handler` gets the sender and the request, both
    /// ways without the type byte, and returns the response, if any.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive) and [`send`](Self::send).
    pub fn serve(
        &mut self,
        mut handler: impl FnMut(u8, &[u8]) -> Option<Vec<u8>>,
    ) -> io::Result<()> {
        loop {
            let (eid, request) = self.receive()?;
            if let Some(response) = handler(eid, request) {
                self.send(eid, &response)?;
            }
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::{accept, bind, listen, socket};

    use super::*;

    /// A demultiplexer with one client.
    fn pair(name: &str, kind: u8) -> (OwnedFd, Client) {
        let name = format!("mctp-client-test-{}-{name}", std::process::id());
        let listener = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
        bind(&listener, &SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap()).unwrap();
        listen(&listener, 1).unwrap();
        let client = Client::connect_to(&name, kind).unwrap();
        let server = accept(&listener).unwrap();
        assert_eq!(receive_raw(&server), [kind]);
        (server, client)
    }

    fn receive_raw(server: &OwnedFd) -> Vec<u8> {
        let mut buffer = [0; 64];
        let (len, _) = recv(server, &mut buffer[..], RecvFlags::empty()).unwrap();
        buffer[..len].to_vec()
    }

    fn send_raw(server: &OwnedFd, bytes: &[u8]) {
        send(server, bytes, SendFlags::empty()).unwrap();
    }

    #[test]
    fn a_handler_answers_until_the_demultiplexer_ends() {
        let (server, mut client) = pair("serve", 0x7e);
        let handler = std::thread::spawn(move || {
            client.serve(|eid, request| (request != b"quiet").then(|| vec![eid, 0xaa]))
        });
        send_raw(&server, b"\x09\x7equiet");
        send_raw(&server, b"\x0a\x7eask");
        assert_eq!(receive_raw(&server), [0x0a, 0x7e, 0x0a, 0xaa]);
        drop(server);
        let error = handler.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_request_gets_the_answer_of_its_receiver() {
        let (server, mut client) = pair("ask", 1);
        send_raw(&server, b"\x0a\x01other");
        send_raw(&server, b"\x09\x01answer");
        assert_eq!(client.ask(9, b"question").unwrap(), b"answer");
        assert_eq!(receive_raw(&server), b"\x09\x01question");
    }

    #[test]
    fn a_time_out_ends_the_wait() {
        let (_server, mut client) = pair("timeout", 1);
        client.set_timeout(Some(Duration::from_millis(10))).unwrap();
        assert_eq!(client.receive().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
