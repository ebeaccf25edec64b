//! The built daemon as a black box: a pty pair on one side, its socket on the other.
//!
//! Nothing here uses our own framing or packet code; [`wire`] is written from the specifications, so
//! that a fault in one does not hide the same fault in the other.

mod bindings;
mod bus;
mod clients;
mod control;
mod daemon;
mod dbus;
mod framing;
mod kernel;
mod libmctp;
mod limits;
mod manners;
mod pairing;
mod reassembly;
mod registration;
mod reload;
mod routes;
mod wire;
