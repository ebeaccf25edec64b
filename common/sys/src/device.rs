//! A pollable descriptor on the runtime's event loop.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A character device (or any pollable descriptor), read and written without blocking.
///
/// One `read` and one `write` of a `Device` is one system call, because the devices of a BMC are
/// message based: a KCS, BT or SSIF message is what one call transfers. The device is closed when
/// the value is dropped. The descriptor must not be closed or replaced through its raw number.
#[derive(Debug)]
pub struct Device {
    fd: AsyncFd<OwnedFd>,
}

impl Device {
    /// Opens `path` for reading and writing.
    ///
    /// # Errors
    ///
    /// As `open(2)`; `EPERM` for a file that cannot be polled, such as a regular one.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        Self::new(rustix::fs::open(path, flags, Mode::empty())?)
    }

    /// Takes over an open descriptor and makes it non-blocking.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        Self::with_interest(fd, Interest::READABLE | Interest::WRITABLE)
    }

    /// Takes over a descriptor of which only some events are of interest, such as
    /// [`Interest::PRIORITY`] for a sysfs file that announces changes.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    pub fn with_interest(fd: OwnedFd, interest: Interest) -> io::Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&fd)?;
        rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
        // SAFETY: an `OwnedFd` is open and always names the same descriptor; the `AsyncFd` owns it
        // until it is dropped, and nothing here replaces or extracts it.
        let fd = unsafe { AsyncFd::register_with_interest(fd, interest) }?;
        Ok(Self { fd })
    }

    /// Waits until a read can be tried.
    ///
    /// Readiness stays until a [`read`](Self::read) or [`try_io`](Self::try_io) has seen
    /// `WouldBlock`, so a loop of `readable` alone does not wait.
    ///
    /// # Errors
    ///
    /// When the runtime is shutting down.
    pub async fn readable(&self) -> io::Result<()> {
        self.fd.readable().await.map(drop)
    }

    /// Reads once, when the device is readable: one message of a message based device.
    ///
    /// Zero is the end of the stream, where the device has one. Cancel safe: nothing is read when
    /// the future is dropped before it is ready.
    ///
    /// # Errors
    ///
    /// As `read(2)`, except `EAGAIN` and `EINTR`.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.io(Interest::READABLE, |fd| Ok(rustix::io::read(fd, &mut *buffer)?)).await
    }

    /// Reads once from a stream, taking a read that does not fill `buffer` for its end for now, as is
    /// true of terminals, pipes and stream sockets: one system call less than to read until
    /// `WouldBlock`. Cancel safe.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub async fn read_stream(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_by(|fd| {
            let count = rustix::io::read(fd, &mut *buffer)?;
            Ok((count, count < buffer.len()))
        })
        .await
    }

    /// Runs `operation`, a read of another kind, when the device is readable. It also returns whether it
    /// has drained the device, which saves a read that would find nothing. Cancel safe.
    ///
    /// # Errors
    ///
    /// Those of `operation`.
    pub async fn read_by<R>(
        &self,
        mut operation: impl FnMut(BorrowedFd<'_>) -> io::Result<(R, bool)>,
    ) -> io::Result<R> {
        loop {
            let mut guard = self.fd.readable().await?;
            match guard.try_io(|fd| retry_interrupted(|| operation(fd.get_ref().as_fd()))) {
                Ok(Ok((read, drained))) => {
                    if drained {
                        guard.clear_ready();
                    }
                    return Ok(read);
                }
                Ok(Err(error)) => return Err(error),
                Err(_would_block) => {}
            }
        }
    }

    /// Writes once, when the device is writable: one message of a message based device.
    ///
    /// A stream may take less than all of `bytes`. Cancel safe: nothing is written when the future
    /// is dropped before it is ready.
    ///
    /// # Errors
    ///
    /// As `write(2)`, except `EAGAIN` and `EINTR`.
    pub async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.io(Interest::WRITABLE, |fd| Ok(rustix::io::write(fd, bytes)?)).await
    }

    /// Writes all of `bytes`, for devices that are streams.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write); `WriteZero` when the device takes no more.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.write(bytes).await?;
            match bytes.get(written..) {
                Some(rest) if written > 0 => bytes = rest,
                _ => return Err(io::ErrorKind::WriteZero.into()),
            }
        }
        Ok(())
    }

    /// Runs `operation` each time `interest` is ready, until it returns other than `WouldBlock`.
    ///
    /// # Errors
    ///
    /// Those of `operation`.
    pub async fn io<R>(
        &self,
        interest: Interest,
        mut operation: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            let mut guard = self.fd.ready(interest).await?;
            match guard.try_io(|fd| retry_interrupted(|| operation(fd.get_ref().as_fd()))) {
                Ok(result) => return result,
                Err(_would_block) => {}
            }
        }
    }

    /// Runs `operation` each time the device is writable, until it returns other than `WouldBlock`, for a
    /// device that is registered for reading alone: unused room then wakes no task.
    ///
    /// # Errors
    ///
    /// Those of `operation`, and when no further descriptor can be opened.
    pub async fn when_writable<R>(
        &self,
        operation: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        let copy = self.fd.get_ref().try_clone()?;
        let writer = Self::with_interest(copy, Interest::WRITABLE)?;
        writer.io(Interest::WRITABLE, operation).await
    }

    /// Runs `operation` now, without waiting for readiness (for what may not wait, such as most
    /// ioctls, use the descriptor itself: [`AsFd`]).
    ///
    /// # Errors
    ///
    /// Those of `operation`, `WouldBlock` included.
    pub fn try_io<R>(
        &self,
        interest: Interest,
        mut operation: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> io::Result<R> {
        self.fd.try_io(interest, |fd| retry_interrupted(|| operation(fd.as_fd())))
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.get_ref().as_fd()
    }
}

fn retry_interrupted<R>(mut operation: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::time::Duration;

    use super::*;

    fn run<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(future)
    }

    #[test]
    fn message_written_is_read_on_the_other_side() {
        run(async {
            let (reader, writer) = std::os::unix::net::UnixDatagram::pair().unwrap();
            let reader = Device::new(reader.into()).unwrap();
            let writer = Device::new(writer.into()).unwrap();
            let mut buffer = [0; 16];
            let (read, written) = tokio::join!(reader.read(&mut buffer), async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                writer.write(b"\x18\x01").await
            });
            assert_eq!((read.unwrap(), written.unwrap()), (2, 2));
            assert_eq!(buffer[..2], *b"\x18\x01");
        });
    }

    #[test]
    fn stream_is_read_as_it_comes() {
        run(async {
            let (reader, writer) = std::io::pipe().unwrap();
            let reader = Device::with_interest(reader.into(), Interest::READABLE).unwrap();
            let writer = Device::with_interest(writer.into(), Interest::WRITABLE).unwrap();
            let mut buffer = [0; 4];
            for sent in [&b"ab"[..], b"cdef", b"ghijk"] {
                writer.write_all(sent).await.unwrap();
                let mut received = Vec::new();
                while received.len() < sent.len() {
                    let count = reader.read_stream(&mut buffer).await.unwrap();
                    received.extend_from_slice(&buffer[..count]);
                }
                assert_eq!(received, sent);
            }
        });
    }

    #[test]
    fn descriptor_is_made_non_blocking() {
        run(async {
            let (reader, _writer) = std::io::pipe().unwrap();
            let reader = Device::with_interest(reader.into(), Interest::READABLE).unwrap();
            let result = reader.try_io(Interest::READABLE, |fd| {
                let mut buffer = [0; 1];
                Ok(rustix::io::read(fd, &mut buffer)?)
            });
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        });
    }

    #[test]
    fn stream_larger_than_the_pipe_is_written_whole() {
        run(async {
            let (reader, writer) = std::io::pipe().unwrap();
            let reader = Device::with_interest(reader.into(), Interest::READABLE).unwrap();
            let writer = Device::with_interest(writer.into(), Interest::WRITABLE).unwrap();
            let sent: Vec<u8> = (0..300_000_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let receive = async {
                let mut received = Vec::new();
                let mut buffer = [0; 4096];
                while received.len() < sent.len() {
                    let count = reader.read(&mut buffer).await.unwrap();
                    received.extend_from_slice(&buffer[..count]);
                }
                received
            };
            let (received, written) = tokio::join!(receive, writer.write_all(&sent));
            written.unwrap();
            assert_eq!(received, sent);
        });
    }

    #[test]
    fn device_registered_for_reading_alone_can_wait_for_room() {
        run(async {
            let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
            let near = Device::with_interest(near.into(), Interest::READABLE).unwrap();
            let far = Device::new(far.into()).unwrap();
            while rustix::io::write(&near, &[0; 4096]).is_ok() {}
            let write = near.when_writable(|fd| Ok(rustix::io::write(fd, &[1])?));
            let mut buffer = vec![0; 1 << 20];
            let (written, read) = tokio::join!(write, async {
                tokio::task::yield_now().await;
                far.read(&mut buffer).await
            });
            assert_eq!(written.unwrap(), 1);
            assert!(read.unwrap() > 0);
        });
    }

    #[test]
    fn regular_file_is_refused() {
        run(async {
            let file = tempfile::NamedTempFile::new().unwrap();
            assert!(Device::open(file.path()).is_err());
        });
    }
}
