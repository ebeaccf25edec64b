//! The handlers, a folder for each family of commands. Families do not import one another, but share `set_in_progress`; they use
//! the traits of [`crate::platform`] and the state in [`crate::model`].

pub mod app;
pub mod chassis;
pub mod dcmi;
pub mod messaging;
pub mod pef;
pub mod sbmr;
pub mod sensor;
mod set_in_progress;
pub mod storage;
#[cfg(test)]
pub(crate) mod test_support;
pub mod transport;
