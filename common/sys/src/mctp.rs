//! Sockets of the kernel's own MCTP stack (`AF_MCTP`, Linux 5.15 and newer; tags as of 6.0).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::{io, mem};

use tokio::io::Interest;

use crate::Device;

/// `AF_MCTP` of `linux/socket.h`.
const FAMILY: u16 = 45;

/// `MCTP_TAG_OWNER` of `linux/mctp.h`: in a request, "choose a tag"; in what was received, "the
/// sender chose the tag".
const TAG_OWNER: u8 = 0x08;

/// `MCTP_TAG_PREALLOC` of `linux/mctp.h`: the tag was allocated before.
const TAG_PREALLOCATED: u8 = 0x10;

/// The tag itself.
const TAG_MASK: u8 = 0x07;

/// `SIOCMCTPALLOCTAG`, `SIOCMCTPDROPTAG` and their successors, which know networks (`linux/mctp.h`).
const ALLOCATE_TAG: libc::Ioctl = 0x89e0;
const DROP_TAG: libc::Ioctl = 0x89e1;
const ALLOCATE_TAG_2: libc::Ioctl = 0x89e2;
const DROP_TAG_2: libc::Ioctl = 0x89e3;

/// `struct mctp_ioc_tag_ctl` of `linux/mctp.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct TagControl {
    address: u8,
    tag: u8,
    flags: u16,
}

/// `struct mctp_ioc_tag_ctl2` of `linux/mctp.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct TagControl2 {
    network: u32,
    address: u8,
    local_address: u8,
    flags: u16,
    tag: u8,
}

/// Any endpoint, for binding.
const ADDRESS_ANY: u8 = 0xff;

/// `struct sockaddr_mctp` of `linux/mctp.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct SockaddrMctp {
    family: u16,
    pad0: u16,
    network: u32,
    address: u8,
    kind: u8,
    tag: u8,
    pad1: u8,
}

/// The receiver or the sender of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MctpPeer {
    /// The kernel's number of the network; 0 for the default one.
    pub network: u32,
    /// The endpoint id.
    pub eid: u8,
    /// The message type, its integrity check bit included.
    pub kind: u8,
    /// The tag: 0 to 7.
    pub tag: u8,
    /// Whether the message is a request, whose sender chose the tag.
    pub tag_owner: bool,
    /// In a request: whether `tag` was allocated with [`MctpSocket::allocate_tag`]; otherwise the
    /// kernel chooses one, for one response.
    pub allocated: bool,
}

impl MctpPeer {
    fn to_raw(self) -> SockaddrMctp {
        let owner = if self.tag_owner { TAG_OWNER } else { 0 };
        let allocated = if self.allocated { TAG_PREALLOCATED } else { 0 };
        SockaddrMctp {
            family: FAMILY,
            network: self.network,
            address: self.eid,
            kind: self.kind,
            tag: (self.tag & TAG_MASK) | owner | allocated,
            ..SockaddrMctp::default()
        }
    }

    fn from_raw(raw: SockaddrMctp) -> Self {
        Self {
            network: raw.network,
            eid: raw.address,
            kind: raw.kind,
            tag: raw.tag & TAG_MASK,
            tag_owner: raw.tag & TAG_OWNER != 0,
            allocated: raw.tag & TAG_PREALLOCATED != 0,
        }
    }
}

/// A datagram socket of the kernel's stack, on the runtime's event loop.
///
/// Messages are without their type byte, which is in the address.
#[derive(Debug)]
pub struct MctpSocket {
    device: Device,
}

impl MctpSocket {
    /// A socket for requests; it receives the responses to them.
    ///
    /// # Errors
    ///
    /// `EAFNOSUPPORT` on a kernel without MCTP.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    pub fn new() -> io::Result<Self> {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no pointers are passed.
        let fd = check(unsafe { libc::socket(libc::c_int::from(FAMILY), kind, 0) })?;
        // SAFETY: the descriptor is new and belongs to nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { device: Device::with_interest(fd, Interest::READABLE)? })
    }

    /// A socket for the requests of one type that others send to this machine.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); `EADDRINUSE` when somebody else takes that type already.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    pub fn bind(network: u32, kind: u8) -> io::Result<Self> {
        let socket = Self::new()?;
        let peer = MctpPeer {
            network,
            eid: ADDRESS_ANY,
            kind,
            tag: 0,
            tag_owner: false,
            allocated: false,
        };
        let raw = peer.to_raw();
        // SAFETY: `raw` is a valid address of the length given, and outlives the call.
        check(unsafe {
            libc::bind(socket.as_fd().as_raw_fd(), (&raw const raw).cast(), raw_len())
        })?;
        Ok(socket)
    }

    /// Sends a message now. A request gets its tag from the kernel.
    ///
    /// # Errors
    ///
    /// `WouldBlock` for a full socket, `ResourceBusy` when all tags to the peer are out,
    /// `HostUnreachable` without a route.
    pub fn send(&self, peer: MctpPeer, message: &[u8]) -> io::Result<()> {
        let raw = peer.to_raw();
        // SAFETY: message and address are valid for the lengths given, and outlive the call.
        let sent = unsafe {
            libc::sendto(
                self.as_fd().as_raw_fd(),
                message.as_ptr().cast(),
                message.len(),
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                (&raw const raw).cast(),
                raw_len(),
            )
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Allocates a tag for requests to an endpoint until it is dropped, so that a request can have several
    /// responses. The kernel drops the socket's tags when it is closed.
    ///
    /// # Errors
    ///
    /// `InvalidInput` on a kernel that does not support this for the network, `ResourceBusy` when all tags to
    /// the peer are in use.
    pub fn allocate_tag(&self, network: u32, eid: u8) -> io::Result<u8> {
        let mut control = TagControl2 { network, address: eid, ..TagControl2::default() };
        match self.tag_control(ALLOCATE_TAG_2, &mut control) {
            Ok(()) => return Ok(control.tag & TAG_MASK),
            // The older form supports the default network only.
            Err(error) if is_unknown(&error) && network <= 1 => {}
            Err(error) if is_unknown(&error) => return Err(io::ErrorKind::InvalidInput.into()),
            Err(error) => return Err(error),
        }
        let mut control = TagControl { address: eid, ..TagControl::default() };
        match self.tag_control(ALLOCATE_TAG, &mut control) {
            Ok(()) => Ok(control.tag & TAG_MASK),
            Err(error) if is_unknown(&error) => Err(io::ErrorKind::InvalidInput.into()),
            Err(error) => Err(error),
        }
    }

    /// Frees an allocated tag. One that is not allocated is ignored.
    pub fn drop_tag(&self, peer: MctpPeer) {
        let tag = (peer.tag & TAG_MASK) | TAG_OWNER | TAG_PREALLOCATED;
        let (network, address) = (peer.network, peer.eid);
        let mut control = TagControl2 { network, address, tag, ..TagControl2::default() };
        if self.tag_control(DROP_TAG_2, &mut control).is_err() {
            let mut control = TagControl { address, tag, ..TagControl::default() };
            // After any error the tag is no longer allocated.
            let _ = self.tag_control(DROP_TAG, &mut control);
        }
    }

    fn tag_control<T>(&self, request: libc::Ioctl, control: &mut T) -> io::Result<()> {
        // SAFETY: `control` is the structure that each of the four requests above is called with,
        // valid for reads and writes, and outlives the call.
        let done = unsafe { libc::ioctl(self.as_fd().as_raw_fd(), request, &raw mut *control) };
        check(done).map(drop)
    }

    /// Receives one message into `buffer`, which becomes as long as the message, and gives its
    /// sender. Cancel safe.
    ///
    /// # Errors
    ///
    /// As `recvfrom(2)`, except `EAGAIN` and `EINTR`.
    pub async fn receive(&self, buffer: &mut Vec<u8>) -> io::Result<MctpPeer> {
        let received = self.device.io(Interest::READABLE, |fd| {
            let (length, _) = receive(fd, &mut [], libc::MSG_PEEK)?;
            buffer.resize(length, 0);
            receive(fd, buffer, 0)
        });
        received.await.map(|(_, peer)| peer)
    }
}

impl AsFd for MctpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

/// Length and sender of the next message, of which as much as fits goes into `buffer`.
fn receive(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: libc::c_int,
) -> io::Result<(usize, MctpPeer)> {
    let mut raw = SockaddrMctp::default();
    let mut raw_size = raw_len();
    // SAFETY: buffer and address are valid for writes of the lengths given, and outlive the call.
    // Any bits are a valid address.
    let length = unsafe {
        libc::recvfrom(
            fd.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            flags | libc::MSG_TRUNC,
            (&raw mut raw).cast(),
            &raw mut raw_size,
        )
    };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    Ok((length, MctpPeer::from_raw(raw)))
}

/// Whether the kernel does not know a request.
fn is_unknown(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOTTY))
}

fn raw_len() -> libc::socklen_t {
    const LEN: u8 = 12;
    const { assert!(mem::size_of::<SockaddrMctp>() == LEN as usize) };
    libc::socklen_t::from(LEN)
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_go_both_ways() {
        for (tag_owner, allocated) in [(false, false), (true, false), (true, true)] {
            let peer = MctpPeer { network: 1, eid: 9, kind: 0x84, tag: 5, tag_owner, allocated };
            assert_eq!(MctpPeer::from_raw(peer.to_raw()), peer);
        }
        let peer =
            MctpPeer { network: 1, eid: 9, kind: 1, tag: 2, tag_owner: true, allocated: false };
        let raw = peer.to_raw();
        assert_eq!((raw.family, raw.tag), (45, 0x0a));
        assert_eq!(MctpPeer { allocated: true, ..peer }.to_raw().tag, 0x1a);
    }

    #[test]
    fn tag_controls_have_the_kernels_layout() {
        assert_eq!((mem::size_of::<TagControl>(), mem::size_of::<TagControl2>()), (4, 12));
        assert_eq!(mem::offset_of!(TagControl2, tag), 8);
    }
}
