//! The links' devices: what is read from them goes to the demultiplexer, and what waits there for
//! them is written.
//!
//! A device that is not there, or goes, is tried again each second, with one log line when it goes
//! and one when it comes.

mod i2c;
mod kernel;
mod pcie;
mod serial;

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mctp_proto::LinkId;
use rustix::fs::{Mode, OFlags};
use sys::Device;
use tokio::io::Interest;

pub(crate) use self::kernel::{KernelLine, KernelSent};
use crate::engine::Hub;
use crate::spec::Spec;

/// How often a device that is not there is tried.
const RETRY: Duration = Duration::from_secs(1);

/// Serves one binding for ever.
pub(crate) async fn serve(hub: Arc<Hub>, link: LinkId, spec: Spec) {
    let name = spec.to_string();
    match spec {
        Spec::Serial { path, baud } => {
            forever(&hub, link, &name, || serial::serve(&hub, link, &path, baud)).await;
        }
        Spec::I2c { path, address, slave_mqueue } => {
            let serve = || i2c::serve(&hub, link, &path, address, &slave_mqueue);
            forever(&hub, link, &name, serve).await;
        }
        Spec::Pcie { path } => {
            forever(&hub, link, &name, || pcie::serve(&hub, link, &path)).await;
        }
        Spec::Kernel { network } => {
            forever(&hub, link, &name, || kernel::serve(&hub, link, network)).await;
        }
    }
}

/// Serves a device until it fails, and again as soon as it is back.
async fn forever<F: Future<Output = io::Error>>(
    hub: &Arc<Hub>,
    link: LinkId,
    name: &str,
    mut serve: impl FnMut() -> F,
) {
    let mut told = false;
    loop {
        let error = serve().await;
        let was_up = hub.with(|engine| engine.link_down(link));
        if was_up || !told {
            tracing::warn!(binding = name, %error, "not there; trying again each second");
            told = true;
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// A device is there: messages for it are taken from now on.
fn came_up(hub: &Arc<Hub>, link: LinkId, device: Option<Arc<Device>>) {
    hub.with(|engine| {
        engine.link_up(link, device);
        tracing::info!(binding = engine.link_name(link), "there");
    });
}

/// Writes what waits for a device whenever it has room again after it had none.
///
/// Ends when the device fails.
async fn drain(hub: &Arc<Hub>, link: LinkId, device: &Device) -> io::Error {
    let stalled = hub.with(|engine| engine.stalled(link));
    loop {
        stalled.notified().await;
        let drained = device.when_writable(|fd| hub.with(|engine| engine.write_line(link, fd)));
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
    io::Error::new(io::ErrorKind::UnexpectedEof, "the other side is gone")
}
