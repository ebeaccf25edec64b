//! The KCS bridge between the host and `ipmid` (IPMI v2.0 §9).
//!
//! Speaks to the host through Linux's BMC-side character device, `/dev/ipmi-kcsN`
//! (`drivers/char/ipmi/kcs_bmc_cdev_ipmi.c`), or through QEMU. The device runs the register
//! handshake: a request can be read when the host has written its last byte, a response can be written in
//! that phase only (`EINVAL` else: the host has aborted), and it reports readability but never writability.

use std::future::Future;
use std::io;
use std::path::Path;
use std::time::Duration;

use host_link::device::HostDevice;
use ipmi_proto::{FrameError, Request, Response, kcs};
use sys::{Device, HostInterface};

/// An open `/dev/ipmi-kcsN`.
#[derive(Debug)]
pub struct KcsDevice(Device);

impl From<Device> for KcsDevice {
    fn from(device: Device) -> Self {
        Self(device)
    }
}

impl HostDevice for KcsDevice {
    const READ: usize = kcs::MAX_MESSAGE;
    /// Network function, command and completion code come first.
    const ANSWER_DATA: usize = kcs::MAX_MESSAGE - 3;
    /// Linux's driver gives up after 5 s.
    const ANSWER_WITHIN: Duration = Duration::from_secs(3);

    fn open(path: &Path) -> io::Result<Self> {
        sys::open_device(path).map(Self)
    }

    fn read(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        self.0.read_polled(buffer)
    }

    async fn write(&self, message: &[u8]) -> io::Result<usize> {
        self.0.write_now(message)
    }

    fn parse(message: &[u8]) -> Result<(u8, Request), FrameError> {
        Ok((0, kcs::parse_request(message)?))
    }

    fn emit(_: u8, response: &Response) -> Result<Vec<u8>, FrameError> {
        let mut out = Vec::new();
        kcs::emit_response(response, &mut out);
        Ok(out)
    }

    fn set_attention(&self, on: bool) -> io::Result<()> {
        match on {
            true => self.0.set_sms_attention(),
            false => self.0.clear_sms_attention(),
        }
    }

    fn force_abort(&self) -> io::Result<()> {
        self.0.force_abort()
    }
}
