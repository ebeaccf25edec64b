//! Device descriptors, ioctls and sockets the runtime has no type for: the one crate that may hold
//! unsafe code.
//!
//! Every `unsafe` block states with `// SAFETY:` why it holds, and nothing unsafe is exported. The
//! other crates see safe types only:
//!
//! - [`drop_capabilities`]: what a daemon does not need any more.
//! - [`Device`]: a character device (or any pollable descriptor) on the runtime's event loop.
//! - [`HostInterface`]: what BMC-side KCS, BT and SSIF devices have beyond that.
//! - [`MctpSocket`]: a socket of the kernel's own MCTP stack.
//! - [`change_password`]: PAM, where the machine has it.
#![allow(unsafe_code)]

mod capabilities;
mod device;
mod host_interface;
mod mctp;
mod pam;

pub use capabilities::drop_capabilities;
pub use device::Device;
pub use host_interface::{HostInterface, open_device};
pub use mctp::{MctpPeer, MctpSocket};
pub use pam::{PamError, PamService, change_password};
