//! The ioctls of Linux's BMC-side host interfaces (`linux/ipmi_bmc.h`, `linux/bt-bmc.h`), and
//! transfers for drivers whose `read` and `write` block even on a non-blocking descriptor.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use tokio::io::Interest;

use crate::Device;

mod requests {
    //! Numbers 0 to 2 of magic B1h, without an argument. BT has number 0 only.

    nix::ioctl_none!(set_sms_attention, 0xb1, 0);
    nix::ioctl_none!(clear_sms_attention, 0xb1, 1);
    nix::ioctl_none!(force_abort, 0xb1, 2);
}

/// The host interface of a [`Device`]: its attention flag, its error state, and polled transfers.
pub trait HostInterface {
    /// Raises the host's `SMS_ATN` flag.
    ///
    /// # Errors
    ///
    /// As `ioctl(2)`.
    fn set_sms_attention(&self) -> io::Result<()>;

    /// Lowers the host's `SMS_ATN` flag (KCS only; a BT host lowers it itself).
    ///
    /// # Errors
    ///
    /// As `ioctl(2)`.
    fn clear_sms_attention(&self) -> io::Result<()>;

    /// Puts the interface into its error state, so that the host starts again (KCS only).
    ///
    /// # Errors
    ///
    /// As `ioctl(2)`.
    fn force_abort(&self) -> io::Result<()>;

    /// Reads one message, only when `poll(2)` reports that there is one.
    ///
    /// # Errors
    ///
    /// As `read(2)`; `NotConnected` when the device was unplugged.
    fn read_polled(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>>;

    /// Writes one message, only when `poll(2)` reports that there is room.
    ///
    /// # Errors
    ///
    /// As `write(2)`; `NotConnected` when the device was unplugged.
    fn write_polled(&self, message: &[u8]) -> impl Future<Output = io::Result<usize>>;

    /// Whether `poll(2)` reports a message to read.
    ///
    /// # Errors
    ///
    /// As `poll(2)`; `NotConnected` when the device was unplugged.
    fn has_message(&self) -> io::Result<bool>;

    /// Writes one message now. KCS and SSIF never report that they can be written to.
    ///
    /// # Errors
    ///
    /// As `write(2)`, `WouldBlock` included.
    fn write_now(&self, message: &[u8]) -> io::Result<usize>;
}

/// Opens a character device, or connects to a unix socket of type `SOCK_SEQPACKET`, with which a simulator
/// replaces the device.
///
/// # Errors
///
/// As `open(2)` and `connect(2)`.
pub fn open_device(path: &Path) -> io::Result<Device> {
    if std::fs::metadata(path)?.file_type().is_socket() {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
        connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
        return Device::new(socket);
    }
    Device::open(path)
}

impl HostInterface for Device {
    fn set_sms_attention(&self) -> io::Result<()> {
        // SAFETY: the descriptor is open for as long as `self` is; the request takes no argument.
        unsafe { requests::set_sms_attention(raw(self)) }?;
        Ok(())
    }

    fn clear_sms_attention(&self) -> io::Result<()> {
        // SAFETY: as in `set_sms_attention`.
        unsafe { requests::clear_sms_attention(raw(self)) }?;
        Ok(())
    }

    fn force_abort(&self) -> io::Result<()> {
        // SAFETY: as in `set_sms_attention`.
        unsafe { requests::force_abort(raw(self)) }?;
        Ok(())
    }

    async fn read_polled(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.io(Interest::READABLE, |fd| {
            ready_now(fd, PollFlags::POLLIN)?;
            Ok(rustix::io::read(fd, &mut *buffer)?)
        })
        .await
    }

    async fn write_polled(&self, message: &[u8]) -> io::Result<usize> {
        self.io(Interest::WRITABLE, |fd| {
            ready_now(fd, PollFlags::POLLOUT)?;
            Ok(rustix::io::write(fd, message)?)
        })
        .await
    }

    fn has_message(&self) -> io::Result<bool> {
        match ready_now(self.as_fd(), PollFlags::POLLIN) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn write_now(&self, message: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::write(self, message))?)
    }
}

fn raw(device: &Device) -> i32 {
    device.as_fd().as_raw_fd()
}

/// `WouldBlock` unless one of `events` is reported now.
///
/// The runtime's readiness is edge triggered, and an edge may be older than the device's state.
fn ready_now(fd: BorrowedFd<'_>, events: PollFlags) -> io::Result<()> {
    let mut fds = [PollFd::new(fd, events)];
    poll(&mut fds, PollTimeout::ZERO)?;
    let [fd] = fds;
    let found = fd.revents().unwrap_or(PollFlags::empty());
    if found.intersects(PollFlags::POLLNVAL | PollFlags::POLLERR) {
        return Err(io::ErrorKind::NotConnected.into());
    }
    if found.intersects(events | PollFlags::POLLHUP) {
        Ok(())
    } else {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::time::Duration;

    use super::*;

    fn run<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(future)
    }

    #[test]
    fn polled_transfers_have_one_message_each() {
        run(async {
            let (ours, theirs) = UnixDatagram::pair().unwrap();
            let device = Device::new(ours.into()).unwrap();
            assert!(!device.has_message().unwrap());
            theirs.send(b"one").unwrap();
            theirs.send(b"two").unwrap();
            assert!(device.has_message().unwrap());
            let mut buffer = [0; 16];
            for expected in [b"one", b"two"] {
                let count = device.read_polled(&mut buffer).await.unwrap();
                assert_eq!(buffer[..count], expected[..]);
            }
            let nothing = device.read_polled(&mut buffer);
            let waited = tokio::time::timeout(Duration::from_millis(10), nothing).await;
            assert!(waited.is_err());
            assert_eq!(device.write_polled(b"three").await.unwrap(), 5);
            assert_eq!(theirs.recv(&mut buffer).unwrap(), 5);
            assert_eq!(device.write_now(b"four").unwrap(), 4);
            assert_eq!(theirs.recv(&mut buffer).unwrap(), 4);
        });
    }

    #[test]
    fn socket_stands_in_for_a_device() {
        use nix::sys::socket::{Backlog, accept, bind, listen};

        run(async {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("device");
            assert!(open_device(&path).is_err());
            let flags = SockFlag::SOCK_CLOEXEC;
            let server = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
            bind(server.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
            listen(&server, Backlog::new(1).unwrap()).unwrap();
            let device = open_device(&path).unwrap();
            accept(server.as_raw_fd()).unwrap();
            assert_eq!(device.write_now(b"hello").unwrap(), 5);
        });
    }

    #[test]
    fn ioctls_on_what_is_no_host_interface_fail() {
        run(async {
            let (ours, _theirs) = UnixDatagram::pair().unwrap();
            let device = Device::new(ours.into()).unwrap();
            assert!(device.set_sms_attention().is_err());
            assert!(device.clear_sms_attention().is_err());
            assert!(device.force_abort().is_err());
        });
    }
}
