//! The state of ipmid: the event log, sensors and their records, FRU images, LAN parameters.
//!
//! The model knows records, files and reservations; it has no bus names, no commands and no completion codes.

mod clock;
mod error;
pub mod events;
pub mod fru;
pub mod health;
pub mod lan;
pub mod live;
pub mod message_queue;
pub mod names;
pub mod parameter_updates;
pub mod persistent;
pub mod requester;
mod reservation;
pub mod sdr;
pub mod sel;
pub mod sensors;
mod stores;
pub mod watchdog;

pub use clock::{Clock, ClockSettings};
pub use error::StoreError;
pub use reservation::Reservation;
pub use stores::{ModelStores, SelConfig};

/// `count` bytes of a record from `offset` on, or as many as there are; FFh is all.
///
/// # Errors
///
/// [`StoreError::OutOfRange`] when the record ends before `offset`.
pub fn part(record: &[u8], offset: u8, count: u8) -> Result<&[u8], StoreError> {
    let rest = record.get(usize::from(offset)..).ok_or(StoreError::OutOfRange)?;
    Ok(rest.get(..usize::from(count)).unwrap_or(rest))
}

/// A count in two bytes of which FFFFh means something else.
#[must_use]
pub fn at_most_fffeh(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX).min(u16::MAX - 1)
}
