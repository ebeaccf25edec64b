//! The BMC's own I2C buses, for Master Write-Read.

use std::future::Future;
use std::io;

use i2cdev::core::{I2CMessage, I2CTransfer};
use i2cdev::linux::{LinuxI2CBus, LinuxI2CMessage};
use tokio::task;

/// Why a transfer failed (IPMI v2.0 §22.11 has a completion code for each).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum I2cError {
    /// Another master had the bus.
    LostArbitration,
    /// There is no such bus, or it is stuck.
    Bus,
    /// NAK: the address or a written byte was not acknowledged.
    NotAcknowledged,
}

/// Transfers as the master of a bus.
pub trait I2c: Send + Sync + 'static {
    /// Writes `write`, if there is any, and reads `read` bytes, if any, in one transaction.
    fn transfer(
        &self,
        bus: u8,
        address: u8,
        write: Vec<u8>,
        read: u8,
    ) -> impl Future<Output = Result<Vec<u8>, I2cError>> + Send;
}

/// `/dev/i2c-N`.
#[derive(Clone, Copy, Debug, Default)]
pub struct I2cDev;

impl I2c for I2cDev {
    async fn transfer(
        &self,
        bus: u8,
        address: u8,
        write: Vec<u8>,
        read: u8,
    ) -> Result<Vec<u8>, I2cError> {
        // A transfer waits for the bus, which may be slow or stuck.
        let transfer = task::spawn_blocking(move || transfer(bus, address, &write, read));
        transfer.await.map_err(|_| I2cError::Bus)?.map_err(|error| kind(&error))
    }
}

fn transfer(bus: u8, address: u8, write: &[u8], read: u8) -> io::Result<Vec<u8>> {
    let mut bus = LinuxI2CBus::new(format!("/dev/i2c-{bus}")).map_err(io::Error::from)?;
    let mut data = vec![0; usize::from(read)];
    let address = u16::from(address);
    let mut messages = Vec::new();
    if !write.is_empty() {
        messages.push(LinuxI2CMessage::write(write).with_address(address));
    }
    if !data.is_empty() {
        messages.push(LinuxI2CMessage::read(&mut data).with_address(address));
    }
    bus.transfer(&mut messages).map_err(io::Error::from)?;
    Ok(data)
}

/// What the kernel's error numbers mean (`Documentation/i2c/fault-codes.rst`).
fn kind(error: &io::Error) -> I2cError {
    const EIO: i32 = 5;
    const ENXIO: i32 = 6;
    const EAGAIN: i32 = 11;
    const EREMOTEIO: i32 = 121;
    match error.raw_os_error() {
        Some(EAGAIN) => I2cError::LostArbitration,
        Some(ENXIO | EREMOTEIO | EIO) => I2cError::NotAcknowledged,
        _ => I2cError::Bus,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bus_that_is_not_there_is_a_bus_error() {
        let result = I2cDev.transfer(0xff, 0x50, vec![0], 1).await;
        assert_eq!(result, Err(I2cError::Bus));
    }

    #[test]
    fn kernel_errors_are_told_apart() {
        for (number, expected) in [
            (11, I2cError::LostArbitration),
            (6, I2cError::NotAcknowledged),
            (121, I2cError::NotAcknowledged),
            (110, I2cError::Bus),
        ] {
            assert_eq!(kind(&io::Error::from_raw_os_error(number)), expected);
        }
    }
}
