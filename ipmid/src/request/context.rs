//! The requester and the channel of a request, as identified by its bridge.

use ipmi_proto::{ChannelNumber, Lun, Medium, Privilege};

use crate::model::requester::Requester;
pub use crate::model::requester::{Satellite, Session};

/// What a handler knows of its request beside the parameters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Context {
    /// The channel it came on.
    pub channel: ChannelNumber,
    /// What that channel runs over.
    pub medium: Medium,
    /// The sender's present privilege; Administrator on a session-less channel.
    pub privilege: Privilege,
    /// The session it came in; `None` on a session-less channel.
    pub session: Option<Session>,
    /// The satellite controller it came from; `None` on other channels than IPMB.
    pub satellite: Option<Satellite>,
    /// The most data of a reply, where the bridge carries less than its medium; bytes.
    pub room: Option<u8>,
    /// The LUN that it addresses.
    pub lun: Lun,
    /// Its command number, for the handler of a wildcard.
    pub command: u8,
}

impl From<&Context> for Requester {
    fn from(context: &Context) -> Self {
        Self { channel: context.channel, session: context.session, satellite: context.satellite }
    }
}

impl Context {
    /// A request from the host's own system interface.
    #[must_use]
    pub const fn system_interface() -> Self {
        Self {
            channel: ChannelNumber::SYSTEM_INTERFACE,
            medium: Medium::System,
            privilege: Privilege::Administrator,
            session: None,
            satellite: None,
            room: None,
            lun: Lun::BMC,
            command: 0,
        }
    }

    /// Whether it came over a channel with sessions, but outside of a session.
    #[must_use]
    pub fn is_outside_session(&self) -> bool {
        self.session == Some(Session::NONE)
    }

    /// Whether it came from the host's own interface, and not from a network or another bus.
    #[must_use]
    pub fn is_from_host(&self) -> bool {
        // Lists the host's media, so that a new medium does not get the host's rights by default.
        let host = [Medium::System, Medium::Smbus1, Medium::Smbus2, Medium::Usb1, Medium::Usb2];
        host.contains(&self.medium) && self.session.is_none() && self.satellite.is_none()
    }

    /// The most data that a reply carries after its completion code on the request's channel: an
    /// IPMB frame has 32 bytes (IPMB v1.0 §2.10); messages of the host's interfaces have 255, of
    /// which the bridges' framing takes up to five; LAN takes what one byte counts.
    #[must_use]
    pub fn max_data(&self) -> usize {
        match (self.room, self.medium) {
            (Some(room), _) => room.into(),
            (None, Medium::Ipmb) => 24,
            (None, Medium::System) => 250,
            _ => 255,
        }
    }

    /// The channel that a field selects: `Eh` is the one the request came on (IPMI v2.0 §6.3).
    #[must_use]
    pub fn resolve(&self, channel: ChannelNumber) -> ChannelNumber {
        if channel == ChannelNumber::CURRENT { self.channel } else { channel }
    }
}
