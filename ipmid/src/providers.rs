//! The handlers, a folder for each family of commands. Families do not know one another; what they
//! need of the machine they have from [`crate::platform`].

mod all;
pub mod app;
#[cfg(test)]
pub(crate) mod bench;
pub mod chassis;
pub mod dcmi;
mod happenings;
mod log_watch;
pub mod messaging;
pub mod pef;
mod records;
pub mod sbmr;
pub mod sensor;
pub mod storage;
pub mod transport;
mod versions;

pub use all::{Actors, Parts, Platform, register};
pub use happenings::take as take_happenings;
pub use records::{Records, SelConfig};
pub use versions::{Versions, watch as watch_versions};
