//! The IPMI command daemon: takes requests from the bridges over D-Bus and answers them.
//!
//! One request passes, in this order: [`host_interface`] (the bus call, and who it is from),
//! [`dispatch`] (look-up, privilege, filters, unpacking, deadline), a handler under [`providers`],
//! and what that handler needs of the machine under [`platform`].

pub mod channels;
pub mod command;
pub mod config;
pub mod context;
pub mod dispatch;
pub mod events;
pub mod filter;
pub mod health;
pub mod host_interface;
pub mod messages;
pub mod platform;
pub mod providers;
pub mod state;
pub mod stores;
pub mod updates;

mod service;

pub use config::prepare;
pub use service::{AddCommands, Extensions, run, run_with};
