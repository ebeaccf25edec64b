//! MCTP without I/O: packets, reassembly, tags, routes, the control protocol and the framings.
//!
//! Follows the MCTP base specification (DSP0236), the type and medium codes of DSP0239, and the
//! serial (DSP0253), SMBus/I2C (DSP0237) and PCIe VDM (DSP0238) bindings. It needs `alloc` only, so
//! that host firmware can use it as well as a BMC: no runtime, socket, clock or random source. Time
//! comes in as a [`core::time::Duration`] since any fixed start.
//!
//! - [`packet`]: the transport header; [`fragment`]: a message cut into packets.
//! - [`reassembly`]: packets put together, within limits; [`tags`]: the eight tags of each peer.
//! - [`route`]: which link and physical address an endpoint is behind.
//! - [`control`]: messages of type 0, a responder, and a bus owner.
//! - [`protocols`]: what messages of each type say of themselves: a request, a response, a datagram.
//! - [`framing`]: what goes around a packet on each medium.
//!
//! Parsers take bytes they may not trust and are total; what is thrown away has a [`DropReason`].

#![no_std]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]

extern crate alloc;

mod crc;
mod drop_reason;
mod ids;

pub mod control;
pub mod fragment;
pub mod framing;
pub mod packet;
pub mod protocols;
pub mod reassembly;
pub mod route;
pub mod tags;

pub use drop_reason::{DropCounts, DropReason};
pub use ids::{Address, BusPath, Eid, LinkId, Medium, MessageType, Tag};

/// The largest message this crate handles unless it is configured otherwise, in bytes, type byte included.
pub const MAX_MESSAGE: usize = 65_536;

/// Payload bytes of a packet that every endpoint takes (DSP0236, baseline transmission unit).
pub const BASELINE_MTU: usize = 64;
