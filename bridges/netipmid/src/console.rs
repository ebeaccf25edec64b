//! Serial over LAN: the host's console on one side, payload instances of sessions on the other.
//!
//! - [`PayloadInstances`]: the instances, their packets and their characters; without I/O.
//! - [`answer`]: the payload commands.
//! - [`HostConsole`]: the connection to the host's console, dialled or listened for, again when it is lost.
//! - [`LocalConsoles`]: programs on the BMC that read and write it too; [`publish_payload`] serves them on the bus.
//! - [`Settings`]: the SOL parameters; [`follow_settings`] follows them on the bus.
//! - [`Sol`]: all of it, as the daemon's loop sees it.
//!
//! Output of the host is read while SOL is not active too, for the scrollback. While there is a writer, no
//! more is read than the ring can hold for it: a remote console that is slow or unreachable slows the host
//! down, and nothing is lost.

mod address;
mod config;
mod follow;
mod holder;
mod host_console;
mod instances;
mod listener;
mod local;
mod payload;
mod payload_object;
mod settings;
mod settings_object;
mod socket_watch;
mod sol;
mod telnet;

pub use address::ConsoleAddress;
pub use config::SolSection;
pub use follow::follow_settings;
pub use holder::{ActivateError, Holder, HostInput, InstanceNumber, Outgoing};
pub use host_console::HostConsole;
pub use instances::PayloadInstances;
pub use local::LocalConsoles;
pub use payload::{PayloadCaller, answer};
pub use payload_object::{SolRequest, SolState, publish_payload};
pub use settings::Settings;
pub use sol::Sol;
