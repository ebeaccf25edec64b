//! What ipmid keeps: the event log, sensors and their records, FRU images.
//!
//! Stores know records, files and reservations, and neither the bus nor commands.

mod clock;
pub mod fru;
mod reservation;
pub mod sdr;
pub mod sel;
pub mod sensors;

pub use clock::{Clock, ClockSettings};
pub use reservation::Reservation;
