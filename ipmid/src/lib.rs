//! The IPMI command daemon: takes requests from the bridges over D-Bus and answers them.
//!
//! One request passes, in this order: [`request`] (the bus call, its channel, look-up, privilege,
//! filters, unpacking, deadline), a handler under [`commands`], and the [`platform`] trait or the
//! [`model`] state that the handler uses. [`background`] holds what acts without a request.

pub mod background;
pub mod commands;
pub mod config;
pub mod model;
pub mod platform;
pub mod request;

mod service;

pub use config::prepare;
pub use service::{AddCommands, Extensions, run, run_with};
