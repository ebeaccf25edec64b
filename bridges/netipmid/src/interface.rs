//! The network interface that the socket is bound to, followed by netlink (`rtnetlink(7)`).
//!
//! A message of the group of links says only that something may have changed: the interface's index is then
//! looked up by its name, so an interface that was deleted, made again, renamed or moved to another network
//! namespace is the same case, and lost messages do no harm. Addresses need not be followed: the socket is
//! bound to none.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use daemon::RateLimit;
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    self as nix_socket, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType,
    bind, recv,
};
use sys::Device;
use tokio::io::Interest;

use crate::socket;

/// The multicast group of links (`RTMGRP_LINK` of `linux/rtnetlink.h`).
const LINKS: u32 = 1;

/// Lines in a minute about an interface that comes and goes.
const LINES_PER_MINUTE: u32 = 20;

/// An interface, and the index that it had when it was last looked up.
pub struct Interface {
    name: String,
    index: Option<u32>,
    messages: Device,
    lines: RateLimit,
}

/// How an interface has changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InterfaceChange {
    /// No interface has the name any more.
    Deleted,
    /// An interface has the name again.
    Created,
    /// Another interface has the name.
    Replaced,
}

impl Interface {
    /// Follows the interface that `socket` is bound to, if it is bound to one.
    ///
    /// # Errors
    ///
    /// No netlink socket, or no such interface any more.
    pub fn of(socket: &UdpSocket) -> io::Result<Option<Self>> {
        let Some(name) = socket::interface(socket)? else {
            return Ok(None);
        };
        let messages = Device::with_interest(subscribe()?, Interest::READABLE)?;
        let index = index_of(&name)?;
        // The index is the socket's only if there was no other interface before the subscription.
        if socket::interface(socket)?.as_ref() != Some(&name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let lines = RateLimit::new(LINES_PER_MINUTE, Duration::from_secs(60));
        Ok(Some(Self { name, index, messages, lines }))
    }

    /// The interface's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether there was an interface of the name when it was last looked up.
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.index.is_some()
    }

    /// Waits until some link has changed. Cancel safe.
    ///
    /// # Errors
    ///
    /// What the netlink socket failed with.
    pub async fn links_changed(&self) -> io::Result<()> {
        self.messages.io(Interest::READABLE, |fd| drain(fd.as_raw_fd())).await
    }

    /// Looks the interface up by its name; returns how it has changed since the last time.
    ///
    /// # Errors
    ///
    /// When it cannot be looked up.
    pub fn look_up(&mut self) -> io::Result<Option<InterfaceChange>> {
        let index = index_of(&self.name)?;
        let before = std::mem::replace(&mut self.index, index);
        Ok(match (before, index) {
            (before, index) if before == index => None,
            (_, None) => Some(InterfaceChange::Deleted),
            (None, Some(_)) => Some(InterfaceChange::Created),
            (Some(_), Some(_)) => Some(InterfaceChange::Replaced),
        })
    }

    /// Notes that the interface was deleted before the socket was bound to it.
    pub const fn set_deleted(&mut self) {
        self.index = None;
    }

    /// Logs that the interface was deleted.
    pub fn log_deleted(&self) {
        if let Some(pass) = self.lines.admit() {
            tracing::warn!(
                interface = self.name,
                swallowed = pass.swallowed,
                "interface is gone: no console can reach the BMC over it until it is back"
            );
        }
    }

    /// Logs that the socket is bound to the interface again.
    pub fn log_created(&self) {
        if let Some(pass) = self.lines.admit() {
            tracing::info!(
                interface = self.name,
                swallowed = pass.swallowed,
                "interface is back: serving on it again"
            );
        }
    }
}

/// The index of the interface `name`; `None` if there is no such interface. Any other error is one of the look-up
/// and must not be taken for that: no message would follow when it is over.
fn index_of(name: &str) -> io::Result<Option<u32>> {
    match if_nametoindex(name) {
        Ok(index) => Ok(Some(index)),
        Err(Errno::ENODEV | Errno::ENXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A netlink socket that gets a message whenever a link changes.
fn subscribe() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let protocol = SockProtocol::NetlinkRoute;
    let socket = nix_socket::socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
    // The kernel chooses the port id.
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, LINKS))?;
    Ok(socket)
}

/// Takes all messages that wait, once there is one.
fn drain(fd: i32) -> io::Result<()> {
    // A message that does not fit is cut, which does not matter.
    let mut buffer = [0; 256];
    let mut any = false;
    loop {
        match recv(fd, &mut buffer, MsgFlags::MSG_DONTWAIT) {
            // ENOBUFS: messages were lost.
            Ok(_) | Err(Errno::ENOBUFS) => any = true,
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) if any => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
