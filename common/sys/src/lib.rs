//! Device descriptors, ioctls and sockets for which the runtime has no type: the only crate with unsafe
//! code.
//!
//! Every `unsafe` block states with `// SAFETY:` why it holds, and nothing unsafe is exported. The
//! other crates see safe types only:
//!
//! - [`drop_capabilities`]: drops the capabilities that a daemon no longer needs.
//! - [`use_one_heap`], [`trim_heap`], [`trim_stack`]: how much memory the allocator and the stack keep.
//! - [`Device`]: a character device (or any pollable descriptor) on the runtime's event loop.
//! - [`HostInterface`]: the ioctls and transfers of BMC-side KCS, BT and SSIF devices.
//! - [`MctpSocket`]: a socket of the kernel's own MCTP stack.
//! - [`change_password`]: PAM, where it is installed.
#![allow(unsafe_code)]

mod capabilities;
mod device;
mod heap;
mod host_interface;
mod mctp;
mod pam;
mod stack;

pub use capabilities::drop_capabilities;
pub use device::Device;
pub use heap::{trim_heap, use_one_heap};
pub use host_interface::{HostInterface, open_device};
pub use mctp::{MctpPeer, MctpSocket};
pub use pam::{PamError, PamService, change_password};
pub use stack::trim_stack;
