//! The SSIF bridge between the host and `ipmid` (IPMI v2.0 §12).
//!
//! Speaks to the host through Linux's BMC-side character device, `/dev/ipmi-ssif-host`
//! (`drivers/char/ipmi/ssif_bmc.c`), or through QEMU. The device joins and splits the single and
//! multi-part SMBus transactions. It reports readability but never writability, and refuses a response
//! with `EAGAIN` while the host still reads the previous one, and with `EINVAL` once its own timer for the
//! request has expired: 500 ms in mainline kernels. It does not match responses to requests: one that is
//! written while a newer request waits to be read would be taken for the response to that one.

use std::future::Future;
use std::io;
use std::path::Path;
use std::time::Duration;

use host_link::device::HostDevice;
use ipmi_proto::{FrameError, Request, Response, ssif};
use sys::{Device, HostInterface};
use tokio::time;

/// The time between two tries to write while the host still reads the previous response.
const RETRY: Duration = Duration::from_millis(5);

/// The device's error for a response without a request.
const EINVAL: i32 = 22;

/// An open `/dev/ipmi-ssif-host`.
#[derive(Debug)]
pub struct SsifDevice(Device);

impl From<Device> for SsifDevice {
    fn from(device: Device) -> Self {
        Self(device)
    }
}

impl HostDevice for SsifDevice {
    const READ: usize = ssif::LENGTH_BYTES + ssif::MAX_MESSAGE;
    /// Network function, command and completion code come first.
    const ANSWER_DATA: usize = ssif::MAX_MESSAGE - 3;
    /// Less than the 500 ms after which the device refuses a response; `answer-within-ms` is for kernels
    /// that wait longer.
    const ANSWER_WITHIN: Duration = Duration::from_millis(450);

    fn open(path: &Path) -> io::Result<Self> {
        sys::open_device(path).map(Self)
    }

    fn read(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        self.0.read_polled(buffer)
    }

    async fn write(&self, message: &[u8]) -> io::Result<usize> {
        loop {
            // The device would take it for the response to the request that has arrived meanwhile.
            if self.0.has_message()? {
                return Err(io::Error::from_raw_os_error(EINVAL));
            }
            match self.0.write_now(message) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    time::sleep(RETRY).await;
                }
                result => return result,
            }
        }
    }

    fn parse(message: &[u8]) -> Result<(u8, Request), FrameError> {
        Ok((0, ssif::parse_request(message)?))
    }

    fn emit(_: u8, response: &Response) -> Result<Vec<u8>, FrameError> {
        let mut out = Vec::new();
        ssif::emit_response(response, &mut out)?;
        Ok(out)
    }

    /// The device has no alert line; the host polls.
    fn set_attention(&self, _: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The device abandons a request without a response by itself.
    fn force_abort(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
