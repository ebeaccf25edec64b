//! A host interface behind a BMC's character device, which is reopened when it is lost.

use std::future::{self, Future};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use daemon::{Outage, RateLimit};
use ipmi_proto::{FrameError, Request, Response};
use tracing::{info, warn};

use crate::exchange::Reply;
use crate::transport::{Incoming, Transport};

static REFUSED: RateLimit = RateLimit::new(5, Duration::from_secs(10));

/// The time between two attempts to open the device.
const RETRY: Duration = Duration::from_millis(500);

/// A character device that transfers one message per read and write.
pub trait HostDevice: Sized {
    /// The most bytes of one read.
    const READ: usize;
    /// The most data bytes of a response.
    const ANSWER_DATA: usize;
    /// The time after a request for which the device accepts its response, less a margin.
    const ANSWER_WITHIN: Duration;
    /// Whether OpenBMC's `ipmid` sets this host's attention flag through `org.openbmc.HostIpmi`.
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
    /// [`FrameError`] for a message that is not a request.
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

/// A [`HostDevice`] at a path, which may come and go.
#[derive(Debug)]
pub struct DeviceTransport<D> {
    path: PathBuf,
    device: Option<D>,
    /// Since the device was lost or could not be opened.
    outage: Outage,
    /// The response to write.
    outgoing: Option<Vec<u8>>,
    buffer: Vec<u8>,
}

impl<D: HostDevice> DeviceTransport<D> {
    /// The device at `path`, to be opened by the first [`next`](Transport::next).
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, device: None, outage: Outage::new(), outgoing: None, buffer: vec![0; D::READ] }
    }

    async fn open(&mut self) -> Incoming {
        let open = || future::ready(D::open(&self.path));
        let device = self.outage.retry(RETRY, open, |error| self.log_absence(error)).await;
        if self.outage.end() {
            info!(device = %self.path.display(), "the device is available again");
        }
        self.device = Some(device);
        Incoming::Up
    }

    fn log_absence(&self, error: &io::Error) {
        let device = self.path.display();
        warn!(%error, %device, "the device is not available; retrying every 500 ms");
    }

    fn close(&mut self, error: &io::Error) -> Incoming {
        if self.outage.begin() {
            self.log_absence(error);
        }
        self.device = None;
        self.outgoing = None;
        Incoming::Down
    }

    fn on_read(&mut self, result: io::Result<usize>) -> Option<Incoming> {
        match result {
            Ok(0) => Some(self.close(&io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => {
                // A response that was not written yet is for a request that the host has abandoned.
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
                // The host abandoned the request before this response.
                if let Some(pass) = REFUSED.admit() {
                    info!(%error, swallowed = pass.swallowed, "the device refused a response; it is dropped");
                }
                None
            }
            Err(error) => Some(self.close(&error)),
        }
    }
}

/// Whether an error is about one message, and not about the device.
///
/// `EINVAL`: a response in the wrong phase. `EIO`: BT's flags changed between poll and transfer.
/// `EOVERFLOW`: a request that was too long, which the kernel has aborted.
fn is_of_one_message(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    const EINVAL: i32 = 22;
    const EOVERFLOW: i32 = 75;
    matches!(error.raw_os_error(), Some(EIO | EINVAL | EOVERFLOW))
}

/// The transfer that completed first.
enum Transfer {
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
            let transfer = tokio::select! {
                biased;
                written = write => Transfer::Written(written),
                read = device.read(&mut self.buffer) => Transfer::Read(read),
            };
            let incoming = match transfer {
                Transfer::Read(result) => self.on_read(result),
                Transfer::Written(result) => self.on_written(result),
            };
            if let Some(incoming) = incoming {
                return incoming;
            }
        }
    }

    fn send(&mut self, reply: &Reply) {
        match D::emit(reply.seq, &reply.response) {
            Ok(message) => self.outgoing = Some(message),
            Err(error) => warn!(%error, "cannot encode a response for the device; it is dropped"),
        }
    }

    fn set_attention(&mut self, on: bool) -> io::Result<()> {
        // While the device is not available the bridge stores the flag, and sets it when it is again.
        self.device.as_ref().map_or(Ok(()), |device| device.set_attention(on))
    }

    fn force_abort(&mut self) -> io::Result<()> {
        self.outgoing = None;
        self.device.as_ref().map_or(Ok(()), HostDevice::force_abort)
    }
}

#[cfg(test)]
mod tests;
