//! A host interface behind a BMC's character device, opened again whenever it goes.

use std::future::{self, Future};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::RateLimit;
use ipmi_proto::{FrameError, Request, Response};
use tokio::time;
use tracing::{info, warn};

use crate::exchange::Reply;
use crate::transport::{Incoming, Transport};

static REFUSED: RateLimit = RateLimit::new(5, Duration::from_secs(10));

/// How long between two attempts to open a device that is not there.
const RETRY: Duration = Duration::from_millis(500);

/// A character device that carries one message per read and write.
pub trait HostDevice: Sized {
    /// The most bytes of one read.
    const READ: usize;
    /// The most data bytes that fit into one answer.
    const ANSWER_DATA: usize;
    /// How long after a request the device still takes its answer, less a margin.
    const ANSWER_WITHIN: Duration;
    /// Whether OpenBMC's `ipmid` gets this host's attention through `org.openbmc.HostIpmi`.
    const IS_HOST_IPMI: bool = false;

    /// Opens the device.
    ///
    /// # Errors
    ///
    /// As `open(2)`.
    fn open(path: &Path) -> io::Result<Self>;

    /// Reads one message. Cancel safe.
    fn read(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>>;

    /// Writes one message. Cancel safe.
    fn write(&self, message: &[u8]) -> impl Future<Output = io::Result<usize>>;

    /// The sequence number (0 where there is none) and request of a message.
    ///
    /// # Errors
    ///
    /// Why it is none.
    fn parse(message: &[u8]) -> Result<(u8, Request), FrameError>;

    /// The message for a response.
    ///
    /// # Errors
    ///
    /// [`FrameError::TooLong`], never for at most [`ANSWER_DATA`](Self::ANSWER_DATA) bytes.
    fn emit(seq: u8, response: &Response) -> Result<Vec<u8>, FrameError>;

    /// Raises or lowers the host's attention flag.
    ///
    /// # Errors
    ///
    /// As `ioctl(2)`; `Unsupported` for a device without such a flag.
    fn set_attention(&self, on: bool) -> io::Result<()>;

    /// Puts the interface into its error state.
    ///
    /// # Errors
    ///
    /// As [`set_attention`](Self::set_attention).
    fn force_abort(&self) -> io::Result<()>;
}

/// A [`HostDevice`] at a path, there or not.
#[derive(Debug)]
pub struct DeviceTransport<D> {
    path: PathBuf,
    device: Option<D>,
    /// Whether its absence was told.
    missed: bool,
    /// The one answer to be written.
    outgoing: Option<Vec<u8>>,
    buffer: Vec<u8>,
}

impl<D: HostDevice> DeviceTransport<D> {
    /// The device at `path`, to be opened by the first [`next`](Transport::next).
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, device: None, missed: false, outgoing: None, buffer: vec![0; D::READ] }
    }

    async fn open(&mut self) -> Incoming {
        loop {
            match D::open(&self.path) {
                Ok(device) => {
                    if self.missed {
                        info!(device = %self.path.display(), "the device is back");
                    }
                    self.missed = false;
                    self.device = Some(device);
                    return Incoming::Up;
                }
                Err(error) => {
                    self.miss(&error);
                    time::sleep(RETRY).await;
                }
            }
        }
    }

    fn miss(&mut self, error: &io::Error) {
        if !self.missed {
            let device = self.path.display();
            warn!(%error, %device, "no device; trying again until there is one");
            self.missed = true;
        }
    }

    fn close(&mut self, error: &io::Error) -> Incoming {
        self.miss(error);
        self.device = None;
        self.outgoing = None;
        Incoming::Down
    }

    fn on_read(&mut self, result: io::Result<usize>) -> Option<Incoming> {
        match result {
            Ok(0) => Some(self.close(&io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => {
                // An answer that was not taken yet is of a request that the host has given up.
                self.outgoing = None;
                let message = self.buffer.get(..count).unwrap_or_default();
                Some(match D::parse(message) {
                    Ok((seq, request)) => Incoming::Request { seq, request },
                    Err(error) => Incoming::Unreadable(error),
                })
            }
            Err(error) if is_of_one_message(&error) => None,
            Err(error) => Some(self.close(&error)),
        }
    }

    fn on_written(&mut self, result: io::Result<usize>) -> Option<Incoming> {
        self.outgoing = None;
        match result {
            Ok(_) => None,
            Err(error) if is_of_one_message(&error) => {
                // The host gave the request up between its reading and this answer.
                if let Some(pass) = REFUSED.admit() {
                    info!(%error, swallowed = pass.swallowed, "the device took no answer");
                }
                None
            }
            Err(error) => Some(self.close(&error)),
        }
    }
}

/// Whether an error is about one message, and not about the device.
///
/// `EINVAL`: an answer in the wrong phase. `EIO`: BT's flags changed between poll and transfer.
/// `EOVERFLOW`: a request that was too long, which the kernel has aborted.
fn is_of_one_message(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    const EINVAL: i32 = 22;
    const EOVERFLOW: i32 = 75;
    matches!(error.raw_os_error(), Some(EIO | EINVAL | EOVERFLOW))
}

/// What ended first.
enum Done {
    Read(io::Result<usize>),
    Written(io::Result<usize>),
}

impl<D: HostDevice> Transport for DeviceTransport<D> {
    const ANSWER_DATA: usize = D::ANSWER_DATA;

    async fn next(&mut self) -> Incoming {
        loop {
            let Some(device) = &self.device else {
                return self.open().await;
            };
            let write = async {
                match &self.outgoing {
                    Some(message) => device.write(message).await,
                    None => future::pending().await,
                }
            };
            let done = tokio::select! {
                biased;
                written = write => Done::Written(written),
                read = device.read(&mut self.buffer) => Done::Read(read),
            };
            let incoming = match done {
                Done::Read(result) => self.on_read(result),
                Done::Written(result) => self.on_written(result),
            };
            if let Some(incoming) = incoming {
                return incoming;
            }
        }
    }

    fn send(&mut self, reply: &Reply) {
        match D::emit(reply.seq, &reply.response) {
            Ok(message) => self.outgoing = Some(message),
            Err(error) => warn!(%error, "an answer that the device cannot carry"),
        }
    }

    fn set_attention(&mut self, on: bool) -> io::Result<()> {
        // While the device is away the bridge remembers, and asks again when it is back.
        self.device.as_ref().map_or(Ok(()), |device| device.set_attention(on))
    }

    fn force_abort(&mut self) -> io::Result<()> {
        self.outgoing = None;
        self.device.as_ref().map_or(Ok(()), HostDevice::force_abort)
    }
}

#[cfg(test)]
mod tests;
