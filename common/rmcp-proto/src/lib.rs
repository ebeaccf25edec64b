//! RMCP, IPMI over LAN sessions and Serial over LAN, without I/O.
//!
//! Bytes, time and random numbers come in; datagrams and events come out. The crate has no socket, bus, task,
//! clock or random source.
//!
//! - [`wire`]: the formats, one file each.
//! - [`suite`]: algorithms and cipher suites.
//! - [`crypto`]: keys, key exchange, packet authentication and encryption.
//! - [`window`]: session sequence numbers, both ways.
//! - [`server`]: the BMC's end.
//! - [`console`]: the client's end.
//! - [`sol`]: Serial over LAN, both ends.

#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]

pub mod console;
pub mod crypto;
mod link;
pub mod server;
pub mod sol;
pub mod suite;
pub mod window;
pub mod wire;

#[cfg(test)]
mod testing;
