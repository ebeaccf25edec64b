//! The links' devices: what is read from them goes to the demultiplexer, and what waits there for
//! them is written.
//!
//! A medium is a `Binding`: its framing in `mctp-proto`, a file here, and an arm in `Spec::open`.
//! A device that is absent or fails is tried again each second, with one log line when it fails and
//! one when it is open.

mod i2c;
mod kernel;
mod pcie;
mod serial;
mod spec;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;
use std::{fmt, io};

use daemon::Outage;
use mctp_proto::{BASELINE_MTU, Medium};
use rustix::fs::{Mode, OFlags};
use sys::Device;
use tokio::io::Interest;

use self::i2c::I2c;
use self::kernel::Kernel;
use self::pcie::Pcie;
use self::serial::Serial;
pub use self::spec::{Options, Spec, number};
use crate::demux::LinkKind;
use crate::engine::Port;

/// How often a device that cannot be opened is tried.
const RETRY: Duration = Duration::from_secs(1);

/// Serving a device, until it fails.
pub(crate) type Serving<'a> = Pin<Box<dyn Future<Output = io::Error> + Send + 'a>>;

/// A medium, and how its device is served.
pub(crate) trait Binding: fmt::Debug + Send + 'static {
    /// The medium; `None` for whole messages of the kernel's stack.
    fn medium(&self) -> Option<Medium>;

    /// The devices that no other process may use at the same time, or other binding.
    fn devices(&self) -> Vec<PathBuf>;

    /// Whether what is at the path can be such a device at all.
    ///
    /// # Errors
    ///
    /// Why it cannot, so that there is no use in trying.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Opens the device, reports to `port` that it is open, and serves it until it fails.
    fn serve<'a>(&'a mut self, port: &'a Port) -> Serving<'a>;
}

impl Spec {
    /// The binding that this describes.
    ///
    /// # Errors
    ///
    /// For an unknown kind, and for options that the kind does not have.
    pub(crate) fn open(&self) -> Result<Box<dyn Binding>, String> {
        let mut options = self.options();
        let binding: Box<dyn Binding> = match self.kind() {
            "serial" => Box::new(Serial::new(&mut options)?),
            "i2c" => Box::new(I2c::new(&mut options)?),
            "pcie" => Box::new(Pcie::new(&options)),
            "kernel" => Box::new(Kernel::new(&options)?),
            _ => return Err("the kind is neither serial, i2c, pcie nor kernel".to_owned()),
        };
        options.finish()?;
        Ok(binding)
    }
}

/// What the demultiplexer has to know of a link.
///
/// # Errors
///
/// For packets smaller than every endpoint takes, or larger than the medium can carry.
pub(crate) fn link_kind(binding: &dyn Binding, mtu: Option<usize>) -> Result<LinkKind, String> {
    let Some(medium) = binding.medium() else {
        return Ok(LinkKind::Kernel);
    };
    let (mtu, most) = (mtu.unwrap_or(BASELINE_MTU), medium.max_mtu());
    if (BASELINE_MTU..=most).contains(&mtu) {
        Ok(LinkKind::Packets(medium, mtu))
    } else {
        Err(format!("packets of {mtu} bytes, where {BASELINE_MTU} to {most} are possible"))
    }
}

/// Serves one binding for ever.
pub(crate) async fn keep_serving(port: Port, mut binding: Box<dyn Binding>, name: String) {
    let outage = Outage::new();
    loop {
        let error = binding.serve(&port).await;
        if port.down() {
            outage.end();
        }
        if let Err(reason) = binding.check() {
            tracing::error!(binding = name, reason, "cannot be served; giving it up");
            return;
        }
        if outage.begin() {
            tracing::warn!(binding = name, %error, "not open; retrying every second");
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Writes what waits for a device whenever it has room again after it had none.
///
/// Ends when the device fails.
async fn drain(port: &Port, device: &Device) -> io::Error {
    let stalled = port.stalled();
    loop {
        stalled.notified().await;
        let drained =
            device.when_writable(|fd| port.with(|engine, link| engine.write_frames(link, fd)));
        if let Err(error) = drained.await {
            return error;
        }
    }
}

/// Opens a device that is read and written, but watched for reading alone until it takes no more.
fn open(path: &Path) -> io::Result<Device> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    watch(path, flags, Interest::READABLE)
}

fn watch(path: &Path, flags: OFlags, interest: Interest) -> io::Result<Device> {
    let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from);
    opened
        .and_then(|fd| Device::with_interest(fd, interest))
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn end_of_stream() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the other side is closed")
}
