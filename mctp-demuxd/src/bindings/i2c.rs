//! SMBus: transfers to others through the bus's master side, and a queue that the kernel fills with
//! what others write to this endpoint's address.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use i2cdev::core::{I2CMessage, I2CTransfer};
use i2cdev::linux::{LinuxI2CBus, LinuxI2CMessage};
use mctp_proto::framing::smbus::{Frame, MAX_FRAME, emit};
use mctp_proto::packet::Header;
use mctp_proto::{Address, DropReason, Medium};
use rustix::fs::OFlags;
use sys::Device;
use tokio::io::Interest;

use super::{Binding, Options, Serving, number, watch};
use crate::engine::{Output, Port};

/// How often a transfer is tried whose target, or the bus, is busy.
const TRIES: usize = 3;

/// A bus with a master and a slave side.
#[derive(Debug)]
pub(super) struct I2c {
    /// The bus, for transfers to others.
    bus: PathBuf,
    /// This endpoint's own 7-bit address.
    address: u8,
    /// Where the kernel queues what others write to that address.
    queue: PathBuf,
}

impl I2c {
    pub(super) fn new(options: &mut Options) -> Result<Self, String> {
        let address = options.take("address").ok_or("no address")?;
        let address = number(&address).ok().filter(|address| *address < 0x80);
        let address = address.ok_or("address is not from 0 to 0x7f")?;
        let queue = options.take("slave-mqueue").ok_or("no slave-mqueue")?;
        Ok(Self { bus: options.path(), address, queue: queue.into() })
    }

    async fn run(&self, port: &Port) -> io::Error {
        let queue = match open_queue(&self.queue) {
            Ok(queue) => queue,
            Err(error) => return error,
        };
        port.up(Output::transfers());
        tokio::select! {
            error = receive(port, &queue, self.address) => error,
            error = transmit(port, &self.bus, self.address) => error,
        }
    }
}

impl Binding for I2c {
    fn medium(&self) -> Option<Medium> {
        Some(Medium::Smbus)
    }

    /// The bus is shared with others; the queue of one address is not.
    fn devices(&self) -> Vec<PathBuf> {
        vec![self.queue.clone()]
    }

    fn serve<'a>(&'a mut self, port: &'a Port) -> Serving<'a> {
        Box::pin(self.run(port))
    }
}

fn open_queue(path: &Path) -> io::Result<Device> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    watch(path, flags, Interest::READABLE | Interest::PRIORITY)
}

/// One read is one message; there is none while it gives nothing, until the file reports one.
async fn receive(port: &Port, queue: &Device, own: u8) -> io::Error {
    let mut buffer = vec![0; MAX_FRAME + 1];
    loop {
        let interest = Interest::READABLE | Interest::PRIORITY;
        let len = match queue.io(interest, |fd| read_queue(fd, &mut buffer)).await {
            Ok(len) => len,
            Err(error) => return error,
        };
        let bytes = buffer.get(..len).unwrap_or_default();
        port.with(|engine, link| match Frame::parse(bytes) {
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

/// Transfers block for as long as the bus takes, so they are made on another thread, one at a time.
async fn transmit(port: &Port, bus: &Path, own: u8) -> io::Error {
    let stalled = port.stalled();
    let mut open: Option<LinuxI2CBus> = None;
    loop {
        let Some(packet) = port.with(|engine, link| engine.next_transfer(link)) else {
            stalled.notified().await;
            continue;
        };
        let Some((target, frame)) = frame_for(own, packet) else {
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
                tracing::debug!(address = target, "the address does not acknowledge");
                Some(bus)
            }
            Ok(Err(error)) => return io::Error::other(format!("{}: {error}", bus.display())),
            Err(error) => return io::Error::other(error),
        };
    }
}

/// Target and bytes of a transfer; the controller sends the address byte itself.
fn frame_for(
    own: u8,
    (address, header, payload): (Address, [u8; Header::LEN], Vec<u8>),
) -> Option<(u8, Vec<u8>)> {
    let Address::Smbus(target) = address else {
        return None;
    };
    let mut frame = Vec::with_capacity(MAX_FRAME);
    emit(target, own, header, &payload, &mut frame).ok()?;
    frame.split_first().map(|(_, rest)| (target, rest.to_vec()))
}

fn transfer(bus: &mut LinuxI2CBus, target: u8, frame: &[u8]) -> bool {
    (0..TRIES).any(|_| {
        let message = LinuxI2CMessage::write(frame).with_address(u16::from(target));
        bus.transfer(&mut [message]).is_ok()
    })
}
