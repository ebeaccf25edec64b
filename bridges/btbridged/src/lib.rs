//! The BT bridge between the host and `ipmid` (IPMI v2.0 §11).
//!
//! Speaks to the host through Linux's BMC-side character device, `/dev/ipmi-bt-host`
//! (`drivers/char/ipmi/bt-bmc.c`), or through QEMU. The device runs the flag handshake. Its `read`
//! and `write` block even on a non-blocking descriptor, so each is called only when `poll(2)` has just
//! reported that it will not: readable while `H2B_ATN` is up, writable while neither `H_BUSY` nor
//! `B2H_ATN` is.
//!
//! OpenBMC's btbridge sends requests in a signal; this one calls `execute()` like all bridges. It also serves
//! the method by which OpenBMC's `ipmid` sets the host's attention flag, under the bus name of that bridge.

use std::future::Future;
use std::io;
use std::path::Path;
use std::time::Duration;

use host_link::device::HostDevice;
use ipmi_proto::{FrameError, Request, Response, bt};
use sys::{Device, HostInterface};

/// An open `/dev/ipmi-bt-host`.
#[derive(Debug)]
pub struct BtDevice(Device);

impl From<Device> for BtDevice {
    fn from(device: Device) -> Self {
        Self(device)
    }
}

impl HostDevice for BtDevice {
    const READ: usize = bt::MAX_MESSAGE;
    /// Length, network function, sequence, command and completion code come first.
    const ANSWER_DATA: usize = bt::MAX_MESSAGE - 5;
    /// Linux's driver gives up after 5 s.
    const ANSWER_WITHIN: Duration = Duration::from_secs(3);
    const IS_HOST_IPMI: bool = true;

    fn open(path: &Path) -> io::Result<Self> {
        sys::open_device(path).map(Self)
    }

    fn read(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        self.0.read_polled(buffer)
    }

    fn write(&self, message: &[u8]) -> impl Future<Output = io::Result<usize>> {
        self.0.write_polled(message)
    }

    fn parse(message: &[u8]) -> Result<(u8, Request), FrameError> {
        bt::parse_request(message)
    }

    fn emit(seq: u8, response: &Response) -> Result<Vec<u8>, FrameError> {
        let mut out = Vec::new();
        bt::emit_response(seq, response, &mut out)?;
        Ok(out)
    }

    /// Raises the flag; only the host can lower it.
    fn set_attention(&self, on: bool) -> io::Result<()> {
        match on {
            true => self.0.set_sms_attention(),
            false => Ok(()),
        }
    }

    /// BT has no error state for a BMC to set: a host without a response resets the interface (§11.6).
    fn force_abort(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
