//! The D-Bus method that bridges call and `ipmid` serves: client and server.
//!
//! `xyz.openbmc_project.Ipmi.Server.execute(y netFn, y lun, y cmd, ay data, a{sv} options) →
//! (yyyyay)`, as phosphor-host-ipmid's `ipmid-new.cpp` serves it: a request that fails is answered with
//! a completion code in the reply, never with a D-Bus error.
//!
//! Both ends build their messages by hand and send them without a sender field, which the bus adds
//! anyway: the bus daemon copies the whole message when it has to replace that field.
//!
//! OpenBMC's btbridge does not call: it emits each request as a [signal](crate::ipmi::host_ipmi), and
//! [`serve`] handles those too.
//!
//! Where client and server are both of this suite, the same messages go over a [direct link](DIRECT)
//! between the two, which saves the two hops through the bus daemon.

mod client;
mod direct;
mod link;
mod message;
mod requests;
mod server;
mod signal;
#[cfg(test)]
mod tests;
mod transport;

use tokio::task::{self, AbortHandle};

pub use self::client::{ChannelTaken, IpmiHost, LinkState, MAX_IN_FLIGHT};
pub use self::direct::{DIRECT, OPEN};
pub use self::message::{Call, CallOptions, Caller};
pub use self::requests::Requests;
pub use self::server::{Execute, LinkRefusal, serve};

/// `ipmid`'s bus name.
pub const SERVICE: &str = "xyz.openbmc_project.Ipmi.Host";
/// The object that serves requests.
pub const PATH: &str = "/xyz/openbmc_project/Ipmi";
/// The interface of [`METHOD`].
pub const INTERFACE: &str = "xyz.openbmc_project.Ipmi.Server";
/// The method's name.
pub const METHOD: &str = "execute";
/// The prefix of all bridges' bus names; the channel's name follows.
pub const CHANNEL_PREFIX: &str = "xyz.openbmc_project.Ipmi.Channel.";

/// A task that is aborted when its owner is dropped.
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
