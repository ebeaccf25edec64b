//! Messaging commands, NetFn 06h: the host's message queue and flags, bridging to satellite
//! controllers, and transfers on the BMC's own I2C buses (IPMI v2.0 §6.13, §22).

mod bt;
mod flags;
mod i2c;
mod receive;
mod send;

use std::collections::BTreeMap;
use std::sync::Arc;

use accounts::{Channel, ChannelTable};
use ipmi_proto::{ChannelNumber, Medium};
use tokio::sync::Semaphore;

pub use self::i2c::{AllowedTransfer, I2cConfig};
use crate::model::live::Live;
use crate::model::message_queue::Messages;
use crate::platform::{I2c, Satellites};
use crate::request::command::{OwnRequests, Registrar};

/// The most requests of the host to satellites at a time.
const RELAYS: usize = 32;

/// What the messaging commands share with the rest of the daemon.
#[derive(Debug)]
pub struct MessagingDeps {
    /// Receive message queue and event message buffer.
    pub messages: Arc<Messages>,
    /// The IPMBs: names by channel number.
    pub satellite_channels: BTreeMap<ChannelNumber, String>,
    /// The host's own interfaces: names by channel number.
    pub host_channels: BTreeMap<ChannelNumber, String>,
    /// Which I2C transfers are allowed.
    pub i2c: Live<I2cConfig>,
    /// Runs the requests of messages to the BMC itself.
    pub own: OwnRequests,
}

impl MessagingDeps {
    /// With the channels of `table`: each IPMB leads to satellites, each system interface to the
    /// host.
    #[must_use]
    pub fn new(messages: Arc<Messages>, table: &ChannelTable, i2c: Live<I2cConfig>) -> Self {
        let of = |medium| table.iter().filter(move |channel| channel.medium == medium);
        let named = |channel: &Channel| (channel.number(), channel.name.to_string());
        Self {
            messages,
            satellite_channels: of(Medium::Ipmb).map(named).collect(),
            host_channels: of(Medium::System).map(named).collect(),
            i2c,
            own: OwnRequests::default(),
        }
    }
}

/// The messaging commands and their state between requests.
#[derive(Debug)]
pub struct MessagingProvider<P, I> {
    platform: Arc<P>,
    i2c: I,
    deps: MessagingDeps,
    relays: Arc<Semaphore>,
}

impl<P: Satellites, I: I2c> MessagingProvider<P, I> {
    /// Over `platform` and the I2C buses of `i2c`.
    #[must_use]
    pub fn new(platform: Arc<P>, i2c: I, deps: MessagingDeps) -> Arc<Self> {
        Arc::new(Self { platform, i2c, deps, relays: Arc::new(Semaphore::new(RELAYS)) })
    }

    /// Adds its commands.
    pub fn register(self: &Arc<Self>, table: &mut Registrar<'_>) {
        self.register_flags(table);
        self.register_receive(table);
        self.register_send(table);
        self.register_bt(table);
        self.register_i2c(table);
    }
}

#[cfg(test)]
mod tests;
