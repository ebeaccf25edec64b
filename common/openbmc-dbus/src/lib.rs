//! The D-Bus interfaces of OpenBMC that the suite uses and serves.
//!
//! - [`bus`]: connecting to the system bus, and noticing that it went away.
//! - [`execute`]: the one call between bridges and `ipmid`, both ends of it.

pub mod bus;
pub mod execute;
