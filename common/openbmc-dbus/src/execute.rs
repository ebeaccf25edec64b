//! The one call between bridges and `ipmid`, both ends of it.
//!
//! `xyz.openbmc_project.Ipmi.Server.execute(y netFn, y lun, y cmd, ay data, a{sv} options) →
//! (yyyyay)`, as phosphor-host-ipmid's `ipmid-new.cpp` serves it: a failure of the request is a
//! completion code in the reply, never a D-Bus error.
//!
//! Both ends build their messages by hand and send them without a sender field, which the bus adds
//! anyway: a field in the way makes the bus daemon copy the whole message.
//!
//! OpenBMC's btbridge does not call: it tells requests in a [signal](crate::ipmi::host_ipmi), and
//! [`serve`] takes those too.
//!
//! Where both ends are ours, the same messages go over a [direct link](DIRECT) between the two,
//! which spares the bus daemon's two hops.

mod client;
mod commands;
mod direct;
mod link;
mod message;
mod owners;
mod requests;
mod server;
mod signal;
#[cfg(test)]
mod tests;
mod transport;

use tokio::task::{self, AbortHandle};

pub use self::client::{ChannelTaken, IpmiHost, LinkState, MAX_IN_FLIGHT, is_bridge_refused};
pub use self::commands::{COMMANDS, CommandInfo, LIST, Refusal};
pub use self::direct::{DIRECT, OPEN};
pub use self::message::{Call, CallOptions, Caller};
pub use self::owners::{OwnerChange, is_bridge_name};
pub use self::requests::Requests;
pub use self::server::{Execute, LinkRefusal, serve};

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

/// A task that ends with its owner.
#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

impl AbortOnDrop {
    fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(task::spawn(task).abort_handle())
    }

    fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
