//! A BMC's device for a host interface, replaced by a message-based socket: each request of the host is one
//! message, as from `/dev/ipmi-kcsN`, `/dev/ipmi-bt-host` and `/dev/ipmi-ssif-host`.
//!
//! The framings are implemented here independently, from the kernel's documentation of each device.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with,
    bind, listen, recv, send, socket_with,
};

use crate::wait;

/// The kind of device that the test simulates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Network function, command and data.
    Kcs,
    /// The same after a length byte, with a sequence number before the command.
    Bt,
    /// The same after a length of four bytes, in the machine's byte order.
    Ssif,
}

impl Kind {
    /// The bridge for it.
    #[must_use]
    pub const fn bridge(self) -> &'static str {
        match self {
            Self::Kcs => "kcsbridged",
            Self::Bt => "btbridged",
            Self::Ssif => "ssifbridged",
        }
    }

    /// The built-in channel for it.
    #[must_use]
    pub const fn channel(self) -> &'static str {
        match self {
            Self::Kcs => "kcs0",
            Self::Bt => "bt0",
            Self::Ssif => "ssif0",
        }
    }

    fn frame(self, seq: u8, netfn: u8, command: u8, data: &[u8]) -> Vec<u8> {
        let head = [netfn << 2, command];
        match self {
            Self::Kcs => [&head[..], data].concat(),
            Self::Bt => {
                let length = u8::try_from(3 + data.len()).expect("a short request");
                [&[length, netfn << 2, seq, command][..], data].concat()
            }
            Self::Ssif => {
                let length = u32::try_from(2 + data.len()).expect("a short request");
                [&length.to_ne_bytes()[..], &head, data].concat()
            }
        }
    }

    /// The sequence number (0 for KCS and SSIF, which have none), and the message from its network function on.
    fn unframe(self, bytes: &[u8]) -> (u8, Vec<u8>) {
        match self {
            Self::Kcs => (0, bytes.to_vec()),
            Self::Bt => {
                assert_eq!(usize::from(bytes[0]) + 1, bytes.len(), "{bytes:02x?}");
                (bytes[2], [&bytes[1..2], &bytes[3..]].concat())
            }
            Self::Ssif => {
                let (length, message) = bytes.split_first_chunk().expect("a length");
                assert_eq!(u32::from_ne_bytes(*length) as usize, message.len());
                (0, message.to_vec())
            }
        }
    }
}

/// A device that is plugged in, and open in a bridge. Dropping it unplugs it.
#[derive(Debug)]
pub struct HostDevice {
    kind: Kind,
    path: PathBuf,
    bridge: OwnedFd,
    seq: u8,
}

impl HostDevice {
    /// Plugs a device in at `path`, and waits until a bridge has opened it.
    ///
    /// # Panics
    ///
    /// If none does.
    #[must_use]
    pub fn plug(kind: Kind, path: &Path) -> Self {
        // Otherwise a program that another thread starts would inherit the descriptor, and the device would stay
        // plugged in.
        let flags = SocketFlags::CLOEXEC;
        let listener = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
        let listener = listener.expect("a socket");
        let address = SocketAddrUnix::new(path).expect("a path");
        bind(&listener, &address).expect("a free path");
        listen(&listener, 1).expect("a listening socket");
        for each in [Timeout::Recv, Timeout::Send] {
            set_socket_timeout(&listener, each, Some(wait::LIMIT)).expect("a limit");
        }
        let bridge = accept_with(&listener, flags).expect("a bridge");
        set_socket_timeout(&bridge, Timeout::Recv, Some(wait::LIMIT)).expect("a limit");
        Self { kind, path: path.to_owned(), bridge, seq: 0 }
    }

    /// Sends a request without waiting for the response.
    ///
    /// # Panics
    ///
    /// If the bridge has closed the device.
    pub fn send(&mut self, netfn: u8, command: u8) {
        self.send_with(netfn, command, &[]);
    }

    /// Sends a request with `data`, without waiting for the response.
    ///
    /// # Panics
    ///
    /// If the bridge has closed the device.
    pub fn send_with(&mut self, netfn: u8, command: u8, data: &[u8]) {
        self.seq = self.seq.wrapping_add(1);
        let frame = self.kind.frame(self.seq, netfn, command, data);
        send(&self.bridge, &frame, SendFlags::NOSIGNAL).expect("a bridge");
    }

    /// Waits for the response to the last request, and returns it from its completion code on.
    ///
    /// # Panics
    ///
    /// If it is the response to another request, or none comes.
    pub fn receive(&self, netfn: u8, command: u8) -> Vec<u8> {
        let mut buffer = [0; 512];
        let (count, _) = recv(&self.bridge, &mut buffer, RecvFlags::empty()).expect("a response");
        let (seq, message) = self.kind.unframe(&buffer[..count]);
        let expected_seq = if self.kind == Kind::Bt { self.seq } else { 0 };
        assert_eq!(seq, expected_seq, "{message:02x?}");
        assert_eq!(message[..2], [(netfn << 2) | 4, command], "{message:02x?}");
        message[2..].to_vec()
    }

    /// Sends a request, and retries while the completion code shows that ipmid is not ready (C0h, C3h,
    /// D2h), and returns the response from its completion code on.
    ///
    /// # Panics
    ///
    /// If it is the response to another request, or none comes.
    pub fn request(&mut self, netfn: u8, command: u8) -> Vec<u8> {
        wait::until("a response", || {
            self.send(netfn, command);
            let response = self.receive(netfn, command);
            (![0xc3, 0xc0, 0xd2].contains(&response[0])).then_some(response)
        })
    }
}

impl Drop for HostDevice {
    fn drop(&mut self) {
        // Before the descriptor closes, so that the bridge does not open the device again.
        let _ = fs::remove_file(&self.path);
    }
}
