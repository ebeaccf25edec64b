//! SMBus: transfers to others through the bus's master side, and a queue that the kernel fills with
//! what others write to this endpoint's address.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use i2cdev::core::{I2CMessage, I2CTransfer};
use i2cdev::linux::{LinuxI2CBus, LinuxI2CMessage};
use mctp_proto::framing::smbus::{Frame, MAX_FRAME};
use mctp_proto::{Address, DropReason, LinkId};
use rustix::fs::OFlags;
use sys::Device;
use tokio::io::Interest;

use super::{came_up, watch};
use crate::engine::Hub;

/// How often a transfer is tried whose target, or the bus, is busy.
const TRIES: usize = 3;

pub(super) async fn serve(
    hub: &Arc<Hub>,
    link: LinkId,
    bus: &Path,
    address: u8,
    queue: &Path,
) -> io::Error {
    let queue = match open_queue(queue) {
        Ok(queue) => queue,
        Err(error) => return error,
    };
    hub.with(|engine| engine.set_own_address(link, address));
    came_up(hub, link, None);
    tokio::select! {
        error = receive(hub, link, &queue, address) => error,
        error = transmit(hub, link, bus) => error,
    }
}

fn open_queue(path: &Path) -> io::Result<Device> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    watch(path, flags, Interest::READABLE | Interest::PRIORITY)
}

/// One read is one message; none is there while it gives nothing, until the file says so.
async fn receive(hub: &Arc<Hub>, link: LinkId, queue: &Device, own: u8) -> io::Error {
    let mut buffer = vec![0; MAX_FRAME + 1];
    loop {
        let interest = Interest::READABLE | Interest::PRIORITY;
        let len = match queue.io(interest, |fd| read_queue(fd, &mut buffer)).await {
            Ok(len) => len,
            Err(error) => return error,
        };
        let bytes = buffer.get(..len).unwrap_or_default();
        hub.with(|engine| match Frame::parse(bytes) {
            Ok(frame) if frame.destination == own => {
                engine.packet_in(link, Address::Smbus(frame.source), frame.packet);
            }
            Ok(_) => engine.frame_dropped(link, DropReason::Framing),
            Err(reason) => engine.frame_dropped(link, reason),
        });
        tokio::task::yield_now().await;
    }
}

/// A file of sysfs is read from its start each time; a pipe that stands in for one has no start.
fn read_queue(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    let read = match rustix::io::pread(fd, &mut *buffer, 0) {
        Err(rustix::io::Errno::SPIPE) => rustix::io::read(fd, buffer),
        read => read,
    };
    match read? {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        len => Ok(len),
    }
}

/// Transfers block for as long as the bus takes, so they are done aside, one at a time.
async fn transmit(hub: &Arc<Hub>, link: LinkId, bus: &Path) -> io::Error {
    let stalled = hub.with(|engine| engine.stalled(link));
    let mut open: Option<LinuxI2CBus> = None;
    loop {
        let Some((target, frame)) = hub.with(|engine| engine.next_transfer(link)) else {
            stalled.notified().await;
            continue;
        };
        let path = bus.to_path_buf();
        let done = tokio::task::spawn_blocking(move || {
            let mut bus = match open {
                Some(bus) => bus,
                None => LinuxI2CBus::new(path)?,
            };
            let sent = transfer(&mut bus, target, &frame);
            Ok::<_, i2cdev::linux::LinuxI2CError>((bus, sent))
        });
        open = match done.await {
            Ok(Ok((bus, true))) => Some(bus),
            Ok(Ok((bus, false))) => {
                tracing::debug!(address = target, "no answer on the bus");
                Some(bus)
            }
            Ok(Err(error)) => return io::Error::other(format!("{}: {error}", bus.display())),
            Err(error) => return io::Error::other(error),
        };
    }
}

fn transfer(bus: &mut LinuxI2CBus, target: u8, frame: &[u8]) -> bool {
    (0..TRIES).any(|_| {
        let message = LinuxI2CMessage::write(frame).with_address(u16::from(target));
        bus.transfer(&mut [message]).is_ok()
    })
}
