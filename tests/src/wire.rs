//! Raw datagrams to the BMC, and recorded ones read from `golden/`.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::wait;

/// How long a reply on loopback may take where its absence is part of a test.
const QUIET: Duration = Duration::from_millis(300);

/// The recorded datagrams of `golden/sessionless.txt`.
const SESSIONLESS: &str = include_str!("../golden/sessionless.txt");

/// All recorded datagrams that clients send outside a session, by name.
///
/// # Panics
///
/// If the file is malformed.
#[must_use]
pub fn sessionless() -> Vec<(&'static str, Vec<u8>)> {
    let lines = SESSIONLESS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once(": ").expect("a name")).map(|(n, b)| (n, bytes(b))).collect()
}

/// The recorded datagram called `name`.
///
/// # Panics
///
/// If there is no datagram of this name.
#[must_use]
pub fn recorded(name: &str) -> Vec<u8> {
    let found = sessionless().into_iter().find(|(is, _)| *is == name);
    found.unwrap_or_else(|| panic!("nothing recorded as {name}")).1
}

/// Bytes from hexadecimal digits with blanks between.
fn bytes(text: &str) -> Vec<u8> {
    let digits = text.split_whitespace();
    digits.map(|byte| u8::from_str_radix(byte, 16).expect("two hexadecimal digits")).collect()
}

/// A socket that speaks to one BMC.
#[derive(Debug)]
pub struct Wire {
    socket: UdpSocket,
}

impl Wire {
    /// A new source port for `bmc`.
    ///
    /// # Panics
    ///
    /// If no socket can be bound.
    #[must_use]
    pub fn to(bmc: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        socket.connect(bmc).expect("a destination");
        Self { socket }
    }

    /// Sends a datagram.
    ///
    /// # Panics
    ///
    /// If it cannot be sent.
    pub fn send(&self, bytes: &[u8]) {
        self.socket.send(bytes).expect("loopback takes a datagram");
    }

    /// The next reply, or `None` when none comes for a moment.
    ///
    /// # Panics
    ///
    /// If the socket fails.
    #[must_use]
    pub fn reply(&self) -> Option<Vec<u8>> {
        self.socket.set_read_timeout(Some(QUIET)).expect("a time-out");
        let mut buffer = [0; 2048];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(buffer[..length].to_vec())
    }

    /// Sends `bytes`, with retries while there is no reply, and returns the reply.
    ///
    /// # Panics
    ///
    /// If none comes within [`wait::LIMIT`].
    #[track_caller]
    #[must_use]
    pub fn ask(&self, bytes: &[u8]) -> Vec<u8> {
        wait::until("a reply", || {
            self.send(bytes);
            self.reply()
        })
    }

    /// Drops all replies in flight.
    pub fn drain(&self) {
        while self.reply().is_some() {}
    }
}
