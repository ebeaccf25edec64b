//! The one call between bridges and `ipmid`, both ends of it.
//!
//! `xyz.openbmc_project.Ipmi.Server.execute(y netFn, y lun, y cmd, ay data, a{sv} options) →
//! (yyyyay)`, as phosphor-host-ipmid's `ipmid-new.cpp` serves it: a failure of the request is a
//! completion code in the reply, never a D-Bus error.
//!
//! Both ends build their messages by hand and send them without a sender field, which the bus adds
//! anyway: a field in the way makes the bus daemon copy the whole message.

mod client;
mod server;

pub use client::{Caller, IpmiHost, LinkState, MAX_IN_FLIGHT};
pub use server::{Call, CallOptions, Reply, serve};

/// `ipmid`'s bus name.
pub const SERVICE: &str = "xyz.openbmc_project.Ipmi.Host";
/// The object that takes requests.
pub const PATH: &str = "/xyz/openbmc_project/Ipmi";
/// The interface of [`METHOD`].
pub const INTERFACE: &str = "xyz.openbmc_project.Ipmi.Server";
/// The method's name.
pub const METHOD: &str = "execute";
/// What the bus names of all bridges start with; the channel's name follows.
pub const CHANNEL_PREFIX: &str = "xyz.openbmc_project.Ipmi.Channel.";
