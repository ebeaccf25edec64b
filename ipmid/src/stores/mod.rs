//! What ipmid keeps: the event log, sensors and their records, FRU images.
//!
//! Stores know records, files and reservations, and neither the bus nor commands.

mod kept;
mod reservation;
pub mod sel;
pub mod sensors;

pub use kept::Kept;
pub use reservation::Reservation;
