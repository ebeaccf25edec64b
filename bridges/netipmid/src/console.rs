//! Serial over LAN: the host's console on one side, payload instances of sessions on the other.
//!
//! - [`Hub`]: who holds which instance, and what passes through; without I/O.
//! - [`answer`]: the payload commands.
//! - [`Source`]: the host's console, connected again whenever it comes back.
//! - [`Settings`]: what the administrator sets; [`follow_settings`] follows them on the bus.
//! - [`Sol`]: all of it, as the daemon's loop sees it.
//!
//! Output of the host is read whether anybody looks on or not, so that there is scrollback to show.
//! While there is a writer, no more is read than it can still be given: a console that is slow or
//! away slows the host down, and nothing is lost.

mod address;
mod config;
mod follow;
mod holder;
mod hub;
mod payload;
mod published;
mod settings;
mod sol;
mod source;
mod telnet;

pub use address::Address;
pub use config::SolSection;
pub use follow::follow_settings;
pub use holder::{Holder, HostInput, InstanceNumber, Occupied, Outgoing};
pub use hub::Hub;
pub use payload::{PayloadCaller, answer};
pub use settings::Settings;
pub use sol::Sol;
pub use source::Source;
