//! The bus itself: whole frames in, whole frames out.
//!
//! A frame begins with its receiver's address, as on the wire.

use std::fs::File;
use std::io;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex};

use i2cdev::core::{I2CMessage, I2CTransfer};
use i2cdev::linux::{LinuxI2CBus, LinuxI2CMessage};
use ipmi_proto::FrameError;
use rustix::fs::{Mode, OFlags};
use sys::Device;
use tokio::io::Interest;

use crate::arguments::BusPath;

/// The most bytes of a message of Linux's `ipmb-dev-int`, its length byte included.
pub const MAX_MESSAGE: usize = 128;

/// An open bus.
#[derive(Debug)]
pub enum Port {
    /// `/dev/ipmb-N` (`drivers/char/ipmi/ipmb_dev_int.c`): a length byte, then the frame.
    Ipmb(Device),
    /// A slave queue in sysfs to read from: one frame per read, at offset 0.
    SlaveQueue(Device, Arc<Mutex<LinuxI2CBus>>),
}

/// The writing half; a write waits for the bus, so it runs on a blocking thread.
#[derive(Clone, Debug)]
pub enum Writer {
    /// See [`Port::Ipmb`].
    Ipmb(Arc<File>),
    /// The I2C bus beside a slave queue.
    I2c(Arc<Mutex<LinuxI2CBus>>),
}

impl Port {
    /// Opens the bus.
    ///
    /// # Errors
    ///
    /// As `open(2)`.
    pub fn open(path: &BusPath) -> io::Result<Self> {
        let Some(queue) = &path.slave_mqueue else {
            return sys::open_device(&path.device).map(Self::Ipmb);
        };
        let bus = LinuxI2CBus::new(&path.device).map_err(io::Error::from)?;
        Ok(Self::SlaveQueue(open_queue(queue)?, Arc::new(Mutex::new(bus))))
    }

    /// Waits for a frame.
    ///
    /// # Errors
    ///
    /// As `read(2)`; `Other` for bytes that are not a frame. Cancel safe.
    pub async fn read(&self) -> io::Result<Vec<u8>> {
        let mut buffer = [0; MAX_MESSAGE];
        match self {
            Self::Ipmb(device) => {
                let count = device.read(&mut buffer).await?;
                if count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let message = buffer.get(..count).unwrap_or_default();
                let frame = unwrapped(message).map_err(io::Error::other)?;
                Ok(frame.to_vec())
            }
            Self::SlaveQueue(queue, _) => {
                let mut count = rustix::io::pread(queue, &mut buffer, 0)?;
                if count == 0 {
                    count = queue
                        .io(Interest::PRIORITY, |fd| match rustix::io::pread(fd, &mut buffer, 0)? {
                            0 => Err(io::ErrorKind::WouldBlock.into()),
                            count => Ok(count),
                        })
                        .await?;
                }
                Ok(buffer.get(..count).unwrap_or_default().to_vec())
            }
        }
    }

    /// The writing half.
    ///
    /// # Errors
    ///
    /// As `dup(2)`.
    pub fn writer(&self) -> io::Result<Writer> {
        Ok(match self {
            Self::Ipmb(device) => {
                let file = device.as_fd().try_clone_to_owned()?;
                Writer::Ipmb(Arc::new(File::from(file)))
            }
            Self::SlaveQueue(_, bus) => Writer::I2c(Arc::clone(bus)),
        })
    }
}

impl Writer {
    /// Writes a frame; waits until its receiver has acknowledged it.
    ///
    /// # Errors
    ///
    /// As `write(2)`; `InvalidInput` for a frame without an address or too long for the device.
    pub fn write(&self, frame: &[u8]) -> io::Result<()> {
        match self {
            Self::Ipmb(file) => {
                let message = wrapped(frame).ok_or(io::ErrorKind::InvalidInput)?;
                (&**file).write_all(&message)
            }
            Self::I2c(bus) => {
                let (address, data) = frame.split_first().ok_or(io::ErrorKind::InvalidInput)?;
                let message = LinuxI2CMessage::write(data).with_address(u16::from(address >> 1));
                let mut bus = daemon::lock(bus);
                bus.transfer(&mut [message]).map_err(io::Error::from)?;
                Ok(())
            }
        }
    }
}

fn open_queue(path: &Path) -> io::Result<Device> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let queue = rustix::fs::open(path, flags, Mode::empty())?;
    Device::with_interest(queue, Interest::PRIORITY)
}

/// The frame of a message of `/dev/ipmb-N`.
fn unwrapped(message: &[u8]) -> Result<&[u8], FrameError> {
    let (&length, frame) = message.split_first().ok_or(FrameError::Truncated {
        what: "IPMB length",
        need: 1,
        have: 0,
    })?;
    let stated = usize::from(length);
    frame.get(..stated).ok_or(FrameError::Length { stated, have: frame.len() })
}

/// The message of `/dev/ipmb-N` for a frame; `None` for one that is too long.
fn wrapped(frame: &[u8]) -> Option<Vec<u8>> {
    let length = u8::try_from(frame.len()).ok()?;
    (frame.len() < MAX_MESSAGE).then(|| [&[length], frame].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_byte_does_not_count_itself() {
        let frame = [0x20, 0x18, 0xc8, 0x24, 0x04, 0x01, 0xd7];
        let message = [&[7], &frame[..]].concat();
        assert_eq!(unwrapped(&message), Ok(&frame[..]));
        assert_eq!(wrapped(&frame), Some(message));
    }

    #[test]
    fn message_cut_short_is_an_error() {
        assert!(unwrapped(&[]).is_err());
        assert!(unwrapped(&[2, 0x20]).is_err());
    }

    #[test]
    fn frame_longer_than_the_devices_is_refused() {
        assert!(wrapped(&[0; 127]).is_some());
        assert!(wrapped(&[0; 128]).is_none());
        assert!(wrapped(&[0; 300]).is_none());
    }
}
