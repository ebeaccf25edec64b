//! The one call between bridges and `ipmid`, both ends of it.
//!
//! `xyz.openbmc_project.Ipmi.Server.execute(y netFn, y lun, y cmd, ay data, a{sv} options) →
//! (yyyyay)`, as phosphor-host-ipmid's `ipmid-new.cpp` serves it: a failure of the request is a
//! completion code in the reply, never a D-Bus error.
//!
//! Both ends build their messages by hand and send them without a sender field, which the bus adds
//! anyway: a message that has one is copied by the bus daemon.
//!
//! OpenBMC's btbridge does not call: it sends requests in a [signal](crate::ipmi::host_ipmi), and
//! [`serve`] handles those too.
//!
//! Where both ends are ours, the same messages go over a [direct link](DIRECT) between the two,
//! which saves two hops through the bus daemon.

mod client;
mod commands;
mod direct;
mod frame;
mod link;
mod link_server;
mod message;
mod owners;
mod requests;
mod server;
mod signal;
#[cfg(test)]
mod tests;

pub use self::client::{ChannelTaken, IpmiHost, LinkState, MAX_IN_FLIGHT, is_bridge_refused};
pub use self::commands::{COMMANDS, CommandInfo, LIST, Refusal};
pub use self::direct::{DIRECT, OPEN};
pub use self::message::{Call, CallOptions, Caller};
pub use self::owners::is_bridge_name;
pub use self::requests::Requests;
pub use self::server::{Execute, LinkRefusal, serve};
pub use crate::bus::OwnerChange;

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
