//! What ipmid keeps: the event log, the sensor records, the FRU images.
//!
//! Stores know records, files and reservations, and neither the bus nor commands.

mod reservation;
pub mod sel;

pub use reservation::Reservation;
